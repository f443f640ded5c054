import type { JSX } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import * as format from "../format";
import type { LayoutClient } from "../layout/client";
import type { Box, LayoutResult } from "../layout/types";
import { type Graph, type GraphLink, labelOf, type VisibleGraph } from "../model/graph";
import type { ShownMeasure } from "../model/measures";
import { endOf } from "../model/selection";
import type { Stats } from "../model/stats";
import { Fit, Minus, Plus } from "../ui/icons";
import { Engine, INSETS } from "./engine";
import { type Direction, neighbourIn } from "./geometry";
import { layoutGroups, layoutLinks, layoutSignature, selectedEdges } from "./input";
import { Legend } from "./legend";
import { HEADER_HEIGHT, NodeLayer } from "./node_layer";
import { buildScene } from "./scene";

export interface MapProps {
  layoutClient: LayoutClient;
  graph: Graph;
  visible: VisibleGraph;
  stats: ReadonlyMap<string, Stats>;
  isOpen: (group: string) => boolean;
  measure: ShownMeasure;
  /** Length of the range in seconds. */
  seconds: number;
  selected: string;
  dark: boolean;
  onSelect: (key: string) => void;
  onToggle: (group: string) => void;
}

/** The service map: edges on a canvas with cards, which are buttons, above it. */
export function ServiceMap(props: MapProps): JSX.Element {
  const { graph, visible, isOpen, measure, seconds, selected, onSelect, onToggle } = props;
  const root = useRef<HTMLElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const layer = useRef<HTMLDivElement>(null);
  const tip = useRef<HTMLDivElement>(null);
  const [engine, setEngine] = useState<Engine>();
  const [focused, setFocused] = useState("");
  const layout = useLayout(props.layoutClient, graph, visible, isOpen, engine);

  useEffect(() => {
    if (!root.current || !canvas.current || !layer.current || !tip.current) return;
    const created = new Engine({
      root: root.current,
      canvas: canvas.current,
      layer: layer.current,
      tip: tip.current,
    });
    setEngine(created);
    return () => created.close();
  }, []);

  const scene = useMemo(() => {
    if (!layout) return undefined;
    const open = [...graph.groups.keys()].filter(isOpen);
    return buildScene(visible.links.values(), layout.boxes, open, measure);
  }, [layout, graph, visible, isOpen, measure]);

  const lit = useMemo(() => {
    const edges = new Set(scene && selected ? selectedEdges(graph, scene, selected) : []);
    const ends = new Set([selected, graph.nodes.get(selected)?.group ?? selected]);
    for (const { link } of edges) {
      for (const end of [link.source, link.target]) {
        ends.add(end);
        ends.add(graph.nodes.get(end)?.group ?? end);
      }
    }
    const [only, ...others] = edges;
    const link = others.length === 0 ? only?.link : undefined;
    return { edges, ends, named: new Set([selected, link?.source ?? "", link?.target ?? ""]) };
  }, [graph, scene, selected]);

  // Layout effects, so that cards, edges and colours change in the same frame.
  useLayoutEffect(() => engine?.readPalette(), [engine, props.dark]);

  useLayoutEffect(() => {
    if (!engine || !scene || !layout) return;
    engine.describeLink = (link) => describeLink(graph, link, seconds);
    engine.describeEnd = (key) => describeEnd(graph, props.stats.get(key), key, seconds);
    engine.onSelect = onSelect;
    engine.show(scene, layout);
  }, [engine, scene, layout, graph, props.stats, seconds, onSelect]);

  useLayoutEffect(() => {
    engine?.select(lit.edges, graph.groups.has(selected) ? selected : undefined);
  }, [engine, lit, graph, selected]);

  const refocus = useRef("");
  useLayoutEffect(() => {
    if (refocus.current === "") return;
    focusKey(layer.current, refocus.current);
    refocus.current = "";
  }, [layout]);

  const toggle = (group: string) => {
    engine?.keepInPlace(group);
    onToggle(group);
  };

  const tabStop = layout?.boxes.has(focused) ? focused : (layout?.boxes.keys().next().value ?? "");
  // Rendering hundreds of cards is expensive, so only do it when one of them changed.
  const nodes = useMemo(
    () =>
      layout && (
        <NodeLayer
          {...props}
          onToggle={toggle}
          boxes={layout.boxes}
          lit={lit.edges.size > 0 ? lit.ends : undefined}
          named={lit.named}
          tabStop={tabStop}
        />
      ),
    [layout, lit, tabStop, graph, props.stats, isOpen, measure, seconds, selected],
  );

  const onKeyDown = (event: KeyboardEvent) => {
    if (!engine || !layout || event.altKey || event.ctrlKey || event.metaKey) return;
    const key = (event.target as HTMLElement).dataset.key;
    const direction = ARROWS[event.key];
    if (direction && event.shiftKey) engine.panZoom.panBy(...PAN[direction]);
    else if (direction) focusNeighbour(direction, key ?? tabStop);
    else if (event.key === "+" || event.key === "=") engine.panZoom.zoomBy(1.3);
    else if (event.key === "-") engine.panZoom.zoomBy(1 / 1.3);
    else if (event.key === "0") engine.fit(true);
    else if (event.key === "e" && key) {
      // The focused element is replaced.
      refocus.current = graph.nodes.get(key)?.group ?? key;
      toggle(refocus.current);
    } else return;
    event.preventDefault();
  };

  const focusNeighbour = (direction: Direction, key: string) => {
    const boxes = new Map<string, Box>();
    for (const [candidate, box] of layout?.boxes ?? []) {
      const open = graph.groups.has(candidate) && isOpen(candidate);
      boxes.set(candidate, open ? { ...box, height: HEADER_HEIGHT } : box);
    }
    const from = boxes.get(key);
    const next = from && neighbourIn(direction, from, boxes);
    if (!next) return;
    focusKey(layer.current, next);
    const box = boxes.get(next);
    if (box) engine?.panZoom.reveal(box, INSETS);
  };

  return (
    <section
      ref={root}
      class="map"
      aria-label="Service map"
      aria-describedby="map-help"
      onKeyDown={onKeyDown}
      onFocusIn={(event) => {
        const key = (event.target as HTMLElement).dataset.key;
        if (key) setFocused(key);
      }}
    >
      <p id="map-help" class="visually-hidden">
        Arrow keys move between workloads, Enter shows details, E expands or collapses the group,
        plus and minus zoom, 0 shows everything. The table view has the same data.
      </p>
      <canvas ref={canvas} aria-hidden="true" />
      <div ref={layer} class="layer">
        {nodes}
      </div>
      <div ref={tip} class="tip" aria-hidden="true" hidden />
      <Legend measure={measure} />
      <div class="zoom" data-overlay>
        <button type="button" title="Zoom in (+)" onClick={() => engine?.panZoom.zoomBy(1.4)}>
          <Plus />
          <span class="visually-hidden">Zoom in</span>
        </button>
        <button type="button" title="Zoom out (−)" onClick={() => engine?.panZoom.zoomBy(1 / 1.4)}>
          <Minus />
          <span class="visually-hidden">Zoom out</span>
        </button>
        <button type="button" title="Show everything (0)" onClick={() => engine?.fit(true)}>
          <Fit />
          <span class="visually-hidden">Show everything</span>
        </button>
      </div>
    </section>
  );
}

