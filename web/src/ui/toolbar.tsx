import { useEffect, useState } from "preact/hooks";
import { edgesUrl } from "../api/client";
import type { EdgesAnswer } from "../api/types";
import { useQuery } from "../hooks/use_query";
import type { UpdateUrl } from "../hooks/use_url_state";
import type { ShownMeasure } from "../model/measures";
import { DEFAULT_STATE, type UrlState } from "../url_state";
import { Search, Warning } from "./icons";
import { CheckList, Menu } from "./menu";

/** A rejected filter expression. */
export interface FilterError {
  message: string;
  /** Counted from 1. */
  column: number | undefined;
}

/** Text search, filters and the measure of the map and the table. */
export function Toolbar(props: {
  url: UrlState;
  update: UpdateUrl;
  filterError: FilterError | undefined;
}) {
  const { url, update } = props;
  const filtered =
    url.namespaces.length > 0 || url.classes.length > 0 || url.text !== "" || url.filter !== "";
  return (
    <div class="toolbar" role="search" aria-label="Filters">
      <label class="field search">
        <Search />
        <span class="visually-hidden">Search by text</span>
        <input
          type="search"
          placeholder="Search names"
          value={url.text}
          onInput={(event) => update({ text: event.currentTarget.value }, "replace")}
        />
      </label>
      <Menu
        active={url.namespaces.length > 0}
        label={<Chosen noun="Namespace" chosen={url.namespaces} />}
      >
        {() => (
          <Options
            url={url}
            fields={["src.namespace", "dst.namespace"]}
            label="namespaces"
            chosen={url.namespaces}
            onChange={(namespaces) => update({ namespaces })}
          />
        )}
      </Menu>
      <Menu active={url.classes.length > 0} label={<Chosen noun="Class" chosen={url.classes} />}>
        {() => (
          <Options
            url={url}
            fields={["class"]}
            label="traffic classes"
            chosen={url.classes}
            onChange={(classes) => update({ classes })}
          />
        )}
      </Menu>
      <Expression
        value={url.filter}
        error={props.filterError}
        onApply={(filter) => update({ filter })}
      />
      <div class="field">
        <label class="field-label" for="measure">
          Show
        </label>
        <select
          id="measure"
          value={url.measure}
          onChange={(event) => update({ measure: event.currentTarget.value as ShownMeasure })}
        >
          <option value="bytes">Bytes</option>
          <option value="packets">Packets</option>
          <option value="connections">Connections</option>
        </select>
      </div>
      {filtered && (
        <button
          type="button"
          class="link"
          onClick={() =>
            update({
              namespaces: DEFAULT_STATE.namespaces,
              classes: DEFAULT_STATE.classes,
              text: "",
              filter: "",
            })
          }
        >
          Clear filters
        </button>
      )}
    </div>
  );
}

function Chosen({ noun, chosen }: { noun: string; chosen: string[] }) {
  if (chosen.length === 0) return <>{noun}</>;
  return (
    <>
      {noun}: {chosen.length === 1 ? chosen[0] : chosen.length}
    </>
  );
}

/** The values of fields in the range, fetched when the menu opens. */
function Options(props: {
  url: UrlState;
  fields: string[];
  label: string;
  chosen: string[];
  onChange: (chosen: string[]) => void;
}) {
  const { url, fields } = props;
  const query = edgesUrl({ from: url.from, to: url.to, groupBy: fields, limit: 10_000 });
  const { data, error, loading } = useQuery<EdgesAnswer>(query);
  if (error) return <p class="menu-note">{error.message}</p>;
  if (!data) return <p class="menu-note">{loading ? "Loading …" : ""}</p>;
  const options = new Set(props.chosen);
  for (const { labels } of data.edges) {
    for (const field of fields) options.add(String(labels[field] ?? ""));
  }
  options.delete("");
  return (
    <CheckList
      label={props.label}
      options={[...options].sort()}
      chosen={props.chosen}
      onChange={props.onChange}
    />
  );
}

/** The filter expression, applied with Enter because a partial expression is invalid. */
function Expression(props: {
  value: string;
  error: FilterError | undefined;
  onApply: (expression: string) => void;
}) {
  const [text, setText] = useState(props.value);
  useEffect(() => setText(props.value), [props.value]);
  const changed = text.trim() !== props.value;
  return (
    <form
      class="field expression"
      data-invalid={props.error ? "" : undefined}
      onSubmit={(event) => {
        event.preventDefault();
        props.onApply(text.trim());
      }}
    >
      <label class="visually-hidden" for="expression">
        Filter expression
      </label>
      <input
        id="expression"
        type="text"
        spellcheck={false}
        autocomplete="off"
        autocapitalize="off"
        placeholder='Expression, e.g. dst.zone != "" && src.workload =~ "web.*"'
        value={text}
        aria-invalid={props.error ? "true" : "false"}
        aria-describedby={props.error ? "expression-error" : undefined}
        onInput={(event) => setText(event.currentTarget.value)}
      />
      {changed && (
        <button type="submit" class="apply">
          Apply
        </button>
      )}
      {props.error && (
        <p id="expression-error" class="field-error" role="alert">
          <Warning />
          <span>
            {props.error.message}
            {props.error.column !== undefined && (
              <Caret text={props.value} column={props.error.column} />
            )}
          </span>
        </p>
      )}
    </form>
  );
}

/** Shows the position of a syntax error. */
function Caret({ text, column }: { text: string; column: number }) {
  const index = Math.max(0, Math.min(text.length, column - 1));
  const begin = Math.max(0, index - 24);
  return (
    <code class="caret">
      {begin > 0 ? "…" : ""}
      {text.slice(begin, index)}
      <mark>{text.slice(index, index + 1) || " "}</mark>
      {text.slice(index + 1, index + 16)}
    </code>
  );
}
