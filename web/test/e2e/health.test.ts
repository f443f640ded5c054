import { beforeAll, expect, test } from "vitest";
import type { GraphLink } from "../../src/model/graph";
import { compareHealth } from "../../src/model/health";
import { mapReady, useBrowser } from "./browser";
import { exploreWorld, type World } from "./world";

const browser = useBrowser();
let world: World;
let worst: GraphLink;
beforeAll(async () => {
  world = await exploreWorld(browser);
  const links = [...world.graph.links.values()];
  links.sort((a, b) => compareHealth(b.health.level, a.health.level));
  if (links[0]?.health.level !== "critical") throw new Error("The server has no critical link.");
  worst = links[0];
});

test("the panel of a critical link has the reason and the values", async () => {
  const page = await browser.open(`${world.range}&open=*&sel=${encodeURIComponent(worst.key)}`);
  await mapReady(page);
  const details = page.locator(".details");
  const reason = await details.locator(".health[data-level=critical]").first().textContent();
  expect(reason).toMatch(/^Critical: .+ % (retransmitted packets|refused or unanswered)/);
  const row = (name: string) =>
    details
      .locator(".measures tr", { has: page.getByRole("rowheader", { name, exact: true }) })
      .locator("td")
      .allTextContents();
  const { forward, reverse } = worst;
  const expected = [forward, reverse].map(({ retransmitted_packets: value }) =>
    value === undefined ? "–" : value.toLocaleString("en"),
  );
  const shown = (await row("Retransmitted")).map((text) => text.split(" ")[0]);
  expect(shown).toEqual(expected);
});

test("round-trip times are shown with mean and minimum", async () => {
  const { link } = world;
  if (!link.forward.rtt && !link.reverse.rtt) throw new Error("The link has no round-trip times.");
  const page = await browser.open(`${world.range}&open=*&sel=${encodeURIComponent(link.key)}`);
  await mapReady(page);
  for (const name of ["RTT, mean", "RTT, minimum"]) {
    const row = page.locator(".details .measures tr", {
      has: page.getByRole("rowheader", { name, exact: true }),
    });
    await row.locator("td").first().waitFor();
    expect((await row.locator("td").allTextContents()).join(" ")).toMatch(/\d (µs|ms|s)/);
  }
});

test("the legend explains the colours", async () => {
  const page = await browser.open(`${world.range}&open=*`);
  await mapReady(page);
  const legend = page.locator(".legend");
  const levels = legend.locator("summary .legend-line");
  const names = await levels.evaluateAll((lines) =>
    lines.map((line) => line.getAttribute("data-level")),
  );
  expect(names).toEqual(["ok", "warning", "critical", "unknown"]);
  const colours = await levels.evaluateAll((lines) =>
    lines.map((line) => getComputedStyle(line).stroke),
  );
  expect(new Set(colours).size).toBe(4);
  await legend.locator("summary").click();
  await legend.getByText("from 5 % retransmitted packets").waitFor();
});

test("the table ordered by health begins with a critical edge", async () => {
  const page = await browser.open(`${world.range}&view=table&sort=health:desc`);
  const cell = page.locator("tbody tr").first().locator(".health-cell");
  await cell.waitFor();
  expect(await cell.getAttribute("data-level")).toBe("critical");
  await page.getByRole("columnheader", { name: "Retransmitted" }).waitFor();
});
