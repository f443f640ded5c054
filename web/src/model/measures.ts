import type { Measures } from "../api/types.ts";

const SUMMED = [
  "bytes",
  "packets",
  "connections",
  "retransmitted_packets",
  "refused_connections",
  "unanswered_connections",
  "reset_connections",
] as const;

/** A measure that edge widths and charts can show. */
export type ShownMeasure = "bytes" | "packets" | "connections";

/** Adds `other` to `sum`. A value stays absent where neither has it. */
export function addMeasures(sum: Measures, other: Measures): void {
  for (const name of SUMMED) {
    const value = other[name];
    if (value !== undefined) sum[name] = (sum[name] ?? 0) + value;
  }
  if (other.rtt && other.rtt.count > 0) {
    const before = sum.rtt;
    sum.rtt = before
      ? {
          count: before.count + other.rtt.count,
          sum_microseconds: before.sum_microseconds + other.rtt.sum_microseconds,
          min_microseconds: smaller(before.min_microseconds, other.rtt.min_microseconds),
        }
      : { ...other.rtt };
  }
  if (other.duration) {
    sum.duration = {
      count: (sum.duration?.count ?? 0) + other.duration.count,
      sum_milliseconds: (sum.duration?.sum_milliseconds ?? 0) + other.duration.sum_milliseconds,
    };
  }
}

function smaller(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? (a ?? b) : Math.min(a, b);
}

export function sumMeasures(all: Iterable<Measures>): Measures {
  const sum: Measures = {};
  for (const measures of all) addMeasures(sum, measures);
  return sum;
}

/** The mean round-trip time in microseconds, absent without a sample. */
export function meanRtt(measures: Measures): number | undefined {
  const rtt = measures.rtt;
  return rtt && rtt.count > 0 ? rtt.sum_microseconds / rtt.count : undefined;
}

/** The mean duration of connections in microseconds, absent without one. */
export function meanDuration({ duration }: Measures): number | undefined {
  return duration && duration.count > 0
    ? (duration.sum_milliseconds * 1000) / duration.count
    : undefined;
}
