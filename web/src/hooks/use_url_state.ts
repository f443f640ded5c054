import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { formatUrl, parseUrl, type UrlState } from "../url_state";

/**
 * Changes part of the state. `push` adds an entry to the history for the back button; `replace` is
 * for typing and dragging.
 */
export type UpdateUrl = (change: Partial<UrlState>, mode?: "push" | "replace") => void;

/** The state in the address bar. */
export function useUrlState(): [UrlState, UpdateUrl] {
  const [state, setState] = useState(() => parseUrl(location.search));
  const current = useRef(state);

  useEffect(() => {
    const onPop = () => {
      current.current = parseUrl(location.search);
      setState(current.current);
    };
    window.addEventListener("popstate", onPop);
    return () => window.removeEventListener("popstate", onPop);
  }, []);

  const update = useCallback<UpdateUrl>((change, mode = "push") => {
    const next = { ...current.current, ...change };
    const search = formatUrl(next);
    const unchanged = search === formatUrl(current.current);
    current.current = next;
    setState(next);
    if (unchanged) return;
    const url = location.pathname + search;
    if (mode === "push") history.pushState(null, "", url);
    else history.replaceState(null, "", url);
  }, []);

  return [state, update];
}
