import type { LayoutResult } from "../layout/types";
import type { GraphLink } from "../model/graph";
import type { HealthLevel } from "../model/health";
import { Painter, type Palette } from "./painter";
import { PanZoom } from "./pan_zoom";
import { edgeAt, type Scene, type SceneEdge } from "./scene";

/** Space for overlays at the sides of the map, in pixels. */
export const INSETS = { top: 58, right: 24, bottom: 56, left: 24 };

/** Maximum distance in pixels between the pointer and a hovered edge. */
const TOLERANCE = 6;
const TOUCH_TOLERANCE = 14;
/** Names of cards are hidden below this zoom. */
const LEGIBLE_ZOOM = 0.52;

export interface EngineElements {
  root: HTMLElement;
  canvas: HTMLCanvasElement;
  /** Holds the cards, in world units. */
  layer: HTMLElement;
  tip: HTMLElement;
}

/** Keeps canvas and cards in sync with the viewport, without rendering components. */
export class Engine {
  readonly panZoom: PanZoom;
  /** The text of the tip of a link: a heading and lines. */
  describeLink: (link: GraphLink) => string[] = () => [];
  /** The text of the tip of a card or header. */
  describeEnd: (key: string) => string[] = () => [];
  onSelect: (key: string) => void = () => {};
  readonly #elements: EngineElements;
  readonly #painter: Painter;
  readonly #observer: ResizeObserver;
  readonly #abort = new AbortController();
  #scene: Scene | undefined;
  #layout: LayoutResult | undefined;
  #palette: Palette | undefined;
  #selection: ReadonlySet<SceneEdge> = new Set();
  #selectedGroup: string | undefined;
  #hovered: SceneEdge | undefined;
  /** The key of the subject of the tip. */
  #tip = "";
  #frame = 0;
  #painted = false;
  #anchor = "";

  constructor(elements: EngineElements) {
    this.#elements = elements;
    this.#painter = new Painter(elements.canvas);
    this.panZoom = new PanZoom(elements.root, () => this.invalidate());
    this.#observer = new ResizeObserver(() => this.#resize());
    this.#observer.observe(elements.root);
    this.#resize();
    const { signal } = this.#abort;
    elements.root.addEventListener("pointermove", (event) => this.#hover(event), { signal });
    // A selection can move the map below the pointer.
    elements.root.addEventListener("pointerdown", () => this.#setHovered(undefined, ""), {
      signal,
    });
    elements.root.addEventListener("pointerleave", () => this.#setHovered(undefined, ""), {
      signal,
    });
    elements.root.addEventListener("click", (event) => this.#click(event), { signal });
  }

