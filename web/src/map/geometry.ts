import type { Box } from "../layout/types";

/** A cubic Bézier curve. */
export interface Curve {
  x1: number;
  y1: number;
  cx1: number;
  cy1: number;
  cx2: number;
  cy2: number;
  x2: number;
  y2: number;
}

/** Connects the sides of two boxes that face each other; boxes above each other bend right. */
export function curveBetween(source: Box, target: Box): Curve {
  const y1 = source.y + source.height / 2;
  const y2 = target.y + target.height / 2;
  const sourceRight = source.x + source.width;
  const targetRight = target.x + target.width;
  if (target.x >= sourceRight) return sCurve(sourceRight, y1, target.x, y2);
  if (targetRight <= source.x) return sCurve(source.x, y1, targetRight, y2);
  const bend = Math.min(90, 30 + Math.abs(y2 - y1) / 6);
  const right = Math.max(sourceRight, targetRight) + bend;
  return { x1: sourceRight, y1, cx1: right, cy1: y1, cx2: right, cy2: y2, x2: targetRight, y2 };
}

function sCurve(x1: number, y1: number, x2: number, y2: number): Curve {
  const reach = Math.max(Math.abs(x2 - x1) * 0.45, 12) * Math.sign(x2 - x1 || 1);
  return { x1, y1, cx1: x1 + reach, cy1: y1, cx2: x2 - reach, cy2: y2, x2, y2 };
}

/** The point of a curve at `t` from 0 to 1. */
export function pointOn(curve: Curve, t: number): [x: number, y: number] {
  const u = 1 - t;
  const a = u * u * u;
  const b = 3 * u * u * t;
  const c = 3 * u * t * t;
  const d = t * t * t;
  return [
    a * curve.x1 + b * curve.cx1 + c * curve.cx2 + d * curve.x2,
    a * curve.y1 + b * curve.cy1 + c * curve.cy2 + d * curve.y2,
  ];
}

const SEGMENTS = 20;

/** The distance from a point to a curve, or infinity beyond `limit`. */
export function distanceTo(curve: Curve, x: number, y: number, limit: number): number {
  // The curve lies within the hull of its control points.
  const { x1, y1, cx1, cy1, cx2, cy2, x2, y2 } = curve;
  if (
    x < Math.min(x1, x2, cx1, cx2) - limit ||
    x > Math.max(x1, x2, cx1, cx2) + limit ||
    y < Math.min(y1, y2, cy1, cy2) - limit ||
    y > Math.max(y1, y2, cy1, cy2) + limit
  ) {
    return Number.POSITIVE_INFINITY;
  }
  let nearest = Number.POSITIVE_INFINITY;
  let [px, py] = pointOn(curve, 0);
  for (let index = 1; index <= SEGMENTS; index += 1) {
    const [qx, qy] = pointOn(curve, index / SEGMENTS);
    nearest = Math.min(nearest, distanceToSegment(x, y, px, py, qx, qy));
    [px, py] = [qx, qy];
  }
  return nearest <= limit ? nearest : Number.POSITIVE_INFINITY;
}

function distanceToSegment(
  x: number,
  y: number,
  x1: number,
  y1: number,
  x2: number,
  y2: number,
): number {
  const dx = x2 - x1;
  const dy = y2 - y1;
  const length = dx * dx + dy * dy;
  const t = length === 0 ? 0 : Math.max(0, Math.min(1, ((x - x1) * dx + (y - y1) * dy) / length));
  return Math.hypot(x - (x1 + t * dx), y - (y1 + t * dy));
}

export type Direction = "left" | "right" | "up" | "down";

/** The key of the nearest box in a direction, seen from the centre of `from`. */
export function neighbourIn(
  direction: Direction,
  from: Box,
  candidates: Iterable<[string, Box]>,
): string | undefined {
  const [dx, dy] = { left: [-1, 0], right: [1, 0], up: [0, -1], down: [0, 1] }[direction] as [
    number,
    number,
  ];
  const fromX = from.x + from.width / 2;
  const fromY = from.y + from.height / 2;
  let best: string | undefined;
  let bestScore = Number.POSITIVE_INFINITY;
  for (const [key, box] of candidates) {
    const x = box.x + box.width / 2 - fromX;
    const y = box.y + box.height / 2 - fromY;
    const along = x * dx + y * dy;
    if (along < 4) continue;
    // Boxes straight ahead are preferred to nearer ones at the side.
    const score = along + 3 * Math.abs(x * dy + y * dx);
    if (score < bestScore) {
      best = key;
      bestScore = score;
    }
  }
  return best;
}
