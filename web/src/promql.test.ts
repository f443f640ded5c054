import { expect, test } from "vitest";
import { endpointQueries, linkQueries } from "./promql";

const COLLECTOR = {
  metrics: {
    workload_bytes: "kipfix_bytes_total",
    external_bytes: "kipfix_external_bytes_total",
  },
  cluster: "",
};
const web = {
  label: "web",
  matchers: { namespace: "shop", kind: "Deployment", workload: "web" },
};
const database = {
  label: "db",
  matchers: { namespace: "data", kind: "StatefulSet", workload: "db" },
};
const live = { length: 900_000, end: undefined };

test("a link has a rate and a total for each direction", () => {
  const queries = linkQueries(COLLECTOR, web, database, "bytes", live);
  expect(queries.map(({ query }) => query)).toEqual([
    'sum(rate(kipfix_bytes_total{src_namespace="shop",src_kind="Deployment",src_workload="web",dst_namespace="data",dst_kind="StatefulSet",dst_workload="db"}[5m]))',
    'sum(increase(kipfix_bytes_total{src_namespace="shop",src_kind="Deployment",src_workload="web",dst_namespace="data",dst_kind="StatefulSet",dst_workload="db"}[15m]))',
    'sum(rate(kipfix_bytes_total{src_namespace="data",src_kind="StatefulSet",src_workload="db",dst_namespace="shop",dst_kind="Deployment",dst_workload="web"}[5m]))',
    'sum(increase(kipfix_bytes_total{src_namespace="data",src_kind="StatefulSet",src_workload="db",dst_namespace="shop",dst_kind="Deployment",dst_workload="web"}[15m]))',
  ]);
  expect(queries[0]?.title).toBe("web → db, bytes per second");
});

test("the queries of a named cluster select it", () => {
  const named = { ...COLLECTOR, cluster: 'eu "1"' };
  const api = { label: "office", matchers: { kind: "External", name: "office" } };
  const shop = { label: "shop", matchers: { namespace: "shop" } };
  for (const { query } of [
    ...linkQueries(named, web, database, "bytes", live),
    ...linkQueries(named, web, api, "bytes", live),
    ...endpointQueries(named, shop, "bytes", live),
  ]) {
    expect(query).toContain('{cluster="eu \\"1\\"",');
  }
});

test("a fixed range is evaluated at its end", () => {
  const range = { length: 3_600_000, end: 1_767_229_200_000 };
  const queries = linkQueries(COLLECTOR, web, database, "bytes", range);
  expect(queries[1]?.query).toMatch(/\[1h\] @ 1767229200\)\)$/);
});

test("a named external endpoint is found in the external metrics", () => {
  const api = {
    label: "api.example.com",
    matchers: { kind: "External", name: "api.example.com" },
  };
  const [egress, , ingress] = linkQueries(COLLECTOR, web, api, "bytes", live);
  expect(egress?.query).toBe(
    'sum(rate(kipfix_external_bytes_total{workload_namespace="shop",workload_kind="Deployment",workload="web",direction="egress",name="api.example.com"}[5m]))',
  );
  expect(ingress?.query).toContain('direction="ingress"');
});

test("an external endpoint without a name uses the workload metrics", () => {
  const outside = { label: "Other external", matchers: { kind: "External", name: "" } };
  const [query] = linkQueries(COLLECTOR, web, outside, "bytes", live);
  expect(query?.query).toContain('dst_kind="External"}');
  expect(query?.query).toContain("kipfix_bytes_total{");
});

test("a namespace has queries by peer", () => {
  const shop = { label: "shop", matchers: { namespace: "shop" } };
  const queries = endpointQueries(COLLECTOR, shop, "bytes", live);
  expect(queries[0]?.query).toBe(
    'sum by (dst_namespace, dst_workload) (rate(kipfix_bytes_total{src_namespace="shop"}[5m]))',
  );
  expect(queries).toHaveLength(4);
});

test("label values are escaped", () => {
  const odd = { label: "odd", matchers: { namespace: 'a"b' } };
  expect(endpointQueries(COLLECTOR, odd, "bytes", live)[0]?.query).toContain(
    'src_namespace="a\\"b"',
  );
});

test("a metric that the collector does not serve has no query", () => {
  expect(linkQueries(COLLECTOR, web, database, "packets", live)).toEqual([]);
  expect(endpointQueries(COLLECTOR, web, "packets", live)).toEqual([]);
});
