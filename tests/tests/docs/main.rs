//! Generated files: the references in `docs/` from the code, the dashboards from `grafana/source/`.
//! The committed files are up to date. `make docs` writes them.
#![allow(clippy::unwrap_used, reason = "test code")]

mod dashboards;
mod elements;
mod generated;
mod metrics;
mod schema;
mod settings;
mod values;

use std::path::Path;

use generated::keep;

#[test]
fn docs_settings_match_the_flags() {
    keep("docs/settings.md", &settings::page());
}

#[test]
fn the_values_of_the_chart_have_the_settings_of_both_daemons() {
    let path = "deploy/helm/kipfix/values.schema.json";
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    let committed = std::fs::read_to_string(file).unwrap();
    keep(path, &settings::values_schema(&committed));
}

#[test]
fn the_values_of_the_chart_are_described_as_in_their_schema() {
    let read = |name: &str| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        std::fs::read_to_string(root.join(name)).unwrap()
    };
    let path = "deploy/helm/kipfix/values.yaml";
    let schema = read("deploy/helm/kipfix/values.schema.json");
    keep(path, &values::commented(&read(path), &schema));
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
    use kipfix_collector::emit::enriched::{health_sql, sql};
    keep("deploy/clickhouse/flows.sql", &sql::flows());
    keep("deploy/clickhouse/kafka.sql", &sql::kafka());
    keep("deploy/clickhouse/upgrade.sql", &sql::upgrade());
    keep("deploy/clickhouse/health.sql", &health_sql::statements());
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
    for (uid, panel) in dashboards::library() {
        keep(&format!("grafana/library/{uid}.json"), &panel);
    }
}
