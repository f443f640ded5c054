import type { Page } from "playwright-core";
import { beforeAll, expect, test } from "vitest";
import { mapReady, useBrowser } from "./browser";
import { exploreWorld, type World } from "./world";

const browser = useBrowser();
let world: World;
let namespace: string;
beforeAll(async () => {
  world = await exploreWorld(browser);
  namespace = world.graph.nodes.get(world.link.source)?.namespace ?? "";
});

const parameters = (page: Page) => new URL(page.url()).searchParams;

test("a namespace filter is in the address, and the back button undoes it", async ({ skip }) => {
  const { namespace } = world;
  if (namespace === undefined) return skip("every link has the same namespace");
  const page = await browser.open(world.range);
  await mapReady(page);
  const links = () => page.locator(".summary-text").textContent();
  const before = await links();
  await page.getByRole("button", { name: "Namespace", exact: true }).click();
  await page.getByRole("checkbox", { name: namespace, exact: true }).check();
  expect(parameters(page).get("ns")).toBe(namespace);
  await expect.poll(links).not.toBe(before);
  const filtered = await links();
  await page.goBack();
  expect(parameters(page).get("ns")).toBeNull();
  await expect.poll(links).toBe(before);
  await page.goForward();
  await expect.poll(links).toBe(filtered);
});

test("an address reproduces the view", async () => {
  const search = `${world.range}&ns=${encodeURIComponent(namespace)}&measure=packets&open=*`;
  const texts: (string | null)[] = [];
  for (let visit = 0; visit < 2; visit += 1) {
    const page = await browser.open(search);
    await mapReady(page);
    texts.push(await page.locator(".summary-text").textContent());
    const shown = page.getByLabel("Show", { exact: true });
    expect(await shown.inputValue()).toBe("packets");
    const filter = page.getByRole("button", { name: `Namespace: ${namespace}` });
    expect(await filter.count()).toBe(1);
  }
  expect(texts[0]).toBe(texts[1]);
});

test("text search keeps matching links only", async () => {
  const page = await browser.open(`${world.range}&view=table`);
  const name = world.graph.nodes.get(world.link.source)?.name ?? "";
  await page.getByRole("searchbox", { name: "Search by text" }).fill(name);
  await expect.poll(() => parameters(page).get("q")).toBe(name);
  const rows = page.locator("tbody tr");
  await expect.poll(() => rows.count()).toBeGreaterThan(0);
  for (const text of await rows.allTextContents()) expect(text).toContain(name);
});

test("a class filter narrows the answer", async () => {
  const page = await browser.open(`${world.range}&view=table`);
  await page.locator("tbody tr").first().waitFor();
  await page.locator(".toolbar").getByRole("button", { name: "Class" }).click();
  const option = page.locator(".check-list-items label").first();
  const name = (await option.textContent()) ?? "";
  await option.click();
  expect(parameters(page).get("class")).toBe(name);
  await page.keyboard.press("Escape");
  const column = page.locator("tbody tr td:nth-child(3)");
  await expect.poll(async () => new Set(await column.allTextContents())).toEqual(new Set([name]));
});

test("an expression filters, and clearing removes all filters", async () => {
  const page = await browser.open(`${world.range}&view=table`);
  const input = page.getByRole("textbox", { name: "Filter expression" });
  const expression = `src.namespace == "${namespace}" && dst.namespace != "${namespace}"`;
  await input.fill(expression);
  await input.press("Enter");
  expect(parameters(page).get("filter")).toBe(expression);
  const from = page.locator("tbody .row-name .end-context");
  const contexts = async () =>
    (await from.allTextContents()).map((text) => text.split(" · ")[0] ?? "");
  await expect.poll(async () => new Set(await contexts())).toEqual(new Set([namespace]));
  await page.getByRole("button", { name: "Clear filters" }).click();
  expect(parameters(page).get("filter")).toBeNull();
  expect(await input.inputValue()).toBe("");
});

