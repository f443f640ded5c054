import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { beforeAll, inject, test } from "vitest";
import { answer, mapReady, type OpenOptions, useBrowser } from "./browser";
import { exploreWorld, type World } from "./world";

/** Pictures for people to look at; the tests only make sure that they can be taken. */

const browser = useBrowser();
const directory = inject("screenshots");
let world: World;
beforeAll(async () => {
  mkdirSync(directory, { recursive: true });
  world = await exploreWorld(browser);
  console.log(`screenshots: ${directory}`);
});

async function picture(
  name: string,
  search: string,
  options: OpenOptions = {},
  act: (page: Page) => Promise<unknown> = async () => {},
): Promise<void> {
  const page = await browser.open(search, options);
  await page.locator(".map [data-key], tbody tr, .placeholder").first().waitFor();
  if ((await page.locator(".map").count()) > 0) await mapReady(page);
  await act(page);
  await page.waitForLoadState("networkidle");
  await page.screenshot({ path: join(directory, `${name}.png`) });
}

const key = (text: string) => encodeURIComponent(text);
const NARROW = { width: 390, height: 844 };

for (const dark of [false, true]) {
  const theme = dark ? "dark" : "light";

  test(`overview, ${theme}`, () => picture(`overview-${theme}`, "", { dark }));

  test(`everything expanded, ${theme}`, () =>
    picture(`expanded-${theme}`, `${world.range}&open=*`, { dark }));

  test(`one namespace, ${theme}`, () => {
    const namespace = world.graph.nodes.get(world.link.source)?.namespace ?? "";
    return picture(`namespace-${theme}`, `?ns=${key(namespace)}&open=*`, { dark });
  });

  test(`details of a link, ${theme}`, () =>
    picture(`link-${theme}`, `?open=*&sel=${key(world.link.key)}`, { dark }));

  test(`details of a workload, ${theme}`, () =>
    picture(`workload-${theme}`, `?sel=${key(world.link.source)}`, { dark }, async (page) => {
      await page.locator(".details .queries").scrollIntoViewIfNeeded();
    }));

  test(`table, ${theme}`, () => picture(`table-${theme}`, "?view=table", { dark }));

  test(`narrow, ${theme}`, () => picture(`narrow-${theme}`, "", { dark, ...NARROW }));

  test(`narrow with details, ${theme}`, () =>
    picture(`narrow-details-${theme}`, `?sel=${key(world.link.source)}`, { dark, ...NARROW }));

  test(`collector, ${theme}`, () =>
    picture(`collector-${theme}`, "", { dark }, (page) => page.locator(".header .status").click()));

  test(`namespace menu, ${theme}`, () =>
    picture(`menu-${theme}`, "", { dark }, async (page) => {
      await page.getByRole("button", { name: "Namespace", exact: true }).click();
      await page.locator(".check-list label").first().waitFor();
    }));

  test(`invalid expression, ${theme}`, () =>
    picture(
      `invalid-${theme}`,
      `?filter=${key('src.namespace == "shop" && port ==')}&ns=shop&view=table&from=-300000`,
      { dark, expected: /Failed to load/ },
      (page) => page.locator("#expression-error").waitFor(),
    ));

  test(`token, ${theme}`, () =>
    picture(
      `token-${theme}`,
      "",
      {
        dark,
        expected: /Failed to load/,
        prepare: (page) => answer(page, "/status", 401, { error: "bearer token required" }),
      },
      (page) => page.getByRole("dialog").waitFor(),
    ));

  test(`no match, ${theme}`, () =>
    picture(`no-match-${theme}`, "?q=nothing-has-this-name", { dark }));

  test(`failed history, ${theme}`, () =>
    picture(`failed-${theme}`, "", {
      dark,
      expected: /Failed to load/,
      prepare: (page) =>
        answer(page, "/edges", 503, { error: "the history engine cannot be reached" }),
    }));

  test(`tip of a workload, ${theme}`, () =>
    picture(`tip-${theme}`, `?open=*`, { dark }, (page) => page.locator(".card").nth(50).hover()));

  test(`narrow table, ${theme}`, () =>
    picture(`narrow-table-${theme}`, "?view=table", { dark, ...NARROW }));
}
