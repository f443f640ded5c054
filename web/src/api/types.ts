/** The answers of the collector's HTTP API. Times are Unix milliseconds. */

export interface Rtt {
  count: number;
  sum_microseconds: number;
  /** Absent where the engine does not know it. */
  min_microseconds?: number | undefined;
}

export interface Duration {
  count: number;
  sum_milliseconds: number;
}

/** Values of an edge. A value that no exporter supplied is absent. */
export interface Measures {
  bytes?: number;
  packets?: number;
  connections?: number;
  retransmitted_packets?: number;
  refused_connections?: number;
  unanswered_connections?: number;
  reset_connections?: number;
  rtt?: Rtt;
  duration?: Duration;
}

/** The begin of an interval and its values. */
export type Point = [number, Measures];

export interface Edge extends Measures {
  labels: Record<string, string | number>;
  points?: Point[];
}

export interface EdgesAnswer {
  /** The engine that answered. */
  source: string;
  from: number;
  to: number;
  /** Length of an interval of `points`, in milliseconds. */
  step: number;
  group_by: string[];
  edges: Edge[];
  /** Over all matching edges, not only the returned ones. */
  total: Measures & { edges: number };
  truncated: boolean;
}

export interface Ring {
  step: number;
  from: number;
  to: number;
}

export interface Status {
  version: string;
  cluster: string;
  started: number;
  ready: boolean;
  not_ready: string[];
  history: {
    source: string;
    rings: Ring[];
    octets?: number;
    max_octets?: number;
    /** The fields by which edges can be grouped; absent means all. */
    fields?: string[];
  };
  loss: {
    records: number;
    counted: number;
    not_counted: Record<string, number>;
    sequence_lost: number;
    unusable: number;
    kernel_drops: number;
  };
  /** Names of the Prometheus metrics by use, such as `workload_bytes`. */
  metrics: Record<string, string>;
}

export interface Exporter {
  address: string;
  name: string;
  node: string;
  version: string;
  observation_domain_id: number;
  records: number;
  sequence_lost: number;
  unusable: number;
  sampling: number;
  clock_skew_milliseconds: number;
  last_message: number;
}

export interface ApiEndpoint {
  kind: string;
  namespace: string;
  name: string;
  workload: { kind: string; name: string } | null;
  node: string;
  zone: string;
  addresses: { address: string; from: number }[];
}
