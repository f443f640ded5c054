import { useEffect, useState } from "preact/hooks";
import { ApiError, get, session } from "../api/client";

export interface QueryResult<T> {
  /** The last answer, possibly that of an earlier URL while the next one is loading. */
  data: T | undefined;
  /** The last attempt failed. Cleared by the next success. */
  error: ApiError | undefined;
  loading: boolean;
}

const RETRY = 5000;
const MAX_RETRY = 60_000;

/** Whether another attempt can succeed without a change by the user. */
export function isTransient(error: ApiError): boolean {
  return error.status === 0 || error.status === 429 || error.status >= 500;
}

/**
 * Fetches a URL, again every `poll` milliseconds (0: once) while the page is visible. Failures are
 * retried with increasing delays. An undefined URL fetches nothing.
 */
export function useQuery<T>(url: string | undefined, poll = 0): QueryResult<T> {
  const [result, setResult] = useState<QueryResult<T>>({
    data: undefined,
    error: undefined,
    loading: url !== undefined,
  });

  useEffect(() => {
    if (url === undefined) {
      setResult({ data: undefined, error: undefined, loading: false });
      return;
    }
    let controller = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let failures = 0;
    let due = false;

    const schedule = (delay: number) => {
      timer = setTimeout(() => {
        if (document.hidden) due = true;
        else run();
      }, delay);
    };
    const run = async () => {
      clearTimeout(timer);
      controller.abort();
      controller = new AbortController();
      const { signal } = controller;
      due = false;
      setResult((before) => ({ ...before, loading: true }));
      try {
        const data = await get<T>(url, signal);
        if (signal.aborted) return;
        failures = 0;
        setResult({ data, error: undefined, loading: false });
        if (poll > 0) schedule(poll);
      } catch (caught) {
        if (signal.aborted) return;
        const error =
          caught instanceof ApiError ? caught : new ApiError(0, "The answer cannot be read.");
        setResult((before) => ({ ...before, error, loading: false }));
        if (!isTransient(error)) return;
        const delay = Math.min(MAX_RETRY, Math.max(poll, RETRY) * 2 ** failures);
        failures += 1;
        schedule(error.retryAfter ?? delay);
      }
    };
    const onVisible = () => {
      if (!document.hidden && due) run();
    };

    run();
    document.addEventListener("visibilitychange", onVisible);
    session.addEventListener("changed", run);
    return () => {
      clearTimeout(timer);
      controller.abort();
      document.removeEventListener("visibilitychange", onVisible);
      session.removeEventListener("changed", run);
    };
  }, [url, poll]);

  return result;
}
