import type { Matchers } from "../api/filter";
import type { Edge, Measures } from "../api/types";
import { getOrInsert } from "../get_or_insert";
import { type EndpointIdentity, endpointOf } from "./endpoint";
import { type Health, healthOf, worseHealth } from "./health";
import { addMeasures, type ShownMeasure } from "./measures";

export type GroupType = "namespace" | "nodes" | "clients" | "external" | "unknown";

export interface GraphGroup {
  key: string;
  type: GroupType;
  label: string;
  members: GraphNode[];
}

export interface GraphNode extends EndpointIdentity {
  group: string;
}

/** All traffic between two nodes. The source is the side that opened most of the connections. */
export interface GraphLink {
  key: string;
  source: string;
  target: string;
  /** From source to target. */
  forward: Measures;
  /** From target to source. */
  reverse: Measures;
  /** False if no connection was observed: source and target are then arbitrary. */
  directed: boolean;
  health: Health;
  classes: string[];
}

/** Workloads, nodes and external names with the traffic between them. */
export interface Graph {
  groups: Map<string, GraphGroup>;
  nodes: Map<string, GraphNode>;
  links: Map<string, GraphLink>;
}

const LINK_SEPARATOR = "~";

/** The key of the link between two keys, in the order that they are drawn. */
export function linkKey(source: string, target: string): string {
  return `${source}${LINK_SEPARATOR}${target}`;
}

interface Pair {
  a: string;
  b: string;
  aToB: Measures;
  bToA: Measures;
  classes: Set<string>;
}

/** Folds the directed edges of an answer into nodes and links. */
export function buildGraph(edges: Iterable<Edge>): Graph {
  const endpoints = new Map<string, EndpointIdentity>();
  const pairs = new Map<string, Pair>();
  for (const edge of edges) {
    const source = endpointOf(edge.labels, "src");
    const target = endpointOf(edge.labels, "dst");
    if (!endpoints.has(source.key)) endpoints.set(source.key, source);
    if (!endpoints.has(target.key)) endpoints.set(target.key, target);
    addToPair(pairs, source.key, target.key, edge, String(edge.labels.class ?? ""));
  }
  return assemble(endpoints, pairs);
}

function addToPair(
  pairs: Map<string, Pair>,
  source: string,
  target: string,
  measures: Measures,
  trafficClass: string,
): void {
  const ordered = source <= target;
  const [a, b] = ordered ? [source, target] : [target, source];
  const create = (): Pair => ({ a, b, aToB: {}, bToA: {}, classes: new Set() });
  const pair = getOrInsert(pairs, linkKey(a, b), create);
  addMeasures(ordered ? pair.aToB : pair.bToA, measures);
  if (trafficClass) pair.classes.add(trafficClass);
}

function linkOf(pair: Pair): GraphLink {
  const aOpened = pair.aToB.connections ?? 0;
  const bOpened = pair.bToA.connections ?? 0;
  const swap = bOpened > aOpened;
  const [source, target] = swap ? [pair.b, pair.a] : [pair.a, pair.b];
  const [forward, reverse] = swap ? [pair.bToA, pair.aToB] : [pair.aToB, pair.bToA];
  return {
    key: linkKey(source, target),
    source,
    target,
    forward,
    reverse,
    directed: aOpened !== bOpened,
    health: worseHealth(healthOf(forward), healthOf(reverse)),
    classes: [...pair.classes].sort(),
  };
}

function assemble(endpoints: Map<string, EndpointIdentity>, pairs: Map<string, Pair>): Graph {
  const links = new Map<string, GraphLink>();
  // Links that an endpoint opened minus those that it accepted.
  const opened = new Map<string, number>();
  for (const pair of pairs.values()) {
    const link = linkOf(pair);
    links.set(link.key, link);
    if (!link.directed) continue;
    opened.set(link.source, (opened.get(link.source) ?? 0) + 1);
    opened.set(link.target, (opened.get(link.target) ?? 0) - 1);
  }
  const groups = new Map<string, GraphGroup>();
  const nodes = new Map<string, GraphNode>();
  for (const endpoint of endpoints.values()) {
    const { key, type, label } = groupOf(endpoint, (opened.get(endpoint.key) ?? 0) > 0);
    const node: GraphNode = { ...endpoint, group: key };
    nodes.set(node.key, node);
    getOrInsert(groups, key, () => ({ key, type, label, members: [] })).members.push(node);
  }
  for (const group of groups.values()) {
    group.members.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  }
  return { groups, nodes, links };
}

function groupOf(
  endpoint: EndpointIdentity,
  opensConnections: boolean,
): { key: string; type: GroupType; label: string } {
  if (endpoint.type === "node") return { key: "group/nodes", type: "nodes", label: "Nodes" };
  if (endpoint.type === "external") {
    return opensConnections
      ? { key: "group/clients", type: "clients", label: "External clients" }
      : { key: "group/external", type: "external", label: "External" };
  }
  const namespace = endpoint.namespace;
  return namespace === ""
    ? { key: "group/unknown", type: "unknown", label: "No namespace" }
    : { key: `namespace/${namespace}`, type: "namespace", label: namespace };
}

/** Links of a graph after the nodes of collapsed groups were merged into the group. */
export interface VisibleGraph {
  links: Map<string, GraphLink>;
  /** Traffic inside of a collapsed group, by group. */
  internal: Map<string, Measures>;
}

/** Aggregates links for the groups that are collapsed. */
export function collapseGraph(graph: Graph, isOpen: (group: string) => boolean): VisibleGraph {
  const pairs = new Map<string, Pair>();
  const internal = new Map<string, Measures>();
  const visible = (key: string): string => {
    const group = graph.nodes.get(key)?.group ?? key;
    return isOpen(group) ? key : group;
  };
  for (const link of graph.links.values()) {
    const source = visible(link.source);
    const target = visible(link.target);
    if (source === target) {
      const sum = getOrInsert(internal, source, () => ({}));
      addMeasures(sum, link.forward);
      addMeasures(sum, link.reverse);
      continue;
    }
    addToPair(pairs, source, target, link.forward, "");
    addToPair(pairs, target, source, link.reverse, "");
    const pair = pairs.get(source <= target ? linkKey(source, target) : linkKey(target, source));
    for (const name of link.classes) pair?.classes.add(name);
  }
  const links = new Map<string, GraphLink>();
  for (const pair of pairs.values()) {
    const link = linkOf(pair);
    links.set(link.key, link);
  }
  return { links, internal };
}

/** The value of both directions together. */
export function linkValue(link: GraphLink, measure: ShownMeasure): number {
  return (link.forward[measure] ?? 0) + (link.reverse[measure] ?? 0);
}

/** The node with a key, or the members of the group with that key. */
export function nodesOf(graph: Graph, key: string): GraphNode[] {
  const node = graph.nodes.get(key);
  return node ? [node] : (graph.groups.get(key)?.members ?? []);
}

/** Matchers that select a node or all members of a group. */
export function matchersOf(graph: Graph, key: string): Matchers[] {
  const group = graph.groups.get(key);
  if (group?.type === "namespace") return [{ namespace: group.label }];
  if (group?.type === "nodes") return [{ kind: "Node", namespace: "" }];
  return nodesOf(graph, key).map((node) => node.matchers);
}

/** The label of a node or group. */
export function labelOf(graph: Graph, key: string): string {
  return graph.nodes.get(key)?.name ?? graph.groups.get(key)?.label ?? key;
}

/** Whether a node is the one with a key, or a member of the group with that key. */
export function isPart(graph: Graph, node: string, key: string): boolean {
  return node === key || graph.nodes.get(node)?.group === key;
}
