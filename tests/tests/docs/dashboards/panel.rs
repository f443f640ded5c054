//! The panels of dashboards and of the library.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{data_source, map_link};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Panel {
    /// Library panels: their id.
    pub(super) uid: Option<String>,
    pub(super) title: String,
    description: String,
    #[serde(rename = "type")]
    kind: Kind,
    /// Of 24 columns.
    #[serde(default)]
    pub(super) width: u64,
    height: Option<u64>,
    #[serde(default)]
    unit: String,
    queries: Vec<Query>,
    #[serde(default)]
    stack: bool,
    /// Thresholds: fair from the first value on, good from the second.
    good: Option<[f64; 2]>,
    /// Thresholds: doubtful from the first value on, bad from the second.
    bad: Option<[f64; 2]>,
    /// Tables: label → title of its column, from left to right.
    #[serde(default)]
    columns: Vec<BTreeMap<String, String>>,
    /// Tables: title of the column for ascending order. Default: descending order by value.
    sort: Option<String>,
    /// Tables: title of a column of namespaces → uid of the dashboard for its links.
    #[serde(default)]
    drill: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Stat,
    Timeseries,
    Table,
    Nodegraph,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    expr: String,
    #[serde(default)]
    legend: String,
}

impl Panel {
    pub(super) fn height(&self) -> u64 {
        self.height.unwrap_or(match self.kind {
            Kind::Stat => 4,
            Kind::Timeseries => 8,
            Kind::Table => 10,
            Kind::Nodegraph => 12,
        })
    }

    pub(super) fn json(&self, id: usize, place: Value, has_map: bool) -> Value {
        let mut panel = self.model(Some(data_source()), has_map);
        panel["id"] = json!(id);
        panel["gridPos"] = place;
        panel
    }

    /// The panel without its place. Without a data source it uses the default one.
    pub(super) fn model(&self, data_source: Option<Value>, has_map: bool) -> Value {
        let mut panel = json!({
            "title": self.title,
            "description": self.description,
            "datasource": data_source,
            "targets": self.targets(data_source.as_ref()),
        });
        let of_kind = match self.kind {
            Kind::Stat => self.stat(),
            Kind::Timeseries => self.time_series(),
            Kind::Table => self.table(has_map),
            Kind::Nodegraph => node_graph(has_map.then(|| self.node_links())),
        };
        for (key, value) in of_kind.as_object().unwrap() {
            panel[key] = value.clone();
        }
        panel
    }

    fn targets(&self, data_source: Option<&Value>) -> Vec<Value> {
        let instant = !matches!(self.kind, Kind::Timeseries);
        let format = match self.kind {
            Kind::Stat | Kind::Timeseries => "time_series",
            Kind::Table | Kind::Nodegraph => "table",
        };
        let queries = self.queries.iter().zip('A'..='Z');
        queries
            .map(|(query, letter)| {
                let mut target = json!({
                    "refId": letter.to_string(), "editorMode": "code",
                    "expr": query.expr, "legendFormat": query.legend,
                    "format": format, "instant": instant, "range": !instant,
                });
                if let Some(source) = data_source {
                    target["datasource"] = source.clone();
                }
                target
            })
            .collect()
    }

