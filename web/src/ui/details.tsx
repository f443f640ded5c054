import { useLayoutEffect, useRef } from "preact/hooks";
import { anyOf, directionExpression, MAX_EXPRESSION, or } from "../api/filter";
import type { Measures, Status } from "../api/types";
import * as format from "../format";
import type { UpdateUrl } from "../hooks/use_url_state";
import { type Graph, type GraphLink, isPart } from "../model/graph";
import { compareHealth, healthOf } from "../model/health";
import type { End, Selection } from "../model/selection";
import type { Stats } from "../model/stats";
import type { UrlState } from "../url_state";
import { Breakdown } from "./breakdown";
import { ArrowRight, Close } from "./icons";
import { MeasuresTable } from "./measures_table";
import { OverTime } from "./over_time";
import { Peers } from "./peers";
import { Pods } from "./pods";
import { Queries } from "./queries";

export interface DetailsProps {
  selection: Selection;
  graph: Graph;
  stats: ReadonlyMap<string, Stats>;
  status: Status | undefined;
  url: UrlState;
  update: UpdateUrl;
  /** The range that the data covers, in Unix milliseconds. */
  from: number;
  to: number;
  /** Milliseconds between requests, 0 for a fixed range. */
  poll: number;
  isOpen: (group: string) => boolean;
  onToggle: (group: string) => void;
}

/** The panel next to the map with details of a link, a workload or a group. */
export function Details(props: DetailsProps) {
  const { selection, update } = props;
  const heading = useRef<HTMLHeadingElement>(null);
  const panel = useRef<HTMLElement>(null);
  // Move the focus into the panel, and back when the panel closes.
  useLayoutEffect(() => {
    const before = document.activeElement;
    heading.current?.focus({ preventScroll: true });
    return () => {
      const inside = panel.current?.contains(document.activeElement);
      if (inside && before instanceof HTMLElement) before.focus({ preventScroll: true });
    };
  }, []);

  return (
    <aside
      ref={panel}
      class="details"
      aria-labelledby="details-title"
      onKeyDown={(event) => {
        if (event.key === "Escape") update({ selected: "" });
      }}
    >
      <header class="details-header">
        <h2
          id="details-title"
          ref={heading}
          tabIndex={-1}
          data-link={selection.type === "link" ? "" : undefined}
        >
          {selection.type === "link" ? (
            <>
              <EndTitle end={selection.source} update={update} />
              <span class="details-arrow">
                <ArrowRight />
                <span class="visually-hidden">to</span>
              </span>
              <EndTitle end={selection.target} update={update} />
            </>
          ) : (
            <>
              <span class="end-name">{selection.end.label}</span>
              <span class="end-context">{selection.end.context}</span>
            </>
          )}
        </h2>
        <button type="button" class="icon-button" onClick={() => update({ selected: "" })}>
          <Close />
          <span class="visually-hidden">Close details</span>
        </button>
      </header>
      <div class="details-body">
        {selection.type === "link" ? (
          <LinkDetails {...props} selection={selection} />
        ) : (
          <EndDetails {...props} end={selection.end} />
        )}
      </div>
    </aside>
  );
}

function EndTitle({ end, update }: { end: End; update: UpdateUrl }) {
  return (
    <button type="button" class="end" onClick={() => update({ selected: end.key })}>
      <span class="end-name">{end.label}</span>
      <span class="end-context">{end.context}</span>
    </button>
  );
}

function LinkDetails(props: DetailsProps & { selection: Selection & { type: "link" } }) {
  const { link, source, target } = props.selection;
  const forward = directionExpression(source.matchers, target.matchers);
  const reverse = directionExpression(target.matchers, source.matchers);
  const both = or(forward, reverse);
  const queryable = both.length <= MAX_EXPRESSION;
  const members = memberLinks(props.graph, link);
  const seconds = (props.to - props.from) / 1000;
  return (
    <>
      <HealthList
        directions={[
          [`to ${target.label}`, link.forward],
          [`to ${source.label}`, link.reverse],
        ]}
      />
      <MeasuresTable
        columns={[`→ ${target.label}`, `→ ${source.label}`]}
        values={[link.forward, link.reverse]}
        seconds={seconds}
      />
      {queryable && (
        <>
          <OverTime
            {...props}
            series={[
              { label: `→ ${target.label}`, filter: forward },
              { label: `→ ${source.label}`, filter: reverse },
            ]}
          />
          <Breakdown {...props} title="Ports" filter={both} fields={["port", "protocol"]} />
          <Breakdown
            {...props}
            title="Names"
            filter={(link.forward.bytes ?? 0) > 0 ? forward : reverse}
            fields={
              (link.forward.bytes ?? 0) > 0
                ? [...nameFields("src", source), ...nameFields("dst", target)]
                : [...nameFields("src", target), ...nameFields("dst", source)]
            }
          />
        </>
      )}
      {members.length > 1 && (
        <Peers title="Links" links={members} {...props} seconds={seconds} self={undefined} />
      )}
      <Queries {...props} ends={[source, target]} />
      {queryable && <FilterButton expression={both} update={props.update} />}
    </>
  );
}

