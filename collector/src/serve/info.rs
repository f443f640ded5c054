//! Nodes and namespaces as series of value 1, to be joined with those of traffic:
//!
//! ```promql
//! sum by (pool) (
//!   rate(kipfix_node_bytes_total[5m])
//!   * on (src_node) group_left (pool) label_replace(kipfix_node_info, "src_node", "$1", "node_name", "(.*)")
//! )
//! ```

use kipfix_service::exposition::{self, Format};

use crate::inventory::IndexSnapshot;

/// Name and help of the family of nodes.
pub const NODE_INFO: (&str, &str) = (
    "kipfix_node_info",
    "1 for every known node; pool is the value of the label in node_pool_label.",
);
/// Name and help of the family of namespaces.
pub const NAMESPACE_INFO: (&str, &str) = (
    "kipfix_namespace_info",
    "1 for every namespace that has the label in namespace_label; group is its value.",
);

/// Appends both families. `cluster` is the name of the cluster; if it is empty, there is no such label.
pub fn write(index: &IndexSnapshot, cluster: &str, format: Format, out: &mut Vec<u8>) {
    let mut nodes: Vec<_> = index.nodes().collect();
    nodes.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    if !nodes.is_empty() {
        exposition::write_header(NODE_INFO.0, NODE_INFO.1, "gauge", format, out);
    }
    for node in nodes {
        let labels = [
            ("node_name", &*node.name),
            ("zone", &node.zone),
            ("region", &node.region),
            ("pool", &node.pool),
        ];
        write_series(NODE_INFO.0, cluster, &labels, out);
    }
    let mut namespaces: Vec<_> = index.namespace_groups().collect();
    namespaces.sort_unstable();
    if !namespaces.is_empty() {
        exposition::write_header(NAMESPACE_INFO.0, NAMESPACE_INFO.1, "gauge", format, out);
    }
    for (namespace, group) in namespaces {
        let labels = [("workload_namespace", namespace), ("group", group)];
        write_series(NAMESPACE_INFO.0, cluster, &labels, out);
    }
}

fn write_series(name: &str, cluster: &str, labels: &[(&str, &str)], out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    out.push(b'{');
    let cluster = Some(("cluster", cluster)).filter(|(_, name)| !name.is_empty());
    for (at, (label, value)) in cluster.iter().chain(labels).enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(label.as_bytes());
        out.extend_from_slice(b"=\"");
        exposition::write_label_value(value, out);
        out.push(b'"');
    }
    out.extend_from_slice(b"} 1\n");
}
