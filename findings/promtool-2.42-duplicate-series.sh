#!/usr/bin/env bash
# promtool 2.42 accepts an exposition that has a series twice.
#
# Standard: Prometheus, exposition formats, text-based format: "Each line must have a unique
#   combination of a metric name and labels. Otherwise, the ingestion behavior is undefined."
#   `promtool check metrics` checks "for consistency and correctness".
# Input: a counter with help and type, and the same series twice, with values 1 and 2.
# Expected: an error and an exit status other than 0. Seen: no output, exit status 0.
# Why care: a check in CI passes an exporter whose components count under the same labels;
#   Prometheus keeps one of the two values.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
debian_packages prometheus=2.42.0+ds-5+deb12u1

status=0
output=$( (unpacked promtool check metrics) 2>&1 <<'METRICS'
# HELP flows_total Flows.
# TYPE flows_total counter
flows_total{node="a"} 1
flows_total{node="a"} 2
METRICS
) || status=$?
verdict "an error, status not 0" "status 0" "${output:+$output, }status $status"
