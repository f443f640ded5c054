//! What is generated: the references in `docs/` from the code, the dashboards from `grafana/source/`. Each
//! committed file is what would be generated now; `make docs` writes them.
#![allow(clippy::unwrap_used, reason = "test code")]

mod dashboards;
mod elements;
mod metrics;
mod settings;

use std::path::Path;

/// Writes the file where `make docs` asked for it, else compares it.
fn keep(path: &str, generated: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    if std::env::var_os("KIPFIX_WRITE_DOCS").is_some() {
        std::fs::write(&file, generated).unwrap();
        return;
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    let mut lines = committed.lines().zip(generated.lines()).enumerate();
    let differs = lines.find(|(_, (committed, generated))| committed != generated);
    assert!(
        committed == generated,
        "{path} is not what would be generated now: make docs\n{}",
        differs.map_or_else(
            || "one of them is longer".to_owned(),
            |(at, (committed, generated))| format!(
                "line {}:\n  committed: {committed}\n  generated: {generated}",
                at + 1
            )
        )
    );
}

/// A table of Markdown.
fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut text = line(head.iter().map(|cell| (*cell).to_owned()).collect());
    text += &format!("|{}\n", "---|".repeat(head.len()));
    for row in rows {
        text += &line(row.iter().map(|cell| cell.replace('|', "\\|")).collect());
    }
    text
}

#[test]
fn docs_settings_are_those_of_the_flags() {
    keep("docs/settings.md", &settings::page());
}

#[test]
fn docs_metrics_are_those_of_the_registries() {
    keep("docs/metrics.md", &metrics::page());
}

#[test]
fn docs_elements_are_those_of_the_templates() {
    keep("docs/elements.md", &elements::page());
}

#[test]
fn dashboards_are_made_of_their_sources() {
    for (name, dashboard) in dashboards::all() {
        keep(&format!("grafana/kipfix-{name}.json"), &dashboard);
    }
}
