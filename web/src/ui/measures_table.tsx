import type { Measures } from "../api/types";
import * as format from "../format";
import { meanDuration, meanRtt } from "../model/measures";

interface Row {
  label: string;
  of: (measures: Measures, seconds: number) => string | undefined;
}

const optional = (value: number | undefined): string | undefined =>
  value === undefined ? undefined : format.integer(value);

const time = (microseconds: number | undefined): string | undefined =>
  microseconds === undefined ? undefined : format.microseconds(microseconds);

const ROWS: Row[] = [
  { label: "Bytes", of: ({ bytes }) => (bytes === undefined ? undefined : format.bytes(bytes)) },
  {
    label: "Rate",
    of: ({ bytes }, seconds) =>
      bytes === undefined ? undefined : `${format.bytes(bytes / seconds)}/s`,
  },
  { label: "Packets", of: ({ packets }) => optional(packets) },
  { label: "Connections", of: ({ connections }) => optional(connections) },
  { label: "Duration, mean", of: (measures) => time(meanDuration(measures)) },
  { label: "RTT, mean", of: (measures) => time(meanRtt(measures)) },
  { label: "RTT, minimum", of: ({ rtt }) => time(rtt?.min_microseconds) },
  {
    label: "Retransmitted",
    of: ({ retransmitted_packets: value, packets }) =>
      value === undefined ? undefined : withShare(value, packets),
  },
  {
    label: "Refused",
    of: ({ refused_connections: value, connections }) =>
      value === undefined ? undefined : withShare(value, connections),
  },
  {
    label: "Unanswered",
    of: ({ unanswered_connections: value, connections }) =>
      value === undefined ? undefined : withShare(value, connections),
  },
  { label: "Reset", of: ({ reset_connections }) => optional(reset_connections) },
];

function withShare(value: number, total: number | undefined): string {
  const share = total ? ` (${format.percent(Math.min(1, value / total))})` : "";
  return `${format.integer(value)}${value > 0 ? share : ""}`;
}

/** Values of both directions; rows without a value are left out. */
export function MeasuresTable(props: { columns: string[]; values: Measures[]; seconds: number }) {
  return (
    <table class="measures">
      <thead>
        <tr>
          <td />
          {props.columns.map((column) => (
            <th key={column} scope="col">
              <span class="clip">{column}</span>
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {ROWS.map(({ label, of }) => {
          const texts = props.values.map((measures) => of(measures, props.seconds));
          if (texts.every((text) => text === undefined)) return null;
          return (
            <tr key={label}>
              <th scope="row">{label}</th>
              {texts.map((text, index) => (
                <td key={index}>{text ?? "–"}</td>
              ))}
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}
