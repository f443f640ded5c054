//! Nodes and namespaces as series of value 1, to be joined with those of traffic:
//!
//! ```promql
//! sum by (pool) (
//!   rate(kipfix_node_bytes_total[5m])
//!   * on (src_node) group_left (pool) label_replace(kipfix_node_info, "src_node", "$1", "node_name", "(.*)")
//! )
//! ```

use kipfix_service::exposition::{self, Format, Kind, Value, text};

use crate::inventory::IndexSnapshot;

/// Name and help of the family of nodes.
pub const NODE_INFO: (&str, &str) = (
    "kipfix_node_info",
    "1 for every known node; pool is the value of the first label in node_pool_labels that it has.",
);
/// Name and help of the family of namespaces.
pub const NAMESPACE_INFO: (&str, &str) = (
    "kipfix_namespace_info",
    "1 for every namespace that has the label in namespace_label; group is its value.",
);

/// Appends both families. `cluster` is the name of the cluster; if it is empty, there is no such
/// label.
pub fn write(index: &IndexSnapshot, cluster: &str, format: Format, out: &mut Vec<u8>) {
    let mut nodes: Vec<_> = index.nodes().collect();
    nodes.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    let nodes = nodes.into_iter().map(|node| {
        [
            ("node_name", &*node.name),
            ("zone", &node.zone),
            ("region", &node.region),
            ("pool", &node.pool),
        ]
    });
    write_info(NODE_INFO, cluster, nodes, format, out);
    let mut namespaces: Vec<_> = index.namespace_groups().collect();
    namespaces.sort_unstable();
    let namespaces = namespaces
        .into_iter()
        .map(|(namespace, group)| [("workload_namespace", namespace), ("group", group)]);
    write_info(NAMESPACE_INFO, cluster, namespaces, format, out);
}

fn write_info<'a, const LABELS: usize>(
    (name, help): (&str, &str),
    cluster: &str,
    series: impl ExactSizeIterator<Item = [(&'a str, &'a str); LABELS]>,
    format: Format,
    out: &mut Vec<u8>,
) {
    if series.len() == 0 {
        return;
    }
    exposition::write_family(name, help, Kind::Gauge, format, out, |write| {
        let mut labels = Vec::new();
        for named in series {
            labels.clear();
            if !cluster.is_empty() {
                text::write_label("cluster", cluster, &mut labels);
            }
            for (label, value) in named {
                text::write_label(label, value, &mut labels);
            }
            write(&labels, Value::Integer(1));
        }
    });
}
