/** Builds filter expressions of the API. */

/** Field names and the values that they must have. An empty value matches an empty label. */
export type Matchers = Readonly<Record<string, string>>;

export type SidePrefix = "src" | "dst";

/**
 * The longest expression that is sent, in characters. Encoded in a URL it stays below the 8 KiB
 * that proxies commonly accept.
 */
export const MAX_EXPRESSION = 4000;

/** A string literal of the expression language. */
export function quote(text: string): string {
  return `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n")}"`;
}

/** Escapes text for use inside a regular expression. */
export function escapeRegex(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
}

/** All of the parts that are not empty. */
export function and(...parts: string[]): string {
  return join(parts, "&&");
}

/** Any of the parts that are not empty. */
export function or(...parts: string[]): string {
  return join(parts, "||");
}

function join(parts: string[], operator: "&&" | "||"): string {
  const present = parts.filter((part) => part !== "");
  if (present.length < 2) return present[0] ?? "";
  // Parenthesize parts with operators of their own.
  const other = /&&|\|\|/;
  return present.map((part) => (other.test(part) ? `(${part})` : part)).join(` ${operator} `);
}

/** The expression for one side of an edge. */
export function sideExpression(prefix: SidePrefix, matchers: Matchers): string {
  return and(
    ...Object.entries(matchers).map(([field, value]) => `${prefix}.${field} == ${quote(value)}`),
  );
}

/** Traffic from one endpoint to another. */
export function directionExpression(source: Matchers[], destination: Matchers[]): string {
  return and(anyOf("src", source), anyOf("dst", destination));
}

/** One side equals any of the given endpoints; no endpoints match everything. */
export function anyOf(prefix: SidePrefix, endpoints: Matchers[]): string {
  return or(...endpoints.map((matchers) => sideExpression(prefix, matchers)));
}

export interface TrafficFilter {
  namespaces: readonly string[];
  classes: readonly string[];
  /** An expression as entered by the user. */
  expression: string;
}

/** The filter of the map and the table. A namespace matches on either side. */
export function trafficExpression(filter: TrafficFilter): string {
  const namespaces = filter.namespaces.flatMap((namespace) => [
    `src.namespace == ${quote(namespace)}`,
    `dst.namespace == ${quote(namespace)}`,
  ]);
  const classes = filter.classes.map((name) => `class == ${quote(name)}`);
  return and(filter.expression.trim(), or(...namespaces), or(...classes));
}

/** Edges with the text in a name on either side, ignoring case. */
export function textExpression(text: string): string {
  const pattern = quote(`(?i).*${escapeRegex(text)}.*`);
  const fields = ["namespace", "workload", "name"];
  return or(
    ...fields.flatMap((field) => [`src.${field} =~ ${pattern}`, `dst.${field} =~ ${pattern}`]),
  );
}
