/** Arranges boxes in columns that fill an area of a given aspect ratio. */

export interface Sized {
  key: string;
  width: number;
  height: number;
}

export const COLUMN_GAP = 110;
export const ROW_GAP = 28;

/**
 * Cuts a sequence into `count` runs so that the tallest run is as short as possible. The order is
 * kept. Dynamic programming over prefixes.
 */
export function partition(heights: readonly number[], count: number): number[][] {
  const n = heights.length;
  const runs = Math.min(count, n);
  const prefix = [0];
  for (const height of heights) prefix.push((prefix.at(-1) ?? 0) + height + ROW_GAP);
  const sum = (from: number, to: number) => (prefix[to] ?? 0) - (prefix[from] ?? 0);
  // best[end]: the tallest run when the first `end` items are cut into the current number of runs.
  let best = Array.from({ length: n + 1 }, (_, end) => (end === 0 ? 0 : sum(0, end)));
  const cuts: number[][] = [];
  for (let run = 2; run <= runs; run += 1) {
    const next = new Array<number>(n + 1).fill(Number.POSITIVE_INFINITY);
    const cut = new Array<number>(n + 1).fill(0);
    for (let end = run; end <= n; end += 1) {
      for (let begin = run - 1; begin < end; begin += 1) {
        const tallest = Math.max(best[begin] ?? 0, sum(begin, end));
        if (tallest < (next[end] ?? 0)) {
          next[end] = tallest;
          cut[end] = begin;
        }
      }
    }
    cuts.push(cut);
    best = next;
  }
  const result: number[][] = [];
  let end = n;
  for (let run = runs; run >= 1; run -= 1) {
    const begin = run === 1 ? 0 : (cuts[run - 2]?.[end] ?? 0);
    result.unshift(Array.from({ length: end - begin }, (_, index) => begin + index));
    end = begin;
  }
  return result;
}

/** The extent of a column. */
export function columnSize(column: readonly Sized[]): { width: number; height: number } {
  return {
    width: Math.max(0, ...column.map((item) => item.width)),
    height: column.reduce((sum, item) => sum + item.height + ROW_GAP, -ROW_GAP),
  };
}

/**
 * Cuts items, sorted from left to right, into the number of columns that allows the largest zoom.
 * `edges` are additional columns at the left and right.
 */
export function fitColumns<T extends Sized>(
  items: readonly T[],
  edges: readonly (readonly Sized[])[],
  aspect: number,
): T[][] {
  let best: T[][] = [];
  let bestExtent = Number.POSITIVE_INFINITY;
  const heights = items.map((item) => item.height);
  for (let count = 1; count <= items.length; count += 1) {
    const columns = partition(heights, count).map((run) =>
      run.flatMap((index) => items[index] ?? []),
    );
    const sizes = [...columns, ...edges].map(columnSize);
    const width = sizes.reduce((sum, size) => sum + size.width + COLUMN_GAP, -COLUMN_GAP);
    const height = Math.max(...sizes.map((size) => size.height));
    const extent = Math.max(width, height * aspect);
    if (extent < bestExtent) {
      best = columns;
      bestExtent = extent;
    }
  }
  return best;
}
