//! What is read of a Node.

use flowproto::Address;
use ipnet::IpNet;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::{Deserialize, Serialize};

use super::{LabelSelectors, address, milliseconds, once};

#[derive(Clone, Debug, Deserialize, Serialize, Resource)]
#[resource(inherit = core::Node)]
pub(in super::super) struct Node {
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

/// What is kept of a node until it is in the writer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct NodeFields {
    pub(in super::super) uid: String,
    pub(in super::super) name: String,
    pub(in super::super) zone: String,
    pub(in super::super) region: String,
    pub(in super::super) pool: String,
    pub(in super::super) addresses: Vec<Address>,
    pub(in super::super) pod_cidrs: Vec<IpNet>,
    /// Prefixes of one address that are the node's unless a pod holds it: the address that a pod CIDR
    /// begins with, which Flannel gives its tunnel, and the one after it, which is its bridge's.
    pub(in super::super) gateways: Vec<IpNet>,
    pub(in super::super) created: u64,
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
    pub(in super::super) fn fields(self, selectors: &LabelSelectors) -> NodeFields {
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
        NodeFields {
            zone: first(&ZONE_LABELS),
            region: first(&REGION_LABELS),
            pool: label(&selectors.node_pool_label)
                .cloned()
                .unwrap_or_default(),
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
