import { expect, test } from "vitest";
import { FixtureApi } from "../../test/fixture/api";
import type { EdgesAnswer } from "../api/types";
import { layoutGroups, layoutLinks } from "../map/input";
import { MAP_GROUP_BY } from "../model/endpoint";
import { buildGraph, collapseGraph } from "../model/graph";
import { partition } from "./columns";
import { columnCount } from "./inside";
import { place } from "./place";
import type { Box, LayoutGroup, LayoutRequest } from "./types";

function overlap(a: Box, b: Box): boolean {
  return a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
}

const group = (key: string, options: Partial<LayoutGroup> = {}): LayoutGroup => ({
  key,
  place: "middle",
  open: false,
  members: [`${key}/1`],
  ...options,
});

const request = (options: Partial<LayoutRequest>): LayoutRequest => ({
  id: 1,
  groups: [],
  links: [],
  aspect: 1.6,
  previous: new Map(),
  ...options,
});

function fixtureRequest(open: boolean, aspect: number): LayoutRequest {
  const api = new FixtureApi(() => 1_767_225_600_000);
  const query = new URLSearchParams({ group_by: MAP_GROUP_BY.join(","), limit: "10000" });
  const { body } = api.answer(new URL(`http://localhost/api/v1/edges?${query}`));
  const graph = buildGraph((body as EdgesAnswer).edges);
  const visible = collapseGraph(graph, () => open);
  return request({
    groups: layoutGroups(graph, () => open),
    links: layoutLinks(visible),
    aspect,
  });
}

test("no groups and no cards of a large cluster overlap", () => {
  for (const open of [true, false]) {
    const input = fixtureRequest(open, 1.6);
    const { boxes, bounds } = place(input);
    const groups = input.groups.map(({ key }) => boxes.get(key)).filter((box) => box !== undefined);
    expect(groups).toHaveLength(input.groups.length);
    groups.forEach((box, index) => {
      for (const other of groups.slice(index + 1)) expect(overlap(box, other)).toBe(false);
      expect(box.x >= 0 && box.y >= 0).toBe(true);
      expect(box.x + box.width).toBeLessThanOrEqual(bounds.width + 1e-6);
      expect(box.y + box.height).toBeLessThanOrEqual(bounds.height + 1e-6);
    });
  }
});

test("cards are inside of their group", () => {
  const input = fixtureRequest(true, 1.6);
  const { boxes } = place(input);
  for (const { key, members } of input.groups) {
    const outer = boxes.get(key);
    for (const member of members) {
      const card = boxes.get(member);
      if (!outer || !card) throw new Error(`no box for ${member}`);
      expect(card.x).toBeGreaterThanOrEqual(outer.x);
      expect(card.y + card.height).toBeLessThanOrEqual(outer.y + outer.height);
    }
  }
});

test("300 workloads and 2,000 links are placed within half a second", () => {
  const input = fixtureRequest(true, 1.6);
  expect(input.links).toHaveLength(2000);
  const begin = performance.now();
  place(input);
  expect(performance.now() - begin).toBeLessThan(500);
});

test("the same request gives the same layout", () => {
  expect(place(fixtureRequest(true, 1.6))).toEqual(place(fixtureRequest(true, 1.6)));
});

test("clients are at the left and external services at the right", () => {
  const { boxes } = place(
    request({
      groups: [
        group("external", { place: "end" }),
        group("a"),
        group("b"),
        group("clients", { place: "start" }),
      ],
    }),
  );
  const x = (key: string) => boxes.get(key)?.x ?? Number.NaN;
  expect(x("clients")).toBeLessThan(Math.min(x("a"), x("b")));
  expect(x("external")).toBeGreaterThan(Math.max(x("a"), x("b")));
});

test("a chain of calls reads from left to right", () => {
  const link = (source: string, target: string) => ({ source, target, weight: 1, directed: true });
  const { boxes } = place(
    request({
      groups: ["a", "b", "c", "d"].map((key) => group(key)),
      links: [link("c", "a"), link("a", "d"), link("d", "b")],
      aspect: 20,
    }),
  );
  const order = ["a", "b", "c", "d"].sort(
    (p, q) => (boxes.get(p)?.x ?? 0) - (boxes.get(q)?.x ?? 0),
  );
  expect(order).toEqual(["c", "a", "d", "b"]);
});

test("a narrow map is taller than wide", () => {
  const { bounds } = place(fixtureRequest(false, 0.5));
  expect(bounds.height).toBeGreaterThan(bounds.width);
});

test("a sequence is cut so that the tallest part is as short as possible", () => {
  expect(partition([100, 100, 100, 100], 2)).toEqual([
    [0, 1],
    [2, 3],
  ]);
  expect(partition([500, 10, 10, 10], 2)).toEqual([[0], [1, 2, 3]]);
  expect(partition([10, 20], 5)).toEqual([[0], [1]]);
});

test("an empty request has an empty layout", () => {
  expect(place(request({})).boxes.size).toBe(0);
});

test("groups use more columns as they grow", () => {
  expect([1, 5, 6, 18, 19, 300].map(columnCount)).toEqual([1, 1, 2, 2, 3, 8]);
});
