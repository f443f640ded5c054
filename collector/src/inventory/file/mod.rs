//! The inventory file: a YAML description of the cluster, for use without Kubernetes.
//!
//! ```yaml
//! nodes:
//!   - {name: node-a, addresses: [10.9.0.1], podCIDRs: [10.1.1.0/24], zone: z1, region: r1,
//!      pool: spot}
//! pods:
//!   - name: web-1
//!     namespace: shop
//!     addresses: [10.1.1.10]
//!     node: node-a
//!     workload: {kind: Deployment, name: web}
//!     labels: {app: web}
//! namespaces:
//!   - {name: shop, labels: {team: sales}}
//! services:
//!   - {name: web, namespace: shop, addresses: [10.96.0.10]}
//! cidrs:
//!   - {cidr: 192.0.2.0/24, name: office}
//! ```
//!
//! An error is one sentence with the file, the line and the allowed values.

mod document;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::endpoint::{Endpoint, EndpointKind, Node, UNKNOWN};
use super::external::NamedCidr;
use super::labels::{self, KeptLabels, LabelSet};
use super::writer::{Bounds, Conflict, IndexWriter};
use document::{CidrEntry, Document, Labels, NodeEntry, PodEntry, ServiceEntry};

/// Why an inventory file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    /// The file cannot be read.
    #[error("inventory {}: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        error: std::io::Error,
    },
    /// The file is not valid.
    #[error("inventory {}: {message}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Line, column, the mistake and the allowed values.
        message: String,
    },
}

/// The content of an inventory file.
#[derive(Debug)]
pub struct Inventory {
    /// The cluster's addresses.
    pub writer: IndexWriter,
    /// Named external CIDRs.
    pub cidrs: Vec<NamedCidr>,
}

/// Reads an inventory file without labels.
///
/// # Errors
/// The file cannot be read or is not valid.
pub fn read(path: &Path, bounds: Bounds) -> Result<Inventory, InventoryError> {
    read_keeping(path, bounds, &KeptLabels::default())
}

/// Reads an inventory file with the labels that are kept.
///
/// # Errors
/// The file cannot be read or is not valid.
pub fn read_keeping(
    path: &Path,
    bounds: Bounds,
    kept: &KeptLabels,
) -> Result<Inventory, InventoryError> {
    let text = std::fs::read_to_string(path).map_err(|error| InventoryError::Unreadable {
        path: path.to_owned(),
        error,
    })?;
    parse_keeping(&text, bounds, kept).map_err(|message| InventoryError::Malformed {
        path: path.to_owned(),
        message,
    })
}

/// Parses the text of an inventory file without labels.
///
/// # Errors
/// One sentence: the text is not YAML of the form above, or assigns an address twice.
pub fn parse(text: &str, bounds: Bounds) -> Result<Inventory, String> {
    parse_keeping(text, bounds, &KeptLabels::default())
}

fn parse_keeping(text: &str, bounds: Bounds, kept: &KeptLabels) -> Result<Inventory, String> {
    // The file is trusted, and the index has its own limits.
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_nodes: usize::MAX,
            max_events: usize::MAX,
            max_total_scalar_bytes: usize::MAX,
        },
    };
    let document: Document =
        serde_saphyr::from_str_with_options(text, options).map_err(|error| {
            // The first line has the position and the mistake. The rest shows the source.
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default();
            first.strip_prefix("error: ").unwrap_or(first).to_owned()
        })?;
    let mut writer = IndexWriter::new(bounds);
    let message = |conflict: Conflict| conflict.to_string();
    for entry in &document.nodes {
        add_node(&mut writer, entry).map_err(message)?;
    }
    for entry in &document.pods {
        add_pod(&mut writer, entry, kept)?;
    }
    for entry in &document.namespaces {
        let labels = kept_labels(&mut writer, &entry.labels, &kept.namespaces);
        if !writer.set_namespace_labels(&entry.name, labels) {
            return Err("more namespaces than max_endpoints".to_owned());
        }
    }
    for entry in &document.services {
        add_service(&mut writer, entry).map_err(message)?;
    }
    let named = |entry: CidrEntry| NamedCidr {
        cidr: entry.cidr.0,
        name: entry.name.0,
    };
    Ok(Inventory {
        writer,
        cidrs: document.cidrs.into_iter().map(named).collect(),
    })
}

