import { expect, test } from "vitest";
import { meanDuration, meanRtt, sumMeasures } from "./measures";

test("sums keep absent values absent and add present ones", () => {
  expect(sumMeasures([{ bytes: 1 }, { bytes: 2, packets: 0 }])).toEqual({ bytes: 3, packets: 0 });
});

test("round-trip times are weighted by their number and keep the smallest", () => {
  const sum = sumMeasures([
    { rtt: { count: 1, sum_microseconds: 100, min_microseconds: 100 } },
    { rtt: { count: 3, sum_microseconds: 1500, min_microseconds: 50 } },
    { rtt: { count: 0, sum_microseconds: 0, min_microseconds: 0 } },
  ]);
  expect(sum.rtt).toEqual({ count: 4, sum_microseconds: 1600, min_microseconds: 50 });
  expect(meanRtt(sum)).toBe(400);
  expect(meanRtt({})).toBeUndefined();
});

test("durations of connections are added and have a mean in microseconds", () => {
  const sum = sumMeasures([
    { duration: { count: 1, sum_milliseconds: 500 } },
    { duration: { count: 3, sum_milliseconds: 1500 } },
    {},
  ]);
  expect(sum.duration).toEqual({ count: 4, sum_milliseconds: 2000 });
  expect(meanDuration(sum)).toBe(500_000);
  expect(meanDuration({})).toBeUndefined();
});

test("a smallest round-trip time that is unknown does not replace a known one", () => {
  const unknown = { rtt: { count: 1, sum_microseconds: 10 } };
  const known = { rtt: { count: 1, sum_microseconds: 20, min_microseconds: 20 } };
  expect(sumMeasures([unknown, known]).rtt?.min_microseconds).toBe(20);
  expect(sumMeasures([known, unknown]).rtt?.min_microseconds).toBe(20);
  expect(sumMeasures([unknown, unknown]).rtt?.min_microseconds).toBeUndefined();
});

test("a sum does not change its parts", () => {
  const part = { rtt: { count: 1, sum_microseconds: 10, min_microseconds: 10 } };
  sumMeasures([part, part]);
  expect(part.rtt.count).toBe(1);
});