  close(): void {
    cancelAnimationFrame(this.#frame);
    this.#observer.disconnect();
    this.#abort.abort();
    this.panZoom.close();
  }

  show(scene: Scene, layout: LayoutResult): void {
    const first = this.#layout === undefined;
    const changed = layout !== this.#layout;
    const before = this.#layout?.boxes.get(this.#anchor);
    const after = layout.boxes.get(this.#anchor);
    this.#scene = scene;
    this.#layout = layout;
    this.#hovered = this.#hovered && scene.byKey.get(this.#hovered.link.key);
    this.#painter.setScene(scene);
    if (first || (changed && !this.panZoom.moved)) this.fit(!first);
    else if (changed && before && after) {
      const { viewport } = this.panZoom;
      this.panZoom.panBy(
        (before.x - after.x) * viewport.zoom,
        (before.y - after.y) * viewport.zoom,
      );
    }
    if (changed) this.#anchor = "";
    this.#draw();
  }

  select(edges: ReadonlySet<SceneEdge>, group: string | undefined): void {
    this.#selection = edges;
    this.#selectedGroup = group;
    this.invalidate();
  }

  /** Keeps the position of a group on the screen when the next layout moves it. */
  keepInPlace(group: string): void {
    this.#anchor = group;
  }

  fit(animate: boolean): void {
    if (this.#layout) this.panZoom.fit(this.#layout.bounds, INSETS, animate);
  }

  /** Reads the colours of the current theme. */
  readPalette(): void {
    const style = getComputedStyle(this.#elements.root);
    const color = (name: string) => style.getPropertyValue(name).trim();
    const level = (name: HealthLevel) => color(`--edge-${name}`);
    this.#palette = {
      group: color("--group-fill"),
      groupLine: color("--group-line"),
      accent: color("--accent"),
      levels: {
        unknown: level("unknown"),
        ok: level("ok"),
        warning: level("warning"),
        critical: level("critical"),
      },
    };
    this.invalidate();
  }

  /** Draws before the next frame. */
  invalidate(): void {
    if (this.#frame !== 0) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.#draw();
    });
  }

  #draw(): void {
    if (!this.#palette || !this.#scene) return;
    const { viewport, size } = this.panZoom;
    const { layer } = this.#elements;
    const { x, y, zoom } = viewport;
    layer.style.transform = `translate(${x}px, ${y}px) scale(${zoom})`;
    // Enlarge group titles as the map shrinks, to keep them legible.
    const titles = String(Math.max(1, Math.min(2.2, 0.9 / zoom)).toFixed(2));
    if (layer.style.getPropertyValue("--title-scale") !== titles) {
      layer.style.setProperty("--title-scale", titles);
    }
    layer.toggleAttribute("data-far", zoom < LEGIBLE_ZOOM);
    const edges = this.#hovered ? new Set([...this.#selection, this.#hovered]) : this.#selection;
    this.#painter.draw(viewport, size, this.#palette, {
      edges,
      faded: this.#selection.size > 0,
      group: this.#selectedGroup,
    });
    if (!this.#painted) performance.mark("map-painted");
    this.#painted = true;
  }

  #resize(): void {
    this.#setHovered(undefined, "");
    const { clientWidth, clientHeight } = this.#elements.root;
    this.panZoom.size = { width: clientWidth, height: clientHeight };
    if (!this.panZoom.moved) this.fit(false);
    this.invalidate();
  }

  #edgeAt(event: PointerEvent): SceneEdge | undefined {
    const { canvas, root, layer } = this.#elements;
    const { target } = event;
    if (!this.#scene || (target !== canvas && target !== root && target !== layer))
      return undefined;
    const { x, y, zoom } = this.panZoom.viewport;
    const bounds = root.getBoundingClientRect();
    const worldX = (event.clientX - bounds.left - x) / zoom;
    const worldY = (event.clientY - bounds.top - y) / zoom;
    const tolerance = event.pointerType === "touch" ? TOUCH_TOLERANCE : TOLERANCE;
    return edgeAt(this.#scene, worldX, worldY, tolerance / zoom);
  }

  #hover(event: PointerEvent): void {
    if (this.panZoom.dragging || event.pointerType === "touch") {
      this.#setHovered(undefined, "");
      return;
    }
    const { target } = event;
    const card = target instanceof Element ? target.closest("[data-key]") : null;
    const end = card?.getAttribute("data-key") ?? "";
    const edge = end === "" ? this.#edgeAt(event) : undefined;
    this.#setHovered(edge, end || (edge?.link.key ?? ""));
    if (this.#tip === "") return;
    const { tip, root } = this.#elements;
    const bounds = root.getBoundingClientRect();
    const x = event.clientX - bounds.left;
    const y = event.clientY - bounds.top;
    const left = Math.min(x + 14, root.clientWidth - tip.offsetWidth - 8);
    const below = y + 18 + tip.offsetHeight < root.clientHeight;
    const top = below ? y + 18 : y - tip.offsetHeight - 10;
    tip.style.transform = `translate(${Math.max(8, left)}px, ${top}px)`;
  }

  #setHovered(edge: SceneEdge | undefined, key: string): void {
    if (key === this.#tip) return;
    this.#tip = key;
    const { tip, root } = this.#elements;
    root.toggleAttribute("data-over-edge", edge !== undefined);
    const lines = edge ? this.describeLink(edge.link) : key === "" ? [] : this.describeEnd(key);
    tip.hidden = lines.length === 0;
    tip.replaceChildren(
      ...lines.map((line) => {
        const element = document.createElement("div");
        element.textContent = line;
        return element;
      }),
    );
    if (edge === this.#hovered) return;
    this.#hovered = edge;
    this.invalidate();
  }

  #click(event: PointerEvent): void {
    const { target } = event;
    // Cards and overlays have their own handlers.
    if (target instanceof Element && target.closest("button, [data-overlay]")) return;
    this.onSelect(this.#edgeAt(event)?.link.key ?? "");
  }
}
