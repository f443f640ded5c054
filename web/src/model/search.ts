import type { Labels } from "./endpoint";

/** True where every word of the text occurs in a label, ignoring case. */
export function matchesText(labels: Labels, text: string): boolean {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return true;
  const values = Object.values(labels).map((value) => String(value).toLowerCase());
  return words.every((word) => values.some((value) => value.includes(word)));
}
