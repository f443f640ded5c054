#!/usr/bin/env bash
# Crate prometheus 0.14.0 merges two series when their label values, written one after the other,
# are equal.
#
# Standard: Prometheus data model: "every unique combination of key-value label pairs represents a
#   new time series"; the crate's with_label_values gives the metric of these label values.
# Input: flows_total{namespace="team-a", workload="b-web"} + 5 and
#   flows_total{namespace="team-ab", workload="-web"} + 7; then ports "1","12" and "11","2".
# Expected: four series, 5 and 7 and 5 and 7. Seen: two series of 12: the crate hashes the values
#   without a separator and does not compare them.
# Why care: for labels of namespaces and workloads, or of two ports, traffic of one pair is counted
#   for another, with no error.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

seen=$(rust_program 'prometheus = { version = "=0.14.0", default-features = false }' <<'RUST'
use prometheus::{core::Collector, Encoder, IntCounterVec, Opts, TextEncoder};

fn main() {
    for (name, labels, pairs) in [
        ("flows_total", ["namespace", "workload"], [["team-a", "b-web"], ["team-ab", "-web"]]),
        ("ports_total", ["destination", "source"], [["1", "12"], ["11", "2"]]),
    ] {
        let counters = IntCounterVec::new(Opts::new(name, "Count."), &labels).unwrap();
        counters.with_label_values(&pairs[0]).inc_by(5);
        counters.with_label_values(&pairs[1]).inc_by(7);
        TextEncoder::new().encode(&counters.collect(), &mut std::io::stdout()).unwrap();
    }
}
RUST
)
verdict "5,7,5,7" "12,12" "$(grep -v '^#' <<<"$seen" | awk '{print $2}' | paste -s -d ,)"
