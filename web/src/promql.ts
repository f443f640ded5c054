import { type Matchers, quote } from "./api/filter";
import { duration } from "./format";
import type { ShownMeasure } from "./model/measures";

/** Builds PromQL for links and endpoints, with the metric names of the collector. */

export interface PromqlQuery {
  title: string;
  query: string;
}

export interface PromqlSide {
  label: string;
  /** Of one endpoint or one namespace. */
  matchers: Matchers;
}

export interface PromqlRange {
  /** Milliseconds. */
  length: number;
  /** The end as Unix milliseconds; absent means now. */
  end: number | undefined;
}

/** What the collector's status says of its metrics. */
export interface PromqlSource {
  /** Names by use. */
  metrics: Readonly<Record<string, string>>;
  /** The value of the label `cluster`. Empty: the metrics do not have it. */
  cluster: string;
}

/** Labels that the workload metrics have for each side. */
const WORKLOAD_FIELDS = ["namespace", "kind", "workload"];
/** Labels of the external metrics that can identify an external endpoint. */
const EXTERNAL_FIELDS = ["name", "as_name", "cloud_service"];

const RATE_WINDOW = "5m";

const PER_SECOND: Record<ShownMeasure, string> = {
  bytes: "bytes per second",
  packets: "packets per second",
  connections: "connections per second",
};

/** Queries for the traffic between two endpoints, in both directions. */
export function linkQueries(
  collector: PromqlSource,
  source: PromqlSide,
  target: PromqlSide,
  measure: ShownMeasure,
  range: PromqlRange,
): PromqlQuery[] {
  const queries: PromqlQuery[] = [];
  for (const [from, to] of [
    [source, target],
    [target, source],
  ] as const) {
    const selector = linkSelector(collector, from.matchers, to.matchers, measure);
    if (!selector) continue;
    const title = `${from.label} → ${to.label}`;
    queries.push(
      { title: `${title}, ${PER_SECOND[measure]}`, query: `sum(${rate(selector)})` },
      { title: `${title}, ${measure} in the range`, query: `sum(${increase(selector, range)})` },
    );
  }
  return queries;
}

/** Queries for all traffic of one endpoint or namespace. */
export function endpointQueries(
  collector: PromqlSource,
  side: PromqlSide,
  measure: ShownMeasure,
  range: PromqlRange,
): PromqlQuery[] {
  const name = collector.metrics[`workload_${measure}`];
  if (!name) return [];
  const sent = `${name}${selectorOf(collector, workloadLabels("src", side.matchers))}`;
  const received = `${name}${selectorOf(collector, workloadLabels("dst", side.matchers))}`;
  const unit = PER_SECOND[measure];
  return [
    {
      title: `From ${side.label} by destination, ${unit}`,
      query: `sum by (dst_namespace, dst_workload) (${rate(sent)})`,
    },
    {
      title: `To ${side.label} by source, ${unit}`,
      query: `sum by (src_namespace, src_workload) (${rate(received)})`,
    },
    {
      title: `From ${side.label}, ${measure} in the range`,
      query: `sum(${increase(sent, range)})`,
    },
    {
      title: `To ${side.label}, ${measure} in the range`,
      query: `sum(${increase(received, range)})`,
    },
  ];
}

function linkSelector(
  collector: PromqlSource,
  source: Matchers,
  target: Matchers,
  measure: ShownMeasure,
): string | undefined {
  const external = externalSelector(collector, source, target, measure);
  if (external) return external;
  const name = collector.metrics[`workload_${measure}`];
  if (!name) return undefined;
  const labels = { ...workloadLabels("src", source), ...workloadLabels("dst", target) };
  return `${name}${selectorOf(collector, labels)}`;
}

/** The workload metrics do not name external endpoints; the external metrics do. */
function externalSelector(
  collector: PromqlSource,
  source: Matchers,
  target: Matchers,
  measure: ShownMeasure,
): string | undefined {
  const name = collector.metrics[`external_${measure}`];
  const egress = target.kind === "External";
  const ingress = source.kind === "External";
  if (!name || egress === ingress) return undefined;
  const [inside, outside] = egress ? [source, target] : [target, source];
  const identifying = EXTERNAL_FIELDS.filter((field) => outside[field]);
  if (identifying.length === 0) return undefined;
  const labels: Record<string, string> = {};
  if (inside.namespace !== undefined) labels.workload_namespace = inside.namespace;
  if (inside.kind !== undefined) labels.workload_kind = inside.kind;
  if (inside.workload !== undefined) labels.workload = inside.workload;
  labels.direction = egress ? "egress" : "ingress";
  for (const field of identifying) labels[field] = outside[field] ?? "";
  return `${name}${selectorOf(collector, labels)}`;
}

function workloadLabels(prefix: "src" | "dst", matchers: Matchers): Record<string, string> {
  const labels: Record<string, string> = {};
  for (const field of WORKLOAD_FIELDS) {
    const value = matchers[field];
    if (value !== undefined) labels[`${prefix}_${field}`] = value;
  }
  return labels;
}

function selectorOf(collector: PromqlSource, labels: Record<string, string>): string {
  const all = collector.cluster ? { cluster: collector.cluster, ...labels } : labels;
  const matchers = Object.entries(all).map(([name, value]) => `${name}=${quote(value)}`);
  return `{${matchers.join(",")}}`;
}

function rate(selector: string): string {
  return `rate(${selector}[${RATE_WINDOW}])`;
}

function increase(selector: string, range: PromqlRange): string {
  const at = range.end === undefined ? "" : ` @ ${Math.round(range.end / 1000)}`;
  return `increase(${selector}[${duration(Math.max(range.length, 1000))}]${at})`;
}
