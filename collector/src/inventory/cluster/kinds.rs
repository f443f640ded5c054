//! What is read of Kubernetes objects, and nothing else: the rest is skipped while it is parsed, and
//! what is kept is made out of this at once.
//!
//! EndpointSlices and Namespaces are not asked for: a record that was translated says itself which pod
//! is behind a Service, one that was not went to the Service, and no label of a Namespace is used. What
//! is not read needs no right.

use flowproto::Address;
use ipnet::IpNet;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::Resource;
use serde::{Deserialize, Serialize};

use super::super::holders::Port;

/// What must be known to read an object.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Labels that name the workload of a pod without a controller.
    pub workload_labels: Vec<String>,
    /// Labels of a pod that is a probe.
    pub probe_labels: Vec<(String, String)>,
    /// Label of a node that names its pool; empty for none.
    pub node_pool_label: String,
}

/// The controller of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Controller {
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) uid: String,
}

fn controller(metadata: &ObjectMeta) -> Option<Controller> {
    let owners = metadata.owner_references.as_deref()?;
    let owner = owners.iter().find(|owner| owner.controller == Some(true))?;
    Some(Controller {
        kind: owner.kind.clone(),
        name: owner.name.clone(),
        uid: owner.uid.clone(),
    })
}

fn milliseconds(time: &Time) -> Option<u64> {
    u64::try_from(time.0.as_millisecond()).ok()
}

fn address(text: &str) -> Option<Address> {
    let text = text.split_once('/').map_or(text, |(address, _)| address);
    let ip: std::net::IpAddr = text.trim().parse().ok()?;
    (!ip.is_unspecified()).then(|| Address::from(ip))
}

fn port(protocol: &str, port: i32) -> Option<Port> {
    let protocol = match protocol {
        "" | "TCP" => 6,
        "UDP" => 17,
        "SCTP" => 132,
        _ => return None,
    };
    Port::new(protocol, u16::try_from(port).ok()?)
}

fn once<T: PartialEq>(values: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut out: Vec<T> = Vec::new();
    for value in values {
        if !out.contains(&value) {
            out.push(value);
        }
    }
    out
}

//------------ Pods ------------------------------------------------------------------------------

