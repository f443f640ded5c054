import type { Matchers } from "../api/filter";
import type { Status } from "../api/types";
import type { End } from "../model/selection";
import {
  endpointQueries,
  linkQueries,
  type PromqlQuery,
  type PromqlRange,
  type PromqlSide,
} from "../promql";
import type { UrlState } from "../url_state";
import { CopyButton } from "./copy_button";
import { Section } from "./section";

/** PromQL for the selected link or endpoint. */
export function Queries(props: {
  /** One end for all of its traffic, two for the traffic between them. */
  ends: End[];
  status: Status | undefined;
  url: UrlState;
  from: number;
  to: number;
}) {
  const { status, url } = props;
  if (!status) return null;
  const range: PromqlRange = { length: props.to - props.from, end: url.to };
  const [source, target] = props.ends.map(promqlSide);
  let queries: PromqlQuery[] = [];
  if (source && target) queries = linkQueries(status, source, target, url.measure, range);
  else if (source) queries = endpointQueries(status, source, url.measure, range);
  if (queries.length === 0) return null;
  return (
    <Section title="PromQL">
      <ul class="queries">
        {queries.map(({ title, query }) => (
          <li key={title}>
            <span class="query-title">{title}</span>
            <code class="query">{breakable(query)}</code>
            <CopyButton text={query} label="Copy query" />
          </li>
        ))}
      </ul>
    </Section>
  );
}

/** Allows line breaks after commas and before windows. */
function breakable(query: string) {
  return query.split(/(?<=[,(])|(?=\[)/).flatMap((part, index) => [index > 0 && <wbr />, part]);
}

function promqlSide(end: End): PromqlSide {
  const [only, ...others] = end.matchers;
  // The workload metrics have no label for external names.
  const matchers: Matchers = only && others.length === 0 ? only : { kind: "External" };
  return { label: end.label, matchers };
}
