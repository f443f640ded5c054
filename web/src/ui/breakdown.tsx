import { edgesUrl } from "../api/client";
import type { Edge, EdgesAnswer, Status } from "../api/types";
import * as format from "../format";
import { useQuery } from "../hooks/use_query";
import type { UrlState } from "../url_state";
import { Section } from "./section";

const LIMIT = 10;

interface BreakdownProps {
  title: string;
  filter: string;
  fields: string[];
  url: UrlState;
  poll: number;
}

/** The largest values of some fields within a filter. Fields that the history lacks are left out. */
export function Breakdown(props: BreakdownProps & { status: Status | undefined }) {
  const { status, ...rest } = props;
  const known = status?.history.fields;
  const fields = props.fields.filter((field) => !known || known.includes(field));
  return status && fields.length > 0 ? <Rows {...rest} fields={fields} /> : null;
}

function Rows(props: BreakdownProps) {
  const { title, fields, url } = props;
  const { data, error } = useQuery<EdgesAnswer>(
    edgesUrl({
      from: url.from,
      to: url.to,
      groupBy: fields,
      filter: props.filter,
      order: url.measure,
      limit: LIMIT,
    }),
    props.poll,
  );
  if (!data) {
    return (
      <Section title={title}>
        <p class="muted">{error ? error.message : "Loading …"}</p>
      </Section>
    );
  }
  const total = data.total[url.measure] ?? 0;
  const rows = data.edges.map((edge) => ({ edge, text: describeLabels(edge, fields) }));
  const value = (edge: Edge) =>
    url.measure === "bytes" ? format.bytes(edge.bytes) : format.count(edge[url.measure]);
  return (
    <Section title={title}>
      <table class="breakdown">
        <caption class="visually-hidden">
          {title} by {url.measure}
        </caption>
        <tbody>
          {rows.map(({ edge, text }) => (
            <tr key={text}>
              <th scope="row">
                <span class="clip">{text || "Unknown"}</span>
              </th>
              <td class="bar">
                <svg viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">
                  <rect height="4" width={total ? (100 * (edge[url.measure] ?? 0)) / total : 0} />
                </svg>
              </td>
              <td>{value(edge)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {rows.length === 0 && <p class="muted">No traffic in this range.</p>}
      {data.truncated && (
        <p class="muted">
          The {LIMIT} largest of {format.integer(data.total.edges)}.
        </p>
      )}
    </Section>
  );
}

/** The labels of a row as one line, such as `443/tcp` or `web-0 → db-0`. */
function describeLabels(edge: Edge, fields: string[]): string {
  const text = (field: string) => String(edge.labels[field] ?? "");
  if (fields[0] === "port") return `${text("port")}/${text("protocol")}`;
  const side = (prefix: string) =>
    fields
      .filter((field) => field.startsWith(prefix))
      .map(text)
      .filter(Boolean)
      .join(" · ");
  return [side("src."), side("dst.")].filter(Boolean).join(" → ");
}
