/** Messages between the page and the layout worker. Lengths are in world units: pixels at zoom 1. */

export interface LayoutGroup {
  key: string;
  /** `start` and `end` groups stay at the left and right edge of the map. */
  place: "start" | "middle" | "end";
  open: boolean;
  /** Node keys in alphabetical order of their names. */
  members: string[];
}

export interface LayoutLink {
  /** A node of an open group or a closed group. */
  source: string;
  target: string;
  /** ≥ 0; heavier links pull their ends together. */
  weight: number;
  /** Whether the source opened most connections, so that it should be left of the target. */
  directed: boolean;
}

export interface LayoutRequest {
  id: number;
  groups: LayoutGroup[];
  links: LayoutLink[];
  /** Width divided by height of the visible area. */
  aspect: number;
  /** Boxes of the previous layout, the start of the simulation. */
  previous: Map<string, Box>;
}

export interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}

export interface LayoutResult {
  id: number;
  /** Boxes of groups and of the nodes in open groups, by key. */
  boxes: Map<string, Box>;
  bounds: Box;
}

export const CARD = { width: 152, height: 26, gapX: 16, gapY: 6 } as const;
export const CLOSED_GROUP = { width: 200, height: 58 } as const;
export const GROUP_PADDING = 10;
export const GROUP_HEADER = 32;
