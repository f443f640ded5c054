import { expect, test } from "vitest";
import { niceCeiling, timeTicks } from "./scale";

test("axes end at a round number that is not below the largest value", () => {
  expect([0, 1, 1.1, 23, 60, 5000].map(niceCeiling)).toEqual([1, 1, 2, 50, 100, 5000]);
});

test("time ticks are round and not more than asked for", () => {
  const from = Date.UTC(2026, 0, 1, 10, 7);
  const ticks = timeTicks(from, from + 3_600_000, 6);
  expect(ticks.length).toBeLessThanOrEqual(6);
  expect(ticks.every((tick) => tick % 600_000 === 0)).toBe(true);
});
