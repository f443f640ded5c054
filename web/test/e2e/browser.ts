import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BrowserContext, chromium, type Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, inject } from "vitest";
import type { EdgesAnswer, Status } from "../../src/api/types";

/** Opens pages in Chromium. Any console error, policy violation or foreign request is a failure. */

const ARGUMENTS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

function executable(): string {
  const candidates = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/google-chrome"];
  const found = candidates.find((path) => path && existsSync(path));
  if (!found) throw new Error("Chromium is not installed; set CHROMIUM to its path.");
  return found;
}

export interface OpenOptions {
  width?: number;
  height?: number;
  dark?: boolean;
  /** Messages of the console that the test provokes. */
  expected?: RegExp;
  /** Prepares the page before it loads. */
  prepare?: (page: Page) => Promise<unknown>;
}

export interface TestBrowser {
  /** Opens the page with a query such as `?view=table`. */
  open: (search?: string, options?: OpenOptions) => Promise<Page>;
  /** Fetches a path of the API, outside of the page. */
  edges: (parameters?: Record<string, string>) => Promise<EdgesAnswer>;
  /** Whether edges can be grouped by a field. */
  hasField: (field: string) => Promise<boolean>;
}

declare global {
  interface Window {
    violations: string[];
  }
}

/** A browser for the tests of a file. */
export function useBrowser(): TestBrowser {
  const url = inject("url");
  const origin = new URL(url).origin;
  let context: BrowserContext;
  let directory: string;
  let problems: string[] = [];
  const opened: Page[] = [];

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), "kipfix-chromium-"));
    context = await chromium.launchPersistentContext(directory, {
      executablePath: executable(),
      args: ARGUMENTS,
      reducedMotion: "reduce",
      permissions: ["clipboard-read", "clipboard-write"],
    });
  });

  afterAll(async () => {
    await context.close();
    rmSync(directory, { recursive: true, force: true });
  });

  afterEach(async () => {
    for (const page of opened.splice(0)) {
      const violations = await page.evaluate(() => window.violations);
      problems.push(...violations);
      await page.close();
    }
    const found = problems;
    problems = [];
    if (found.length > 0) throw new Error(`The page had problems:\n${found.join("\n")}`);
  });

  return {
    async open(search = "", options = {}) {
      const page = await context.newPage();
      opened.push(page);
      await page.setViewportSize({ width: options.width ?? 1440, height: options.height ?? 900 });
      await page.emulateMedia({ colorScheme: options.dark ? "dark" : "light" });
      await page.addInitScript(() => {
        window.violations = [];
        document.addEventListener("securitypolicyviolation", (event) => {
          window.violations.push(`CSP: ${event.violatedDirective} ${event.blockedURI}`);
        });
      });
      page.on("pageerror", (error) => problems.push(`exception: ${error.message}`));
      page.on("console", (message) => {
        if (!["error", "warning"].includes(message.type())) return;
        if (!options.expected?.test(message.text())) problems.push(`console: ${message.text()}`);
      });
      page.on("request", (request) => {
        const target = new URL(request.url());
        if (target.origin !== origin) problems.push(`request to ${target.origin}`);
      });
      await options.prepare?.(page);
      await page.goto(url + search);
      return page;
    },
    async edges(parameters = {}) {
      const response = await fetch(`${url}api/v1/edges?${new URLSearchParams(parameters)}`);
      if (!response.ok) throw new Error(`edges: ${response.status}`);
      return (await response.json()) as EdgesAnswer;
    },
    async hasField(field) {
      const response = await fetch(`${url}api/v1/status`);
      const { history } = (await response.json()) as Status;
      return history.fields?.includes(field) ?? true;
    },
  };
}

/** Waits for the map to be drawn. */
export async function mapReady(page: Page): Promise<void> {
  await page.locator(".map [data-key]").first().waitFor();
  await page.waitForFunction(() => performance.getEntriesByName("map-painted").length > 0);
}

/** Answers API requests of a path with a status and a body. */
export async function answer(
  page: Page,
  path: string,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): Promise<void> {
  await page.route(
    (target) => target.pathname.endsWith(path),
    (route) =>
      route.fulfill({
        status,
        headers,
        contentType: "application/json",
        body: JSON.stringify(body),
      }),
  );
}
