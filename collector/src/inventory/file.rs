//! The inventory file: YAML that says who holds which address, where there is no Kubernetes to ask.
//!
//! ```yaml
//! nodes:    [{name: node-a, addresses: [10.9.0.1], podCIDRs: [10.1.1.0/24], zone: z1, region: r1}]
//! pods:     [{name: web-1, namespace: shop, addresses: [10.1.1.10], node: node-a, workload: {kind: Deployment, name: web}}]
//! services: [{name: web, namespace: shop, addresses: [10.96.0.10]}]
//! cidrs:    [{cidr: 192.0.2.0/24, name: office}]
//! ```
//!
//! Every mistake is one sentence that names the file, the line and what is allowed.

use std::net::IpAddr;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use flowproto::Address;
use ipnet::IpNet;
use serde::Deserialize;

use super::builder::{Conflict, IndexBuilder};
use super::external::NamedCidr;
use super::snapshot::{Endpoint, EndpointKind, Node};
use super::writer::{Bounds, IndexWriter};

/// Text of a label where the truth is not known, though there must be one.
const UNKNOWN: &str = "unknown";

/// Why an inventory file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    /// It cannot be read.
    #[error("inventory {}: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        error: std::io::Error,
    },
    /// It is no YAML of this form.
    #[error("inventory {}: {message}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Line, column, what is wrong and what is allowed.
        message: String,
    },
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Document {
    nodes: Vec<NodeEntry>,
    pods: Vec<PodEntry>,
    services: Vec<ServiceEntry>,
    cidrs: Vec<CidrEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct NodeEntry {
    name: Name,
    #[serde(default)]
    addresses: Vec<AddressText>,
    #[serde(default, rename = "podCIDRs")]
    pod_cidrs: Vec<PrefixText>,
    #[serde(default)]
    zone: Name,
    #[serde(default)]
    region: Name,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PodEntry {
    name: Name,
    namespace: Name,
    #[serde(default)]
    addresses: Vec<AddressText>,
    node: Option<Name>,
    workload: Option<WorkloadEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WorkloadEntry {
    kind: Name,
    name: Name,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ServiceEntry {
    name: Name,
    namespace: Name,
    #[serde(default)]
    addresses: Vec<AddressText>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CidrEntry {
    cidr: PrefixText,
    name: Name,
}

/// What something is called: of one line, since it stands in messages as well as in labels.
#[derive(Debug, Default, Deserialize)]
#[serde(try_from = "String")]
struct Name(String);

impl TryFrom<String> for Name {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.contains(char::is_control) {
            return Err(format!("{text:?} is no name: it has a control character"));
        }
        Ok(Self(text))
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
struct AddressText(Address);

impl TryFrom<String> for AddressText {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let ip: IpAddr = text.parse().map_err(|_| {
            format!("{text:?} is not an IP address; allowed: IPv4 or IPv6, e.g. 10.1.1.10")
        })?;
        if ip.is_unspecified() {
            return Err(format!("{text:?} is no address that anything can hold"));
        }
        Ok(Self(Address::from(ip)))
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
struct PrefixText(IpNet);

impl TryFrom<String> for PrefixText {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| {
            format!(
                "{text:?} is not a CIDR; allowed: an address and a prefix length, e.g. 10.1.1.0/24"
            )
        })
    }
}

/// What an inventory file says.
#[derive(Debug)]
pub struct Inventory {
    /// Who holds an address of the cluster.
    pub writer: IndexWriter,
    /// Who is who outside.
    pub cidrs: Vec<NamedCidr>,
}

/// Reads an inventory file.
///
/// # Errors
/// The file is unreadable, is no YAML of the form above, or claims something twice.
pub fn read(path: &Path, bounds: Bounds) -> Result<Inventory, InventoryError> {
    let text = std::fs::read_to_string(path).map_err(|error| InventoryError::Unreadable {
        path: path.to_owned(),
        error,
    })?;
    parse(&text, bounds).map_err(|message| InventoryError::Malformed {
        path: path.to_owned(),
        message,
    })
}

/// Reads the text of an inventory file.
///
/// # Errors
/// A sentence: it is no YAML of the form above, or claims something twice.
pub fn parse(text: &str, bounds: Bounds) -> Result<Inventory, String> {
    // It is the operator's own file, and what it fills has bounds of its own: a cluster of any size fits.
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_nodes: usize::MAX,
            max_events: usize::MAX,
            max_total_scalar_bytes: usize::MAX,
        },
    };
    let document: Document =
        serde_saphyr::from_str_with_options(text, options).map_err(|error| {
            // The first line says where and what; the rest draws the place.
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default();
            first.strip_prefix("error: ").unwrap_or(first).to_owned()
        })?;
    let mut builder = IndexBuilder::within(bounds);
    let said = |conflict: Conflict| conflict.to_string();
    for entry in &document.nodes {
        add_node(&mut builder, entry).map_err(said)?;
    }
    for entry in &document.pods {
        add_pod(&mut builder, entry)?;
    }
    for entry in &document.services {
        add_service(&mut builder, entry).map_err(said)?;
    }
    let named = |entry: CidrEntry| NamedCidr {
        cidr: entry.cidr.0,
        name: entry.name.0,
    };
    Ok(Inventory {
        writer: builder.into_writer(),
        cidrs: document.cidrs.into_iter().map(named).collect(),
    })
}

fn add_node(builder: &mut IndexBuilder, entry: &NodeEntry) -> Result<(), Conflict> {
    let name = builder.intern(&entry.name);
    let node = Node {
        name: name.clone(),
        zone: builder.intern(&entry.zone),
        region: builder.intern(&entry.region),
        pool: builder.intern(""),
    };
    let node = Some(builder.add_node(node)?);
    let itself = Endpoint {
        kind: EndpointKind::Node,
        name: name.clone(),
        workload_kind: builder.intern("Node"),
        workload_name: name,
        node,
        ..Endpoint::default()
    };
    let itself = builder.add_endpoint(itself);
    for address in &entry.addresses {
        builder.assign_address(address.0, itself)?;
    }
    if entry.pod_cidrs.is_empty() {
        return Ok(());
    }
    let its_pods = Endpoint {
        kind: EndpointKind::Pod,
        namespace: builder.intern(UNKNOWN),
        workload_kind: builder.intern("Pod"),
        workload_name: builder.intern(UNKNOWN),
        node,
        ..Endpoint::default()
    };
    let its_pods = builder.add_endpoint(its_pods);
    for prefix in &entry.pod_cidrs {
        builder.assign_prefix(prefix.0, its_pods)?;
    }
    Ok(())
}

fn add_pod(builder: &mut IndexBuilder, entry: &PodEntry) -> Result<(), String> {
    let node = match &entry.node {
        None => None,
        Some(name) => Some(builder.node_named(name).ok_or_else(|| {
            format!(
                "pod {}/{}: node {:?} is not among nodes",
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
        namespace: builder.intern(&entry.namespace),
        name: builder.intern(&entry.name),
        workload_kind: builder.intern(kind),
        workload_name: builder.intern(workload),
        node,
    };
    let id = builder.add_endpoint(pod);
    for address in &entry.addresses {
        builder
            .assign_address(address.0, id)
            .map_err(|conflict| conflict.to_string())?;
    }
    Ok(())
}

fn add_service(builder: &mut IndexBuilder, entry: &ServiceEntry) -> Result<(), Conflict> {
    let name = builder.intern(&entry.name);
    let service = Endpoint {
        kind: EndpointKind::Service,
        namespace: builder.intern(&entry.namespace),
        name: name.clone(),
        workload_kind: builder.intern("Service"),
        workload_name: name,
        node: None,
    };
    let id = builder.add_endpoint(service);
    for address in &entry.addresses {
        builder.assign_address(address.0, id)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::address_history::TimeRange;
    use super::super::snapshot::IndexSnapshot;
    use super::*;

    fn parse(text: &str) -> Result<IndexSnapshot, String> {
        super::parse(text, Bounds::default()).map(|mut inventory| inventory.writer.current())
    }

    const CONTRACT: &str = "\
nodes:    [{name: node-a, addresses: [10.9.0.1], podCIDRs: [10.1.1.0/24], zone: z1, region: r1}]
pods:     [{name: web-1, namespace: shop, addresses: [10.1.1.10], node: node-a, workload: {kind: Deployment, name: web}}]
services: [{name: web, namespace: shop, addresses: [10.96.0.10]}]
cidrs:    [{cidr: 192.0.2.0/24, name: office}]
";

    fn at<'a>(index: &'a IndexSnapshot, ip: &str) -> &'a Endpoint {
        let address = Address::from(ip.parse::<IpAddr>().unwrap());
        index.endpoint(index.lookup(address, TimeRange::instant(0)).endpoint)
    }

    #[test]
    fn a_large_cluster_has_room() {
        let mut text = String::from("pods:\n");
        for pod in 0..40_000_u32 {
            let [_, a, b, c] = pod.to_be_bytes();
            text += &format!("  - {{name: p{pod}, namespace: n, addresses: [10.{a}.{b}.{c}]}}\n");
        }
        assert_eq!(&*at(&parse(&text).unwrap(), "10.0.156.63").name, "p39999");
    }

    #[test]
    fn the_contracts_example_says_who_holds_which_address() {
        let index = parse(CONTRACT).unwrap();

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
            (&*node.name, &*node.zone, &*node.region),
            ("node-a", "z1", "r1")
        );
        assert_eq!(at(&index, "10.9.0.1").kind, EndpointKind::Node);
        assert_eq!(at(&index, "10.96.0.10").kind, EndpointKind::Service);
        let named = super::parse(CONTRACT, Bounds::default()).unwrap().cidrs;
        assert_eq!(named, ["192.0.2.0/24=office".parse().unwrap()]);
        assert_eq!(at(&index, "198.51.100.1").kind, EndpointKind::External);
        assert_eq!(&*at(&index, "198.51.100.1").workload_kind, "External");
    }

    #[test]
    fn an_address_that_only_the_pod_cidr_covers_is_an_unknown_pod_of_that_node() {
        let index = parse(CONTRACT).unwrap();
        let pod = at(&index, "10.1.1.99");
        assert_eq!(
            (pod.kind, &*pod.namespace, &*pod.name, &*pod.workload_name),
            (EndpointKind::Pod, "unknown", "", "unknown")
        );
        assert_eq!(&*index.node(pod.node.unwrap()).name, "node-a");
    }

    #[test]
    fn a_bare_pod_is_its_own_workload() {
        let index = parse("pods: [{name: p, namespace: n, addresses: [10.0.0.1]}]").unwrap();
        let pod = at(&index, "10.0.0.1");
        assert_eq!((&*pod.workload_kind, &*pod.workload_name), ("Pod", "p"));
    }

    #[test]
    fn every_mistake_is_one_sentence_that_names_it() {
        for (text, said) in [
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
                "pods: [{name: a, namespace: n, addresses: [10.0.0.1]}, {name: b, namespace: n, addresses: [10.0.0.1]}]",
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
            for word in said {
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
