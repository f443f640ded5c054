import { beforeAll, expect, test } from "vitest";
import { useBrowser } from "./browser";
import { exploreWorld, type World } from "./world";

// A file of its own, because the clock belongs to all pages of a browser.

const browser = useBrowser();
let world: World;
beforeAll(async () => {
  world = await exploreWorld(browser);
});

/** The number of requests for the map within a minute. */
async function requestsPerMinute(search: string): Promise<number> {
  let requests = 0;
  const page = await browser.open(search, {
    prepare: async (target) => {
      await target.clock.install();
      target.on("request", (request) => {
        if (request.url().includes("dst.workload")) requests += 1;
      });
    },
  });
  const histogram = () =>
    page.waitForRequest((request) => request.url().includes("group_by=scope"));
  await Promise.all([histogram(), page.locator(".summary-text").waitFor()]);
  await page.waitForLoadState("networkidle");
  // The histogram is refreshed more rarely than the map.
  await Promise.all([histogram(), page.clock.fastForward(60_000)]);
  await page.waitForLoadState("networkidle");
  return requests;
}

test("a live range is refreshed", async () => {
  expect(await requestsPerMinute("")).toBeGreaterThan(1);
});

test("a fixed range is requested once", async () => {
  expect(await requestsPerMinute(world.range)).toBe(1);
});
