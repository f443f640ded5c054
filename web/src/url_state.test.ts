import { expect, test } from "vitest";
import { DEFAULT_STATE, formatUrl, parseUrl, type UrlState } from "./url_state";

test("the default state has an empty address", () => {
  expect(formatUrl(DEFAULT_STATE)).toBe("");
  expect(parseUrl("")).toEqual(DEFAULT_STATE);
});

test("a state survives the address bar", () => {
  const state: UrlState = {
    view: "table",
    from: 1_767_225_600_000,
    to: 1_767_229_200_000,
    namespaces: ["pay & go", "shop"],
    classes: ["pod_to_external"],
    text: "web 100%",
    filter: 'dst.name =~ ".*\\.example\\.com" && port in [53, 443]',
    measure: "connections",
    groups: ["namespace/pay & go", "namespace/shop"],
    selected: "workload/shop/Deployment/web~external/name/api.example.com",
    sort: { column: "rtt", descending: false },
  };
  expect(parseUrl(formatUrl(state))).toEqual(state);
});

test("expanding and collapsing everything is kept", () => {
  for (const groups of ["all", "none"] as const) {
    expect(parseUrl(formatUrl({ ...DEFAULT_STATE, groups })).groups).toBe(groups);
  }
});

test("a relative range follows now", () => {
  const state = parseUrl("?from=-3600000");
  expect(state.from).toBe(-3_600_000);
  expect(state.to).toBeUndefined();
  expect(formatUrl(state)).toBe("?from=-3600000");
});

test("invalid values fall back to their defaults", () => {
  const state = parseUrl("?from=yesterday&to=now&view=list&measure=cows&ns=&sort=:");
  expect(state).toEqual(DEFAULT_STATE);
  expect(parseUrl("?from=100&to=50").to).toBeGreaterThan(100);
});
