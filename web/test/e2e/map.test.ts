import type { Page } from "playwright-core";
import { beforeAll, expect, test } from "vitest";
import { mapReady, useBrowser } from "./browser";
import { exploreWorld, type World } from "./world";

const browser = useBrowser();
let world: World;
beforeAll(async () => {
  world = await exploreWorld(browser);
});

const parameter = (page: Page, name: string) => new URL(page.url()).searchParams.get(name);
const card = (page: Page, key: string) => page.locator(`[data-key="${key}"]`);

/** Moves the pointer over the map until it is on an edge. */
async function findEdge(page: Page): Promise<[x: number, y: number]> {
  const box = await page.locator(".map").boundingBox();
  if (!box) throw new Error("no map");
  for (let y = 80; y < box.height - 60; y += 17) {
    for (let x = 20; x < box.width - 60; x += 23) {
      await page.mouse.move(box.x + x, box.y + y);
      const over = await page.locator(".map[data-over-edge]").count();
      if (over > 0) return [box.x + x, box.y + y];
    }
  }
  throw new Error("no edge found");
}

test("the map shows every namespace and the totals of the answer", async () => {
  const page = await browser.open(`${world.range}&open=-`);
  await mapReady(page);
  for (const group of world.graph.groups.values()) {
    if (group.type === "namespace") expect(await card(page, group.key).count()).toBe(1);
  }
  const summary = await page.locator(".summary-text").textContent();
  expect(summary).toContain("link");
});

test("a namespace expands to its workloads and collapses again", async () => {
  const page = await browser.open(`${world.range}&open=-`);
  await mapReady(page);
  const group = world.graph.nodes.get(world.link.source)?.group ?? "";
  const label = world.graph.groups.get(group)?.label ?? "";
  await page.getByRole("button", { name: `Expand ${label}`, exact: true }).click();
  await card(page, world.link.source).waitFor();
  expect(parameter(page, "open")).toBe(group);
  await page.getByRole("button", { name: `Collapse ${label}`, exact: true }).click();
  await card(page, world.link.source).waitFor({ state: "detached" });
});

test("a click on a workload opens its details", async () => {
  const page = await browser.open(`${world.range}&open=*`);
  await mapReady(page);
  await card(page, world.link.source).click();
  const name = world.graph.nodes.get(world.link.source)?.name ?? "";
  await page.locator(".details h2", { hasText: name }).waitFor();
  expect(parameter(page, "sel")).toBe(world.link.source);
});

test("an edge shows a tip under the pointer and its details on click", async () => {
  const page = await browser.open(`${world.range}&open=-`);
  await mapReady(page);
  const [x, y] = await findEdge(page);
  expect(await page.locator(".tip").isVisible()).toBe(true);
  await page.mouse.click(x, y);
  await page.locator(".details .details-arrow").waitFor();
  expect(parameter(page, "sel")).toContain("~");
  const empty = await page.locator(".map").boundingBox();
  if (empty) await page.mouse.click(empty.x + 4, empty.y + empty.height - 60);
  await page.locator(".details").waitFor({ state: "detached" });
});

test("dragging moves the map and selects nothing", async () => {
  const page = await browser.open(`${world.range}&open=-`);
  await mapReady(page);
  const group = page.locator(".closed-title").first();
  const before = await group.boundingBox();
  if (!before) throw new Error("no group");
  await page.mouse.move(before.x + 20, before.y + 20);
  await page.mouse.down();
  await page.mouse.move(before.x + 80, before.y + 50, { steps: 4 });
  await page.mouse.up();
  await expect
    .poll(async () => Math.round((await group.boundingBox())?.x ?? 0))
    .toBe(Math.round(before.x + 60));
  expect(await page.locator(".details").count()).toBe(0);
});

test("the wheel zooms around the pointer and a button shows everything again", async () => {
  const page = await browser.open(`${world.range}&open=-`);
  await mapReady(page);
  const group = page.locator(".closed-title").first();
  const before = await group.boundingBox();
  if (!before) throw new Error("no group");
  await page.mouse.move(before.x, before.y);
  await page.mouse.wheel(0, -400);
  const width = async () => (await group.boundingBox())?.width ?? 0;
  await expect.poll(width).toBeGreaterThan(before.width * 1.3);
  await page.getByRole("button", { name: "Show everything" }).click();
  await expect.poll(async () => Math.round(await width())).toBe(Math.round(before.width));
});

test("the map is usable with the keyboard alone", async () => {
  const page = await browser.open(`${world.range}&open=-`);
  await mapReady(page);
  const focused = () => page.evaluate(() => document.activeElement?.getAttribute("data-key") ?? "");
  // One tab stop for the whole map.
  for (let presses = 0; presses < 40 && (await focused()) === ""; presses += 1) {
    await page.keyboard.press("Tab");
  }
  const first = await focused();
  expect(first).not.toBe("");
  const visited = new Set([first]);
  for (const key of ["ArrowDown", "ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp"]) {
    await page.keyboard.press(key);
    visited.add(await focused());
  }
  expect(visited.size).toBeGreaterThan(2);
  const chosen = await focused();
  await page.keyboard.press("Enter");
  await page.locator(".details").waitFor();
  expect(parameter(page, "sel")).toBe(chosen);
  await expect.poll(() => page.evaluate(() => document.activeElement?.tagName)).toBe("H2");
  await page.keyboard.press("Escape");
  await page.locator(".details").waitFor({ state: "detached" });
  await expect.poll(focused).toBe(chosen);
  await page.keyboard.press("e");
  await expect.poll(() => parameter(page, "open")).toBe(chosen);
  await page.locator(".group-title").first().waitFor();
  await expect.poll(focused).toBe(chosen);
});

test("the width follows the chosen measure", async () => {
  const page = await browser.open(`${world.range}&open=-`);
  await mapReady(page);
  await page.getByLabel("Show", { exact: true }).selectOption("connections");
  expect(parameter(page, "measure")).toBe("connections");
  await expect.poll(() => page.locator(".legend summary").textContent()).toContain("connections");
});
