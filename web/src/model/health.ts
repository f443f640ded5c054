import type { Measures } from "../api/types";

export type HealthLevel = "unknown" | "ok" | "warning" | "critical";

export interface HealthReason {
  name: string;
  /** A share from 0 to 1. */
  share: number;
  level: HealthLevel;
}

export interface Health {
  /** The worst level of the reasons; `unknown` where no exporter supplied any of the values. */
  level: HealthLevel;
  reasons: HealthReason[];
}

interface Indicator {
  name: string;
  warning: number;
  critical: number;
  /** The affected and the total number, absent where not supplied. */
  of(measures: Measures): readonly [number, number] | undefined;
}

const INDICATORS: Indicator[] = [
  {
    name: "retransmitted packets",
    warning: 0.01,
    critical: 0.05,
    of: ({ retransmitted_packets, packets }) =>
      retransmitted_packets === undefined ? undefined : [retransmitted_packets, packets ?? 0],
  },
  {
    name: "refused or unanswered connections",
    warning: 0.01,
    critical: 0.1,
    of: ({ refused_connections, unanswered_connections, connections }) =>
      refused_connections === undefined && unanswered_connections === undefined
        ? undefined
        : [(refused_connections ?? 0) + (unanswered_connections ?? 0), connections ?? 0],
  },
];

const ORDER: HealthLevel[] = ["unknown", "ok", "warning", "critical"];

export function compareHealth(a: HealthLevel, b: HealthLevel): number {
  return ORDER.indexOf(a) - ORDER.indexOf(b);
}

/** Judges measures by the shares of retransmits and failed connections. */
export function healthOf(measures: Measures): Health {
  const reasons: HealthReason[] = [];
  let level: HealthLevel = "unknown";
  for (const indicator of INDICATORS) {
    const counts = indicator.of(measures);
    if (!counts) continue;
    const [affected, total] = counts;
    // Attempts that failed may not be counted as connections.
    const share = affected === 0 ? 0 : Math.min(1, affected / Math.max(total, affected));
    const reason: HealthReason = { name: indicator.name, share, level: "ok" };
    if (share >= indicator.critical) reason.level = "critical";
    else if (share >= indicator.warning) reason.level = "warning";
    reasons.push(reason);
    if (compareHealth(reason.level, level) > 0) level = reason.level;
  }
  return { level, reasons };
}

/** The health of both directions is the worse one. */
export function worseHealth(a: Health, b: Health): Health {
  const [worse, other] = compareHealth(a.level, b.level) >= 0 ? [a, b] : [b, a];
  return { level: worse.level, reasons: [...worse.reasons, ...other.reasons] };
}
