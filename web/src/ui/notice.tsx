import type { ComponentChildren } from "preact";
import { Warning } from "./icons";

/** A one-line message above the map. */
export function Notice(props: {
  level: "info" | "warning" | "critical";
  children: ComponentChildren;
}) {
  return (
    <div class="notice" data-level={props.level} role="status">
      <Warning />
      <span>{props.children}</span>
    </div>
  );
}

/** A message in place of the map. */
export function Placeholder(props: { title: string; children?: ComponentChildren }) {
  return (
    <div class="placeholder" role="status">
      <h2>{props.title}</h2>
      {props.children}
    </div>
  );
}

/** Placeholder shapes while the first answer is loading. */
export function Skeleton() {
  return (
    <div class="skeleton" role="status">
      <span class="visually-hidden">Loading the map …</span>
      {Array.from({ length: 12 }, (_, index) => (
        <span key={index} />
      ))}
    </div>
  );
}
