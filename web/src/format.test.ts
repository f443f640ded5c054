import { expect, test } from "vitest";
import * as format from "./format";

test("bytes have decimal prefixes and at most three digits", () => {
  expect(format.bytes(0)).toBe("0 B");
  expect(format.bytes(0.5)).toBe("0.5 B");
  expect(format.bytes(999)).toBe("999 B");
  expect(format.bytes(1234)).toBe("1.2 kB");
  expect(format.bytes(12_345)).toBe("12 kB");
  expect(format.bytes(999_499)).toBe("999 kB");
  expect(format.bytes(999_600)).toBe("1.0 MB");
  expect(format.bytes(2.5e21)).toBe("2500 EB");
});

test("an absent value is a dash, not zero", () => {
  expect(format.bytes(undefined)).toBe("–");
  expect(format.percent(undefined)).toBe("–");
  expect(format.integer(undefined)).toBe("–");
});

test("a percentage has two significant digits", () => {
  expect(format.percent(0)).toBe("0 %");
  expect(format.percent(0.00002)).toBe("<0.01 %");
  expect(format.percent(0.0012)).toBe("0.12 %");
  expect(format.percent(0.0456)).toBe("4.6 %");
  expect(format.percent(0.5)).toBe("50 %");
});

test("durations are written as in Prometheus", () => {
  expect(format.duration(0)).toBe("0s");
  expect(format.duration(900_000)).toBe("15m");
  expect(format.duration(5_430_000)).toBe("1h30m30s");
  expect(format.duration(172_800_000)).toBe("2d");
});

test("round-trip times choose their unit", () => {
  expect(format.microseconds(850)).toBe("850 µs");
  expect(format.microseconds(1250)).toBe("1.3 ms");
  expect(format.microseconds(3_400_000)).toBe("3.4 s");
  expect(format.microseconds(5_400_000_000)).toBe("1h30m");
});

test("counts and nouns agree", () => {
  expect(format.plural(1, "link")).toBe("1 link");
  expect(format.plural(2000, "link")).toBe("2,000 links");
});

test("the source of the history is named for readers", () => {
  expect(format.source("ring")).toBe("memory");
  expect(format.source("clickhouse")).toBe("ClickHouse");
  expect(format.source("other")).toBe("other");
});
