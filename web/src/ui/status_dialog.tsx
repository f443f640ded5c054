import { EXPORTERS_URL, session } from "../api/client";
import type { Exporter, Status } from "../api/types";
import * as format from "../format";
import { useQuery } from "../hooks/use_query";
import { Dialog } from "./dialog";

const POLL = 10_000;

/** The state of the collector: history, loss accounting and exporters. */
export function StatusDialog({ status, onClose }: { status: Status; onClose: () => void }) {
  const { data, error } = useQuery<{ exporters: Exporter[] }>(EXPORTERS_URL, POLL);
  const { history, loss } = status;
  return (
    <Dialog title="Collector" wide onClose={onClose}>
      {!status.ready && (
        <ul class="not-ready">
          {status.not_ready.map((reason) => (
            <li key={reason}>{reason}</li>
          ))}
        </ul>
      )}
      <dl class="facts">
        <dt>Version</dt>
        <dd>{status.version}</dd>
        {status.cluster && (
          <>
            <dt>Cluster</dt>
            <dd>{status.cluster}</dd>
          </>
        )}
        <dt>Running since</dt>
        <dd>{format.dateTime(status.started)}</dd>
        <dt>History</dt>
        <dd>
          {format.source(history.source)}
          {history.rings.map(({ step, from, to }) => (
            <span key={step} class="ring">
              {format.duration(to - from)} in steps of {format.duration(step)}
            </span>
          ))}
        </dd>
        {history.max_octets !== undefined && (
          <>
            <dt>Memory of the history</dt>
            <dd>
              {format.bytes(history.octets)} of {format.bytes(history.max_octets)}
            </dd>
          </>
        )}
      </dl>
      <h3>Records</h3>
      <table class="facts-table">
        <tbody>
          <FactRow label="Received" value={loss.records} />
          <FactRow label="Counted" value={loss.counted} />
          {Object.entries(loss.not_counted).map(([reason, value]) => (
            <FactRow
              key={reason}
              label={`Not counted: ${reason.replaceAll("_", " ")}`}
              value={value}
            />
          ))}
          <FactRow
            label="Lost before the collector (sequence numbers)"
            value={loss.sequence_lost}
          />
          <FactRow label="Unusable" value={loss.unusable} />
          <FactRow label="Datagrams dropped by the kernel" value={loss.kernel_drops} />
        </tbody>
      </table>
      <h3>Exporters</h3>
      {!data && <p class="muted">{error ? error.message : "Loading …"}</p>}
      {data && <Exporters exporters={data.exporters} />}
      <p class="muted">
        {session.token === "" && (
          <>
            <a href="api/v1/openapi.json">OpenAPI document</a> ·{" "}
          </>
        )}
        <a href="assets/licenses.txt">Licenses of included software</a>
      </p>
    </Dialog>
  );
}

function FactRow({ label, value }: { label: string; value: number }) {
  return (
    <tr>
      <th scope="row">{label}</th>
      <td>{format.integer(value)}</td>
    </tr>
  );
}

function Exporters({ exporters }: { exporters: Exporter[] }) {
  if (exporters.length === 0) return <p class="muted">No exporter has sent anything yet.</p>;
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Exporters">
      <table class="facts-table">
        <thead>
          <tr>
            <th scope="col">Exporter</th>
            <th scope="col">Node</th>
            <th scope="col">Protocol</th>
            <th scope="col">Records</th>
            <th scope="col">Lost</th>
            <th scope="col">Sampling</th>
            <th scope="col">Clock skew</th>
            <th scope="col">Last message</th>
          </tr>
        </thead>
        <tbody>
          {exporters.map((exporter) => (
            <tr key={`${exporter.address} ${exporter.observation_domain_id}`}>
              <th scope="row">
                {exporter.name || exporter.address}
                {exporter.name && <span class="end-context">{exporter.address}</span>}
              </th>
              <td>{exporter.node || "–"}</td>
              <td>{exporter.version}</td>
              <td>{format.integer(exporter.records)}</td>
              <td>{format.integer(exporter.sequence_lost)}</td>
              <td>{exporter.sampling === 1 ? "none" : `1:${exporter.sampling}`}</td>
              <td>{exporter.clock_skew_milliseconds} ms</td>
              <td>{format.time(exporter.last_message, 1000)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
