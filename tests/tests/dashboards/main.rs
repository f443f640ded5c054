//! Dashboards and rules: Grafana's schema takes the former and promtool the latter, every metric in
//! them is served, and every query finds data in a real Prometheus that scrapes real daemons.
#![allow(clippy::unwrap_used, reason = "test code")]

mod data;
mod form;
mod histogram;
mod increase;
mod opencost;
mod pair;
mod peers;
mod prometheus;
mod questions;
mod rules;

use std::path::{Path, PathBuf};

/// A file of this repository.
fn page(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// The rules on kipfix itself, and those on the traffic.
fn rules() -> [PathBuf; 2] {
    ["kipfix", "kipfix-traffic"].map(|name| page(&format!("grafana/rules/{name}.rules.yaml")))
}
