import type { Box } from "../layout/types";

/** Maps world units to pixels: `screen = world * zoom + offset`. */
export interface Viewport {
  x: number;
  y: number;
  zoom: number;
}

export const MIN_ZOOM = 0.08;
export const MAX_ZOOM = 3;

export interface Size {
  width: number;
  height: number;
}

/** Changes the zoom and keeps the point of the screen at `x`, `y` in place. */
export function zoomAt(viewport: Viewport, factor: number, x: number, y: number): Viewport {
  const zoom = Math.max(MIN_ZOOM, Math.min(MAX_ZOOM, viewport.zoom * factor));
  const ratio = zoom / viewport.zoom;
  return { zoom, x: x - (x - viewport.x) * ratio, y: y - (y - viewport.y) * ratio };
}

export interface Insets {
  top: number;
  right: number;
  bottom: number;
  left: number;
}

/** The viewport that shows all of `bounds`, at most at zoom 1. */
export function fitBounds(bounds: Box, size: Size, insets: Insets): Viewport {
  const width = Math.max(1, size.width - insets.left - insets.right);
  const height = Math.max(1, size.height - insets.top - insets.bottom);
  const zoom = Math.max(
    MIN_ZOOM,
    Math.min(1, width / Math.max(1, bounds.width), height / Math.max(1, bounds.height)),
  );
  return {
    zoom,
    x: insets.left + (width - bounds.width * zoom) / 2 - bounds.x * zoom,
    y: insets.top + (height - bounds.height * zoom) / 2 - bounds.y * zoom,
  };
}

/** Moves the viewport by as little as needed to show a box. */
export function reveal(viewport: Viewport, box: Box, size: Size, insets: Insets): Viewport {
  const shift = (from: number, to: number, low: number, high: number): number => {
    if (from < low) return low - from;
    if (to > high) return high - to;
    return 0;
  };
  const left = box.x * viewport.zoom + viewport.x;
  const top = box.y * viewport.zoom + viewport.y;
  return {
    zoom: viewport.zoom,
    x:
      viewport.x +
      shift(left, left + box.width * viewport.zoom, insets.left, size.width - insets.right),
    y:
      viewport.y +
      shift(top, top + box.height * viewport.zoom, insets.top, size.height - insets.bottom),
  };
}

/** A moment of a transition between viewports; `t` from 0 to 1. */
export function interpolate(from: Viewport, to: Viewport, t: number): Viewport {
  const eased = 1 - (1 - t) ** 3;
  const mix = (a: number, b: number) => a + (b - a) * eased;
  return { x: mix(from.x, to.x), y: mix(from.y, to.y), zoom: mix(from.zoom, to.zoom) };
}