fn add_node(writer: &mut IndexWriter, entry: &NodeEntry) -> Result<(), Conflict> {
    let name = writer.intern(&entry.name);
    let node = Node {
        name: name.clone(),
        zone: writer.intern(&entry.zone),
        region: writer.intern(&entry.region),
        pool: writer.intern(&entry.pool),
    };
    let node = Some(writer.add_node(node)?);
    let endpoint = Endpoint {
        kind: EndpointKind::Node,
        name: name.clone(),
        workload_kind: writer.intern("Node"),
        workload_name: name,
        node,
        ..Endpoint::default()
    };
    let endpoint = writer.add_endpoint(endpoint);
    for address in &entry.addresses {
        writer.assign_address(address.0, endpoint)?;
    }
    if entry.pod_cidrs.is_empty() {
        return Ok(());
    }
    let pods = Endpoint {
        kind: EndpointKind::Pod,
        namespace: writer.intern(UNKNOWN),
        workload_kind: writer.intern("Pod"),
        workload_name: writer.intern(UNKNOWN),
        node,
        ..Endpoint::default()
    };
    let pods = writer.add_endpoint(pods);
    for prefix in &entry.pod_cidrs {
        writer.assign_cidr(prefix.0, pods)?;
    }
    Ok(())
}

fn kept_labels(
    writer: &mut IndexWriter,
    labels: &Labels,
    keys: &[String],
) -> Option<Arc<LabelSet>> {
    let value = |key: &str| labels.get(key).map(|value| &**value);
    writer.labels(labels::kept(keys, value))
}

fn add_pod(writer: &mut IndexWriter, entry: &PodEntry, kept: &KeptLabels) -> Result<(), String> {
    let node = match &entry.node {
        None => None,
        Some(name) => Some(writer.node_named(name).ok_or_else(|| {
            format!(
                "pod {}/{}: unknown node {:?}: must be one of nodes",
                &*entry.namespace, &*entry.name, &**name
            )
        })?),
    };
    let (kind, workload) = match &entry.workload {
        Some(workload) => (&*workload.kind, &*workload.name),
        None => ("Pod", &*entry.name),
    };
    let pod = Endpoint {
        kind: EndpointKind::Pod,
        namespace: writer.intern(&entry.namespace),
        name: writer.intern(&entry.name),
        workload_kind: writer.intern(kind),
        workload_name: writer.intern(workload),
        node,
        topology: None,
        labels: kept_labels(writer, &entry.labels, &kept.pods),
        external_address: None,
    };
    let id = writer.add_endpoint(pod);
    for address in &entry.addresses {
        writer
            .assign_address(address.0, id)
            .map_err(|conflict| conflict.to_string())?;
    }
    Ok(())
}

