import type { HealthLevel } from "../model/health";
import { type Curve, pointOn } from "./geometry";
import type { Scene, SceneEdge } from "./scene";
import type { Size, Viewport } from "./viewport";

/** Draws a scene on a canvas. Edges of equal style share a path, so that a frame is cheap. */

export interface Palette {
  group: string;
  groupLine: string;
  accent: string;
  levels: Record<HealthLevel, string>;
}

/** Emphasized parts of a scene. */
export interface Highlight {
  edges: ReadonlySet<SceneEdge>;
  /** Whether all other edges are faded. */
  faded: boolean;
  /** The key of a group with a visible outline. */
  group: string | undefined;
}

const WIDTHS = 6;
const LEVELS: HealthLevel[] = ["unknown", "ok", "warning", "critical"];
/** Dash patterns in pixels at zoom 1: levels must be distinguishable without colour. */
const DASHES: Record<HealthLevel, number[]> = {
  unknown: [],
  ok: [],
  warning: [14, 5],
  critical: [5, 4],
};

interface Bucket {
  level: HealthLevel;
  width: number;
  path: Path2D;
}

export class Painter {
  readonly #context: CanvasRenderingContext2D;
  #scene: Scene | undefined;
  #buckets: Bucket[] = [];
  /** Edges are more transparent where there are many. */
  #density = 1;
  #groups = new Path2D();

  constructor(readonly canvas: HTMLCanvasElement) {
    const context = canvas.getContext("2d");
    if (!context) throw new Error("The browser has no canvas.");
    this.#context = context;
  }

  setScene(scene: Scene): void {
    this.#scene = scene;
    const buckets = new Map<string, Bucket>();
    for (const edge of scene.edges) {
      const width = widthIndex(edge);
      const key = `${edge.level}/${width}`;
      let bucket = buckets.get(key);
      if (!bucket) {
        bucket = { level: edge.level, width, path: new Path2D() };
        buckets.set(key, bucket);
      }
      trace(bucket.path, edge.curve);
    }
    this.#density = Math.max(0.4, Math.min(1, Math.sqrt(250 / Math.max(1, scene.edges.length))));
    // Warning and critical edges are drawn last, on top.
    this.#buckets = [...buckets.values()].sort(
      (a, b) => LEVELS.indexOf(a.level) - LEVELS.indexOf(b.level) || a.width - b.width,
    );
    this.#groups = new Path2D();
    for (const [, box] of scene.groups) {
      this.#groups.roundRect(box.x, box.y, box.width, box.height, 10);
    }
  }

  draw(viewport: Viewport, size: Size, palette: Palette, highlight: Highlight): void {
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    const width = Math.round(size.width * ratio);
    const height = Math.round(size.height * ratio);
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
    }
    const context = this.#context;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, width, height);
    const { zoom, x, y } = viewport;
    context.setTransform(zoom * ratio, 0, 0, zoom * ratio, x * ratio, y * ratio);
    this.#drawGroups(zoom, palette, highlight);
    this.#drawEdges(zoom, palette, highlight.faded);
    for (const edge of highlight.edges) this.#drawHighlighted(edge, zoom, palette);
  }

  #drawGroups(zoom: number, palette: Palette, highlight: Highlight): void {
    const context = this.#context;
    context.setLineDash([]);
    context.globalAlpha = 1;
    context.fillStyle = palette.group;
    context.fill(this.#groups);
    context.strokeStyle = palette.groupLine;
    context.lineWidth = 1 / zoom;
    context.stroke(this.#groups);
    for (const [key, box] of this.#scene?.groups ?? []) {
      if (key !== highlight.group) continue;
      context.strokeStyle = palette.accent;
      context.lineWidth = 2 / zoom;
      context.beginPath();
      context.roundRect(box.x, box.y, box.width, box.height, 10);
      context.stroke();
    }
  }

  #drawEdges(zoom: number, palette: Palette, faded: boolean): void {
    const context = this.#context;
    for (const { level, width, path } of this.#buckets) {
      context.globalAlpha = faded ? 0.07 : alphaOf(level, width, this.#density);
      context.strokeStyle = palette.levels[level];
      context.lineWidth = lineWidth(width, zoom);
      context.setLineDash(DASHES[level]);
      context.stroke(path);
    }
  }

  #drawHighlighted(edge: SceneEdge, zoom: number, palette: Palette): void {
    const context = this.#context;
    context.globalAlpha = 1;
    context.strokeStyle = palette.levels[edge.level];
    context.fillStyle = palette.levels[edge.level];
    context.lineWidth = Math.max(lineWidth(widthIndex(edge), zoom), 1.6 / zoom);
    context.setLineDash(DASHES[edge.level]);
    const path = new Path2D();
    trace(path, edge.curve);
    context.stroke(path);
    if (!edge.link.directed) return;
    context.setLineDash([]);
    arrow(context, edge.curve, 7 / Math.sqrt(zoom) + context.lineWidth);
  }
}

function widthIndex(edge: SceneEdge): number {
  return Math.min(WIDTHS - 1, Math.floor(edge.weight * WIDTHS));
}

function alphaOf(level: HealthLevel, width: number, density: number): number {
  if (level === "critical") return 0.95;
  if (level === "warning") return 0.85;
  const share = width / (WIDTHS - 1);
  return 0.35 * density + (0.75 - 0.35 * density) * share;
}

/** World units for a width class: constant on the screen, but thinner when far away. */
function lineWidth(index: number, zoom: number): number {
  return (1 + index * 1.3) * (zoom < 1 ? Math.sqrt(zoom) / zoom : 1 / zoom);
}

function trace(path: Path2D, curve: Curve): void {
  path.moveTo(curve.x1, curve.y1);
  path.bezierCurveTo(curve.cx1, curve.cy1, curve.cx2, curve.cy2, curve.x2, curve.y2);
}

/** Fills a triangle at the end of a curve. */
function arrow(context: CanvasRenderingContext2D, curve: Curve, size: number): void {
  const [nearX, nearY] = pointOn(curve, 0.97);
  const angle = Math.atan2(curve.y2 - nearY, curve.x2 - nearX);
  const wing = 0.45;
  context.beginPath();
  context.moveTo(curve.x2, curve.y2);
  context.lineTo(
    curve.x2 - size * Math.cos(angle - wing),
    curve.y2 - size * Math.sin(angle - wing),
  );
  context.lineTo(
    curve.x2 - size * Math.cos(angle + wing),
    curve.y2 - size * Math.sin(angle + wing),
  );
  context.fill();
}
