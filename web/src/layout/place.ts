import {
  type Force,
  forceLink,
  forceManyBody,
  forceSimulation,
  forceX,
  forceY,
  type SimulationLinkDatum,
  type SimulationNodeDatum,
} from "d3-force";
import { getOrInsert } from "../get_or_insert";
import { COLUMN_GAP, columnSize, fitColumns, ROW_GAP, type Sized } from "./columns";
import { type InnerLayout, layoutInside } from "./inside";
import {
  type Box,
  CLOSED_GROUP,
  type LayoutGroup,
  type LayoutLink,
  type LayoutRequest,
  type LayoutResult,
} from "./types";

/**
 * Places groups in columns. A force simulation decides the order: groups with much traffic between
 * them attract each other, and clients move to the left of servers. Columns make it legible.
 */

interface GroupNode extends SimulationNodeDatum, Sized {
  group: LayoutGroup;
  inner: InnerLayout | undefined;
}

interface GroupLink extends SimulationLinkDatum<GroupNode> {
  weight: number;
  /** Positive where the source opened more links. */
  flow: number;
}

const TICKS = 160;

/** Width divided by height. */
const NARROW = 0.9;

/** Computes a layout. The same request gives the same result. */
export function place(request: LayoutRequest): LayoutResult {
  const nodes = request.groups.map((group) => groupNode(group, request));
  const links = groupLinks(nodes, request.links);
  simulate(nodes, links);
  const columns = arrange(nodes, request.aspect);
  orderRows(columns, links);
  return { id: request.id, ...boxesOf(columns) };
}

function groupNode(group: LayoutGroup, { links, previous }: LayoutRequest): GroupNode {
  const inner = group.open ? layoutInside(group.members, links) : undefined;
  const { width, height } = inner ?? CLOSED_GROUP;
  const node: GroupNode = { key: group.key, group, inner, width, height };
  const before = previous.get(group.key);
  if (before) {
    node.x = before.x + before.width / 2;
    node.y = before.y + before.height / 2;
  }
  return node;
}

function groupLinks(nodes: GroupNode[], links: LayoutLink[]): GroupLink[] {
  const owner = new Map<string, GroupNode>();
  for (const node of nodes) {
    owner.set(node.key, node);
    for (const member of node.group.members) owner.set(member, node);
  }
  const merged = new Map<GroupNode, Map<GroupNode, GroupLink>>();
  for (const link of links) {
    const source = owner.get(link.source);
    const target = owner.get(link.target);
    if (!source || !target || source === target) continue;
    const swap = source.key > target.key;
    const [a, b] = swap ? [target, source] : [source, target];
    const byTarget = getOrInsert(merged, a, () => new Map<GroupNode, GroupLink>());
    const sum = getOrInsert(byTarget, b, () => ({ source: a, target: b, weight: 0, flow: 0 }));
    sum.weight += link.weight;
    if (link.directed) sum.flow += swap ? -1 : 1;
  }
  return [...merged.values()].flatMap((byTarget) => [...byTarget.values()]);
}

function simulate(nodes: GroupNode[], links: GroupLink[]): void {
  const heaviest = Math.max(1e-9, ...links.map((link) => link.weight));
  const side = 200 * Math.sqrt(nodes.length);
  const anchor = { start: -side, middle: 0, end: side };
  forceSimulation(nodes)
    .force(
      "link",
      forceLink<GroupNode, GroupLink>(links)
        .distance(260)
        .strength((link) => 0.02 + 0.2 * Math.sqrt(link.weight / heaviest)),
    )
    .force("charge", forceManyBody<GroupNode>().strength(-1200))
    .force("flow", forceFlow(links, 240))
    .force(
      "x",
      forceX<GroupNode>((node) => anchor[node.group.place]).strength((node) =>
        node.group.place === "middle" ? 0.03 : 0.8,
      ),
    )
    .force("y", forceY<GroupNode>(0).strength(0.08))
    .stop()
    .tick(TICKS);
}

