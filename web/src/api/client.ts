import { tabStorage } from "../storage";

/** An answer that is not 2xx, or no answer at all (status 0). */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
    /** The request parameter that the collector rejected. */
    readonly parameter: string | undefined = undefined,
    /** The position of a syntax error in a filter expression, counted from 1. */
    readonly column: number | undefined = undefined,
    /** Milliseconds to wait before the next attempt. */
    readonly retryAfter: number | undefined = undefined,
  ) {
    super(message);
  }
}

const TOKEN_KEY = "kipfix-token";

/**
 * The bearer token, kept as long as the browser tab. Dispatches `rejected` when the collector
 * answers 401, and `changed` when a token was entered.
 */
class Session extends EventTarget {
  get token(): string {
    return tabStorage.get(TOKEN_KEY);
  }

  set token(value: string) {
    tabStorage.set(TOKEN_KEY, value);
    this.dispatchEvent(new Event("changed"));
  }

  reject(): void {
    this.dispatchEvent(new Event("rejected"));
  }
}

export const session = new Session();

export interface EdgesQuery {
  /** Absolute, or negative and relative to `to`. */
  from: number;
  /** Absent means now. */
  to?: number | undefined;
  groupBy?: readonly string[] | undefined;
  filter?: string | undefined;
  order?: string | undefined;
  limit?: number | undefined;
  points?: number | undefined;
}

/** The relative URL of a query; equal queries have equal URLs. */
export function edgesUrl(query: EdgesQuery): string {
  const parameters = new URLSearchParams();
  parameters.set("from", String(query.from));
  if (query.to !== undefined) parameters.set("to", String(query.to));
  if (query.groupBy) parameters.set("group_by", query.groupBy.join(","));
  if (query.filter) parameters.set("filter", query.filter);
  if (query.order) parameters.set("order", query.order);
  if (query.limit !== undefined) parameters.set("limit", String(query.limit));
  if (query.points !== undefined) parameters.set("points", String(query.points));
  return `api/v1/edges?${parameters}`;
}

async function errorOf(response: Response): Promise<ApiError> {
  let body: { error?: unknown; parameter?: unknown; column?: unknown } = {};
  try {
    body = await response.json();
  } catch {
    // A proxy in between may answer with HTML.
  }
  const message =
    typeof body.error === "string" ? body.error : `The server answered ${response.status}.`;
  const seconds = Number(response.headers.get("Retry-After"));
  return new ApiError(
    response.status,
    message,
    typeof body.parameter === "string" ? body.parameter : undefined,
    typeof body.column === "number" ? body.column : undefined,
    seconds > 0 ? seconds * 1000 : undefined,
  );
}

/** Fetches a URL relative to the page and decodes the JSON answer. Throws `ApiError`. */
export async function get<T>(url: string, signal?: AbortSignal): Promise<T> {
  const headers: Record<string, string> = { Accept: "application/json" };
  if (session.token) headers.Authorization = `Bearer ${session.token}`;
  let response: Response;
  try {
    response = await fetch(url, { headers, signal: signal ?? null, cache: "no-store" });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, "The collector cannot be reached.");
  }
  if (response.status === 401) session.reject();
  if (!response.ok) throw await errorOf(response);
  return (await response.json()) as T;
}

/** The URL of a search for pods, services and nodes. */
export function endpointsUrl(search: string, limit: number): string {
  return `api/v1/endpoints?${new URLSearchParams({ search, limit: String(limit) })}`;
}

export const STATUS_URL = "api/v1/status";
export const EXPORTERS_URL = "api/v1/exporters";
