import { useRef, useState } from "preact/hooks";
import { edgesUrl } from "../api/client";
import type { EdgesAnswer, Status } from "../api/types";
import * as format from "../format";
import { useQuery } from "../hooks/use_query";
import type { UpdateUrl } from "../hooks/use_url_state";
import {
  EXTENTS,
  extentFor,
  moveEnd,
  rangeOf,
  resolveRange,
  shiftWindow,
  type TimeWindow,
} from "../model/window";
import type { UrlState } from "../url_state";
import { timeTicks } from "./scale";

const PRESETS = [5 * 60_000, 15 * 60_000, 3_600_000, 6 * 3_600_000, 24 * 3_600_000, 48 * 3_600_000];
const SHORTEST = 3_600_000;
const LONGEST = 48 * 3_600_000;
const POINTS = 180;
const POLL = 30_000;

/** Traffic over the whole history, and a slider that selects a range of it. */
export function Timeline(props: {
  url: UrlState;
  update: UpdateUrl;
  status: Status | undefined;
  /** The filter expression of the map. */
  filter: string;
}) {
  const { url, update, status } = props;
  const [chosenExtent, setExtent] = useState<number>();
  const [preview, setPreview] = useState<TimeWindow>();

  const rings = status?.history.rings ?? [];
  // Engines other than the ring do not report their retention.
  const now = Math.max(0, ...rings.map((ring) => ring.to)) || Date.now();
  const available =
    rings.length === 0 ? LONGEST : Math.max(SHORTEST, ...rings.map((ring) => ring.to - ring.from));
  const current = resolveRange(url, now);
  const needed = extentFor(current, now, available);
  const extent = Math.max(chosenExtent ?? needed, Math.min(available, now - current.from));
  const { data } = useQuery<EdgesAnswer>(
    status && edgesUrl({ from: -extent, groupBy: ["scope"], filter: props.filter, points: POINTS }),
    POLL,
  );
  const limits = { from: now - extent, to: now };
  const step = data?.step ?? Math.max(10_000, extent / POINTS);
  const shown = preview ?? current;
  const length = shown.to - shown.from;
  const live = url.to === undefined && preview === undefined;

  const commit = (window: TimeWindow) => {
    setPreview(undefined);
    update(rangeOf(window, now, step));
  };

  return (
    <section class="timeline" aria-label="Time range">
      <div class="timeline-controls">
        <button
          type="button"
          class="live"
          aria-pressed={live}
          onClick={() => update({ from: -length, to: undefined })}
        >
          <span class="live-dot" />
          Live
        </button>
        <div class="segments" role="group" aria-label="Length of the range">
          {PRESETS.filter((preset) => preset <= available || preset === PRESETS[0]).map(
            (preset) => (
              <button
                key={preset}
                type="button"
                aria-pressed={live && preset === -url.from}
                onClick={() => update({ from: -preset, to: undefined })}
              >
                {format.duration(preset)}
              </button>
            ),
          )}
        </div>
        <span class="timeline-range">
          {live
            ? `Last ${format.duration(length)}`
            : `${format.dateTime(shown.from)} – ${format.dateTime(shown.to)} (${format.duration(length)})`}
        </span>
        <span class="timeline-key" aria-hidden="true">
          <span class="internal">internal</span>
          <span class="external">external</span>
        </span>
        <label class="timeline-extent">
          <span class="visually-hidden">Extent of the time slider</span>
          <select
            value={String(extent)}
            onChange={(event) => setExtent(Number(event.currentTarget.value))}
          >
            {[...new Set([...EXTENTS.filter((option) => option < available), available, extent])]
              .sort((a, b) => a - b)
              .map((option) => (
                <option key={option} value={String(option)}>
                  {format.duration(option)} shown
                </option>
              ))}
          </select>
        </label>
      </div>
      <Strip
        data={data}
        limits={limits}
        step={step}
        shown={shown}
        onPreview={setPreview}
        onCommit={commit}
      />
    </section>
  );
}

