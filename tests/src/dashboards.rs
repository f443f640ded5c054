//! The queries of the dashboards and library panels in `grafana/`, with values for the variables of
//! Grafana.

use std::path::Path;

use serde_json::Value;

/// A query of a panel.
#[derive(Clone, Debug)]
pub struct Query {
    /// File name of the dashboard or library panel.
    pub dashboard: String,
    /// Title of the panel.
    pub panel: String,
    /// PromQL, complete.
    pub expr: String,
}

/// Returns the queries of all dashboards. `window` replaces the interval of rates, `range` the time
/// range, both in PromQL: `5m`.
pub fn queries(window: &str, range: &str) -> Vec<Query> {
    queries_of("grafana", window, range)
}

/// Returns the queries of the dashboards or library panels in a folder, like [`queries`].
pub fn queries_of(folder: &str, window: &str, range: &str) -> Vec<Query> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(folder);
    let files = std::fs::read_dir(folder).expect("the folder of dashboards");
    let mut queries = Vec::new();
    for file in files {
        let path = file.expect("a file").path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a dashboard");
        let dashboard: Value = serde_json::from_str(&text).expect("JSON");
        let mut variables = vec![
            ("__rate_interval".to_owned(), window.to_owned()),
            ("__interval".to_owned(), window.to_owned()),
            ("__range".to_owned(), range.to_owned()),
        ];
        variables.extend(chosen(&dashboard));
        // Longer names first: one can be a prefix of another.
        variables.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        let of_library = std::iter::once(&dashboard["model"]).filter(|model| model.is_object());
        for panel in members(&dashboard["panels"]).iter().chain(of_library) {
            for target in members(&panel["targets"]) {
                let expr = target["expr"].as_str().expect("a query").to_owned();
                let expr = variables.iter().fold(expr, |expr, (name, value)| {
                    expr.replace(&format!("${{{name}}}"), value)
                        .replace(&format!("${name}"), value)
                });
                queries.push(Query {
                    dashboard: path
                        .file_name()
                        .map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
                    panel: panel["title"].as_str().unwrap_or_default().to_owned(),
                    expr,
                });
            }
        }
    }
    queries
}

/// Variables and their default values.
fn chosen(dashboard: &Value) -> Vec<(String, String)> {
    let variables = members(&dashboard["templating"]["list"]);
    let value = |variable: &Value| {
        let value = [&variable["allValue"], &variable["current"]["value"]];
        value
            .iter()
            .find_map(|value| value.as_str())
            .map(str::to_owned)
    };
    variables
        .iter()
        .filter_map(|variable| Some((variable["name"].as_str()?.to_owned(), value(variable)?)))
        .collect()
}

fn members(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
