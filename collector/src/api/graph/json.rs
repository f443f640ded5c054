//! A graph as Grafana reads it.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::arcs::{ArcKind, errors, share};
use super::stat;
use crate::history::{EdgeValues, GroupedEdge, Order};

/// The fields of nodes and edges.
#[derive(Serialize, ToSchema)]
pub(super) struct GraphFieldsJson {
    nodes_fields: Vec<GraphFieldJson>,
    edges_fields: Vec<GraphFieldJson>,
}

/// A field of nodes or edges.
#[derive(Serialize, ToSchema)]
struct GraphFieldJson {
    /// Its name in the graph.
    field_name: &'static str,
    /// `string` or `number`.
    #[serde(rename = "type")]
    field_type: &'static str,
    /// Colour of its part of the circle of a node.
    #[serde(skip_serializing_if = "Option::is_none")]
    color: Option<&'static str>,
    /// Name of that part.
    #[serde(rename = "displayName", skip_serializing_if = "Option::is_none")]
    display_name: Option<&'static str>,
}

pub(super) fn fields() -> GraphFieldsJson {
    let text = |field_name| GraphFieldJson {
        field_name,
        field_type: "string",
        color: None,
        display_name: None,
    };
    let arc = |field_name, color, shown| GraphFieldJson {
        field_name,
        field_type: "number",
        color: Some(color),
        display_name: Some(shown),
    };
    GraphFieldsJson {
        nodes_fields: vec![
            text("id"),
            text("title"),
            text("subTitle"),
            text("mainStat"),
            text("secondaryStat"),
            arc("arc__internal", "blue", "In the cluster"),
            arc("arc__external", "orange", "External"),
            arc("arc__success", "green", "Without errors"),
            arc("arc__errors", "red", "Errors"),
        ],
        edges_fields: vec![
            text("id"),
            text("source"),
            text("target"),
            text("mainStat"),
            text("secondaryStat"),
        ],
    }
}

/// A graph.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(super) struct GraphJson {
    nodes: Vec<GraphNodeJson>,
    edges: Vec<GraphEdgeJson>,
}

/// A workload, or an external name.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
struct GraphNodeJson {
    id: String,
    title: String,
    #[serde(rename = "subTitle")]
    sub_title: String,
    #[serde(rename = "mainStat")]
    main_stat: String,
    #[serde(rename = "secondaryStat")]
    secondary_stat: String,
    /// Share of the traffic in the cluster. 0 for arcs=errors.
    #[serde(rename = "arc__internal")]
    internal: f64,
    /// Share of the traffic with external endpoints. 0 for arcs=errors.
    #[serde(rename = "arc__external")]
    external: f64,
    /// Share without errors. 0 for arcs=traffic.
    #[serde(rename = "arc__success")]
    success: f64,
    /// Share of errors. 0 for arcs=traffic.
    #[serde(rename = "arc__errors")]
    errors: f64,
}

/// The traffic from one node to another.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
struct GraphEdgeJson {
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
    all: EdgeValues,
    external: EdgeValues,
}

impl Sums {
    fn named(namespace: &str, kind: &str, name: &str) -> Self {
        let or_kind = |text: &str| if text.is_empty() { kind } else { text }.to_owned();
        Self {
            title: or_kind(name),
            sub_title: or_kind(namespace),
            ..Self::default()
        }
    }

    fn node(self, id: String, order: Order, arcs: ArcKind) -> GraphNodeJson {
        let [internal, external, success, errors] = match arcs {
            ArcKind::Traffic => {
                let external = share(order.of(&self.external), order.of(&self.all));
                [1.0 - external, external, 0.0, 0.0]
            }
            ArcKind::Errors => {
                let (errors, all) = errors(&self.all, order);
                let errors = share(errors, all);
                [0.0, 0.0, 1.0 - errors, errors]
            }
        };
        GraphNodeJson {
            id,
            title: self.title,
            sub_title: self.sub_title,
            main_stat: stat::main(&self.all, order),
            secondary_stat: stat::secondary(&self.all, order),
            internal,
            external,
            success,
            errors,
        }
    }
}

