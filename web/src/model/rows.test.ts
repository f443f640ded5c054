import { expect, test } from "vitest";
import type { Edge } from "../api/types";
import { sortRows, tableRows } from "./rows";

const edge = (from: string, to: string, bytes: number, rtt?: number): Edge => ({
  labels: {
    "src.namespace": "shop",
    "src.kind": "Deployment",
    "src.workload": from,
    "dst.namespace": "shop",
    "dst.kind": "Deployment",
    "dst.workload": to,
    class: "pod_to_pod",
  },
  bytes,
  ...(rtt === undefined ? {} : { rtt: { count: 1, sum_microseconds: rtt, min_microseconds: rtt } }),
});

const names = (rows: ReturnType<typeof tableRows>) => rows.map((row) => row.from.name);

test("rows are directed and sort by number or name", () => {
  const rows = tableRows([edge("a", "b", 1), edge("b", "a", 3), edge("C", "a", 2)]);
  expect(names(sortRows(rows, "bytes", true))).toEqual(["b", "C", "a"]);
  expect(names(sortRows(rows, "from", false))).toEqual(["a", "b", "C"]);
});

test("rows without a value come last when the largest come first", () => {
  const rows = tableRows([edge("a", "b", 1), edge("b", "a", 1, 50), edge("c", "a", 1, 90)]);
  expect(names(sortRows(rows, "rtt", true))).toEqual(["c", "b", "a"]);
});

test("edges that differ in other labels only are one row", () => {
  const first = edge("a", "b", 1);
  const second = { ...edge("a", "b", 2), labels: { ...first.labels, "dst.as_name": "X" } };
  expect(tableRows([first, second])[0]?.measures.bytes).toBe(3);
});

test("an unknown column sorts by bytes", () => {
  const rows = tableRows([edge("a", "b", 1), edge("b", "a", 3)]);
  expect(names(sortRows(rows, "nonsense", true))).toEqual(["b", "a"]);
});