test("the table sorts by any column", async () => {
  const page = await browser.open(`${world.range}&view=table`);
  await page.locator("tbody tr").first().waitFor();
  const header = page.getByRole("columnheader", { name: "From" });
  await header.getByRole("button").click();
  expect(await header.getAttribute("aria-sort")).toBe("ascending");
  const names = await page.locator("tbody .row-name .end-name").allTextContents();
  const lower = names.map((name) => name.toLowerCase());
  expect(lower).toEqual([...lower].sort());
  await header.getByRole("button").click();
  expect(await header.getAttribute("aria-sort")).toBe("descending");
  expect(parameters(page).get("sort")).toBe("from:desc");
});

test("the table holds every edge of the answer", async () => {
  const page = await browser.open(`${world.range}&view=table`);
  await page.locator("tbody tr").first().waitFor();
  const caption = await page.locator(".table-view caption").textContent();
  const answer = await browser.edges({
    from: String(world.from),
    to: String(world.to),
    limit: "10000",
  });
  const rows = Number(caption?.match(/([\d,]+) row/)?.[1]?.replaceAll(",", ""));
  // The page tells external names apart, so it may have more rows than workload edges.
  expect(rows).toBeGreaterThanOrEqual(answer.edges.length);
  const shown = await page.locator("tbody tr").count();
  if (rows > shown) {
    await page.getByRole("button", { name: "Show more" }).click();
    expect(await page.locator("tbody tr").count()).toBeGreaterThan(shown);
  }
});

test("a row opens the details of its link", async () => {
  const page = await browser.open(`${world.range}&view=table`);
  await page.locator("tbody .row-name").first().click();
  await page.locator(".details .details-arrow").waitFor();
  expect(await page.locator("tr[data-selected]").count()).toBeGreaterThan(0);
});

test("the slider fixes a range and the live button follows now again", async () => {
  const page = await browser.open();
  await mapReady(page);
  const end = page.getByRole("slider", { name: "End of the range" });
  await end.focus();
  for (let presses = 0; presses < 3; presses += 1) await end.press("ArrowLeft");
  await expect.poll(() => parameters(page).get("to")).not.toBeNull();
  const [from, to] = [Number(parameters(page).get("from")), Number(parameters(page).get("to"))];
  expect(to).toBeGreaterThan(from);
  const live = page.getByRole("button", { name: "Live" });
  expect(await live.getAttribute("aria-pressed")).toBe("false");
  await live.click();
  expect(parameters(page).get("to")).toBeNull();
  expect(await live.getAttribute("aria-pressed")).toBe("true");
});

test("dragging the window moves the range and keeps its length", async () => {
  const page = await browser.open();
  await mapReady(page);
  const window = await page.locator(".strip-window").boundingBox();
  if (!window) throw new Error("no window");
  const middle = window.x + window.width / 2;
  await page.mouse.move(middle, window.y + 4);
  await page.mouse.down();
  await page.mouse.move(middle - 200, window.y + 4, { steps: 5 });
  await page.mouse.up();
  await expect.poll(() => parameters(page).get("to")).not.toBeNull();
  const length = Number(parameters(page).get("to")) - Number(parameters(page).get("from"));
  expect(length).toBe(900_000);
  await page.goBack();
  expect(parameters(page).get("to")).toBeNull();
});

test("a length is chosen with one click", async () => {
  const page = await browser.open();
  await mapReady(page);
  const range = page.getByRole("group", { name: "Length of the range" });
  await range.getByRole("button", { name: "5m", exact: true }).click();
  expect(parameters(page).get("from")).toBe("-300000");
});

test("the theme follows the system until the user changes it", async () => {
  const page = await browser.open("", { dark: true });
  await mapReady(page);
  const theme = () => page.evaluate(() => document.documentElement.dataset.theme);
  expect(await theme()).toBe("dark");
  await page.getByRole("button", { name: "Light theme" }).click();
  expect(await theme()).toBe("light");
  await page.reload();
  await mapReady(page);
  expect(await theme()).toBe("light");
  await page.evaluate(() => localStorage.clear());
});

test("the state of the collector is shown with its exporters", async () => {
  const page = await browser.open();
  await mapReady(page);
  await page.locator(".header .status").click();
  const dialog = page.getByRole("dialog", { name: "Collector" });
  await dialog.getByText("Exporters", { exact: true }).waitFor();
  await dialog.locator("tbody tr", { hasText: "Received" }).waitFor();
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
});
