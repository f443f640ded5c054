import { expect, test } from "vitest";
import { parseFilter } from "../../test/fixture/filter";
import {
  and,
  directionExpression,
  escapeRegex,
  or,
  quote,
  sideExpression,
  textExpression,
  trafficExpression,
} from "./filter";

test("a string literal escapes quotes and backslashes", () => {
  expect(quote('a"b\\c')).toBe('"a\\"b\\\\c"');
});

test("parts with operators are put in parentheses", () => {
  expect(and("a == 1 || b == 2", "c == 3")).toBe("(a == 1 || b == 2) && c == 3");
  expect(or("", "a == 1", "")).toBe("a == 1");
  expect(and()).toBe("");
});

test("a side is selected by all of its labels, empty ones included", () => {
  expect(sideExpression("src", { kind: "External", name: "", cidr: "office" })).toBe(
    'src.kind == "External" && src.name == "" && src.cidr == "office"',
  );
});

test("a direction selects any source with any destination", () => {
  const expression = directionExpression([{ name: "a" }, { name: "b" }], [{ name: "c" }]);
  const matches = parseFilter(expression);
  const record = (source: string, target: string) => (field: string) =>
    field === "src.name" ? source : target;
  expect(matches(record("b", "c"))).toBe(true);
  expect(matches(record("c", "a"))).toBe(false);
});

test("a namespace matches on either side", () => {
  const expression = trafficExpression({
    namespaces: ["shop"],
    classes: ["pod_to_pod"],
    expression: " port == 53 || port == 443 ",
  });
  expect(expression).toBe(
    '(port == 53 || port == 443) && (src.namespace == "shop" || dst.namespace == "shop")' +
      ' && class == "pod_to_pod"',
  );
});

test("no filter is an empty expression", () => {
  expect(trafficExpression({ namespaces: [], classes: [], expression: "" })).toBe("");
});

test("text is searched literally and without regard to case", () => {
  const matches = parseFilter(textExpression("Web (1)"));
  const record = (name: string) => (field: string) => (field === "dst.workload" ? name : "");
  expect(matches(record("my-web (1)-x"))).toBe(true);
  expect(matches(record("web 1"))).toBe(false);
  expect(escapeRegex("a.b")).toBe("a\\.b");
});
