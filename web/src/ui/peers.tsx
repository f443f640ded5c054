import { anyOf, MAX_EXPRESSION, or } from "../api/filter";
import * as format from "../format";
import type { UpdateUrl } from "../hooks/use_url_state";
import { type Graph, type GraphLink, isPart, linkValue } from "../model/graph";
import { endOf } from "../model/selection";
import type { UrlState } from "../url_state";
import { Section } from "./section";

const MAX_PEERS = 12;

/** The heaviest links, each with a button that selects it. */
export function Peers(props: {
  title: string;
  links: GraphLink[];
  graph: Graph;
  url: UrlState;
  update: UpdateUrl;
  seconds: number;
  /** The key of the node or group that all links belong to, if any. */
  self: string | undefined;
}) {
  const { graph, self } = props;
  const measure = props.url.measure;
  const sorted = [...props.links].sort((a, b) => linkValue(b, measure) - linkValue(a, measure));
  if (sorted.length === 0) return null;
  const rate = (link: GraphLink) => {
    const value = linkValue(link, measure) / props.seconds;
    return measure === "bytes" ? `${format.bytes(value)}/s` : `${format.count(value)}/s`;
  };
  return (
    <Section title={`${props.title} (${format.integer(sorted.length)})`}>
      <ul class="peers">
        {sorted.slice(0, MAX_PEERS).map((link) => {
          const source = endOf(graph, link.source);
          const target = endOf(graph, link.target);
          const outward = self !== undefined && isPart(graph, link.source, self);
          return (
            <li key={link.key}>
              <button type="button" onClick={() => props.update({ selected: link.key })}>
                <span class="level-dot" data-level={link.health.level} />
                <span class="peer-names">
                  {self === undefined || graph.groups.has(self) ? (
                    <>
                      {source.label} → {target.label}
                    </>
                  ) : outward ? (
                    <>→ {target.label}</>
                  ) : (
                    <>← {source.label}</>
                  )}
                </span>
                <span class="peer-value">{rate(link)}</span>
              </button>
            </li>
          );
        })}
      </ul>
      {sorted.length > MAX_PEERS && (
        <button
          type="button"
          class="link"
          onClick={() => props.update({ view: "table", filter: peersFilter(props) })}
        >
          Show all in the table
        </button>
      )}
    </Section>
  );
}

function peersFilter(props: { graph: Graph; self: string | undefined; url: UrlState }): string {
  if (props.self === undefined) return props.url.filter;
  const { matchers } = endOf(props.graph, props.self);
  const expression = or(anyOf("src", matchers), anyOf("dst", matchers));
  return expression.length <= MAX_EXPRESSION ? expression : props.url.filter;
}