function Strip(props: {
  data: EdgesAnswer | undefined;
  limits: TimeWindow;
  step: number;
  shown: TimeWindow;
  onPreview: (window: TimeWindow) => void;
  onCommit: (window: TimeWindow) => void;
}) {
  const { limits, step, shown, onPreview, onCommit } = props;
  const strip = useRef<HTMLDivElement>(null);
  const drag = useRef<{ at: number; window: TimeWindow; create: boolean } | undefined>(undefined);
  const span = limits.to - limits.from;
  const share = (at: number) => Math.max(0, Math.min(1, (at - limits.from) / span));
  const left = share(shown.from) * 100;
  const right = share(shown.to) * 100;

  const timeAt = (event: PointerEvent): number => {
    const bounds = strip.current?.getBoundingClientRect();
    if (!bounds || bounds.width === 0) return limits.to;
    // The API takes whole milliseconds.
    return Math.round(limits.from + ((event.clientX - bounds.left) / bounds.width) * span);
  };
  const dragged = (event: PointerEvent): TimeWindow | undefined => {
    const begin = drag.current;
    if (!begin) return undefined;
    const at = timeAt(event);
    if (!begin.create) return shiftWindow(begin.window, at - begin.at, limits);
    const from = Math.max(limits.from, Math.min(begin.at, at));
    return { from, to: Math.min(limits.to, Math.max(begin.at, at, from + step)) };
  };
  const pointer = {
    onPointerDown: (event: PointerEvent) => {
      if ((event.target as Element).tagName === "INPUT") return;
      const at = timeAt(event);
      const create = at < shown.from || at > shown.to;
      drag.current = { at, window: shown, create };
      strip.current?.setPointerCapture(event.pointerId);
    },
    onPointerMove: (event: PointerEvent) => {
      const window = dragged(event);
      if (window) onPreview(window);
    },
    onPointerUp: (event: PointerEvent) => {
      const window = dragged(event);
      const moved = drag.current && Math.abs(timeAt(event) - drag.current.at) > span / 400;
      drag.current = undefined;
      onCommit(window && moved ? window : shown);
    },
    onPointerCancel: () => {
      drag.current = undefined;
    },
  };
  const handle = (end: "from" | "to", label: string) => (
    <input
      type="range"
      class="handle"
      aria-label={label}
      aria-valuetext={format.dateTime(shown[end])}
      min={limits.from}
      max={limits.to}
      step={step}
      value={shown[end]}
      onInput={(event) => onPreview(moveEnd(shown, end, Number(event.currentTarget.value), step))}
      onChange={(event) => onCommit(moveEnd(shown, end, Number(event.currentTarget.value), step))}
    />
  );

  return (
    <div class="strip" ref={strip} {...pointer}>
      <Histogram data={props.data} limits={limits} step={step} />
      <div
        class="strip-window"
        style={{ left: `${left}%`, width: `${Math.max(0.3, right - left)}%` }}
      />
      {handle("from", "Begin of the range")}
      {handle("to", "End of the range")}
      <div class="strip-ticks" aria-hidden="true">
        {timeTicks(limits.from, limits.to, 8).map((tick) => (
          <span
            key={tick}
            style={{ left: `${share(tick) * 100}%` }}
            data-edge={share(tick) < 0.02 ? "left" : share(tick) > 0.98 ? "right" : undefined}
          >
            {span > 86_400_000 ? format.dateTime(tick) : format.time(tick)}
          </span>
        ))}
      </div>
    </div>
  );
}

/** Bars of internal traffic and, on top of it, external traffic. */
function Histogram(props: { data: EdgesAnswer | undefined; limits: TimeWindow; step: number }) {
  const { data, limits, step } = props;
  const sums = new Map<number, { internal: number; external: number }>();
  for (const edge of data?.edges ?? []) {
    const scope = edge.labels.scope === "external" ? "external" : "internal";
    for (const [at, { bytes = 0 }] of edge.points ?? []) {
      const sum = sums.get(at) ?? { internal: 0, external: 0 };
      sums.set(at, sum);
      // Scale partly covered intervals to a full one.
      const covered = Math.min(at + step, data?.to ?? 0) - Math.max(at, data?.from ?? 0);
      if (covered > step * 0.2) sum[scope] += (bytes * step) / covered;
    }
  }
  const largest = Math.max(1, ...[...sums.values()].map((sum) => sum.internal + sum.external));
  const scale = 1000 / (limits.to - limits.from);
  const bars = (pick: (sum: { internal: number; external: number }) => [number, number]) =>
    [...sums]
      .map(([at, sum]) => {
        const [low, high] = pick(sum);
        const x = (at - limits.from) * scale;
        const width = Math.max(0.6, step * scale * 0.82);
        const y = (value: number) => (40 - (value / largest) * 38).toFixed(2);
        return `M${x.toFixed(2)} ${y(low)}V${y(high)}h${width.toFixed(2)}V${y(low)}Z`;
      })
      .join("");
  return (
    <svg class="histogram" viewBox="0 0 1000 40" preserveAspectRatio="none" aria-hidden="true">
      <path class="internal" d={bars(({ internal }) => [0, internal])} />
      <path
        class="external"
        d={bars(({ internal, external }) => [internal, internal + external])}
      />
    </svg>
  );
}
