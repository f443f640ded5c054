import type { HealthLevel } from "../model/health";
import type { ShownMeasure } from "../model/measures";

const LEVELS: [level: HealthLevel, name: string, meaning: string][] = [
  ["ok", "Healthy", "below all thresholds"],
  [
    "warning",
    "Warning",
    "from 1 % retransmitted packets, or 1 % refused or unanswered connections",
  ],
  [
    "critical",
    "Critical",
    "from 5 % retransmitted packets, or 10 % refused or unanswered connections",
  ],
  ["unknown", "No health data", "no exporter supplied any of these values"],
];

/** Explains width and colour of the edges; opens for the thresholds. */
export function Legend({ measure }: { measure: ShownMeasure }) {
  return (
    <details class="legend" data-overlay>
      <summary>
        <span class="legend-title">Legend</span>
        <span class="legend-item">
          <svg viewBox="0 0 26 12" aria-hidden="true">
            <path class="legend-width" d="M0 5.4 26 2v8L0 6.6Z" />
          </svg>
          {measure}
        </span>
        {LEVELS.map(([level, name]) => (
          <span key={level} class="legend-item">
            <svg viewBox="0 0 26 12" aria-hidden="true">
              <path class="legend-line" data-level={level} d="M0 6H26" />
            </svg>
            {name}
          </span>
        ))}
      </summary>
      <dl>
        <dt>Width</dt>
        <dd>{measure} of both directions</dd>
        <dt>Arrow</dt>
        <dd>from the side that opens most connections; shown for selected links</dd>
        {LEVELS.map(([level, name, meaning]) => (
          <div key={level}>
            <dt>{name}</dt>
            <dd>{meaning}</dd>
          </div>
        ))}
      </dl>
    </details>
  );
}
