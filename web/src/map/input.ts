import type { LayoutGroup, LayoutLink } from "../layout/types";
import { type Graph, type GraphGroup, linkValue, type VisibleGraph } from "../model/graph";
import type { Scene, SceneEdge } from "./scene";

/** Derives the input of the layout and the highlighted edges from the graph. */

function sortedGroups(graph: Graph): GraphGroup[] {
  return [...graph.groups.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
}

/** Equal for graphs that need no new layout. */
export function layoutSignature(graph: Graph, isOpen: (group: string) => boolean): string {
  return sortedGroups(graph)
    .map(({ key, members }) =>
      isOpen(key) ? [key, ...members.map((node) => node.key)].join("\n") : key,
    )
    .join("\n\n");
}

export function layoutGroups(graph: Graph, isOpen: (group: string) => boolean): LayoutGroup[] {
  return sortedGroups(graph).map(({ key, type, members }) => ({
    key,
    place: type === "clients" ? "start" : type === "external" ? "end" : "middle",
    open: isOpen(key),
    members: members.map((node) => node.key),
  }));
}

export function layoutLinks(visible: VisibleGraph): LayoutLink[] {
  return [...visible.links.values()].map((link) => ({
    source: link.source,
    target: link.target,
    weight: linkValue(link, "bytes"),
    directed: link.directed,
  }));
}

/** The visible edges of the selected link, node or group. */
export function selectedEdges(graph: Graph, scene: Scene, selected: string): SceneEdge[] {
  const edge = scene.byKey.get(selected);
  if (edge) return [edge];
  const link = graph.links.get(selected);
  if (link) {
    // Its ends may be in collapsed groups.
    const ends = [link.source, link.target].map((key) => visibleKey(graph, scene, key));
    return (scene.byEnd.get(ends[0] ?? "") ?? []).filter(
      ({ link: { source, target } }) =>
        ends.includes(source) && ends.includes(target) && source !== target,
    );
  }
  const group = graph.groups.get(selected);
  const keys = group
    ? [selected, ...group.members.map((node) => node.key)]
    : [visibleKey(graph, scene, selected)];
  return [...new Set(keys.flatMap((key) => scene.byEnd.get(key) ?? []))];
}

function visibleKey(graph: Graph, scene: Scene, key: string): string {
  return scene.byEnd.has(key) ? key : (graph.nodes.get(key)?.group ?? key);
}
