//! The metrics and flags in hand-written documents exist in the generated references.
#![allow(clippy::unwrap_used, reason = "test code")]

use kipfix_style::names::References;
use kipfix_style::workspace;
use std::fs;

/// Documents, and whether their tables have parts of metric names in code spans.
const DOCUMENTS: [(&str, bool); 18] = [
    ("README.md", false),
    ("ARCHITECTURE.md", true),
    ("SECURITY.md", false),
    ("docs/api.md", false),
    ("docs/attribution.md", false),
    ("docs/cni.md", false),
    ("docs/comparison.md", false),
    ("docs/counting.md", false),
    ("docs/history.md", false),
    ("docs/netflow.md", false),
    ("docs/presets.md", false),
    ("docs/quickstart.md", false),
    ("docs/scaling.md", false),
    ("docs/security.md", false),
    ("docs/troubleshooting.md", false),
    ("grafana/rules/kipfix.rules.yaml", false),
    ("grafana/rules/kipfix-traffic.rules.yaml", false),
    ("deploy/helm/recipes/README.md", false),
];

/// Other names of these forms: label values, a crate, a flag of cargo, a prefix for grep.
const OTHERS: [&str; 6] = [
    "connection_lost",
    "exported_records",
    "queue_full",
    "kipfix_export",
    "--locked",
    "kipfix_collector_flow_log",
];

#[test]
fn the_metrics_and_flags_in_documents_exist() {
    let read = |path: &str| fs::read_to_string(workspace().join(path)).unwrap();
    let references = References::new(&read("docs/metrics.md"), &read("docs/settings.md")).unwrap();
    let mut found = Vec::new();
    for (document, parts) in DOCUMENTS {
        let unknown = references.unknown(&read(document), parts).unwrap();
        let unknown = unknown
            .into_iter()
            .filter(|name| !OTHERS.contains(&name.as_str()));
        found.extend(unknown.map(|name| format!("{document}: {name}")));
    }
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}
