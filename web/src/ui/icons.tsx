import type { JSX } from "preact";

function icon(path: string) {
  return (): JSX.Element => (
    <svg class="icon" viewBox="0 0 16 16" aria-hidden="true" focusable="false">
      <path d={path} />
    </svg>
  );
}

export const ChevronRight = icon("M6 3.5 10.5 8 6 12.5");
export const ChevronDown = icon("M3.5 6 8 10.5 12.5 6");
export const Close = icon("M4 4l8 8M12 4l-8 8");
export const Plus = icon("M8 3.5v9M3.5 8h9");
export const Minus = icon("M3.5 8h9");
export const Fit = icon("M3 6V3h3M10 3h3v3M13 10v3h-3M6 13H3v-3");
export const Search = icon("M7 11.5a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9ZM10.5 10.5 14 14");
export const Copy = icon("M6 5.5h7v8H6zM10 5.5v-3H3v8h3");
export const Check = icon("M3.5 8.5 6.5 11.5 12.5 4.5");
export const Sun = icon(
  "M8 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6ZM8 1.5v1.5M8 13v1.5M1.5 8H3M13 8h1.5M3.4 3.4l1 1M11.6 11.6l1 1M3.4 12.6l1-1M11.6 4.4l1-1",
);
export const Moon = icon("M13 9.6A5.6 5.6 0 0 1 6.4 3a5.6 5.6 0 1 0 6.6 6.6Z");
export const Filter = icon("M2.5 3.5h11L9.3 8.6V13l-2.6-1.4v-3z");
export const Warning = icon("M8 2.5 14.5 13.5h-13zM8 6.5v3.2M8 11.6v.4");
export const ArrowRight = icon("M2.5 8h10.5M9 4l4 4-4 4");