/** Pushes the target of a directed link to the right of its source. */
function forceFlow(links: GroupLink[], distance: number): Force<GroupNode, GroupLink> {
  return (alpha) => {
    for (const { source, target, flow } of links) {
      if (flow === 0 || typeof source !== "object" || typeof target !== "object") continue;
      const [left, right] = flow > 0 ? [source, target] : [target, source];
      const missing = distance - ((right.x ?? 0) - (left.x ?? 0));
      if (missing <= 0) continue;
      const push = missing * alpha * 0.04;
      left.vx = (left.vx ?? 0) - push;
      right.vx = (right.vx ?? 0) + push;
    }
  };
}

function arrange(nodes: GroupNode[], aspect: number): GroupNode[][] {
  // A narrow map has no room for separate columns at the sides.
  const narrow = aspect < NARROW;
  const at = (place: LayoutGroup["place"]) =>
    nodes.filter((node) => (narrow ? "middle" : node.group.place) === place);
  const edges = [at("start"), at("end")].filter((column) => column.length > 0);
  const middle = at("middle").sort((a, b) => (a.x ?? 0) - (b.x ?? 0));
  const columns = fitColumns(middle, edges, aspect);
  for (const column of columns) column.sort((a, b) => (a.y ?? 0) - (b.y ?? 0));
  return [at("start"), ...columns, at("end")].filter((column) => column.length > 0);
}

/** Sweeps over the columns and sorts each by the mean height of its neighbours. */
function orderRows(columns: GroupNode[][], links: GroupLink[]): void {
  const neighbours = new Map<GroupNode, [GroupNode, number][]>();
  for (const { source, target, weight } of links) {
    const [a, b] = [source as GroupNode, target as GroupNode];
    const strength = Math.sqrt(weight) + 1e-6;
    neighbours.set(a, [...(neighbours.get(a) ?? []), [b, strength]]);
    neighbours.set(b, [...(neighbours.get(b) ?? []), [a, strength]]);
  }
  for (const column of columns) stack(column);
  for (let sweep = 0; sweep < 6; sweep += 1) {
    for (const column of sweep % 2 === 0 ? columns : [...columns].reverse()) {
      const mean = new Map<GroupNode, number>();
      for (const node of column) {
        let sum = (node.y ?? 0) * 1e-3;
        let total = 1e-3;
        for (const [other, strength] of neighbours.get(node) ?? []) {
          if (column.includes(other)) continue;
          sum += (other.y ?? 0) * strength;
          total += strength;
        }
        mean.set(node, sum / total);
      }
      column.sort((a, b) => (mean.get(a) ?? 0) - (mean.get(b) ?? 0));
      stack(column);
    }
  }
}

/** Sets the centres of a column's boxes, around 0. */
function stack(column: GroupNode[]): void {
  let y = -columnSize(column).height / 2;
  for (const node of column) {
    node.y = y + node.height / 2;
    y += node.height + ROW_GAP;
  }
}

function boxesOf(columns: GroupNode[][]): { boxes: Map<string, Box>; bounds: Box } {
  const boxes = new Map<string, Box>();
  const top = Math.min(0, ...columns.map((column) => -columnSize(column).height / 2));
  let x = 0;
  let bottom = 0;
  for (const column of columns) {
    const { width } = columnSize(column);
    for (const node of column) {
      const left = x + (width - node.width) / 2;
      const upper = (node.y ?? 0) - node.height / 2 - top;
      boxes.set(node.key, { x: left, y: upper, width: node.width, height: node.height });
      bottom = Math.max(bottom, upper + node.height);
      for (const [key, card] of node.inner?.cards ?? []) {
        boxes.set(key, { ...card, x: left + card.x, y: upper + card.y });
      }
    }
    x += width + COLUMN_GAP;
  }
  return { boxes, bounds: { x: 0, y: 0, width: Math.max(0, x - COLUMN_GAP), height: bottom } };
}
