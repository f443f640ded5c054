//! Generates the Grafana dashboards from `grafana/source/*.yaml` and the library panels from
//! `grafana/source/library/*.yaml`, which have the differences between panels. The common parts are here.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// A file of `grafana/source/`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Dashboard {
    title: String,
    uid: String,
    description: String,
    variables: Vec<Variable>,
    rows: Vec<Row>,
}

/// Variables of a dashboard, in addition to the data source.
#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Variable {
    Cluster,
    Namespace,
    Workload,
    Class,
    Top,
    Price,
    /// The URL of a collector, for links to its map.
    Map,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    title: String,
    panels: Vec<Panel>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Panel {
    /// Library panels: their id.
    uid: Option<String>,
    title: String,
    description: String,
    #[serde(rename = "type")]
    kind: Kind,
    /// Of 24 columns.
    #[serde(default)]
    width: u64,
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

/// Name and JSON of each dashboard.
pub(crate) fn all() -> Vec<(String, String)> {
    let dashboards = files::<Dashboard>("").into_iter();
    dashboards
        .map(|(name, dashboard)| (name, text(&dashboard.json())))
        .collect()
}

/// Id and JSON of each library panel, as the API of Grafana takes it (`POST /api/library-elements`).
pub(crate) fn library() -> Vec<(String, String)> {
    let panels = files::<Vec<Panel>>("library").into_iter();
    panels
        .flat_map(|(_, panels)| panels)
        .map(|panel| {
            let uid = panel.uid.clone().expect("a library panel has an id");
            // A dashboard may lack the variables of ours, so the panel uses the default data source.
            let model = panel.model(None, false);
            let kind_of_panel = 1;
            let element = json!({
                "uid": uid, "name": panel.title, "kind": kind_of_panel, "folderUid": "", "model": model,
            });
            (uid, text(&element))
        })
        .collect()
}

/// The files of a folder in `grafana/source`: name and content.
fn files<T: DeserializeOwned>(folder: &str) -> Vec<(String, T)> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../grafana/source");
    let files = std::fs::read_dir(sources.join(folder)).unwrap();
    files
        .map(|file| file.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            let content = serde_saphyr::from_str(&text)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, content)
        })
        .collect()
}

fn text(json: &Value) -> String {
    serde_json::to_string_pretty(json).unwrap() + "\n"
}

fn data_source() -> Value {
    json!({"type": "prometheus", "uid": "${datasource}"})
}

impl Dashboard {
    fn json(&self) -> Value {
        let mut panels = Vec::new();
        let mut y = 0;
        for row in &self.rows {
            let id = panels.len() + 1;
            panels.push(json!({
                "id": id, "type": "row", "title": row.title, "collapsed": false, "panels": [],
                "gridPos": {"x": 0, "y": y, "w": 24, "h": 1},
            }));
            y += 1;
            let (mut x, mut line) = (0, 0);
            for panel in &row.panels {
                if x + panel.width > 24 {
                    (x, y, line) = (0, y + line, 0);
                }
                let height = panel.height();
                let place = json!({"x": x, "y": y, "w": panel.width, "h": height});
                panels.push(panel.json(panels.len() + 1, place, self.has_map()));
                (x, line) = (x + panel.width, line.max(height));
            }
            y += line;
        }
        let variables: Vec<Value> = std::iter::once(json!({
            "name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus",
        }))
        .chain(self.variables.iter().map(|variable| variable.json()))
        .collect();
        json!({
            "title": self.title,
            "uid": self.uid,
            "description": self.description,
            "tags": ["kipfix"],
            "schemaVersion": 39,
            "version": 1,
            "editable": true,
            "graphTooltip": 1,
            "refresh": "30s",
            "time": {"from": "now-1h", "to": "now"},
            "timezone": "",
            "annotations": {"list": []},
            "templating": {"list": variables},
            "links": self.links(),
            "panels": panels,
        })
    }
}

impl Dashboard {
    fn has_map(&self) -> bool {
        self.variables.contains(&Variable::Map)
    }

