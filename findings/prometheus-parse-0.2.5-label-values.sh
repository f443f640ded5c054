#!/usr/bin/env bash
# Crate prometheus-parse 0.2.5 cuts a label value at a comma, and leaves out a label whose value has an
# equals sign.
#
# Standard: Prometheus text-based format, "Comments, help text, and type information": label_value
#   "can be any sequence of UTF-8 characters" but backslash, double quote and line feed are escaped.
# Input: three samples of a counter with labels of flows: a plain value, a filter expression, a list of
#   two names.
# Expected: three samples with their labels. Seen: the second has no label, the third that of the first;
#   no error.
# Why care: series with different labels become one series; their values overwrite each other or add up.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

seen=$(rust_program 'prometheus-parse = "=0.2.5"' <<'RUST'
use prometheus_parse::Scrape;

fn main() {
    let exposition = r#"# TYPE flow_octets counter
flow_octets{pods="web"} 1
flow_octets{pods="app=web"} 2
flow_octets{pods="web,db"} 3
"#;
    let scrape = Scrape::parse(exposition.lines().map(|line| Ok(line.to_owned()))).unwrap();
    let labels = scrape.samples.iter().map(|sample| sample.labels.get("pods").unwrap_or("none"));
    println!("{}", labels.collect::<Vec<_>>().join(" "));
}
RUST
)
verdict "web app=web web,db" "web none web" "$seen"
