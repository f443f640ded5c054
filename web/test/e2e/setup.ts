import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { startServer } from "../fixture/server.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** The address of the page, with a slash at the end. */
    url: string;
    /** Whether the page belongs to the fixture and not to a collector. */
    fixture: boolean;
    /** Where screenshots are written. */
    screenshots: string;
  }
}

/** The clock of the fixture stands still, so that every run has the same numbers. */
const NOW = Date.UTC(2026, 0, 15, 12, 0, 0);

/** Uses the page at `KIPFIX_WEB_URL`, or serves `dist` with the fixture. */
export default async function setup(project: TestProject): Promise<() => void> {
  const directory =
    process.env.KIPFIX_WEB_SCREENSHOTS ?? mkdtempSync(join(tmpdir(), "kipfix-web-"));
  project.provide("screenshots", directory);
  const given = process.env.KIPFIX_WEB_URL;
  if (given) {
    project.provide("url", given.endsWith("/") ? given : `${given}/`);
    project.provide("fixture", false);
    return () => {};
  }
  const { server, url } = await startServer(NOW);
  project.provide("url", url);
  project.provide("fixture", true);
  return () => server.close();
}
