import { useCallback, useEffect, useMemo, useState } from "preact/hooks";
import { type ApiError, edgesUrl, STATUS_URL, session } from "./api/client";
import { textExpression, trafficExpression } from "./api/filter";
import type { Edge, EdgesAnswer, Status } from "./api/types";
import * as format from "./format";
import { isTransient, useQuery } from "./hooks/use_query";
import { useTheme } from "./hooks/use_theme";
import { type UpdateUrl, useUrlState } from "./hooks/use_url_state";
import type { LayoutClient } from "./layout/client";
import { ServiceMap } from "./map/map";
import { MAP_GROUP_BY } from "./model/endpoint";
import { buildGraph, collapseGraph, type Graph } from "./model/graph";
import { matchesText } from "./model/search";
import { findSelection } from "./model/selection";
import { statsOf } from "./model/stats";
import { Details } from "./ui/details";
import { Header } from "./ui/header";
import { Notice, Placeholder, Skeleton } from "./ui/notice";
import { StatusDialog } from "./ui/status_dialog";
import { EdgeTable } from "./ui/table";
import { Timeline } from "./ui/timeline";
import { TokenDialog } from "./ui/token_dialog";
import { type FilterError, Toolbar } from "./ui/toolbar";
import type { UrlState } from "./url_state";

const LIMIT = 5000;
const STATUS_POLL = 15_000;
const MIN_POLL = 5000;
/** Groups start collapsed where there are more nodes than this. */
const AUTO_OPEN = 60;

export function App({ layoutClient }: { layoutClient: LayoutClient }) {
  const [url, update] = useUrlState();
  const { dark, toggle: toggleTheme } = useTheme();
  const [tokenNeeded, setTokenNeeded] = useState(false);
  const [statusOpen, setStatusOpen] = useState(false);

  useEffect(() => {
    const onRejected = () => setTokenNeeded(true);
    session.addEventListener("rejected", onRejected);
    return () => session.removeEventListener("rejected", onRejected);
  }, []);

  const status = useQuery<Status>(STATUS_URL, STATUS_POLL);
  const cluster = status.data?.cluster;
  useEffect(() => {
    document.title = cluster ? `${cluster} · kipfix` : "kipfix";
  }, [cluster]);
  const expression = trafficExpression({
    namespaces: url.namespaces,
    classes: url.classes,
    expression: url.filter,
  });
  const edges = useEdges(url, expression, status.data);
  const answer = edges.data;
  const view = useView(url, answer);
  const actions = useActions(view?.graph, view?.isOpen, url, update);

  const filterError = useFilterError(edges.error, expression, url.filter);
  const selection = view && findSelection(view.graph, view.visible, url.selected);
  const filtered =
    url.namespaces.length > 0 || url.classes.length > 0 || url.text !== "" || url.filter !== "";

  return (
    <div class="app" data-details={selection ? "" : undefined}>
      <Header
        url={url}
        update={update}
        status={status.data}
        statusError={status.error}
        source={answer?.source ?? status.data?.history.source}
        dark={dark}
        onTheme={toggleTheme}
        onStatus={() => setStatusOpen(true)}
      />
      <Toolbar url={url} update={update} filterError={filterError} />
      <Notices edges={edges} url={url} update={update} />
      <main class="main" data-view={url.view} aria-busy={edges.loading}>
        {view && answer && view.graph.links.size > 0 && (
          <>
            <div class="summary" data-overlay>
              <Summary answer={answer} graph={view.graph} seconds={view.seconds} />
              {url.view === "map" && (
                <span class="summary-actions">
                  <button type="button" onClick={() => update({ groups: "all" })}>
                    Expand all
                  </button>
                  <button type="button" onClick={() => update({ groups: "none" })}>
                    Collapse all
                  </button>
                </span>
              )}
            </div>
            {url.view === "map" ? (
              <ServiceMap
                layoutClient={layoutClient}
                graph={view.graph}
                visible={view.visible}
                stats={view.stats}
                isOpen={view.isOpen}
                measure={url.measure}
                seconds={view.seconds}
                selected={url.selected}
                dark={dark}
                onSelect={actions.select}
                onToggle={actions.toggle}
              />
            ) : (
              <EdgeTable
                edges={view.edges}
                seconds={view.seconds}
                selected={url.selected}
                sort={url.sort}
                onSort={(sort) => update({ sort }, "replace")}
                onSelect={actions.select}
              />
            )}
          </>
        )}
        {view && view.graph.links.size === 0 && (
          <Empty filtered={filtered} status={status.data} update={update} />
        )}
        {!view && edges.loading && <Skeleton />}
        {!view && !edges.loading && edges.error && edges.error.status !== 401 && (
          <Placeholder title="The traffic cannot be shown">
            <p>{filterError?.message ?? edges.error.message}</p>
            {isTransient(edges.error) && <p>The page retries automatically.</p>}
          </Placeholder>
        )}
      </main>
      {view && answer && selection && (
        <Details
          key={selection.key}
          selection={selection}
          graph={view.graph}
          stats={view.stats}
          status={status.data}
          url={url}
          update={update}
          from={answer.from}
          to={answer.to}
          poll={edges.poll}
          isOpen={view.isOpen}
          onToggle={actions.toggle}
        />
      )}
      <Timeline
        url={url}
        update={update}
        // Request the map first.
        status={answer || edges.error ? status.data : undefined}
        filter={edges.error?.status === 400 ? "" : expression}
      />
      {tokenNeeded && <TokenDialog onDone={() => setTokenNeeded(false)} />}
      {statusOpen && status.data && (
        <StatusDialog status={status.data} onClose={() => setStatusOpen(false)} />
      )}
    </div>
  );
}

