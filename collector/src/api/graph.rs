//! `/api/health`, `/api/graph/fields` and `/api/graph/data`: what the data source "Node Graph API" of
//! Grafana reads.

use std::collections::BTreeMap;

use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::error::ApiError;
use super::parameters::{self, number};
use super::{Api, Request, answer};
use crate::aggregate::expression::Expression;
use crate::aggregate::field::Quoted;
use crate::history::{EdgeValues, EdgesQuery, GroupedEdge, Order};

/// The fields by which edges are grouped: those of a node of the graph, for both sides.
const GROUP_BY: &str = "src.namespace,src.kind,src.workload,dst.namespace,dst.kind,dst.workload";
/// Maximum of `limit`: more edges cannot be drawn.
const MAX_LIMIT: usize = 2000;

/// Parameters of a request for a graph.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
struct Parameters {
    /// Begin of the range, Unix milliseconds. If negative, relative to the end. Default: 15 minutes
    /// before the end.
    #[param(value_type = Option<i64>)]
    from: Option<String>,
    /// End of the range, Unix milliseconds. Default: now.
    #[param(value_type = Option<u64>)]
    to: Option<String>,
    /// Namespace of one of the endpoints. Default: all.
    namespace: Option<String>,
    /// Regular expression for the whole name of one of the workloads. Default: all.
    include: Option<String>,
    /// Regular expression for the whole name of workloads that are left out. Default: none.
    exclude: Option<String>,
    /// The value of nodes and edges: bytes, connections, retransmits (retransmitted packets) or
    /// failures (refused and unanswered connections). Default: bytes.
    mode: Option<String>,
    /// Maximum number of edges, 1–2000. Default: 500.
    #[param(value_type = Option<usize>, minimum = 1, maximum = 2000)]
    limit: Option<String>,
}

impl Parameters {
    fn query(&self) -> Result<EdgesQuery, ApiError> {
        let order = match self.mode.as_deref() {
            None | Some("" | "bytes") => Order::Bytes,
            Some("connections") => Order::Connections,
            Some("retransmits") => Order::RetransmittedPackets,
            Some("failures") => Order::FailedConnections,
            Some(mode) => {
                let modes = "bytes, connections, retransmits or failures";
                let error = format!("invalid mode {mode:?}: must be {modes}");
                return Err(ApiError::invalid("mode", error));
            }
        };
        Ok(EdgesQuery {
            time: parameters::time(self.from.as_deref(), self.to.as_deref())?,
            group_by: parameters::group_by(None, GROUP_BY, |_| true)?,
            filter: self.filter()?,
            order,
            limit: number("limit", self.limit.as_deref(), 500, 1..=MAX_LIMIT)?,
            points: 0,
        })
    }

    fn filter(&self) -> Result<Option<Expression>, ApiError> {
        let of_either = |field: &str, operator: &str, text: &str| {
            let text = Quoted(text);
            format!("(src.{field} {operator} {text} || dst.{field} {operator} {text})")
        };
        let parts = [
            ("namespace", &self.namespace, "namespace", "==", ""),
            ("include", &self.include, "workload", "=~", ""),
            ("exclude", &self.exclude, "workload", "=~", "!"),
        ];
        let mut texts = Vec::new();
        for (parameter, value, field, operator, sign) in parts {
            let Some(value) = value.as_deref().filter(|value| !value.is_empty()) else {
                continue;
            };
            let text = format!("{sign}{}", of_either(field, operator, value));
            // On its own, so that an error belongs to this parameter.
            if let Err(error) = text.parse::<Expression>() {
                let error = format!("invalid {parameter}: {}", error.reason);
                return Err(ApiError::invalid(parameter, error));
            }
            texts.push(text);
        }
        parameters::filter(Some(&texts.join(" && ")), |_| true)
    }
}

/// The fields of nodes and edges, for Grafana's data source "Node Graph API".
#[utoipa::path(
    get,
    path = "/api/graph/fields",
    responses(
        (status = 200, body = Object),
        (status = 401, body = ApiError),
    )
)]
pub(super) async fn fields(request: Request) -> Response {
    answer(request, |_, _| Ok(field_list())).await
}

fn field_list() -> Value {
    let text = |name: &str| json!({"field_name": name, "type": "string"});
    let arc = |name: &str, color: &str, shown: &str| json!({"field_name": name, "type": "number", "color": color, "displayName": shown});
    json!({
        "nodes_fields": [
            text("id"), text("title"), text("subTitle"), text("mainStat"),
            arc("arc__internal", "blue", "In the cluster"),
            arc("arc__external", "orange", "External"),
        ],
        "edges_fields": [
            text("id"), text("source"), text("target"), text("mainStat"), text("secondaryStat"),
        ],
    })
}

