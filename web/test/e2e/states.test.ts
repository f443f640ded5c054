import { expect, test } from "vitest";
import { answer, mapReady, useBrowser } from "./browser";

const browser = useBrowser();
const FAILED = /Failed to load resource/;

test("while the first answer is loading, a placeholder is shown", async () => {
  let release = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const page = await browser.open("", {
    prepare: (target) =>
      target.route("**/api/v1/edges?*", async (route) => {
        await held;
        await route.continue();
      }),
  });
  await page.locator(".skeleton").waitFor();
  release();
  await mapReady(page);
});

test("no traffic is explained", async () => {
  const empty = {
    source: "ring",
    from: 1,
    to: 2,
    step: 10_000,
    group_by: [],
    edges: [],
    total: { edges: 0 },
    truncated: false,
  };
  const page = await browser.open("", {
    prepare: (target) => answer(target, "/edges", 200, empty),
  });
  await page.getByRole("heading", { name: "No traffic in this range" }).waitFor();
});

test("filters that match nothing can be cleared", async () => {
  const page = await browser.open("?q=nothing-has-this-name");
  await page.getByRole("heading", { name: "Nothing matches the filters" }).waitFor();
  await page.locator(".placeholder").getByRole("button", { name: "Clear filters" }).click();
  await mapReady(page);
});

test("an invalid expression is shown at the input and keeps the last map", async () => {
  const page = await browser.open("", { expected: FAILED });
  await mapReady(page);
  const input = page.getByRole("textbox", { name: "Filter expression" });
  await input.fill('src.namespace == "a" && port ==');
  await input.press("Enter");
  await page.locator("#expression-error").waitFor();
  expect(await input.getAttribute("aria-invalid")).toBe("true");
  expect(await page.locator("#expression-error mark").count()).toBe(1);
  expect(await page.locator(".map [data-key]").count()).toBeGreaterThan(0);
});

test("an invalid expression is reported by itself when other filters are set", async () => {
  const filter = encodeURIComponent('src.namespace == "a" && port ==');
  const page = await browser.open(`?filter=${filter}&ns=a`, { expected: FAILED });
  const error = page.locator("#expression-error");
  await error.waitFor();
  // The closing parenthesis belongs to the page's part of the expression.
  expect(await error.textContent()).not.toContain("found )");
});

test("a bearer token is requested, a wrong one is rejected and a valid one is kept", async () => {
  const page = await browser.open("", {
    expected: FAILED,
    prepare: (target) =>
      target.route("**/api/v1/**", async (route) => {
        const authorized = route.request().headers().authorization === "Bearer secret";
        if (authorized) await route.continue();
        else await route.fulfill({ status: 401, json: { error: "bearer token required" } });
      }),
  });
  const dialog = page.getByRole("dialog", { name: "Token required" });
  await dialog.waitFor();
  await dialog.getByLabel("Bearer token").fill("wrong");
  await dialog.getByRole("button", { name: "Continue" }).click();
  await dialog.getByText("rejected").waitFor();
  await dialog.getByLabel("Bearer token").fill("secret");
  await dialog.getByRole("button", { name: "Continue" }).click();
  await mapReady(page);
  expect(await dialog.count()).toBe(0);
  await page.reload();
  await mapReady(page);
  expect(page.url()).not.toContain("secret");
  expect(await page.evaluate(() => sessionStorage.getItem("kipfix-token"))).toBe("secret");
  expect(await page.evaluate(() => JSON.stringify(localStorage))).not.toContain("secret");
});

test("an unreachable history engine is an error, not an empty map", async () => {
  const page = await browser.open("", {
    expected: FAILED,
    prepare: (target) =>
      answer(target, "/edges", 503, { error: "the history engine cannot be reached" }),
  });
  await page.getByText("the history engine cannot be reached").first().waitFor();
});

test("when an answer fails later, the last one stays and is marked as old", async () => {
  const page = await browser.open("", { expected: FAILED });
  await mapReady(page);
  await answer(page, "/edges", 503, { error: "the history engine cannot be reached" });
  await page.getByRole("button", { name: "5m", exact: true }).click();
  const notice = page.locator(".notice[data-level=critical]");
  await notice.getByText("shows the last answer").waitFor();
  expect(await page.locator(".map [data-key]").count()).toBeGreaterThan(0);
});

test("a truncated answer shows the total number of edges", async () => {
  const full = await browser.edges({ limit: "3" });
  const page = await browser.open("", {
    prepare: (target) =>
      answer(target, "/edges", 200, { ...full, truncated: true, total: { edges: 12_345 } }),
  });
  await page.getByText("of 12,345 edges are shown").waitFor();
});

test("default fields are requested from an engine without those of external names", async () => {
  const page = await browser.open("", {
    expected: FAILED,
    prepare: (target) =>
      target.route("**/api/v1/edges?*", async (route) => {
        const groupBy = new URL(route.request().url()).searchParams.get("group_by") ?? "";
        if (!groupBy.includes("as_name")) await route.continue();
        else {
          await route.fulfill({
            status: 400,
            json: { error: 'unknown field "src.as_name"', parameter: "group_by" },
          });
        }
      }),
  });
  await mapReady(page);
  expect(await page.locator(".notice").count()).toBe(0);
});

test("the reasons of a collector that is not ready are shown", async () => {
  const page = await browser.open("", {
    prepare: (target) =>
      target.route("**/api/v1/status", async (route) => {
        const response = await route.fetch();
        const status = {
          ...(await response.json()),
          ready: false,
          not_ready: ["pods: no list yet"],
        };
        await route.fulfill({ json: status });
      }),
  });
  const state = page.getByRole("button", { name: "Not ready" });
  await state.click();
  await page.getByText("pods: no list yet").waitFor();
});
