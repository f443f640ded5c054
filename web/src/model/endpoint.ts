import type { Matchers, SidePrefix } from "../api/filter";

/** The fields that the map groups by, for each side. */
const SIDE_FIELDS = [
  "namespace",
  "kind",
  "workload",
  "name",
  "cidr",
  "cloud_service",
  "as_name",
] as const;

/** The full grouping of the map. */
export const MAP_GROUP_BY: readonly string[] = [
  ...SIDE_FIELDS.map((field) => `src.${field}`),
  ...SIDE_FIELDS.map((field) => `dst.${field}`),
  "class",
];

/** Fields that identify an external endpoint, in order of preference. */
const EXTERNAL_FIELDS = ["name", "workload", "cidr", "cloud_service", "as_name"] as const;

export type EndpointType = "workload" | "node" | "external";

/** One end of an edge. */
export interface EndpointIdentity {
  key: string;
  type: EndpointType;
  namespace: string;
  kind: string;
  name: string;
  /** Select exactly this endpoint in a filter expression. */
  matchers: Matchers;
}

export type Labels = Readonly<Record<string, string | number>>;

/** Reads the endpoint of one side from the labels of an edge. */
export function endpointOf(labels: Labels, prefix: SidePrefix): EndpointIdentity {
  const label = (field: string): string => String(labels[`${prefix}.${field}`] ?? "");
  const namespace = label("namespace");
  const kind = label("kind");
  const workload = label("workload");
  if (kind === "External") return externalOf(labels, prefix, label);
  const type = kind === "Node" && namespace === "" ? "node" : "workload";
  return {
    key: `${type}/${namespace}/${kind}/${workload}`,
    type,
    namespace,
    kind: kind || "Unknown",
    name: workload || "unknown",
    matchers: { namespace, kind, workload },
  };
}

function externalOf(
  labels: Labels,
  prefix: SidePrefix,
  label: (field: string) => string,
): EndpointIdentity {
  const matchers: Record<string, string> = { kind: "External" };
  let name = "";
  let used = "";
  for (const field of EXTERNAL_FIELDS) {
    // An absent label was not grouped by and must not be matched.
    if (!(`${prefix}.${field}` in labels)) continue;
    const value = label(field);
    matchers[field] = value;
    if (value !== "") {
      name = value;
      used = field;
      break;
    }
  }
  return {
    key: `external/${used}/${name}`,
    type: "external",
    namespace: "",
    kind: EXTERNAL_KINDS[originOf(used, name, label)] ?? "No name",
    name: name || "Other external",
    matchers,
  };
}

/** The field that a name comes from: without a host name, `name` is that of a CIDR or a Service. */
function originOf(used: string, name: string, label: (field: string) => string): string {
  const isName = (field: string): boolean => name !== "" && label(field) === name;
  if (used !== "name") return used;
  return ["cidr", "workload"].find(isName) ?? used;
}

const EXTERNAL_KINDS: Record<string, string> = {
  name: "Host name",
  workload: "Service endpoint",
  cidr: "Named CIDR",
  cloud_service: "Cloud service",
  as_name: "Autonomous system",
};