/// Workloads and external names as nodes, and the traffic between them as edges, for Grafana's data
/// source "Node Graph API".
#[utoipa::path(
    get,
    path = "/api/graph/data",
    params(Parameters),
    responses(
        (status = 200, body = GraphJson),
        (status = 400, body = ApiError),
        (status = 401, body = ApiError),
        (status = 429, body = ApiError),
        (status = 502, body = ApiError),
        (status = 503, body = ApiError),
    )
)]
pub(super) async fn data(request: Request) -> Response {
    answer(request, run).await
}

fn run(api: &Api, query: &str) -> Result<GraphJson, ApiError> {
    let parsed = parameters::parse::<Parameters>(query)?.query()?;
    let answer = super::edges::answer(api, &parsed)?;
    Ok(GraphJson::new(&answer.edges, parsed.order))
}

/// A graph.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
struct GraphJson {
    nodes: Vec<NodeJson>,
    edges: Vec<EdgeJson>,
}

/// A workload, or an external name.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
struct NodeJson {
    id: String,
    title: String,
    #[serde(rename = "subTitle")]
    sub_title: String,
    #[serde(rename = "mainStat")]
    main_stat: String,
    /// Share of the traffic in the cluster.
    #[serde(rename = "arc__internal")]
    internal: f64,
    /// Share of the traffic with external endpoints.
    #[serde(rename = "arc__external")]
    external: f64,
}

/// The traffic from one node to another.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
struct EdgeJson {
    id: String,
    source: String,
    target: String,
    #[serde(rename = "mainStat")]
    main_stat: String,
    #[serde(rename = "secondaryStat")]
    secondary_stat: String,
}

/// A node while the edges are added up.
#[derive(Default)]
struct Sums {
    title: String,
    sub_title: String,
    internal: u64,
    external: u64,
}

impl GraphJson {
    /// `edges` are grouped by [`GROUP_BY`].
    fn new(edges: &[GroupedEdge], order: Order) -> Self {
        let mut nodes: BTreeMap<String, Sums> = BTreeMap::new();
        let mut graph_edges = Vec::with_capacity(edges.len());
        for edge in edges {
            let [src_ns, src_kind, src_name, dst_ns, dst_kind, dst_name] = edge.labels.as_slice()
            else {
                continue;
            };
            let is_external = [src_kind, dst_kind]
                .into_iter()
                .any(|kind| kind == "External");
            let value = order.of(&edge.sum);
            let ends = [(src_ns, src_kind, src_name), (dst_ns, dst_kind, dst_name)];
            let ids = ends.map(|(namespace, kind, name)| {
                let id = format!("{namespace}/{kind}/{name}");
                let sums = nodes.entry(id.clone()).or_insert_with(|| Sums {
                    title: [name, kind]
                        .into_iter()
                        .find(|t| !t.is_empty())
                        .cloned()
                        .unwrap_or_default(),
                    sub_title: [namespace, kind]
                        .into_iter()
                        .find(|t| !t.is_empty())
                        .cloned()
                        .unwrap_or_default(),
                    ..Sums::default()
                });
                if is_external {
                    sums.external = sums.external.saturating_add(value);
                } else {
                    sums.internal = sums.internal.saturating_add(value);
                }
                id
            });
            let [source, target] = ids;
            graph_edges.push(EdgeJson {
                id: format!("{source} {target}"),
                source,
                target,
                main_stat: shown(value, order),
                secondary_stat: secondary(&edge.sum, order),
            });
        }
        let node = |(id, sums): (String, Sums)| {
            let all = sums.internal.saturating_add(sums.external);
            let external = share(sums.external, all);
            NodeJson {
                id,
                title: sums.title,
                sub_title: sums.sub_title,
                main_stat: shown(all, order),
                internal: 1.0 - external,
                external,
            }
        };
        Self {
            nodes: nodes.into_iter().map(node).collect(),
            edges: graph_edges,
        }
    }
}

/// A part of a sum, in thousandths.
fn share(part: u64, all: u64) -> f64 {
    let thousandths = u128::from(part) * 1000 / u128::from(all.max(1));
    f64::from(u32::try_from(thousandths).unwrap_or(1000)) / 1000.0
}

/// The second value of an edge: what the first one is a part of.
fn secondary(values: &EdgeValues, order: Order) -> String {
    let traffic = &values.traffic;
    let percent = |all: u64| share(order.of(values), all) * 100.0;
    match order {
        Order::RetransmittedPackets => {
            let packets = traffic.packets;
            format!("{:.1} % of {packets} packets", percent(packets))
        }
        Order::FailedConnections => {
            // Attempts that failed may not be counted as connections.
            let connections = traffic.connections.max(order.of(values));
            format!("{:.1} % of {connections} connections", percent(connections))
        }
        Order::Bytes | Order::Packets | Order::Connections => {
            format!("{} packets", traffic.packets)
        }
    }
}

