import { expect, test } from "vitest";
import { extentFor, moveEnd, rangeOf, resolveRange, shiftWindow } from "./window";

const NOW = 1_000_000_000;
const HOUR = 3_600_000;

test("a window that reaches now follows it", () => {
  expect(rangeOf({ from: NOW - HOUR, to: NOW }, NOW, 10_000)).toEqual({
    from: -HOUR,
    to: undefined,
  });
  expect(rangeOf({ from: NOW - 2 * HOUR, to: NOW - HOUR }, NOW, 10_000)).toEqual({
    from: NOW - 2 * HOUR,
    to: NOW - HOUR,
  });
});

test("ranges and windows are inverse", () => {
  const range = { from: -HOUR, to: undefined };
  expect(rangeOf(resolveRange(range, NOW), NOW, 1000)).toEqual(range);
});

test("a window stops at the limits and keeps its length", () => {
  const limits = { from: 0, to: 100 };
  expect(shiftWindow({ from: 10, to: 30 }, -50, limits)).toEqual({ from: 0, to: 20 });
  expect(shiftWindow({ from: 10, to: 30 }, 500, limits)).toEqual({ from: 80, to: 100 });
});

test("the ends of a window do not cross", () => {
  expect(moveEnd({ from: 10, to: 30 }, "from", 50, 5)).toEqual({ from: 25, to: 30 });
  expect(moveEnd({ from: 10, to: 30 }, "to", 0, 5)).toEqual({ from: 10, to: 15 });
});

test("the slider shows more than the window and not more than the history", () => {
  expect(extentFor({ from: NOW - 900_000, to: NOW }, NOW, 48 * HOUR)).toBe(HOUR);
  expect(extentFor({ from: NOW - 20 * HOUR, to: NOW - 19 * HOUR }, NOW, 48 * HOUR)).toBe(48 * HOUR);
  expect(extentFor({ from: NOW - 900_000, to: NOW }, NOW, HOUR / 2)).toBe(HOUR / 2);
});
