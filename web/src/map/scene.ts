import type { Box } from "../layout/types";
import { type GraphLink, linkValue } from "../model/graph";
import type { HealthLevel } from "../model/health";
import type { ShownMeasure } from "../model/measures";
import { type Curve, curveBetween, distanceTo } from "./geometry";

/** The input of the painter: weighted curves and the boxes of open groups. */

export interface SceneEdge {
  link: GraphLink;
  curve: Curve;
  /** From 0 to 1, relative to the largest link. */
  weight: number;
  level: HealthLevel;
}

export interface Scene {
  /** From light to heavy. */
  edges: SceneEdge[];
  byKey: Map<string, SceneEdge>;
  /** Links by each of their two ends. */
  byEnd: Map<string, SceneEdge[]>;
  /** Boxes of open groups. */
  groups: [key: string, box: Box][];
}

export function buildScene(
  links: Iterable<GraphLink>,
  boxes: ReadonlyMap<string, Box>,
  openGroups: Iterable<string>,
  measure: ShownMeasure,
): Scene {
  const edges: SceneEdge[] = [];
  let largest = 0;
  const values = new Map<GraphLink, number>();
  for (const link of links) {
    const value = linkValue(link, measure);
    values.set(link, value);
    largest = Math.max(largest, value);
  }
  for (const [link, value] of values) {
    const source = boxes.get(link.source);
    const target = boxes.get(link.target);
    if (!source || !target) continue;
    edges.push({
      link,
      curve: curveBetween(source, target),
      weight: largest === 0 ? 0 : Math.sqrt(value / largest),
      level: link.health.level,
    });
  }
  edges.sort((a, b) => a.weight - b.weight);
  const byKey = new Map<string, SceneEdge>();
  const byEnd = new Map<string, SceneEdge[]>();
  for (const edge of edges) {
    byKey.set(edge.link.key, edge);
    for (const end of [edge.link.source, edge.link.target]) {
      const list = byEnd.get(end);
      if (list) list.push(edge);
      else byEnd.set(end, [edge]);
    }
  }
  const groups: [string, Box][] = [];
  for (const key of openGroups) {
    const box = boxes.get(key);
    if (box) groups.push([key, box]);
  }
  return { edges, byKey, byEnd, groups };
}

/** The edge at a point of the world, within `tolerance`; heavy edges win. */
export function edgeAt(
  scene: Scene,
  x: number,
  y: number,
  tolerance: number,
): SceneEdge | undefined {
  let best: SceneEdge | undefined;
  let nearest = tolerance;
  for (const edge of scene.edges) {
    const distance = distanceTo(edge.curve, x, y, nearest);
    if (distance <= nearest) {
      best = edge;
      nearest = distance;
    }
  }
  return best;
}
