import type { Page } from "playwright-core";
import { beforeAll, expect, test } from "vitest";
import * as format from "../../src/format";
import { mapReady, useBrowser } from "./browser";
import { exploreWorld, sumBytes, type World } from "./world";

const browser = useBrowser();
let world: World;
beforeAll(async () => {
  world = await exploreWorld(browser);
});

const details = (page: Page) => page.locator(".details");
const cells = (page: Page, row: string) =>
  page
    .locator(".measures tr", { has: page.getByRole("rowheader", { name: row, exact: true }) })
    .locator("td")
    .allTextContents();

async function openLink(): Promise<Page> {
  const page = await browser.open(
    `${world.range}&open=*&sel=${encodeURIComponent(world.link.key)}`,
  );
  await mapReady(page);
  await details(page).waitFor();
  return page;
}

test("a link shows the numbers of the API in both directions", async () => {
  const page = await openLink();
  const source = world.graph.nodes.get(world.link.source);
  const target = world.graph.nodes.get(world.link.target);
  if (!source || !target) throw new Error("no ends");
  const bytes = async (from: typeof source, to: typeof source) => {
    const filter = [
      `src.namespace == "${from.namespace}" && src.workload == "${from.name}"`,
      `dst.namespace == "${to.namespace}" && dst.workload == "${to.name}"`,
    ].join(" && ");
    const answer = await browser.edges({
      from: String(world.from),
      to: String(world.to),
      filter,
    });
    return sumBytes(answer.edges);
  };
  expect(await cells(page, "Bytes")).toEqual([
    format.bytes(await bytes(source, target)),
    format.bytes(await bytes(target, source)),
  ]);
  expect((await cells(page, "Packets"))[0]).toMatch(/^[\d,]+$/);
  expect((await cells(page, "Connections"))[0]).toMatch(/^[\d,]+$/);
});

test("a link has a chart, ports and names", async () => {
  const page = await openLink();
  // A line of equal values has no height, so that it does not count as visible.
  await details(page).locator(".chart .line").first().waitFor({ state: "attached" });
  const label = await details(page).locator(".chart svg").first().getAttribute("aria-label");
  expect(label).toMatch(/bytes per second\. .*up to .*last/);
  const titles = ["Over time", "Names", "PromQL"];
  // Not every history keeps ports.
  if (await browser.hasField("port")) {
    titles.push("Ports");
    await details(page)
      .locator(".breakdown th", { hasText: /^\d+\/\w+$/ })
      .first()
      .waitFor();
  }
  for (const title of titles) {
    const heading = details(page).getByRole("heading", { name: title });
    await heading.waitFor();
    expect(await heading.count()).toBe(1);
  }
});

test("the chart shows values under the pointer", async () => {
  const page = await openLink();
  const chart = details(page).locator(".chart svg").first();
  // The line of a constant rate has no height, so it counts as hidden.
  await chart.locator(".line").first().waitFor({ state: "attached" });
  await chart.scrollIntoViewIfNeeded();
  const box = await chart.boundingBox();
  if (!box) throw new Error("no chart");
  await page.mouse.move(box.x + box.width * 0.6, box.y + box.height / 2);
  expect(await details(page).locator(".chart .dot").count()).toBe(2);
  expect(await details(page).locator("figcaption b").first().textContent()).toMatch(/\/s$/);
});

test("a query is copied with the metric names of the collector", async () => {
  const page = await openLink();
  await details(page).getByRole("button", { name: "Copy query" }).first().click();
  await details(page).getByRole("button", { name: "Copied" }).waitFor();
  const text = await page.evaluate(() => navigator.clipboard.readText());
  const source = world.graph.nodes.get(world.link.source);
  expect(text).toMatch(/^sum\(rate\(kipfix_bytes_total\{/);
  expect(text).toContain(`src_workload="${source?.name}"`);
});

test("a workload lists its links, and each opens", async () => {
  const page = await browser.open(
    `${world.range}&open=*&sel=${encodeURIComponent(world.link.source)}`,
  );
  await mapReady(page);
  const peer = details(page).locator(".peers button").first();
  await peer.click();
  await details(page).locator(".details-arrow").waitFor();
  expect(new URL(page.url()).searchParams.get("sel")).toContain("~");
});

test("a namespace can be expanded and filtered by", async () => {
  const group = world.graph.nodes.get(world.link.source)?.group ?? "";
  const page = await browser.open(`${world.range}&open=-&sel=${encodeURIComponent(group)}`);
  await mapReady(page);
  await details(page)
    .getByRole("button", { name: /^Expand/ })
    .click();
  await page.locator(`[data-key="${world.link.source}"]`).waitFor();
  await details(page).getByRole("button", { name: "Show only this namespace" }).click();
  const namespace = world.graph.groups.get(group)?.label ?? "";
  await expect.poll(() => new URL(page.url()).searchParams.get("ns")).toBe(namespace);
});

test("the traffic between two namespaces lists the links that it consists of", async () => {
  const source = world.graph.nodes.get(world.link.source)?.group ?? "";
  const target = world.graph.nodes.get(world.link.target)?.group ?? "";
  const page = await browser.open(
    `${world.range}&open=-&sel=${encodeURIComponent(`${source}~${target}`)}`,
  );
  await mapReady(page);
  await details(page).locator(".details-arrow").waitFor();
  expect((await cells(page, "Bytes")).length).toBe(2);
  const links = details(page).locator(".peers button");
  if ((await links.count()) > 0) {
    await links.first().click();
    await expect
      .poll(() => new URL(page.url()).searchParams.get("sel"))
      .toMatch(/^(workload|external|node)\//);
  }
});
