/** The arithmetic of the time slider. All values are Unix milliseconds. */

export interface TimeWindow {
  from: number;
  to: number;
}

/** A range of the address bar: relative and following now, or absolute. */
export interface UrlRange {
  from: number;
  to: number | undefined;
}

/** The absolute range, with `now` as the end of a range that follows it. */
export function resolveRange(range: UrlRange, now: number): TimeWindow {
  return range.to === undefined
    ? { from: now + range.from, to: now }
    : { from: range.from, to: range.to };
}

/** The range for a window; one that reaches `now` follows it. */
export function rangeOf(window: TimeWindow, now: number, step: number): UrlRange {
  const length = Math.max(step, window.to - window.from);
  if (window.to >= now - step / 2) return { from: -length, to: undefined };
  return { from: window.to - length, to: window.to };
}

/** Moves a window within limits and keeps its length. */
export function shiftWindow(window: TimeWindow, by: number, limits: TimeWindow): TimeWindow {
  const length = window.to - window.from;
  const from = Math.max(limits.from, Math.min(limits.to - length, window.from + by));
  return { from, to: from + length };
}

/** Moves one end; the other end stays at least `step` away. */
export function moveEnd(
  window: TimeWindow,
  end: "from" | "to",
  at: number,
  step: number,
): TimeWindow {
  return end === "from"
    ? { from: Math.min(at, window.to - step), to: window.to }
    : { from: window.from, to: Math.max(at, window.from + step) };
}

export const EXTENTS: readonly number[] = [3_600_000, 6 * 3_600_000, 48 * 3_600_000];

/** The shortest extent of the slider that shows the window with some time before it. */
export function extentFor(window: TimeWindow, now: number, available: number): number {
  const wanted = Math.max((now - window.from) * 1.5, (window.to - window.from) * 3);
  return Math.min(available, EXTENTS.find((extent) => extent >= wanted) ?? available);
}
