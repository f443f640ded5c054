import type { Measures } from "../api/types";
import { getOrInsert } from "../get_or_insert";
import type { Graph } from "./graph";
import { type HealthLevel, healthOf } from "./health";
import { addMeasures } from "./measures";

/** Totals of a node or of a group. Traffic inside a group counts as sent and as received. */
export interface Stats {
  sent: Measures;
  received: Measures;
  links: number;
  /** Links by level. */
  warning: number;
  critical: number;
  level: HealthLevel;
}

/** Totals of all nodes and groups, by key. */
export function statsOf(graph: Graph): Map<string, Stats> {
  const all = new Map<string, Stats>();
  const create = (): Stats => ({
    sent: {},
    received: {},
    links: 0,
    warning: 0,
    critical: 0,
    level: "unknown",
  });
  const at = (key: string): Stats => getOrInsert(all, key, create);
  for (const { source, target, forward, reverse, health } of graph.links.values()) {
    const sourceKeys = [source, graph.nodes.get(source)?.group ?? source];
    const targetKeys = [target, graph.nodes.get(target)?.group ?? target];
    for (const key of sourceKeys) {
      addMeasures(at(key).sent, forward);
      addMeasures(at(key).received, reverse);
    }
    for (const key of targetKeys) {
      addMeasures(at(key).sent, reverse);
      addMeasures(at(key).received, forward);
    }
    for (const key of new Set([...sourceKeys, ...targetKeys])) {
      const stats = at(key);
      stats.links += 1;
      if (health.level === "warning") stats.warning += 1;
      if (health.level === "critical") stats.critical += 1;
    }
  }
  for (const stats of all.values()) {
    const both: Measures = {};
    addMeasures(both, stats.sent);
    addMeasures(both, stats.received);
    stats.level = healthOf(both).level;
  }
  return all;
}
