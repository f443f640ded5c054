import { endpointsUrl } from "../api/client";
import type { ApiEndpoint } from "../api/types";
import * as format from "../format";
import { useQuery } from "../hooks/use_query";
import type { GraphNode } from "../model/graph";
import { Section } from "./section";

const LIMIT = 200;
const SHOWN = 10;

/** The pods of a workload with their addresses, from the current inventory. */
export function Pods({ node }: { node: GraphNode }) {
  const { data, error } = useQuery<{ endpoints: ApiEndpoint[] }>(endpointsUrl(node.name, LIMIT));
  if (!data) {
    return (
      <Section title="Pods">
        <p class="muted">{error ? error.message : "Loading …"}</p>
      </Section>
    );
  }
  const own = data.endpoints.filter(
    ({ namespace, name, workload }) =>
      namespace === node.namespace && (workload?.name === node.name || name === node.name),
  );
  if (own.length === 0) return null;
  return (
    <Section title={node.type === "node" ? "Addresses" : `Pods (${own.length})`}>
      <ul class="pods">
        {own.slice(0, SHOWN).map((endpoint) => (
          <li key={endpoint.name}>
            <b>{endpoint.name}</b>
            <span>{[endpoint.node, endpoint.zone].filter(Boolean).join(" · ")}</span>
            {endpoint.addresses.map(({ address, from }) => (
              <span key={address}>
                <code>{address}</code> since {format.dateTime(from)}
              </span>
            ))}
          </li>
        ))}
      </ul>
      {own.length > SHOWN && <p class="muted">The first {SHOWN} are shown.</p>}
    </Section>
  );
}
