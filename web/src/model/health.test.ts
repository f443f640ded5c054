import { expect, test } from "vitest";
import { healthOf, worseHealth } from "./health";

test("traffic without health data is not healthy but unknown", () => {
  expect(healthOf({ bytes: 10, packets: 5, connections: 1 }).level).toBe("unknown");
});

test("retransmits are judged by their share of the packets", () => {
  const level = (retransmitted_packets: number) =>
    healthOf({ packets: 1000, retransmitted_packets }).level;
  expect(level(0)).toBe("ok");
  expect(level(9)).toBe("ok");
  expect(level(10)).toBe("warning");
  expect(level(50)).toBe("critical");
});

test("refused and unanswered connections count together", () => {
  const { level, reasons } = healthOf({
    connections: 10,
    refused_connections: 1,
    unanswered_connections: 1,
  });
  expect(level).toBe("critical");
  expect(reasons[0]?.share).toBeCloseTo(0.2);
});

test("attempts that are not counted as connections cannot exceed all of them", () => {
  expect(healthOf({ connections: 0, refused_connections: 5 }).reasons[0]?.share).toBe(1);
});

test("the worst value decides", () => {
  const bad = healthOf({ packets: 100, retransmitted_packets: 0, refused_connections: 2 });
  expect(bad.level).toBe("critical");
  const good = healthOf({ packets: 100, retransmitted_packets: 0 });
  expect(worseHealth(good, bad).level).toBe("critical");
  expect(worseHealth(good, healthOf({})).level).toBe("ok");
});