impl GraphJson {
    /// `edges` are grouped by [`GROUP_BY`](super::GROUP_BY).
    pub(super) fn new(edges: &[GroupedEdge], order: Order, arcs: ArcKind) -> Self {
        let mut nodes: BTreeMap<String, Sums> = BTreeMap::new();
        let mut graph_edges = Vec::with_capacity(edges.len());
        for edge in edges {
            let [src_ns, src_kind, src_name, dst_ns, dst_kind, dst_name] = edge.labels.as_slice()
            else {
                continue;
            };
            let mut kinds = [src_kind, dst_kind].into_iter();
            let is_external = kinds.any(|kind| kind == "External");
            let ends = [(src_ns, src_kind, src_name), (dst_ns, dst_kind, dst_name)];
            let ids = ends.map(|(namespace, kind, name)| {
                let id = format!("{namespace}/{kind}/{name}");
                let sums = nodes.entry(id.clone());
                let sums = sums.or_insert_with(|| Sums::named(namespace, kind, name));
                sums.all.add(&edge.sum);
                if is_external {
                    sums.external.add(&edge.sum);
                }
                id
            });
            let [source, target] = ids;
            graph_edges.push(GraphEdgeJson {
                id: format!("{source} {target}"),
                source,
                target,
                main_stat: stat::main(&edge.sum, order),
                secondary_stat: stat::secondary(&edge.sum, order),
            });
        }
        let nodes = nodes.into_iter();
        Self {
            nodes: nodes.map(|(id, sums)| sums.node(id, order, arcs)).collect(),
            edges: graph_edges,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Health;
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
        let graph = GraphJson::new(&edges, Order::Bytes, ArcKind::Traffic);
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
        let announced = serde_json::to_value(fields()).unwrap();
        let value = serde_json::to_value(&graph).unwrap();
        for (kind, list) in [("nodes", "nodes_fields"), ("edges", "edges_fields")] {
            let names: Vec<&str> = announced[list]
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
    fn errors_are_the_share_of_failed_connections_or_of_retransmitted_packets() {
        let edge = |name: &str, sum: EdgeValues| GroupedEdge {
            labels: ["a", "Deployment", "web", "b", "Deployment", name]
                .map(str::to_owned)
                .to_vec(),
            sum,
            points: Vec::new(),
        };
        let health = Health {
            retransmitted_packets: 5,
            refused_connections: 1,
            unanswered_connections: 2,
            duration_count: 4,
            duration_sum_milliseconds: 6000,
            ..Health::default()
        };
        let mut sum = EdgeValues::from(Measures {
            bytes: 1000,
            packets: 20,
            connections: 12,
        });
        sum.health = Some(health);
        let edges = [edge("db", sum), edge("cache", EdgeValues::default())];
        let node = |order, name: &str| {
            let graph = GraphJson::new(&edges, order, ArcKind::Errors);
            let mut nodes = graph.nodes.into_iter();
            nodes.find(|node| node.title == name).unwrap()
        };
        for (order, errors, main, secondary) in [
            (Order::Bytes, 0.25, "1.0 kB", "20 packets"),
            (
                Order::RetransmittedPackets,
                0.25,
                "5 retransmits",
                "25.0 % of 20 packets",
            ),
            (
                Order::FailedConnections,
                0.25,
                "3 failed",
                "25.0 % of 12 connections",
            ),
            (
                Order::ConnectionDuration,
                0.25,
                "1.5 s",
                "mean of 4 connections",
            ),
        ] {
            let web = node(order, "web");
            assert_eq!(
                (web.errors, web.success),
                (errors, 1.0 - errors),
                "{order:?}"
            );
            assert_eq!((web.internal, web.external), (0.0, 0.0));
            assert_eq!((&*web.main_stat, &*web.secondary_stat), (main, secondary));
        }
        let cache = node(Order::Bytes, "cache");
        assert_eq!((cache.errors, cache.success), (0.0, 1.0));
    }
}
