import type { Edge, Measures } from "../api/types";
import { endpointOf } from "./endpoint";
import { linkKey } from "./graph";
import { compareHealth, type Health, healthOf } from "./health";
import { addMeasures, meanRtt } from "./measures";

/** A directed edge as a row of the table. */
export interface TableRow {
  key: string;
  /** The link that the edge is one direction of, as one of its two keys. */
  link: string;
  from: { name: string; context: string };
  to: { name: string; context: string };
  trafficClass: string;
  measures: Measures;
  health: Health;
}

/** The rows of an answer; edges that differ only in unused labels are one row. */
export function tableRows(edges: Iterable<Edge>): TableRow[] {
  const rows = new Map<string, TableRow>();
  for (const edge of edges) {
    const source = endpointOf(edge.labels, "src");
    const target = endpointOf(edge.labels, "dst");
    const trafficClass = String(edge.labels.class ?? "");
    const link = linkKey(source.key, target.key);
    const key = `${link} ${trafficClass}`;
    let row = rows.get(key);
    if (!row) {
      const context = (end: typeof source) =>
        end.namespace ? `${end.namespace} · ${end.kind}` : end.kind;
      row = {
        key,
        link,
        from: { name: source.name, context: context(source) },
        to: { name: target.name, context: context(target) },
        trafficClass,
        measures: {},
        health: { level: "unknown", reasons: [] },
      };
      rows.set(key, row);
    }
    addMeasures(row.measures, edge);
  }
  for (const row of rows.values()) row.health = healthOf(row.measures);
  return [...rows.values()];
}

/** The share of connections that were refused or not answered. */
export function failedShare({
  refused_connections,
  unanswered_connections,
  connections,
}: Measures): number | undefined {
  if (refused_connections === undefined && unanswered_connections === undefined) return undefined;
  const failed = (refused_connections ?? 0) + (unanswered_connections ?? 0);
  return failed === 0 ? 0 : Math.min(1, failed / Math.max(failed, connections ?? 0));
}

export function retransmittedShare({
  retransmitted_packets,
  packets,
}: Measures): number | undefined {
  if (retransmitted_packets === undefined) return undefined;
  return packets ? Math.min(1, retransmitted_packets / packets) : 0;
}

const text = (value: string) => value.toLowerCase();

/** Sort keys by column. Absent values come last in descending order. */
export const SORT_VALUES: Record<string, (row: TableRow) => number | string | undefined> = {
  from: (row) => text(`${row.from.name} ${row.from.context}`),
  to: (row) => text(`${row.to.name} ${row.to.context}`),
  class: (row) => row.trafficClass,
  bytes: (row) => row.measures.bytes,
  packets: (row) => row.measures.packets,
  connections: (row) => row.measures.connections,
  rtt: (row) => meanRtt(row.measures),
  retransmitted: (row) => retransmittedShare(row.measures),
  failed: (row) => failedShare(row.measures),
};

export function sortRows(rows: TableRow[], column: string, descending: boolean): TableRow[] {
  const sign = descending ? -1 : 1;
  if (column === "health") {
    return [...rows].sort((a, b) => sign * compareHealth(a.health.level, b.health.level));
  }
  const value = SORT_VALUES[column] ?? SORT_VALUES.bytes;
  return [...rows].sort((a, b) => {
    const x = value?.(a);
    const y = value?.(b);
    if (x === y) return 0;
    if (x === undefined) return sign * -1;
    if (y === undefined) return sign;
    return sign * (x < y ? -1 : 1);
  });
}
