import type { ComponentChildren } from "preact";

/** A titled part of the details panel. */
export function Section({ title, children }: { title: string; children: ComponentChildren }) {
  return (
    <section class="details-section">
      <h3>{title}</h3>
      {children}
    </section>
  );
}
