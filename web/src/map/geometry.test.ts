import { expect, test } from "vitest";
import { curveBetween, distanceTo, neighbourIn, pointOn } from "./geometry";
import { fitBounds, reveal, zoomAt } from "./viewport";

const box = (x: number, y: number) => ({ x, y, width: 100, height: 20 });

test("curves connect the sides that face each other", () => {
  const right = curveBetween(box(0, 0), box(300, 100));
  expect([right.x1, right.y1, right.x2, right.y2]).toEqual([100, 10, 300, 110]);
  const left = curveBetween(box(300, 0), box(0, 0));
  expect([left.x1, left.x2]).toEqual([300, 100]);
  const below = curveBetween(box(0, 0), box(0, 200));
  expect(below.cx1).toBeGreaterThan(100);
});

test("a point on a curve is at distance 0, a far one at infinity", () => {
  const curve = curveBetween(box(0, 0), box(300, 100));
  const [x, y] = pointOn(curve, 0.5);
  expect(distanceTo(curve, x, y, 5)).toBeLessThan(1);
  expect(distanceTo(curve, x, y + 60, 5)).toBe(Number.POSITIVE_INFINITY);
});

test("arrow keys prefer what is straight ahead", () => {
  const boxes = new Map([
    ["here", box(0, 0)],
    ["ahead", box(400, 0)],
    ["near but below", box(200, 150)],
    ["left", box(-300, 0)],
  ]);
  expect(neighbourIn("right", box(0, 0), boxes)).toBe("ahead");
  expect(neighbourIn("left", box(0, 0), boxes)).toBe("left");
  expect(neighbourIn("down", box(0, 0), boxes)).toBe("near but below");
  expect(neighbourIn("up", box(0, 0), boxes)).toBeUndefined();
});

test("zooming keeps the point under the pointer", () => {
  const before = { x: 10, y: 20, zoom: 1 };
  const after = zoomAt(before, 2, 110, 220);
  expect((110 - after.x) / after.zoom).toBeCloseTo(100);
  expect((220 - after.y) / after.zoom).toBeCloseTo(200);
  expect(zoomAt(before, 1e9, 0, 0).zoom).toBe(3);
});

test("fitting centres the bounds within the insets", () => {
  const insets = { top: 0, right: 0, bottom: 0, left: 0 };
  const bounds = { x: 0, y: 0, width: 200, height: 100 };
  expect(fitBounds(bounds, { width: 100, height: 100 }, insets)).toEqual({
    zoom: 0.5,
    x: 0,
    y: 25,
  });
  expect(fitBounds(bounds, { width: 1000, height: 1000 }, insets).zoom).toBe(1);
});

test("revealing moves only as far as needed", () => {
  const insets = { top: 0, right: 0, bottom: 0, left: 0 };
  const size = { width: 200, height: 200 };
  const viewport = { x: 0, y: 0, zoom: 1 };
  expect(reveal(viewport, box(10, 10), size, insets)).toEqual(viewport);
  expect(reveal(viewport, box(150, 10), size, insets)).toEqual({ x: -50, y: 0, zoom: 1 });
});