#[derive(Clone, Debug, Deserialize, Serialize, Resource)]
#[resource(inherit = core::Pod)]
pub(super) struct Pod {
    metadata: ObjectMeta,
    #[serde(default)]
    spec: PodSpec,
    #[serde(default)]
    status: PodStatus,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
struct PodSpec {
    node_name: String,
    host_network: bool,
    containers: Vec<Container>,
    init_containers: Vec<Container>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
struct Container {
    ports: Vec<ContainerPort>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
struct ContainerPort {
    container_port: i32,
    host_port: i32,
    #[serde(rename = "hostIP")]
    host_ip: String,
    protocol: String,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
struct PodStatus {
    phase: String,
    #[serde(rename = "podIP")]
    pod_ip: String,
    #[serde(rename = "podIPs")]
    pod_ips: Vec<PodIp>,
    start_time: Option<Time>,
    conditions: Vec<Condition>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
struct PodIp {
    ip: String,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    last_transition_time: Option<Time>,
}

/// What is kept of a pod until it is in the directory.
#[derive(Clone, Debug, Default)]
pub(super) struct PodFacts {
    pub(super) uid: String,
    pub(super) namespace: String,
    pub(super) name: String,
    /// Empty until it is scheduled.
    pub(super) node: String,
    pub(super) host_network: bool,
    pub(super) addresses: Vec<Address>,
    /// Ports of its node that lead to it: of one of the node's addresses, or of all.
    pub(super) ports: Vec<(Option<Address>, Port)>,
    /// Milliseconds since the epoch, as all times here.
    pub(super) started: u64,
    /// It has run to its end: it holds its addresses no longer.
    pub(super) is_over: bool,
    /// When that was, as far as known.
    pub(super) over: Option<u64>,
    /// When it will have gone, or should have.
    pub(super) deletion: Option<u64>,
    pub(super) controller: Option<Controller>,
    pub(super) template_hash: Option<String>,
    pub(super) rollout_hash: Option<String>,
    pub(super) label: Option<String>,
    /// It is a probe, and Ready.
    pub(super) is_ready_probe: bool,
}

impl Pod {
    pub(super) fn facts(self, terms: &Terms) -> PodFacts {
        let Self {
            metadata,
            spec,
            status,
        } = self;
        let label = |name: &str| metadata.labels.as_ref().and_then(|labels| labels.get(name));
        let is_over = matches!(status.phase.as_str(), "Succeeded" | "Failed");
        let ready = status.conditions.iter().find(|c| c.kind == "Ready");
        let is_probe = terms
            .probe_labels
            .iter()
            .all(|(name, value)| label(name) == Some(value));
        let created = metadata.creation_timestamp.as_ref().and_then(milliseconds);
        let reported = status.pod_ips.iter().map(|pod| pod.ip.as_str());
        let ports = spec.containers.iter().chain(&spec.init_containers);
        let ports = ports.flat_map(|container| &container.ports);
        let ports = ports.filter_map(|declared| {
            let number = match declared.host_port {
                0 if spec.host_network => declared.container_port,
                number => number,
            };
            let port = port(&declared.protocol, number)?;
            Some((address(&declared.host_ip), port))
        });
        PodFacts {
            addresses: once(reported.chain([status.pod_ip.as_str()]).filter_map(address)),
            ports: once(ports),
            host_network: spec.host_network,
            started: status
                .start_time
                .as_ref()
                .and_then(milliseconds)
                .or(created)
                .unwrap_or_default(),
            is_over,
            over: ready
                .filter(|_| is_over)
                .and_then(|ready| milliseconds(ready.last_transition_time.as_ref()?)),
            deletion: metadata.deletion_timestamp.as_ref().and_then(milliseconds),
            controller: controller(&metadata),
            template_hash: label("pod-template-hash").cloned(),
            rollout_hash: label("rollouts-pod-template-hash").cloned(),
            label: terms
                .workload_labels
                .iter()
                .find_map(|name| label(name))
                .cloned(),
            is_ready_probe: is_probe && !is_over && ready.is_some_and(|c| c.status == "True"),
            node: spec.node_name,
            uid: metadata.uid.unwrap_or_default(),
            namespace: metadata.namespace.unwrap_or_default(),
            name: metadata.name.unwrap_or_default(),
        }
    }
}

//------------ Nodes -----------------------------------------------------------------------------

#[derive(Clone, Debug, Deserialize, Serialize, Resource)]
#[resource(inherit = core::Node)]
pub(super) struct Node {
    metadata: ObjectMeta,
    #[serde(default)]
    spec: NodeSpec,
    #[serde(default)]
    status: NodeStatus,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
struct NodeSpec {
    #[serde(rename = "podCIDR")]
    pod_cidr: String,
    #[serde(rename = "podCIDRs")]
    pod_cidrs: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
struct NodeStatus {
    addresses: Vec<NodeAddress>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
struct NodeAddress {
    address: String,
}

/// What is kept of a node until it is in the directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NodeFacts {
    pub(super) uid: String,
    pub(super) name: String,
    pub(super) zone: String,
    pub(super) region: String,
    pub(super) pool: String,
    pub(super) addresses: Vec<Address>,
    pub(super) pod_cidrs: Vec<IpNet>,
    /// Prefixes of one address that are the node's unless a pod holds it: the address that a pod CIDR
    /// begins with, which Flannel gives its tunnel, and the one after it, which is its bridge's.
    pub(super) gateways: Vec<IpNet>,
    pub(super) created: u64,
}

const ZONE_LABELS: [&str; 2] = [
    "topology.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/zone",
];
const REGION_LABELS: [&str; 2] = [
    "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/region",
];
/// Annotations that hold addresses of a node, several separated by commas, with or without a prefix
/// length.
const ADDRESS_ANNOTATIONS: [&str; 20] = [
    "projectcalico.org/IPv4Address",
    "projectcalico.org/IPv6Address",
    "projectcalico.org/IPv4IPIPTunnelAddr",
    "projectcalico.org/IPv4VXLANTunnelAddr",
    "projectcalico.org/IPv6VXLANTunnelAddr",
    "projectcalico.org/IPv4WireguardInterfaceAddr",
    "projectcalico.org/IPv6WireguardInterfaceAddr",
    "flannel.alpha.coreos.com/public-ip",
    "flannel.alpha.coreos.com/public-ipv6",
    "flannel.alpha.coreos.com/public-ip-overwrite",
    "flannel.alpha.coreos.com/public-ipv6-overwrite",
    "network.cilium.io/ipv4-cilium-host",
    "network.cilium.io/ipv6-cilium-host",
    "network.cilium.io/ipv4-health-ip",
    "network.cilium.io/ipv6-health-ip",
    "io.cilium.network.ipv4-cilium-host",
    "io.cilium.network.ipv6-cilium-host",
    "k3s.io/internal-ip",
    "k3s.io/external-ip",
    "alpha.kubernetes.io/provided-node-ip",
];
const CIDR_ANNOTATIONS: [&str; 4] = [
    "network.cilium.io/ipv4-pod-cidr",
    "network.cilium.io/ipv6-pod-cidr",
    "io.cilium.network.ipv4-pod-cidr",
    "io.cilium.network.ipv6-pod-cidr",
];
const FLANNEL_ANNOTATION: &str = "flannel.alpha.coreos.com/backend-type";

impl Node {
    pub(super) fn facts(self, terms: &Terms) -> NodeFacts {
        let Self {
            metadata,
            spec,
            status,
        } = self;
        let label = |name: &str| metadata.labels.as_ref().and_then(|labels| labels.get(name));
        let annotation = |name: &&str| {
            let annotations = metadata.annotations.as_ref()?;
            annotations.get(*name).map(String::as_str)
        };
        let first = |names: &[&str]| {
            let value = names.iter().find_map(|name| label(name));
            value.cloned().unwrap_or_default()
        };
        let tunnels = ADDRESS_ANNOTATIONS.iter().filter_map(annotation);
        let said = status.addresses.iter().map(|said| said.address.as_str());
        let cidrs = spec.pod_cidrs.iter().chain([&spec.pod_cidr]);
        let cidrs = cidrs.map(String::as_str);
        let cidrs = cidrs.chain(CIDR_ANNOTATIONS.iter().filter_map(annotation));
        let pod_cidrs = once(cidrs.filter_map(|text| text.parse::<IpNet>().ok()));
        let has_bridge = annotation(&FLANNEL_ANNOTATION).is_some();
        let gateways = pod_cidrs.iter().flat_map(|cidr| {
            let first = std::iter::once(cidr.network());
            let second = cidr.hosts().find(|host| *host != cidr.network());
            first.chain(second.filter(|_| has_bridge))
        });
        NodeFacts {
            zone: first(&ZONE_LABELS),
            region: first(&REGION_LABELS),
            pool: label(&terms.node_pool_label).cloned().unwrap_or_default(),
            addresses: once(
                said.chain(tunnels.flat_map(|text| text.split(',')))
                    .filter_map(address),
            ),
            gateways: gateways.map(IpNet::from).collect(),
            pod_cidrs,
            created: metadata
                .creation_timestamp
                .as_ref()
                .and_then(milliseconds)
                .unwrap_or_default(),
            uid: metadata.uid.unwrap_or_default(),
            name: metadata.name.unwrap_or_default(),
        }
    }
}

//------------ Services --------------------------------------------------------------------------

#[derive(Clone, Debug, Deserialize, Serialize, Resource)]
#[resource(inherit = core::Service)]
pub(super) struct Service {
    metadata: ObjectMeta,
    #[serde(default)]
    spec: ServiceSpec,
    #[serde(default)]
    status: ServiceStatus,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
struct ServiceSpec {
    #[serde(rename = "clusterIP")]
    cluster_ip: String,
    #[serde(rename = "clusterIPs")]
    cluster_ips: Vec<String>,
    #[serde(rename = "externalIPs")]
    external_ips: Vec<String>,
    ports: Vec<ServicePort>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
struct ServicePort {
    port: i32,
    node_port: i32,
    protocol: String,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
struct ServiceStatus {
    load_balancer: LoadBalancer,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
struct LoadBalancer {
    ingress: Vec<Ingress>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
struct Ingress {
    ip: String,
}

/// What is kept of a service until it is in the directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ServiceFacts {
    pub(super) uid: String,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) addresses: Vec<Address>,
    /// Addresses that may be a node's too: there, only its ports are the service's.
    pub(super) shared_addresses: Vec<Address>,
    pub(super) ports: Vec<Port>,
    pub(super) node_ports: Vec<Port>,
    pub(super) created: u64,
}

impl Service {
    pub(super) fn facts(self, _: &Terms) -> ServiceFacts {
        let Self {
            metadata,
            spec,
            status,
        } = self;
        let virtual_ips = spec.cluster_ips.iter().chain([&spec.cluster_ip]);
        let balanced = status.load_balancer.ingress.iter().map(|i| &i.ip);
        let shared = once(
            spec.external_ips
                .iter()
                .chain(balanced)
                .filter_map(|text| address(text)),
        );
        let ports = spec.ports.iter();
        ServiceFacts {
            addresses: once(
                virtual_ips
                    .filter_map(|text| address(text))
                    .chain(shared.iter().copied()),
            ),
            shared_addresses: shared,
            ports: ports
                .clone()
                .filter_map(|p| port(&p.protocol, p.port))
                .collect(),
            node_ports: ports
                .filter_map(|p| port(&p.protocol, p.node_port))
                .collect(),
            created: metadata
                .creation_timestamp
                .as_ref()
                .and_then(milliseconds)
                .unwrap_or_default(),
            uid: metadata.uid.unwrap_or_default(),
            namespace: metadata.namespace.unwrap_or_default(),
            name: metadata.name.unwrap_or_default(),
        }
    }
}

//------------ ReplicaSets and Jobs --------------------------------------------------------------

/// What is kept of what stands between a pod and its top controller.
#[derive(Clone, Debug)]
pub(super) struct OwnerFacts {
    pub(super) uid: String,
    pub(super) name: String,
    pub(super) controller: Option<Controller>,
}

impl OwnerFacts {
    pub(super) fn of(metadata: ObjectMeta) -> Self {
        Self {
            controller: controller(&metadata),
            uid: metadata.uid.unwrap_or_default(),
            name: metadata.name.unwrap_or_default(),
        }
    }
}