/// A value with its unit.
fn shown(value: u64, order: Order) -> String {
    let count = match order {
        Order::Bytes => None,
        Order::Packets => Some("packets"),
        Order::Connections => Some("connections"),
        Order::RetransmittedPackets => Some("retransmits"),
        Order::FailedConnections => Some("failed"),
    };
    if let Some(unit) = count {
        return format!("{value} {unit}");
    }
    let units = ["kB", "MB", "GB", "TB", "PB", "EB"];
    let mut scaled = (value, "B");
    let mut tenths = 0;
    for unit in units {
        if scaled.0 < 1000 {
            break;
        }
        tenths = scaled.0 % 1000 / 100;
        scaled = (scaled.0 / 1000, unit);
    }
    match scaled {
        (bytes, "B") => format!("{bytes} B"),
        (number, unit) => format!("{number}.{tenths} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::Measures;

    #[test]
    fn a_graph_has_each_workload_once_with_the_shares_of_its_traffic() {
        let edge = |labels: [&str; 6], bytes: u64| GroupedEdge {
            labels: labels.map(str::to_owned).to_vec(),
            sum: Measures {
                bytes,
                packets: 7,
                ..Measures::default()
            }
            .into(),
            points: Vec::new(),
        };
        let edges = [
            edge(
                ["shop", "Deployment", "web", "data", "StatefulSet", "db"],
                3000,
            ),
            edge(
                ["shop", "Deployment", "web", "", "External", "office"],
                1000,
            ),
            edge(["", "External", "", "shop", "Deployment", "web"], 0),
        ];
        let graph = GraphJson::new(&edges, Order::Bytes);
        let titles: Vec<&str> = graph.nodes.iter().map(|node| &*node.title).collect();
        assert_eq!(titles, ["External", "office", "db", "web"]);
        let web = &graph.nodes[3];
        assert_eq!((&*web.id, &*web.sub_title), ("shop/Deployment/web", "shop"));
        assert_eq!(
            (&*web.main_stat, web.internal, web.external),
            ("4.0 kB", 0.75, 0.25)
        );
        assert_eq!(graph.edges.len(), 3);
        let first = &graph.edges[0];
        assert_eq!(
            (&*first.source, &*first.target),
            ("shop/Deployment/web", "data/StatefulSet/db")
        );
        assert_eq!(
            (&*first.main_stat, &*first.secondary_stat),
            ("3.0 kB", "7 packets")
        );
        // Every field of the data is announced.
        let fields = field_list();
        let value = serde_json::to_value(&graph).unwrap();
        for (kind, list) in [("nodes", "nodes_fields"), ("edges", "edges_fields")] {
            let names: Vec<&str> = fields[list]
                .as_array()
                .unwrap()
                .iter()
                .map(|field| field["field_name"].as_str().unwrap())
                .collect();
            for name in value[kind][0].as_object().unwrap().keys() {
                assert!(names.contains(&&**name), "{name}");
            }
        }
    }

    #[test]
    fn the_filters_are_expressions_and_errors_name_their_parameter() {
        let query = |text: &str| parameters::parse::<Parameters>(text).and_then(|p| p.query());
        let parsed = query("namespace=shop&include=web.*&exclude=a%22b&mode=connections").unwrap();
        let wanted = "(src.namespace == \"shop\" || dst.namespace == \"shop\") && \
                      (src.workload =~ \"web.*\" || dst.workload =~ \"web.*\") && \
                      !(src.workload =~ \"a\\\"b\" || dst.workload =~ \"a\\\"b\")";
        assert_eq!(parsed.filter.unwrap().text(), wanted);
        assert_eq!(parsed.order, Order::Connections);
        for (mode, order) in [
            ("retransmits", Order::RetransmittedPackets),
            ("failures", Order::FailedConnections),
        ] {
            assert_eq!(query(&format!("mode={mode}")).unwrap().order, order);
        }
        assert!(query("namespace=&include=&mode=").unwrap().filter.is_none());
        for (text, name) in [
            ("include=(", "include"),
            ("exclude=%5B", "exclude"),
            ("mode=duration", "mode"),
            ("limit=2001", "limit"),
            ("from=x", "from"),
        ] {
            assert_eq!(query(text).unwrap_err().parameter(), Some(name), "{text}");
        }
    }

    #[test]
    fn bytes_have_a_unit() {
        for (value, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (1_234_567, "1.2 MB"),
        ] {
            assert_eq!(shown(value, Order::Bytes), text);
        }
        assert_eq!(shown(u64::MAX, Order::Bytes), "18.4 EB");
    }
}
