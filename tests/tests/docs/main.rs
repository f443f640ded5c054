//! Generated files: the references in `docs/` from the code, the dashboards from `grafana/source/`. The
//! committed files are up to date. `make docs` writes them.
#![allow(clippy::unwrap_used, reason = "test code")]

mod dashboards;
mod elements;
mod metrics;
mod schema;
mod settings;

use std::path::Path;

/// Writes the file for `make docs`, otherwise compares it.
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
        "{path} is out of date: run `make docs`\n{}",
        differs.map_or_else(
            || "the lengths differ".to_owned(),
            |(at, (committed, generated))| format!(
                "line {}:\n  committed: {committed}\n  generated: {generated}",
                at + 1
            )
        )
    );
}

/// A Markdown table.
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
fn docs_settings_match_the_flags() {
    keep("docs/settings.md", &settings::page());
}

#[test]
fn docs_metrics_match_the_registries() {
    keep("docs/metrics.md", &metrics::page());
}

#[test]
fn docs_elements_match_the_templates() {
    keep("docs/elements.md", &elements::page());
}

#[test]
fn the_protobuf_schema_matches_the_columns() {
    keep("proto/kipfix/v1/flow.proto", &schema::proto());
}

#[test]
fn the_clickhouse_tables_match_the_columns() {
    use kipfix_collector::emit::enriched::sql;
    keep("deploy/clickhouse/flows.sql", &sql::flows());
    keep("deploy/clickhouse/kafka.sql", &sql::kafka());
    keep("deploy/clickhouse/upgrade.sql", &sql::upgrade());
}

#[test]
fn a_published_field_keeps_its_number_its_name_and_its_type() {
    schema::check_published();
}

#[test]
fn dashboards_match_their_sources() {
    for (name, dashboard) in dashboards::all() {
        keep(&format!("grafana/kipfix-{name}.json"), &dashboard);
    }
}