fn add_service(writer: &mut IndexWriter, entry: &ServiceEntry) -> Result<(), Conflict> {
    let name = writer.intern(&entry.name);
    let service = Endpoint {
        kind: EndpointKind::Service,
        namespace: writer.intern(&entry.namespace),
        name: name.clone(),
        workload_kind: writer.intern("Service"),
        workload_name: name,
        ..Endpoint::default()
    };
    let id = writer.add_endpoint(service);
    for address in &entry.addresses {
        writer.assign_address(address.0, id)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use flowproto::Address;

    use super::*;
    use crate::inventory::snapshot::IndexSnapshot;
    use crate::inventory::time_range::TimeRange;

    fn parse(text: &str) -> Result<IndexSnapshot, String> {
        super::parse(text, Bounds::default()).map(|mut inventory| inventory.writer.current())
    }

    const EXAMPLE: &str = "\
nodes:    [{name: node-a, addresses: [10.9.0.1], podCIDRs: [10.1.1.0/24], zone: z1, region: r1, pool: spot}]
pods:
- {name: web-1, namespace: shop, addresses: [10.1.1.10], node: node-a,
   workload: {kind: Deployment, name: web}}
services: [{name: web, namespace: shop, addresses: [10.96.0.10]}]
cidrs:    [{cidr: 192.0.2.0/24, name: office}]
";

    fn at<'a>(index: &'a IndexSnapshot, ip: &str) -> &'a Endpoint {
        let address = Address::from(ip.parse::<IpAddr>().unwrap());
        index.endpoint(index.lookup(address, TimeRange::instant(0)).endpoint)
    }

    #[test]
    fn a_cluster_of_40_000_pods_is_within_the_default_limits() {
        let mut text = String::from("pods:\n");
        for pod in 0..40_000_u32 {
            let [_, a, b, c] = pod.to_be_bytes();
            text += &format!("  - {{name: p{pod}, namespace: n, addresses: [10.{a}.{b}.{c}]}}\n");
        }
        assert_eq!(&*at(&parse(&text).unwrap(), "10.0.156.63").name, "p39999");
    }

    #[test]
    fn every_object_of_the_example_has_its_addresses() {
        let index = parse(EXAMPLE).unwrap();

        let pod = at(&index, "10.1.1.10");
        assert_eq!(
            (pod.kind, &*pod.namespace, &*pod.name),
            (EndpointKind::Pod, "shop", "web-1")
        );
        assert_eq!(
            (&*pod.workload_kind, &*pod.workload_name),
            ("Deployment", "web")
        );
        let node = index.node(pod.node.unwrap());
        assert_eq!(
            [&*node.name, &node.zone, &node.region, &node.pool],
            ["node-a", "z1", "r1", "spot"]
        );
        assert_eq!(at(&index, "10.9.0.1").kind, EndpointKind::Node);
        assert_eq!(at(&index, "10.96.0.10").kind, EndpointKind::Service);
        let named = super::parse(EXAMPLE, Bounds::default()).unwrap().cidrs;
        assert_eq!(named, ["192.0.2.0/24=office".parse().unwrap()]);
        assert_eq!(at(&index, "198.51.100.1").kind, EndpointKind::External);
        assert_eq!(&*at(&index, "198.51.100.1").workload_kind, "External");
    }

    #[test]
    fn an_unassigned_address_in_a_pod_cidr_is_an_unknown_pod_of_that_node() {
        let index = parse(EXAMPLE).unwrap();
        let pod = at(&index, "10.1.1.99");
        assert_eq!(
            (pod.kind, &*pod.namespace, &*pod.name, &*pod.workload_name),
            (EndpointKind::Pod, "unknown", "", "unknown")
        );
        assert_eq!(&*index.node(pod.node.unwrap()).name, "node-a");
    }

    #[test]
    fn a_node_keeps_its_address_that_pods_on_the_host_network_have() {
        let index = parse(
            "nodes: [{name: a, addresses: [10.9.0.1, fd00::1]}]
pods:
- {name: dns, namespace: system, addresses: [10.9.0.1, fd00::1], node: a}
- {name: agent, namespace: system, addresses: [10.9.0.1], node: a}
- {name: agent, namespace: other, addresses: [fd00::1]}
services: [{name: edge, namespace: n, addresses: [10.9.0.1]}]",
        )
        .unwrap();
        for address in ["10.9.0.1", "fd00::1"] {
            let node = at(&index, address);
            assert_eq!((node.kind, &*node.name), (EndpointKind::Node, "a"));
        }
    }

    #[test]
    fn a_bare_pod_is_its_own_workload() {
        let index = parse("pods: [{name: p, namespace: n, addresses: [10.0.0.1]}]").unwrap();
        let pod = at(&index, "10.0.0.1");
        assert_eq!((&*pod.workload_kind, &*pod.workload_name), ("Pod", "p"));
    }

    #[test]
    fn every_mistake_is_one_sentence_with_its_place() {
        for (text, words) in [
            (
                "nodes:\n- {name: a, adresses: []}",
                &["line 2", "adresses", "addresses"][..],
            ),
            (
                "nodes:\n- {name: a, addresses: [10.9.0.300]}",
                &["line 2", "10.9.0.300", "IP address"],
            ),
            (
                "cidrs:\n- {cidr: 10.0.0.0/33, name: x}",
                &["line 2", "10.0.0.0/33", "CIDR"],
            ),
            ("pods:\n- {namespace: x}", &["line 2", "name"]),
            ("workloads: []", &["workloads", "nodes"]),
            ("nodes: 5", &["line 1"]),
            (
                "pods: [{name: a, namespace: n, addresses: [10.0.0.1]},
                 {name: b, namespace: n, addresses: [10.0.0.1]}]",
                &["10.0.0.1", "n/a", "n/b"],
            ),
            (
                "pods: [{name: a, namespace: n, node: x}]",
                &["n/a", "\"x\"", "nodes"],
            ),
            ("nodes: [{name: a}, {name: a}]", &["the name a"]),
            (
                "nodes:\n- {name: \"a\\nb\"}",
                &["line 2", "a\\nb", "control character"],
            ),
            (
                "nodes: [{name: a, podCIDRs: [10.0.0.0/8]}, {name: b, podCIDRs: [10.0.0.1/8]}]",
                &["the pods of node a", "the pods of node b"],
            ),
        ] {
            let message = parse(text).unwrap_err();
            for word in words {
                assert!(message.contains(word), "{text}\n{message}\nlacks {word}");
            }
            assert_eq!(message.lines().count(), 1, "{message}");
        }
    }

    #[test]
    fn an_empty_file_is_an_empty_inventory() {
        assert!(parse("").unwrap().is_empty());
    }
}
