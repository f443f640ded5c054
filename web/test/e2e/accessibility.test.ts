import { createRequire } from "node:module";
import type { Page } from "playwright-core";
import { beforeAll, expect, inject, test } from "vitest";
import { mapReady, useBrowser } from "./browser";
import { exploreWorld, type World } from "./world";

const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");

const browser = useBrowser();
let world: World;
beforeAll(async () => {
  world = await exploreWorld(browser);
});

/** Serious and critical findings of axe, as text. */
async function findings(page: Page): Promise<string[]> {
  // Through the debugging protocol, which the content security policy does not restrict.
  await page.evaluate(await readAxe());
  return page.evaluate(async () => {
    const { axe } = window as unknown as {
      axe: {
        run: () => Promise<{
          violations: { id: string; impact: string; nodes: { target: string[]; html: string }[] }[];
        }>;
      };
    };
    const { violations } = await axe.run();
    return violations
      .filter(({ impact }) => impact === "serious" || impact === "critical")
      .flatMap(({ id, nodes }) => nodes.slice(0, 3).map(({ html }) => `${id}: ${html}`));
  });
}

async function readAxe(): Promise<string> {
  const { readFile } = await import("node:fs/promises");
  return readFile(AXE, "utf8");
}

for (const dark of [false, true]) {
  const theme = dark ? "dark" : "light";

  test(`the collapsed and the expanded map have no serious finding (${theme})`, async () => {
    for (const open of ["-", "*"]) {
      const page = await browser.open(`${world.range}&open=${open}`, { dark });
      await mapReady(page);
      expect(await findings(page)).toEqual([]);
    }
  });

  test(`the details of a link and of a workload have no serious finding (${theme})`, async () => {
    for (const key of [world.link.key, world.link.source]) {
      const page = await browser.open(`${world.range}&sel=${encodeURIComponent(key)}`, { dark });
      await mapReady(page);
      // A line of equal values has no height, so that it does not count as visible.
      await page.locator(".details .chart .line").first().waitFor({ state: "attached" });
      expect(await findings(page)).toEqual([]);
    }
  });

  test(`the table has no serious finding (${theme})`, async () => {
    const page = await browser.open(`${world.range}&view=table`, { dark });
    await page.locator("tbody tr").first().waitFor();
    expect(await findings(page)).toEqual([]);
  });

  test(`dialogs and menus have no serious finding (${theme})`, async () => {
    const page = await browser.open(world.range, { dark });
    await mapReady(page);
    await page.getByRole("button", { name: "Namespace", exact: true }).click();
    await page.locator(".check-list label").first().waitFor();
    expect(await findings(page)).toEqual([]);
    await page.keyboard.press("Escape");
    await page.locator(".header .status").click();
    await page.locator(".dialog .facts-table").first().waitFor();
    expect(await findings(page)).toEqual([]);
  });

  test(`a narrow screen has no serious finding (${theme})`, async () => {
    const page = await browser.open(`${world.range}&sel=${encodeURIComponent(world.link.source)}`, {
      dark,
      width: 390,
      height: 844,
    });
    await mapReady(page);
    expect(await findings(page)).toEqual([]);
  });
}

test("a narrow screen does not scroll sideways", async () => {
  for (const search of [world.range, `${world.range}&view=table`]) {
    const page = await browser.open(search, { width: 360, height: 740 });
    await page.locator(".map [data-key], tbody tr").first().waitFor();
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    expect(width).toBeLessThanOrEqual(360);
  }
});

test("a narrow screen shows names and bytes of the table without scrolling", async () => {
  const page = await browser.open(`${world.range}&view=table`, { width: 390, height: 844 });
  await page.locator("tbody tr").first().waitFor();
  const right = await page.evaluate(() => {
    const headings = [...document.querySelectorAll("thead th")];
    const bytes = headings.find((heading) => heading.textContent?.startsWith("Bytes"));
    return bytes?.getBoundingClientRect().right;
  });
  expect(right).toBeLessThanOrEqual(390);
});

test("the server sends a strict content security policy", async () => {
  const response = await fetch(inject("url"));
  const policy = response.headers.get("Content-Security-Policy") ?? "";
  expect(policy).toContain("default-src 'none'");
  expect(policy).not.toMatch(/unsafe-|\*|https?:|data:|blob:/);
  expect(response.headers.get("X-Content-Type-Options")).toBe("nosniff");
});

test("the page works without a network, apart from the collector", async () => {
  // Requests to other origins and violations of the policy fail every test of this suite.
  const page = await browser.open(world.range);
  await mapReady(page);
  const workers = page.workers();
  expect(workers.length).toBe(1);
  expect(workers[0]?.url().startsWith(inject("url"))).toBe(true);
});
