//! The variables of dashboards.

use serde::Deserialize;
use serde_json::{Value, json};

use super::data_source;

/// Variables of a dashboard, in addition to the data source.
#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(super) enum Variable {
    Cluster,
    Namespace,
    Workload,
    Class,
    Top,
    Price,
    /// Prices of a GiB to other zones, to other regions and to external addresses.
    ZonePrice,
    RegionPrice,
    InternetPrice,
    /// The URL of a collector, for links to its map.
    Map,
}

impl Variable {
    pub(super) fn json(self) -> Value {
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
            Self::Map => text("map", "URL of the map", "http://localhost:8080"),
            Self::Price => text("price", "Price of a GB", "0.01"),
            Self::ZonePrice => text("zone_price", "Price of a GiB to other zones", "0.01"),
            Self::RegionPrice => text("region_price", "To other regions", "0.02"),
            Self::InternetPrice => text("internet_price", "To external addresses", "0.09"),
        }
    }
}

/// A variable whose value is typed in.
fn text(name: &str, title: &str, value: &str) -> Value {
    json!({
        "name": name, "label": title, "type": "textbox", "query": value,
        "current": {"text": value, "value": value},
        "options": [{"text": value, "value": value, "selected": true}],
    })
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
