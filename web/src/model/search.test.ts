import { expect, test } from "vitest";
import { matchesText } from "./search";

const labels = { "src.workload": "Checkout-API", "dst.namespace": "payments", port: 443 };

test("every word must occur in some label", () => {
  expect(matchesText(labels, "checkout pay")).toBe(true);
  expect(matchesText(labels, "checkout orders")).toBe(false);
});

test("empty text matches everything", () => {
  expect(matchesText(labels, "  ")).toBe(true);
});
