import { expect, test } from "vitest";
import type { Edge, Measures } from "../api/types";
import { buildGraph, collapseGraph, linkKey, linkValue, matchersOf } from "./graph";
import { findSelection } from "./selection";
import { statsOf } from "./stats";

type End = Record<string, string>;

const workload = (namespace: string, name: string): End => ({
  namespace,
  kind: "Deployment",
  workload: name,
});
const external = (name: string): End => ({ kind: "External", name });

function edge(source: End, target: End, measures: Measures): Edge {
  const labels: Record<string, string> = { class: "pod_to_pod" };
  for (const [field, value] of Object.entries(source)) labels[`src.${field}`] = value;
  for (const [field, value] of Object.entries(target)) labels[`dst.${field}`] = value;
  return { labels, ...measures };
}

const WEB = "workload/shop/Deployment/web";
const API = "workload/shop/Deployment/api";

function shop() {
  return buildGraph([
    edge(workload("shop", "web"), workload("shop", "api"), { bytes: 10, connections: 2 }),
    edge(workload("shop", "api"), workload("shop", "web"), { bytes: 40, connections: 0 }),
    edge(workload("shop", "api"), workload("data", "db"), { bytes: 5, connections: 3 }),
    edge(workload("data", "db"), workload("shop", "api"), { bytes: 50, connections: 0 }),
    edge(workload("shop", "web"), workload("data", "db"), { bytes: 1, connections: 1 }),
  ]);
}

test("both directions between two workloads are one link from the client to the server", () => {
  const link = shop().links.get(linkKey(WEB, API));
  expect(link).toMatchObject({
    source: WEB,
    target: API,
    directed: true,
    forward: { bytes: 10, connections: 2 },
    reverse: { bytes: 40 },
  });
  expect(link && linkValue(link, "bytes")).toBe(50);
});

test("a link without connections has no direction", () => {
  const graph = buildGraph([edge(workload("a", "x"), workload("a", "y"), { bytes: 1 })]);
  expect([...graph.links.values()][0]?.directed).toBe(false);
});

test("a value that no edge has stays absent in sums", () => {
  const link = shop().links.get(linkKey(WEB, API));
  expect(link?.forward.retransmitted_packets).toBeUndefined();
  expect(link?.forward.packets).toBeUndefined();
});

test("collapsed groups aggregate their links and keep internal traffic apart", () => {
  const graph = shop();
  const { links, internal } = collapseGraph(graph, () => false);
  expect([...links.keys()]).toEqual([linkKey("namespace/shop", "namespace/data")]);
  expect(links.get(linkKey("namespace/shop", "namespace/data"))).toMatchObject({
    forward: { bytes: 6, connections: 4 },
    reverse: { bytes: 50 },
  });
  expect(internal.get("namespace/shop")).toMatchObject({ bytes: 50 });
});

test("an open group keeps its workloads apart towards a collapsed one", () => {
  const { links } = collapseGraph(shop(), (group) => group === "namespace/shop");
  expect([...links.keys()].sort()).toEqual(
    [linkKey(API, "namespace/data"), linkKey(WEB, "namespace/data"), linkKey(WEB, API)].sort(),
  );
});

test("no bytes are lost or counted twice by collapsing", () => {
  const graph = shop();
  for (const open of [[], ["namespace/shop"], ["namespace/shop", "namespace/data"]]) {
    const { links, internal } = collapseGraph(graph, (group) => open.includes(group));
    let sum = 0;
    for (const link of links.values()) sum += linkValue(link, "bytes");
    for (const measures of internal.values()) sum += measures.bytes ?? 0;
    expect(sum).toBe(106);
  }
});

test("external endpoints are grouped by who opens the connections", () => {
  const graph = buildGraph([
    edge(external("client.example.com"), workload("shop", "web"), { bytes: 1, connections: 1 }),
    edge(workload("shop", "web"), external("api.example.com"), { bytes: 1, connections: 1 }),
  ]);
  expect(graph.nodes.get("external/name/client.example.com")?.group).toBe("group/clients");
  expect(graph.nodes.get("external/name/api.example.com")?.group).toBe("group/external");
});

test("an external endpoint is named by the best label that it has", () => {
  const labels = { kind: "External", name: "", cidr: "office", as_name: "EXAMPLE-NET" };
  const graph = buildGraph([edge(workload("shop", "web"), labels, { bytes: 1 })]);
  const node = graph.nodes.get("external/cidr/office");
  expect(node).toMatchObject({ name: "office", kind: "Named CIDR" });
  expect(node?.matchers).toEqual({ kind: "External", name: "", cidr: "office" });
});

test("an external endpoint without any label is shown as one without a name", () => {
  const labels = { kind: "External", name: "", cidr: "" };
  const graph = buildGraph([edge(workload("shop", "web"), labels, { bytes: 1 })]);
  const node = graph.nodes.get("external//");
  expect(node).toMatchObject({ name: "Other external", kind: "No name" });
  expect(node?.matchers).toEqual({ kind: "External", name: "", cidr: "" });
});

test("a name is not taken for a host name where it is that of a CIDR or a Service", () => {
  const kindOf = (labels: Record<string, string>) => {
    const external = { kind: "External", workload: "", cidr: "", ...labels };
    const graph = buildGraph([edge(workload("shop", "web"), external, { bytes: 1 })]);
    return graph.nodes.get(`external/name/${labels.name}`)?.kind;
  };
  expect(kindOf({ name: "office", workload: "office", cidr: "office" })).toBe("Named CIDR");
  const service = "database.shop.svc";
  expect(kindOf({ name: service, workload: service })).toBe("Service endpoint");
  expect(kindOf({ name: "api.example.com", cidr: "office" })).toBe("Host name");
});

test("a namespace is selected by its name, a group of names by each of them", () => {
  const graph = shop();
  expect(matchersOf(graph, "namespace/shop")).toEqual([{ namespace: "shop" }]);
  expect(matchersOf(graph, WEB)).toEqual([
    { namespace: "shop", kind: "Deployment", workload: "web" },
  ]);
});

test("a shared address still finds a link whose direction has changed", () => {
  const graph = shop();
  const visible = collapseGraph(graph, () => true);
  const selection = findSelection(graph, visible, linkKey(API, WEB));
  expect(selection?.type).toBe("link");
  expect(findSelection(graph, visible, "workload/none")).toBeUndefined();
});

test("totals count what a workload and its namespace sent and received", () => {
  const stats = statsOf(shop());
  expect(stats.get(API)).toMatchObject({ sent: { bytes: 45 }, received: { bytes: 60 }, links: 2 });
  expect(stats.get("namespace/shop")).toMatchObject({ links: 3, sent: { bytes: 56 } });
});
