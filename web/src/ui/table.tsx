import { useEffect, useMemo, useState } from "preact/hooks";
import type { Edge } from "../api/types";
import * as format from "../format";
import { meanRtt } from "../model/measures";
import { failedShare, retransmittedShare, sortRows, type TableRow, tableRows } from "../model/rows";
import type { UrlState } from "../url_state";

interface Column {
  id: string;
  title: string;
  numeric: boolean;
  cell: (row: TableRow, seconds: number) => string;
}

const COLUMNS: Column[] = [
  { id: "from", title: "From", numeric: false, cell: () => "" },
  { id: "to", title: "To", numeric: false, cell: () => "" },
  { id: "class", title: "Class", numeric: false, cell: (row) => row.trafficClass },
  {
    id: "bytes",
    title: "Bytes",
    numeric: true,
    cell: (row) => format.bytes(row.measures.bytes),
  },
  {
    id: "rate",
    title: "Rate",
    numeric: true,
    cell: ({ measures: { bytes } }, seconds) =>
      bytes === undefined ? "–" : `${format.bytes(bytes / seconds)}/s`,
  },
  {
    id: "packets",
    title: "Packets",
    numeric: true,
    cell: (row) => format.count(row.measures.packets),
  },
  {
    id: "connections",
    title: "Connections",
    numeric: true,
    cell: (row) => format.integer(row.measures.connections),
  },
  {
    id: "rtt",
    title: "RTT",
    numeric: true,
    cell: (row) => format.microseconds(meanRtt(row.measures)),
  },
  {
    id: "retransmitted",
    title: "Retransmitted",
    numeric: true,
    cell: (row) => format.percent(retransmittedShare(row.measures)),
  },
  {
    id: "failed",
    title: "Failed",
    numeric: true,
    cell: (row) => format.percent(failedShare(row.measures)),
  },
  { id: "health", title: "Health", numeric: false, cell: () => "" },
];

const HEALTH_TEXT = { unknown: "–", ok: "Healthy", warning: "Warning", critical: "Critical" };
const PAGE = 100;

/** All edges as a table, the alternative to the map. */
export function EdgeTable(props: {
  edges: Edge[];
  seconds: number;
  selected: string;
  sort: UrlState["sort"];
  onSort: (sort: UrlState["sort"]) => void;
  onSelect: (key: string) => void;
}) {
  const { edges, sort, seconds } = props;
  const rows = useMemo(() => tableRows(edges), [edges]);
  const [shown, setShown] = useState(PAGE);
  const sorted = useMemo(
    // The rate is the bytes divided by a constant.
    () => sortRows(rows, sort.column === "rate" ? "bytes" : sort.column, sort.descending),
    [rows, sort.column, sort.descending],
  );
  useEffect(() => setShown(PAGE), [sort.column, sort.descending]);

  return (
    <section class="table-view" aria-label="Table of edges" tabIndex={0}>
      <table>
        <caption class="visually-hidden">
          Traffic from each source to each destination, {format.plural(rows.length, "row")}
        </caption>
        <thead>
          <tr>
            {COLUMNS.map(({ id, title, numeric }) => {
              const active = sort.column === id;
              return (
                <th
                  key={id}
                  scope="col"
                  data-numeric={numeric ? "" : undefined}
                  aria-sort={active ? (sort.descending ? "descending" : "ascending") : "none"}
                >
                  <button
                    type="button"
                    onClick={() =>
                      props.onSort({
                        column: id,
                        descending: active ? !sort.descending : numeric || id === "health",
                      })
                    }
                  >
                    {title}
                    <span class="sort" aria-hidden="true">
                      {active ? (sort.descending ? "↓" : "↑") : ""}
                    </span>
                  </button>
                </th>
              );
            })}
          </tr>
        </thead>
        <tbody>
          {sorted.slice(0, shown).map((row) => (
            <Row key={row.key} row={row} {...props} seconds={seconds} />
          ))}
        </tbody>
      </table>
      {sorted.length > shown && (
        <p class="more">
          <button type="button" onClick={() => setShown(shown + PAGE)}>
            Show more
          </button>
          <span class="muted">
            {format.integer(shown)} of {format.integer(sorted.length)} rows
          </span>
        </p>
      )}
    </section>
  );
}

function Row(props: {
  row: TableRow;
  seconds: number;
  selected: string;
  onSelect: (key: string) => void;
}) {
  const { row } = props;
  const [from, to] = row.link.split("~");
  const selected = props.selected === row.link || props.selected === `${to}~${from}`;
  return (
    <tr data-selected={selected ? "" : undefined}>
      <th scope="row">
        <button type="button" class="row-name" onClick={() => props.onSelect(row.link)}>
          <span class="end-name">{row.from.name}</span>
          <span class="end-context">{row.from.context}</span>
        </button>
      </th>
      <td>
        <span class="end-name">{row.to.name}</span>
        <span class="end-context">{row.to.context}</span>
      </td>
      {COLUMNS.slice(2, -1).map(({ id, numeric, cell }) => (
        <td key={id} data-numeric={numeric ? "" : undefined}>
          {cell(row, props.seconds)}
        </td>
      ))}
      <td>
        <span class="health-cell" data-level={row.health.level}>
          {HEALTH_TEXT[row.health.level]}
        </span>
      </td>
    </tr>
  );
}