/** The edges of the map and the table. */
function useEdges(url: UrlState, expression: string, status: Status | undefined) {
  // Set when the history engine lacks one of the fields of the map.
  const [defaultFields, setDefaultFields] = useState(false);
  const finest = Math.min(...(status?.history.rings.map((ring) => ring.step) ?? [10_000]));
  const poll = url.to === undefined ? Math.max(MIN_POLL, finest) : 0;
  const result = useQuery<EdgesAnswer>(
    edgesUrl({
      from: url.from,
      to: url.to,
      groupBy: defaultFields ? undefined : MAP_GROUP_BY,
      filter: expression,
      order: url.measure,
      limit: LIMIT,
    }),
    poll,
  );
  const rejected = result.error?.status === 400 && result.error.parameter === "group_by";
  useEffect(() => {
    if (rejected) setDefaultFields(true);
  }, [rejected]);
  return { ...result, poll };
}

interface View {
  graph: Graph;
  visible: ReturnType<typeof collapseGraph>;
  stats: ReturnType<typeof statsOf>;
  /** The edges that match the text search. */
  edges: Edge[];
  isOpen: (group: string) => boolean;
  /** Length of the range. */
  seconds: number;
}

/** Derives the graph and its totals from an answer. */
function useView(url: UrlState, answer: EdgesAnswer | undefined): View | undefined {
  const matching = useMemo(
    () => answer?.edges.filter(({ labels }) => matchesText(labels, url.text)),
    [answer, url.text],
  );
  const graph = useMemo(() => matching && buildGraph(matching), [matching]);
  const groups = url.groups;
  const open = useMemo(() => {
    if (!graph) return undefined;
    const keys = [...graph.groups.keys()];
    if (groups === "none") return new Set<string>();
    if (groups === "all" || (groups === "auto" && graph.nodes.size <= AUTO_OPEN)) {
      return new Set(keys);
    }
    // Namespaces in the filter are expanded.
    const filtered = url.namespaces.map((namespace) => `namespace/${namespace}`);
    return new Set(groups === "auto" ? filtered : groups);
  }, [graph, groups, url.namespaces]);
  return useMemo(() => {
    if (!answer || !matching || !graph || !open) return undefined;
    const isOpen = (group: string) => open.has(group);
    return {
      graph,
      visible: collapseGraph(graph, isOpen),
      stats: statsOf(graph),
      edges: matching,
      isOpen,
      seconds: Math.max(1, (answer.to - answer.from) / 1000),
    };
  }, [answer, matching, graph, open]);
}

