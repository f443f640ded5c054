import { type Box, CARD, GROUP_HEADER, GROUP_PADDING, type LayoutLink } from "./types";

/** Places the cards of an open group in columns: clients at the left, servers at the right. */

export interface InnerLayout {
  width: number;
  height: number;
  /** Relative to the corner of the group. */
  cards: Map<string, Box>;
}

/** Columns that keep a group of `count` cards roughly square. */
export function columnCount(count: number): number {
  if (count <= 5) return 1;
  if (count <= 18) return 2;
  if (count <= 45) return 3;
  return Math.ceil(Math.sqrt(count / 5));
}

export function layoutInside(
  members: readonly string[],
  links: readonly LayoutLink[],
): InnerLayout {
  const columns = columnCount(members.length);
  const rows = Math.ceil(members.length / columns);
  const ordered = columns === 1 ? members : byFlow(members, links);
  const cards = new Map<string, Box>();
  ordered.forEach((key, index) => {
    const column = Math.floor(index / rows);
    const row = index % rows;
    cards.set(key, {
      x: GROUP_PADDING + column * (CARD.width + CARD.gapX),
      y: GROUP_HEADER + row * (CARD.height + CARD.gapY),
      width: CARD.width,
      height: CARD.height,
    });
  });
  const used = Math.ceil(members.length / rows);
  return {
    width: 2 * GROUP_PADDING + used * (CARD.width + CARD.gapX) - CARD.gapX,
    height: GROUP_HEADER + GROUP_PADDING + rows * (CARD.height + CARD.gapY) - CARD.gapY,
    cards,
  };
}

/** Sorts by the share of links that a member opened within the group; ties keep their order. */
function byFlow(members: readonly string[], links: readonly LayoutLink[]): string[] {
  const inside = new Set(members);
  const opened = new Map<string, number>();
  const degree = new Map<string, number>();
  const add = (map: Map<string, number>, key: string, value: number) =>
    map.set(key, (map.get(key) ?? 0) + value);
  for (const { source, target, directed } of links) {
    if (!directed || !inside.has(source) || !inside.has(target)) continue;
    add(opened, source, 1);
    add(opened, target, -1);
    add(degree, source, 1);
    add(degree, target, 1);
  }
  const score = (key: string) => (opened.get(key) ?? 0) / (degree.get(key) ?? 1);
  return [...members].sort((a, b) => score(b) - score(a));
}
