import { useRef, useState } from "preact/hooks";
import type { Point } from "../api/types";
import * as format from "../format";
import type { ShownMeasure } from "../model/measures";
import { niceCeiling, timeTicks } from "./scale";

export interface Series {
  label: string;
  points: Point[];
}

export interface ChartProps {
  series: Series[];
  measure: ShownMeasure;
  from: number;
  to: number;
  /** Length of an interval in milliseconds. */
  step: number;
}

const WIDTH = 360;
const HEIGHT = 132;
const LEFT = 52;
const BOTTOM = 18;
const TOP = 6;

/** Rates over time, one line for each series. */
export function Chart({ series, measure, from, to, step }: ChartProps) {
  const svg = useRef<SVGSVGElement>(null);
  const [at, setAt] = useState<number>();
  const rates = series.map(({ label, points }) => ({
    label,
    points: ratesOf(points, measure, from, to, step),
  }));
  const largest = Math.max(0, ...rates.flatMap(({ points }) => points.map(([, rate]) => rate)));
  const ceiling = niceCeiling(largest);
  const x = (time: number) => LEFT + ((time - from) / Math.max(1, to - from)) * (WIDTH - LEFT - 6);
  const y = (rate: number) => HEIGHT - BOTTOM - (rate / ceiling) * (HEIGHT - BOTTOM - TOP);
  const text = (rate: number) =>
    measure === "bytes" ? `${format.bytes(rate)}/s` : `${format.count(rate)}/s`;

  const onMove = (event: PointerEvent) => {
    const bounds = svg.current?.getBoundingClientRect();
    if (!bounds) return;
    const inside = ((event.clientX - bounds.left) / bounds.width) * WIDTH;
    setAt(from + ((inside - LEFT) / (WIDTH - LEFT - 6)) * (to - from));
  };
  const marked = at === undefined ? undefined : nearestTime(rates[0]?.points ?? [], at);
  const summary = rates
    .map(({ label, points }) => {
      const values = points.map(([, rate]) => rate);
      return `${label}: up to ${text(Math.max(0, ...values))}, last ${text(values.at(-1) ?? 0)}`;
    })
    .join(". ");

  return (
    <figure class="chart">
      <svg
        ref={svg}
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        role="img"
        aria-label={`${measure} per second. ${summary}`}
        onPointerMove={onMove}
        onPointerLeave={() => setAt(undefined)}
      >
        {[0, 0.5, 1].map((share) => (
          <g key={share}>
            <path class="grid" d={`M${LEFT} ${y(ceiling * share)}H${WIDTH - 6}`} />
            <text class="axis" x={LEFT - 6} y={y(ceiling * share) + 3} text-anchor="end">
              {text(ceiling * share)}
            </text>
          </g>
        ))}
        {timeTicks(from, to, 4).map((tick) => (
          <text key={tick} class="axis" x={x(tick)} y={HEIGHT - 4} text-anchor="middle">
            {format.time(tick, step)}
          </text>
        ))}
        {rates.map(({ label, points }, index) => (
          <g key={label} data-series={index}>
            <path class="area" d={areaPath(points, x, y)} />
            <path class="line" d={linePath(points, x, y)} />
            {marked !== undefined && (
              <circle class="dot" r="3" cx={x(marked)} cy={y(rateAt(points, marked))} />
            )}
          </g>
        ))}
      </svg>
      <figcaption>
        {rates.map(({ label, points }, index) => (
          <span key={label} class="key" data-series={index}>
            {label}
            {marked !== undefined && <b> {text(rateAt(points, marked))}</b>}
          </span>
        ))}
        {marked !== undefined && <span class="at">{format.time(marked, step)}</span>}
      </figcaption>
    </figure>
  );
}

type Rate = [at: number, perSecond: number];

/** Converts interval sums to rates, placed at the middle of the covered part. */
function ratesOf(
  points: Point[],
  measure: ShownMeasure,
  from: number,
  to: number,
  step: number,
): Rate[] {
  return points.flatMap(([begin, values]): Rate[] => {
    const low = Math.max(begin, from);
    const high = Math.min(begin + step, to);
    // Rates of very short intervals are noise.
    if (high - low < Math.min(step, to - from) * 0.2) return [];
    return [[(low + high) / 2, ((values[measure] ?? 0) / (high - low)) * 1000]];
  });
}

function linePath(points: Rate[], x: (at: number) => number, y: (rate: number) => number): string {
  return points
    .map(
      ([at, rate], index) => `${index === 0 ? "M" : "L"}${x(at).toFixed(1)} ${y(rate).toFixed(1)}`,
    )
    .join("");
}

function areaPath(points: Rate[], x: (at: number) => number, y: (rate: number) => number): string {
  const [first, last] = [points[0], points.at(-1)];
  if (!first || !last) return "";
  return `${linePath(points, x, y)}L${x(last[0]).toFixed(1)} ${y(0)}L${x(first[0]).toFixed(1)} ${y(0)}Z`;
}

function nearestTime(points: Rate[], at: number): number | undefined {
  let best: number | undefined;
  for (const [time] of points) {
    if (best === undefined || Math.abs(time - at) < Math.abs(best - at)) best = time;
  }
  return best;
}

function rateAt(points: Rate[], at: number): number {
  return points.find(([time]) => time === at)?.[1] ?? 0;
}
