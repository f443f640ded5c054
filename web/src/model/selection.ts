import type { Matchers } from "../api/filter";
import {
  type Graph,
  type GraphGroup,
  type GraphLink,
  type GraphNode,
  linkKey,
  matchersOf,
  type VisibleGraph,
} from "./graph";

/** The subject of the details panel. */
export type Selection =
  | { type: "link"; key: string; link: GraphLink; source: End; target: End }
  | { type: "node"; key: string; node: GraphNode; end: End }
  | { type: "group"; key: string; group: GraphGroup; end: End };

/** A node or group as one side of traffic. */
export interface End {
  key: string;
  label: string;
  /** Namespace and kind, or the kind of an external name. */
  context: string;
  external: boolean;
  matchers: Matchers[];
}

/** Resolves a key of the address bar in the current data. */
export function findSelection(
  graph: Graph,
  visible: VisibleGraph,
  key: string,
): Selection | undefined {
  if (key === "") return undefined;
  const link = findLink(graph, visible, key);
  if (link) {
    const source = endOf(graph, link.source);
    const target = endOf(graph, link.target);
    return { type: "link", key, link, source, target };
  }
  const node = graph.nodes.get(key);
  if (node) return { type: "node", key, node, end: endOf(graph, key) };
  const group = graph.groups.get(key);
  return group && { type: "group", key, group, end: endOf(graph, key) };
}

/** A link is found by either order of its ends: the order follows the connections. */
function findLink(graph: Graph, visible: VisibleGraph, key: string): GraphLink | undefined {
  const found = visible.links.get(key) ?? graph.links.get(key);
  if (found) return found;
  const [source, target] = key.split("~");
  if (source === undefined || target === undefined) return undefined;
  const swapped = linkKey(target, source);
  return visible.links.get(swapped) ?? graph.links.get(swapped);
}

export function endOf(graph: Graph, key: string): End {
  const matchers = matchersOf(graph, key);
  const node = graph.nodes.get(key);
  if (node) {
    return {
      key,
      label: node.name,
      context: node.namespace ? `${node.namespace} · ${node.kind}` : node.kind,
      external: node.type === "external",
      matchers,
    };
  }
  const group = graph.groups.get(key);
  return {
    key,
    label: group?.label ?? key,
    context: group?.type === "namespace" ? "Namespace" : "Group",
    external: group?.type === "external" || group?.type === "clients",
    matchers,
  };
}