function EndDetails(props: DetailsProps & { end: End }) {
  const { end, selection, graph, stats } = props;
  const group = selection.type === "group" ? selection.group : undefined;
  const own = stats.get(end.key);
  const sent = own?.sent ?? {};
  const received = own?.received ?? {};
  const out = anyOf("src", end.matchers);
  const into = anyOf("dst", end.matchers);
  const both = or(out, into);
  const queryable = both.length <= MAX_EXPRESSION;
  const seconds = (props.to - props.from) / 1000;
  const links = [...graph.links.values()].filter(
    ({ source, target }) => isPart(graph, source, end.key) || isPart(graph, target, end.key),
  );
  return (
    <>
      {group && (
        <p class="actions">
          <button type="button" onClick={() => props.onToggle(group.key)}>
            {props.isOpen(group.key) ? "Collapse" : "Expand"}{" "}
            {format.plural(group.members.length, "member")}
          </button>
          {group.type === "namespace" && (
            <button type="button" onClick={() => props.update({ namespaces: [group.label] })}>
              Show only this namespace
            </button>
          )}
        </p>
      )}
      <HealthList
        directions={[
          [`from ${end.label}`, sent],
          [`to ${end.label}`, received],
        ]}
      />
      <MeasuresTable columns={["Sent", "Received"]} values={[sent, received]} seconds={seconds} />
      {queryable ? (
        <>
          <OverTime
            {...props}
            series={[
              { label: "Sent", filter: out },
              { label: "Received", filter: into },
            ]}
          />
          <Breakdown {...props} title="Ports" filter={both} fields={["port", "protocol"]} />
          {end.external && (
            <Breakdown
              {...props}
              title="Names and addresses"
              filter={into}
              fields={["dst.address", "dst.name", "dst.as_name", "dst.country"]}
            />
          )}
        </>
      ) : (
        <p class="muted">
          {format.plural(end.matchers.length, "name")}: select one of them for its traffic over time
          and its ports.
        </p>
      )}
      <Peers title="Links" links={links} {...props} seconds={seconds} self={end.key} />
      {selection.type === "node" && !end.external && <Pods node={selection.node} />}
      <Queries {...props} ends={[end]} />
      {queryable && <FilterButton expression={both} update={props.update} />}
    </>
  );
}

function FilterButton({ expression, update }: { expression: string; update: UpdateUrl }) {
  return (
    <p class="actions">
      <button type="button" onClick={() => update({ filter: expression })}>
        Filter by this
      </button>
    </p>
  );
}

function nameFields(prefix: "src" | "dst", end: End): string[] {
  if (end.external) return [`${prefix}.name`, `${prefix}.as_name`, `${prefix}.country`];
  return prefix === "dst" ? ["dst.pod", "dst.service"] : ["src.pod"];
}

/** The workload links that an aggregated link sums up. */
function memberLinks(graph: Graph, link: GraphLink): GraphLink[] {
  if (graph.links.has(link.key)) return [];
  return [...graph.links.values()].filter(
    ({ source, target }) =>
      (isPart(graph, source, link.source) && isPart(graph, target, link.target)) ||
      (isPart(graph, source, link.target) && isPart(graph, target, link.source)),
  );
}

/** What is wrong in each direction, the worst first. */
function HealthList({ directions }: { directions: [direction: string, measures: Measures][] }) {
  const reasons = directions.flatMap(([direction, measures]) =>
    healthOf(measures).reasons.map((reason) => ({ ...reason, direction })),
  );
  if (reasons.length === 0) return <p class="muted">No exporter supplied health data.</p>;
  const shown = reasons
    .filter(({ level }) => level !== "ok")
    .sort((a, b) => compareHealth(b.level, a.level));
  if (shown.length === 0)
    return (
      <p class="health" data-level="ok">
        Healthy
      </p>
    );
  return (
    <ul class="health-list">
      {shown.map(({ name, share, level, direction }) => (
        <li key={`${name} ${direction}`} class="health" data-level={level}>
          <b>{level === "critical" ? "Critical" : "Warning"}</b>: {format.percent(share)} {name}{" "}
          {direction}
        </li>
      ))}
    </ul>
  );
}
