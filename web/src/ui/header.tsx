import type { ApiError } from "../api/client";
import type { Status } from "../api/types";
import * as format from "../format";
import type { UpdateUrl } from "../hooks/use_url_state";
import type { UrlState } from "../url_state";
import { Moon, Sun } from "./icons";

export function Header(props: {
  url: UrlState;
  update: UpdateUrl;
  status: Status | undefined;
  statusError: ApiError | undefined;
  /** The engine that answered last. */
  source: string | undefined;
  dark: boolean;
  onTheme: () => void;
  onStatus: () => void;
}) {
  const { url, update, status } = props;
  const state = stateOf(status, props.statusError);
  return (
    <header class="header">
      <h1>
        <img src="assets/favicon.svg" alt="" width="24" height="24" />
        kipfix
        {status?.cluster && <span class="cluster">{status.cluster}</span>}
      </h1>
      <nav class="segments" aria-label="View">
        {(["map", "table"] as const).map((view) => (
          <button
            key={view}
            type="button"
            aria-pressed={url.view === view}
            onClick={() => update({ view })}
          >
            {view === "map" ? "Map" : "Table"}
          </button>
        ))}
      </nav>
      <span class="spacer" />
      <button
        type="button"
        class="status"
        data-level={state.level}
        disabled={!status}
        title="State of the collector"
        onClick={props.onStatus}
      >
        <span class="level-dot" data-level={state.level} />
        {state.text}
        {props.source && <span class="source">from {format.source(props.source)}</span>}
      </button>
      <button
        type="button"
        class="icon-button"
        title={props.dark ? "Light theme" : "Dark theme"}
        onClick={props.onTheme}
      >
        {props.dark ? <Sun /> : <Moon />}
        <span class="visually-hidden">{props.dark ? "Light theme" : "Dark theme"}</span>
      </button>
    </header>
  );
}

function stateOf(
  status: Status | undefined,
  error: ApiError | undefined,
): { level: string; text: string } {
  if (error && error.status !== 401) return { level: "critical", text: "No connection" };
  if (!status) return { level: "unknown", text: "Connecting" };
  if (!status.ready) return { level: "warning", text: "Not ready" };
  const { sequence_lost, unusable, kernel_drops, records } = status.loss;
  const lost = sequence_lost + unusable + kernel_drops;
  // Below one record in a thousand the numbers are still representative.
  if (lost > records / 1000) return { level: "warning", text: "Losing records" };
  return { level: "ok", text: "Ready" };
}
