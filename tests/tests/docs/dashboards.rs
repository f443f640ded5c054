//! Generates the Grafana dashboards from `grafana/source/*.yaml` and the library panels from
//! `grafana/source/library/*.yaml`, which have the differences between panels. The common parts are
//! here.

mod panel;
mod variable;

use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use self::panel::Panel;
use self::variable::Variable;

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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    title: String,
    panels: Vec<Panel>,
}

/// Name and JSON of each dashboard.
pub(crate) fn all() -> Vec<(String, String)> {
    let dashboards = files::<Dashboard>("").into_iter();
    dashboards
        .map(|(name, dashboard)| (name, text(&dashboard.json())))
        .collect()
}

/// Id and JSON of each library panel, as the API of Grafana takes it (`POST
/// /api/library-elements`).
pub(crate) fn library() -> Vec<(String, String)> {
    let panels = files::<Vec<Panel>>("library").into_iter();
    panels
        .flat_map(|(_, panels)| panels)
        .map(|panel| {
            let uid = panel.uid.clone().expect("a library panel has an id");
            // A dashboard may lack the variables of ours, so the panel uses the default data
            // source.
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
