import type { Edge, EdgesAnswer } from "../../src/api/types";
import { buildGraph, type Graph, type GraphLink } from "../../src/model/graph";
import type { TestBrowser } from "./browser";

/** The traffic of the server under test. Tests use no names of the fixture. */
export interface World {
  /** A fixed range, so that the numbers of a live collector do not change. */
  from: number;
  to: number;
  /** `from` and `to` as the begin of a query. */
  range: string;
  answer: EdgesAnswer;
  graph: Graph;
  /** The heaviest link between workloads of different namespaces. */
  link: GraphLink;
  /** A namespace that is not part of every link, if there is one. */
  namespace: string | undefined;
}

export async function exploreWorld(browser: TestBrowser): Promise<World> {
  const { to } = await browser.edges({ limit: "1" });
  const from = to - 300_000;
  const answer = await browser.edges({ from: String(from), to: String(to), limit: "10000" });
  const graph = buildGraph(answer.edges);
  const bytes = ({ forward, reverse }: GraphLink) => (forward.bytes ?? 0) + (reverse.bytes ?? 0);
  const namespace = (key: string) => graph.nodes.get(key)?.namespace ?? "";
  const link = [...graph.links.values()]
    .filter(({ source, target }) => {
      const [a, b] = [namespace(source), namespace(target)];
      return a !== "" && b !== "" && a !== b;
    })
    .sort((a, b) => bytes(b) - bytes(a))[0];
  if (!link) throw new Error("The server has no traffic between two namespaces.");
  const names = new Set([...graph.nodes.values()].map((node) => node.namespace));
  names.delete("");
  const selective = [...names].find((name) =>
    [...graph.links.values()].some(
      ({ source, target }) => namespace(source) !== name && namespace(target) !== name,
    ),
  );
  return { from, to, range: `?from=${from}&to=${to}`, answer, graph, link, namespace: selective };
}

export function sumBytes(edges: Edge[]): number {
  return edges.reduce((sum, { bytes = 0 }) => sum + bytes, 0);
}