    fn stat(&self) -> Value {
        let steps = match (self.good, self.bad) {
            (Some([fair, good]), _) => json!([
                {"color": "red", "value": null}, {"color": "orange", "value": fair}, {"color": "green", "value": good},
            ]),
            (None, Some([doubtful, bad])) => json!([
                {"color": "green", "value": null}, {"color": "orange", "value": doubtful}, {"color": "red", "value": bad},
            ]),
            (None, None) => json!([{"color": "text", "value": null}]),
        };
        let mut defaults = json!({
            "unit": self.unit,
            "color": {"mode": "thresholds"},
            "thresholds": {"mode": "absolute", "steps": steps},
        });
        if self.unit == "percentunit" {
            defaults["decimals"] = json!(2);
        }
        json!({
            "type": "stat",
            "fieldConfig": {"defaults": defaults, "overrides": []},
            "options": {
                "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": false},
                "colorMode": "value", "graphMode": "none", "textMode": "value", "justifyMode": "auto",
                "orientation": "auto", "wideLayout": true, "showPercentChange": false,
                "percentChangeColorMode": "standard",
            },
        })
    }

    fn time_series(&self) -> Value {
        let stacking = if self.stack { "normal" } else { "none" };
        let fill = if self.stack { 30 } else { 5 };
        // Endpoints without a namespace are nodes and networks with their name, and external
        // addresses.
        let rename = |from, to| json!({"id": "renameByRegex", "options": {"regex": from, "renamePattern": to}});
        let of_workloads = |query: &Query| query.legend.contains("}}/{{");
        let transformations = if self.queries.iter().any(of_workloads) {
            vec![rename("^/$", "outside"), rename("^/(.+)$", "$1")]
        } else {
            Vec::new()
        };
        json!({
            "type": "timeseries",
            "transformations": transformations,
            "fieldConfig": {
                "defaults": {
                    "unit": self.unit,
                    "min": 0,
                    "custom": {
                        "lineWidth": 1, "fillOpacity": fill, "showPoints": "never",
                        "stacking": {"mode": stacking, "group": "A"},
                    },
                },
                "overrides": [],
            },
            "options": {
                "legend": {"displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": []},
                "tooltip": {"mode": "multi", "sort": "desc"},
            },
        })
    }

    /// The links of a node graph, by the labels of its query.
    fn node_links(&self) -> Value {
        let has_labels = |query: &Query| query.expr.contains("by (src_namespace,");
        let parameters = if self.queries.iter().any(has_labels) {
            "&ns=${__data.fields.src_namespace}&ns=${__data.fields.dst_namespace}"
        } else {
            ""
        };
        map_link(parameters)
    }

    fn table(&self, has_map: bool) -> Value {
        // One each, or their order would be lost.
        assert!(self.columns.iter().all(|column| column.len() == 1));
        let columns: Vec<_> = self.columns.iter().flatten().collect();
        let heads: BTreeMap<_, _> = columns.iter().copied().collect();
        let places: BTreeMap<_, _> = columns.iter().map(|(label, _)| label).zip(0..).collect();
        let head = |wanted: &str| {
            columns
                .iter()
                .find_map(|(label, head)| (*label == wanted).then_some(*head))
        };
        let value = head("Value").map_or("Value", String::as_str);
        let mut overrides = vec![json!({
            "matcher": {"id": "byName", "options": value},
            "properties": [{"id": "unit", "value": self.unit}],
        })];
        for (column, dashboard) in &self.drill {
            let mut links = vec![json!({
                "title": "This namespace",
                "url": format!("/d/{dashboard}?var-namespace=${{__value.raw}}&${{datasource:queryparam}}&${{cluster:queryparam}}&${{__url_time_range}}"),
            })];
            if has_map {
                links.push(map_link("&ns=${__value.raw}"));
            }
            overrides.push(json!({
                "matcher": {"id": "byName", "options": column},
                "properties": [{"id": "links", "value": links}],
            }));
        }
        for label in ["src_workload", "dst_workload"] {
            if let Some(column) = head(label) {
                let mut properties = Vec::new();
                if has_map {
                    properties
                        .push(json!({"id": "links", "value": [map_link("&q=${__value.raw}")]}));
                }
                let outside = json!({"type": "special", "options": {"match": "empty", "result": {"text": "outside", "index": 0}}});
                properties.push(json!({"id": "mappings", "value": [outside]}));
                overrides.push(json!({
                    "matcher": {"id": "byName", "options": column},
                    "properties": properties,
                }));
            }
        }
        let (sorting, descending) = self
            .sort
            .as_ref()
            .map_or((value, true), |head| (head, false));
        json!({
            "type": "table",
            "fieldConfig": {
                "defaults": {"custom": {"align": "auto", "filterable": true, "inspect": false}},
                "overrides": overrides,
            },
            "options": {
                "showHeader": true, "cellHeight": "sm", "frameIndex": 0,
                "sortBy": [{"displayName": sorting, "desc": descending}],
            },
            "transformations": [{
                "id": "organize",
                "options": {
                    "excludeByName": {"Time": true}, "indexByName": places, "renameByName": heads,
                },
            }],
        })
    }
}

/// The panel makes the nodes out of the edges: frames of both would have to name the same ends, and
/// two `topk` do not. It wants the number in a field of the name `mainstat`; renaming gives a field
/// another title only, calculating one gives it the name.
fn node_graph(link: Option<Value>) -> Value {
    let overrides: Vec<Value> = link
        .map(|link| {
            json!({
                "matcher": {"id": "byName", "options": "id"},
                "properties": [{"id": "links", "value": [link]}],
            })
        })
        .into_iter()
        .collect();
    json!({
        "type": "nodeGraph",
        "fieldConfig": {"defaults": {}, "overrides": overrides},
        "options": {
            "nodes": {"mainStatUnit": "kB/s"},
            "edges": {"mainStatUnit": "kB/s"},
            "zoomMode": "cooperative",
        },
        "transformations": [{
            "id": "calculateField",
            "options": {"mode": "reduceRow", "reduce": {"reducer": "sum"}, "alias": "mainstat", "replaceFields": false, "timeSeries": false},
        }],
    })
}
