import type { ShownMeasure } from "./model/measures";

/** The state in the address bar. It is sufficient to reproduce a view. */
export interface UrlState {
  view: "map" | "table";
  /** Negative and relative to now, or absolute in Unix milliseconds. */
  from: number;
  /** Unix milliseconds; absent means that the range follows now. */
  to: number | undefined;
  namespaces: string[];
  classes: string[];
  text: string;
  filter: string;
  measure: ShownMeasure;
  /** Groups that are expanded or collapsed; `auto` decides by the number of nodes. */
  groups: "auto" | "all" | "none" | string[];
  /** The key of the selected link, node or group. */
  selected: string;
  sort: { column: string; descending: boolean };
}

export const DEFAULT_RANGE = 15 * 60_000;

export const DEFAULT_STATE: UrlState = {
  view: "map",
  from: -DEFAULT_RANGE,
  to: undefined,
  namespaces: [],
  classes: [],
  text: "",
  filter: "",
  measure: "bytes",
  groups: "auto",
  selected: "",
  sort: { column: "bytes", descending: true },
};

/** Parses the query part of an address. Missing and invalid values get their defaults. */
export function parseUrl(search: string): UrlState {
  const parameters = new URLSearchParams(search);
  const text = (name: string): string => parameters.get(name) ?? "";
  const state: UrlState = {
    ...DEFAULT_STATE,
    namespaces: parameters.getAll("ns").filter(Boolean),
    classes: parameters.getAll("class").filter(Boolean),
    text: text("q"),
    filter: text("filter"),
    selected: text("sel"),
  };
  if (text("view") === "table") state.view = "table";
  const measure = text("measure");
  if (measure === "packets" || measure === "connections") state.measure = measure;
  Object.assign(state, parseRange(text("from"), text("to")));
  const open = parameters.getAll("open").filter(Boolean);
  if (open.includes("*")) state.groups = "all";
  else if (open.includes("-")) state.groups = "none";
  else if (open.length > 0) state.groups = open;
  const [column, order] = text("sort").split(":");
  if (column) state.sort = { column, descending: order !== "asc" };
  return state;
}

function parseRange(from: string, to: string): Pick<UrlState, "from" | "to"> {
  const begin = Number(from);
  const end = Number(to);
  if (from === "" || !Number.isFinite(begin) || begin === 0) {
    return { from: DEFAULT_STATE.from, to: undefined };
  }
  if (begin < 0) return { from: begin, to: undefined };
  if (to === "" || !(end > begin)) return { from: begin, to: begin + DEFAULT_RANGE };
  return { from: begin, to: end };
}

/** Formats the query part of an address. Defaults are omitted. */
export function formatUrl(state: UrlState): string {
  const parameters = new URLSearchParams();
  if (state.view !== DEFAULT_STATE.view) parameters.set("view", state.view);
  if (state.to !== undefined) {
    parameters.set("from", String(Math.round(state.from)));
    parameters.set("to", String(Math.round(state.to)));
  } else if (state.from !== DEFAULT_STATE.from) {
    parameters.set("from", String(Math.round(state.from)));
  }
  for (const namespace of state.namespaces) parameters.append("ns", namespace);
  for (const name of state.classes) parameters.append("class", name);
  if (state.text) parameters.set("q", state.text);
  if (state.filter) parameters.set("filter", state.filter);
  if (state.measure !== DEFAULT_STATE.measure) parameters.set("measure", state.measure);
  if (state.groups === "all") parameters.set("open", "*");
  else if (state.groups === "none") parameters.set("open", "-");
  else if (state.groups !== "auto") for (const key of state.groups) parameters.append("open", key);
  if (state.selected) parameters.set("sel", state.selected);
  const { column, descending } = state.sort;
  if (column !== DEFAULT_STATE.sort.column || descending !== DEFAULT_STATE.sort.descending) {
    parameters.set("sort", `${column}:${descending ? "desc" : "asc"}`);
  }
  const text = parameters.toString();
  return text ? `?${text}` : "";
}