function useActions(
  graph: Graph | undefined,
  isOpen: ((group: string) => boolean) | undefined,
  url: UrlState,
  update: UpdateUrl,
) {
  const select = useCallback(
    (key: string) => {
      if (key !== url.selected) update({ selected: key });
    },
    [update, url.selected],
  );
  const toggle = useCallback(
    (group: string) => {
      if (!graph || !isOpen) return;
      const open = [...graph.groups.keys()].filter((key) => isOpen(key) !== (key === group));
      update({ groups: open.length > 0 ? open.sort() : "none" });
    },
    [update, graph, isOpen],
  );
  return { select, toggle };
}

function Summary(props: { answer: EdgesAnswer; graph: Graph; seconds: number }) {
  const { answer, graph } = props;
  const rate = format.bytes((answer.total.bytes ?? 0) / props.seconds);
  return (
    <span class="summary-text">
      <b>{format.plural(graph.nodes.size, "endpoint")}</b>
      <b>{format.plural(graph.links.size, "link")}</b>
      <b>{rate}/s</b>
    </span>
  );
}

function Notices(props: { edges: ReturnType<typeof useEdges>; url: UrlState; update: UpdateUrl }) {
  const { edges, url, update } = props;
  const { data, error } = edges;
  const stale = data && error && error.status !== 401 && error.status !== 400;
  return (
    <>
      {stale && (
        <Notice level="critical">
          {error.message} The page shows the last answer, of {format.time(data.to, 1000)}.
        </Notice>
      )}
      {error?.status === 400 && error.parameter !== "filter" && error.parameter !== "group_by" && (
        <Notice level="critical">{error.message}</Notice>
      )}
      {data?.truncated && (
        <Notice level="info">
          The {format.integer(data.edges.length)} largest of {format.integer(data.total.edges)}{" "}
          edges are shown. Narrow the filters to see others.
          {url.text !== "" && (
            <button
              type="button"
              class="link"
              onClick={() =>
                update({
                  text: "",
                  filter: trafficExpression({
                    namespaces: [],
                    classes: [],
                    expression: url.filter
                      ? `(${url.filter}) && (${textExpression(url.text)})`
                      : textExpression(url.text),
                  }),
                })
              }
            >
              Search all edges
            </button>
          )}
        </Notice>
      )}
    </>
  );
}

function Empty(props: { filtered: boolean; status: Status | undefined; update: UpdateUrl }) {
  if (props.filtered) {
    return (
      <Placeholder title="Nothing matches the filters">
        <p>
          <button
            type="button"
            class="primary"
            onClick={() => props.update({ namespaces: [], classes: [], text: "", filter: "" })}
          >
            Clear filters
          </button>
        </p>
      </Placeholder>
    );
  }
  return (
    <Placeholder title="No traffic in this range">
      <p>
        {props.status && props.status.loss.records === 0
          ? "No exporter has sent flow records to this collector yet. Check the exporters' target address and the collector's readiness."
          : "Choose a longer or an earlier range in the time slider below."}
      </p>
    </Placeholder>
  );
}

/**
 * The error of the user's expression. Combined with other filters, message and position may refer
 * to their text, so the expression is then checked separately.
 */
function useFilterError(
  error: ApiError | undefined,
  expression: string,
  own: string,
): FilterError | undefined {
  const rejected = error?.status === 400 && error.parameter === "filter";
  const combined = expression !== own.trim();
  const check = useQuery<EdgesAnswer>(
    rejected && combined ? edgesUrl({ from: -1000, filter: own.trim(), limit: 1 }) : undefined,
  );
  if (!rejected) return undefined;
  if (!combined) return { message: error.message, column: error.column };
  if (check.loading) return undefined;
  return { message: (check.error ?? error).message, column: check.error?.column };
}
