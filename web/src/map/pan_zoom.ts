import type { Box } from "../layout/types";
import {
  fitBounds,
  type Insets,
  interpolate,
  reveal,
  type Size,
  type Viewport,
  zoomAt,
} from "./viewport";

const CLICK_TOLERANCE = 4;
const TRANSITION = 180;

/** A viewport that mouse, wheel and touch move. */
export class PanZoom {
  viewport: Viewport = { x: 0, y: 0, zoom: 1 };
  size: Size = { width: 1, height: 1 };
  /** False until the user moves the map; the map then no longer fits itself to the window. */
  moved = false;
  readonly #pointers = new Map<number, { x: number; y: number }>();
  readonly #abort = new AbortController();
  #dragging = false;
  #start = { x: 0, y: 0 };
  #frame = 0;

  constructor(
    readonly element: HTMLElement,
    readonly onChange: () => void,
  ) {
    const { signal } = this.#abort;
    element.addEventListener("pointerdown", (event) => this.#down(event), { signal });
    element.addEventListener("pointermove", (event) => this.#move(event), { signal });
    for (const type of ["pointerup", "pointercancel"] as const) {
      element.addEventListener(type, (event) => this.#up(event), { signal });
    }
    // In the capture phase: a drag that ends on a card must not select it.
    element.addEventListener("click", (event) => this.#click(event), { signal, capture: true });
    element.addEventListener("wheel", (event) => this.#wheel(event), { signal, passive: false });
  }

  get dragging(): boolean {
    return this.#dragging;
  }

  close(): void {
    cancelAnimationFrame(this.#frame);
    this.#abort.abort();
  }

  /** Applies a viewport at once. */
  set(viewport: Viewport): void {
    cancelAnimationFrame(this.#frame);
    this.viewport = viewport;
    this.onChange();
  }

  /** Moves to a viewport within a fraction of a second, unless the user prefers no motion. */
  moveTo(target: Viewport): void {
    cancelAnimationFrame(this.#frame);
    if (window.matchMedia("(prefers-reduced-motion: reduce)").matches) {
      this.set(target);
      return;
    }
    const from = this.viewport;
    const begin = performance.now();
    const step = (now: number) => {
      const t = Math.min(1, Math.max(0, now - begin) / TRANSITION);
      this.viewport = interpolate(from, target, t);
      this.onChange();
      if (t < 1) this.#frame = requestAnimationFrame(step);
    };
    this.#frame = requestAnimationFrame(step);
  }

  fit(bounds: Box, insets: Insets, animate: boolean): void {
    const target = fitBounds(bounds, this.size, insets);
    this.moved = false;
    if (animate) this.moveTo(target);
    else this.set(target);
  }

  reveal(box: Box, insets: Insets): void {
    const target = reveal(this.viewport, box, this.size, insets);
    if (target.x !== this.viewport.x || target.y !== this.viewport.y) this.moveTo(target);
  }

  zoomBy(factor: number): void {
    this.moved = true;
    this.moveTo(zoomAt(this.viewport, factor, this.size.width / 2, this.size.height / 2));
  }

  panBy(x: number, y: number): void {
    this.moved = true;
    const { viewport } = this;
    this.set({ ...viewport, x: viewport.x + x, y: viewport.y + y });
  }

  #down(event: PointerEvent): void {
    if (event.button !== 0 || this.#isControl(event.target)) return;
    this.#pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    this.#start = { x: event.clientX, y: event.clientY };
    if (this.#pointers.size === 1) this.#dragging = false;
  }

  #move(event: PointerEvent): void {
    const before = this.#pointers.get(event.pointerId);
    if (!before) return;
    const now = { x: event.clientX, y: event.clientY };
    if (!this.#dragging) {
      const distance = Math.hypot(now.x - this.#start.x, now.y - this.#start.y);
      if (distance < CLICK_TOLERANCE && this.#pointers.size === 1) return;
      this.#dragging = true;
      this.element.setPointerCapture(event.pointerId);
      this.element.dataset.dragging = "";
    }
    const other = [...this.#pointers].find(([id]) => id !== event.pointerId)?.[1];
    this.#pointers.set(event.pointerId, now);
    if (other) this.#pinch(before, now, other);
    else this.panBy(now.x - before.x, now.y - before.y);
  }

  /** One finger moved from `before` to `now` while the other one stayed. */
  #pinch(
    before: { x: number; y: number },
    now: { x: number; y: number },
    other: { x: number; y: number },
  ): void {
    const bounds = this.element.getBoundingClientRect();
    const from = Math.hypot(before.x - other.x, before.y - other.y);
    const to = Math.hypot(now.x - other.x, now.y - other.y);
    const x = (now.x + other.x) / 2 - bounds.left;
    const y = (now.y + other.y) / 2 - bounds.top;
    this.moved = true;
    const moved = {
      ...this.viewport,
      x: this.viewport.x + (now.x - before.x) / 2,
      y: this.viewport.y + (now.y - before.y) / 2,
    };
    this.set(zoomAt(moved, from > 0 ? to / from : 1, x, y));
  }

  #up(event: PointerEvent): void {
    this.#pointers.delete(event.pointerId);
    if (this.#pointers.size > 0) return;
    delete this.element.dataset.dragging;
    // After the click that ends a drag, if there is one.
    setTimeout(() => {
      if (this.#pointers.size === 0) this.#dragging = false;
    });
  }

  #click(event: MouseEvent): void {
    if (!this.#dragging) return;
    event.stopPropagation();
    event.preventDefault();
  }

  #wheel(event: WheelEvent): void {
    if (this.#isControl(event.target)) return;
    event.preventDefault();
    this.moved = true;
    const bounds = this.element.getBoundingClientRect();
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
    // A trackpad pinch arrives as small wheel steps with the control key.
    const speed = event.ctrlKey ? 0.01 : 0.0015;
    const factor = Math.exp(-event.deltaY * lines * speed);
    this.set(
      zoomAt(this.viewport, factor, event.clientX - bounds.left, event.clientY - bounds.top),
    );
  }

  /** Overlays such as the legend keep their own events. */
  #isControl(target: EventTarget | null): boolean {
    return target instanceof Element && target.closest("[data-overlay]") !== null;
  }
}