function focusKey(layer: HTMLElement | null, key: string): void {
  const button = layer?.querySelector<HTMLElement>(`[data-key="${CSS.escape(key)}"]`);
  button?.focus({ preventScroll: true });
}

const ARROWS: Record<string, Direction> = {
  ArrowLeft: "left",
  ArrowRight: "right",
  ArrowUp: "up",
  ArrowDown: "down",
};
const PAN: Record<Direction, [number, number]> = {
  left: [80, 0],
  right: [-80, 0],
  up: [0, 80],
  down: [0, -80],
};

/** Requests a layout when the set of visible nodes changes. */
function useLayout(
  client: LayoutClient,
  graph: Graph,
  visible: VisibleGraph,
  isOpen: (group: string) => boolean,
  engine: Engine | undefined,
): LayoutResult | undefined {
  const [layout, setLayout] = useState<LayoutResult>();
  const signature = useMemo(() => layoutSignature(graph, isOpen), [graph, isOpen]);

  useEffect(() => {
    client.onResult = setLayout;
    return () => {
      client.onResult = () => {};
    };
  }, [client]);

  useEffect(() => {
    if (!engine) return;
    const { width, height } = engine.panZoom.size;
    client.request({
      groups: layoutGroups(graph, isOpen),
      links: layoutLinks(visible),
      aspect: Math.max(0.4, width / Math.max(1, height)),
      previous: new Map(layout?.boxes),
    });
    // Changes of traffic alone must not move the map.
  }, [signature, engine]);

  return layout;
}

/** The tip of a card or header. */
function describeEnd(
  graph: Graph,
  stats: Stats | undefined,
  key: string,
  seconds: number,
): string[] {
  if (!stats) return [];
  const { label, context } = endOf(graph, key);
  const lines = [
    label,
    context,
    `${format.bytes((stats.sent.bytes ?? 0) / seconds)}/s sent · ${format.bytes(
      (stats.received.bytes ?? 0) / seconds,
    )}/s received`,
    format.plural(stats.links, "link"),
  ];
  if (stats.critical) lines.push(`${format.plural(stats.critical, "link")} critical`);
  if (stats.warning) lines.push(`${format.plural(stats.warning, "link")} with a warning`);
  return lines;
}

/** The tip of a link. */
function describeLink(graph: Graph, link: GraphLink, seconds: number): string[] {
  const arrow = link.directed ? "→" : "–";
  const rate = ({ bytes }: { bytes?: number }) => `${format.bytes((bytes ?? 0) / seconds)}/s`;
  const lines = [
    `${labelOf(graph, link.source)} ${arrow} ${labelOf(graph, link.target)}`,
    `${rate(link.forward)} forward · ${rate(link.reverse)} back`,
  ];
  const connections = link.forward.connections;
  if (connections !== undefined) lines.push(`${format.count(connections)} connections`);
  for (const { name, share, level } of link.health.reasons) {
    if (level !== "ok") lines.push(`${format.percent(share)} ${name}`);
  }
  return lines;
}
