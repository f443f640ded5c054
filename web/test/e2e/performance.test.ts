import type { Page } from "playwright-core";
import { expect, inject, test } from "vitest";
import { FixtureApi } from "../fixture/api";
import { mapReady, useBrowser } from "./browser";

const browser = useBrowser();
const ATTEMPTS = 3;
const EXPANDED = "?open=*";

/** A collector under test may have less traffic, so the page gets that of the fixture. */
async function largeCluster(page: Page): Promise<void> {
  if (inject("fixture")) return;
  const fixture = new FixtureApi();
  await page.route("**/api/v1/**", (route) => {
    const { status, body } = fixture.answer(new URL(route.request().url()));
    return route.fulfill({ status, json: body });
  });
}

async function openExpanded(): Promise<Page> {
  const page = await browser.open(EXPANDED, { prepare: largeCluster });
  await mapReady(page);
  expect(await page.locator(".summary-text").textContent()).toContain("2,000 links");
  expect(await page.locator(".card").count()).toBeGreaterThanOrEqual(300);
  return page;
}

/** Frames per second, and the 95th percentile of the time between frames, during an action. */
async function frames(page: Page, action: () => Promise<void>): Promise<[number, number]> {
  await page.evaluate(() => {
    const times: number[] = [];
    Object.assign(window, { frameTimes: times });
    let last = performance.now();
    const next = (now: number) => {
      times.push(now - last);
      last = now;
      if ("frameTimes" in window) requestAnimationFrame(next);
    };
    requestAnimationFrame(next);
  });
  await action();
  const times = await page.evaluate(() => {
    const { frameTimes } = window as unknown as { frameTimes: number[] };
    Reflect.deleteProperty(window, "frameTimes");
    return frameTimes.slice(1);
  });
  const total = times.reduce((sum, time) => sum + time, 0);
  times.sort((a, b) => a - b);
  return [(1000 * times.length) / total, times[Math.floor(times.length * 0.95)] ?? 0];
}

async function pan(page: Page): Promise<void> {
  const box = await page.locator(".map").boundingBox();
  if (!box) throw new Error("no map");
  const x = box.x + box.width / 2;
  const y = box.y + 20;
  await page.mouse.move(x, y);
  await page.mouse.down();
  for (let step = 0; step < 120; step += 1) {
    await page.mouse.move(x + 300 * Math.sin(step / 10), y + 250 * Math.abs(Math.sin(step / 17)));
  }
  await page.mouse.up();
}

// Other processes share the CPU, so the best of three attempts is compared with the limit.

test("300 workloads and 2,000 links are painted within a second", async () => {
  const results: number[] = [];
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const page = await openExpanded();
    const painted = await page.evaluate(
      () => performance.getEntriesByName("map-painted")[0]?.startTime ?? Number.NaN,
    );
    results.push(Math.round(painted));
  }
  console.log(`first paint of the map: ${results.join(", ")} ms`);
  expect(Math.min(...results)).toBeLessThan(1000);
});

test("the map of 2,000 links pans and zooms with more than 30 frames per second", async () => {
  const page = await openExpanded();
  const panned: number[] = [];
  const zoomed: number[] = [];
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const [rate, slow] = await frames(page, () => pan(page));
    panned.push(Math.round(rate));
    const [zoomRate] = await frames(page, async () => {
      for (let step = 0; step < 60; step += 1) await page.mouse.wheel(0, step < 30 ? -60 : 60);
    });
    zoomed.push(Math.round(zoomRate));
    console.log(
      `panning ${rate.toFixed(1)} fps (95 % of frames within ${slow.toFixed(0)} ms), zooming ${zoomRate.toFixed(1)} fps`,
    );
  }
  expect(Math.max(...panned)).toBeGreaterThan(30);
  expect(Math.max(...zoomed)).toBeGreaterThan(30);
});

test("selecting a workload in a large map answers within 200 milliseconds", async () => {
  const page = await openExpanded();
  const times: number[] = [];
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const time = await page.evaluate(
      (index) =>
        new Promise<number>((resolve) => {
          const card = document.querySelectorAll<HTMLElement>(".card")[40 * (index + 1)];
          const begin = performance.now();
          const check = () => {
            if (card?.getAttribute("aria-pressed") === "true") resolve(performance.now() - begin);
            else requestAnimationFrame(check);
          };
          card?.click();
          requestAnimationFrame(check);
        }),
      attempt,
    );
    times.push(Math.round(time));
  }
  console.log(`selection: ${times.join(", ")} ms`);
  expect(Math.min(...times)).toBeLessThan(200);
});
