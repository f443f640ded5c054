import { edgesUrl } from "../api/client";
import type { EdgesAnswer, Point } from "../api/types";
import { getOrInsert } from "../get_or_insert";
import { useQuery } from "../hooks/use_query";
import type { UpdateUrl } from "../hooks/use_url_state";
import { addMeasures, type ShownMeasure } from "../model/measures";
import type { UrlState } from "../url_state";
import { Chart } from "./chart";
import { Section } from "./section";

const POINTS = 60;

/** A chart with one line for each of two filters. */
export function OverTime(props: {
  series: [SeriesQuery, SeriesQuery];
  url: UrlState;
  update: UpdateUrl;
  poll: number;
}) {
  const { url, update } = props;
  const first = useSeries(props.series[0], url, props.poll);
  const second = useSeries(props.series[1], url, props.poll);
  const error = first.error ?? second.error;
  const answer = first.answer ?? second.answer;
  return (
    <Section title="Over time">
      <div class="segments" role="group" aria-label="Measure">
        {(["bytes", "packets", "connections"] as const).map((measure) => (
          <button
            key={measure}
            type="button"
            aria-pressed={measure === url.measure}
            onClick={() => update({ measure: measure satisfies ShownMeasure })}
          >
            {measure}
          </button>
        ))}
      </div>
      {answer ? (
        <Chart
          series={[first.series, second.series]}
          measure={url.measure}
          from={answer.from}
          to={answer.to}
          step={answer.step}
        />
      ) : (
        <p class="muted chart-space">{error ? error.message : "Loading …"}</p>
      )}
    </Section>
  );
}

export interface SeriesQuery {
  label: string;
  filter: string;
}

function useSeries({ label, filter }: SeriesQuery, url: UrlState, poll: number) {
  const { data, error } = useQuery<EdgesAnswer>(
    edgesUrl({ from: url.from, to: url.to, groupBy: ["scope"], filter, points: POINTS }),
    poll,
  );
  return { answer: data, error, series: { label, points: data ? sumPoints(data) : [] } };
}

/** The sums of all edges of an answer, by interval. */
export function sumPoints(answer: EdgesAnswer): Point[] {
  const sums = new Map<number, Point>();
  for (const edge of answer.edges) {
    for (const [at, measures] of edge.points ?? []) {
      const point = getOrInsert(sums, at, (): Point => [at, {}]);
      addMeasures(point[1], measures);
    }
  }
  return [...sums.values()].sort((a, b) => a[0] - b[0]);
}