    fn links(&self) -> Vec<Value> {
        let mut links = vec![json!({
            "type": "dashboards", "tags": ["kipfix"], "title": "kipfix", "asDropdown": false,
            "includeVars": true, "keepTime": true, "targetBlank": false, "icon": "external link",
            "tooltip": "", "url": "",
        })];
        if self.has_map() {
            links.push(json!({
                "type": "link", "tags": [], "title": "Map", "asDropdown": false,
                "includeVars": false, "keepTime": false, "targetBlank": true, "icon": "external link",
                "tooltip": "The map of a collector", "url": map_url(""),
            }));
        }
        links
    }
}

/// The URL of the map for the time range, with more parameters.
fn map_url(parameters: &str) -> String {
    format!("${{map}}/?from=${{__from}}&to=${{__to}}{parameters}")
}

/// A link of a value to the map.
fn map_link(parameters: &str) -> Value {
    json!({"title": "On the map", "url": map_url(parameters), "targetBlank": true})
}

impl Variable {
    fn json(self) -> Value {
        match self {
            // Self-metrics may not have the label: `.*` also matches without it.
            Self::Cluster => choice("cluster", "Cluster", "kipfix_bytes_total", "cluster"),
            Self::Namespace => choice(
                "namespace",
                "Namespace",
                "kipfix_bytes_total{cluster=~\"$cluster\"}",
                "src_namespace",
            ),
            Self::Workload => choice(
                "workload",
                "Workload",
                "kipfix_bytes_total{cluster=~\"$cluster\",src_namespace=~\"$namespace\"}",
                "src_workload",
            ),
            Self::Class => choice(
                "class",
                "Class",
                "kipfix_bytes_total{cluster=~\"$cluster\"}",
                "class",
            ),
            Self::Top => {
                let options = ["10", "25", "50", "100"].map(
                    |number| json!({"text": number, "value": number, "selected": number == "25"}),
                );
                json!({
                    "name": "top", "label": "Rows", "type": "custom", "query": "10,25,50,100",
                    "options": options, "current": {"text": "25", "value": "25"},
                    "multi": false, "includeAll": false,
                })
            }
            Self::Map => json!({
                "name": "map", "label": "URL of the map", "type": "textbox",
                "query": "http://localhost:8080",
                "current": {"text": "http://localhost:8080", "value": "http://localhost:8080"},
                "options": [{
                    "text": "http://localhost:8080", "value": "http://localhost:8080", "selected": true,
                }],
            }),
            Self::Price => json!({
                "name": "price", "label": "Price of a GB", "type": "textbox", "query": "0.01",
                "current": {"text": "0.01", "value": "0.01"},
                "options": [{"text": "0.01", "value": "0.01", "selected": true}],
            }),
        }
    }
}

/// A variable with the values of a label, several at a time.
fn choice(name: &str, title: &str, series: &str, label: &str) -> Value {
    let query = format!("label_values({series}, {label})");
    json!({
        "name": name, "label": title, "type": "query", "datasource": data_source(),
        "definition": query, "query": {"query": query, "refId": name},
        "multi": true, "includeAll": true, "allValue": ".*", "refresh": 2, "sort": 1,
        "current": {"text": ["All"], "value": ["$__all"]},
    })
}

impl Panel {
    fn height(&self) -> u64 {
        self.height.unwrap_or(match self.kind {
            Kind::Stat => 4,
            Kind::Timeseries => 8,
            Kind::Table => 10,
            Kind::Nodegraph => 12,
        })
    }

    fn json(&self, id: usize, place: Value, has_map: bool) -> Value {
        let mut panel = self.model(Some(data_source()), has_map);
        panel["id"] = json!(id);
        panel["gridPos"] = place;
        panel
    }

    /// The panel without its place. Without a data source it uses the default one.
    fn model(&self, data_source: Option<Value>, has_map: bool) -> Value {
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
        // Endpoints without a namespace are nodes and networks with their name, and external addresses.
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

/// The panel makes the nodes out of the edges: frames of both would have to name the same ends, and two
/// `topk` do not. It wants the number in a field of the name `mainstat`; renaming gives a field another
/// title only, calculating one gives it the name.
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
