//! The fields of a Node.

use flowproto::Address;
use ipnet::IpNet;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::Deserialize;

use super::gateway::{Gateway, GatewayRule};
use super::node_annotations::{self, NodeNetworks};
use super::parse::{
    REGION_LABELS, ZONE_LABELS, address, cidr, distinct, first_label, label, milliseconds,
    or_default,
};
use crate::inventory::cluster::selectors::LabelSelectors;
use crate::inventory::cluster::uid::uid;

#[derive(Clone, Debug, Deserialize, Resource)]
#[resource(inherit = core::Node)]
pub(in super::super) struct Node {
    metadata: ObjectMeta,
    #[serde(default, deserialize_with = "or_default")]
    spec: NodeSpec,
    #[serde(default, deserialize_with = "or_default")]
    status: NodeStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct NodeSpec {
    #[serde(rename = "podCIDR", deserialize_with = "or_default")]
    pod_cidr: String,
    #[serde(rename = "podCIDRs", deserialize_with = "or_default")]
    pod_cidrs: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    taints: Vec<Taint>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Taint {
    #[serde(deserialize_with = "or_default")]
    key: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct NodeStatus {
    #[serde(deserialize_with = "or_default")]
    addresses: Vec<NodeAddress>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct NodeAddress {
    #[serde(deserialize_with = "or_default")]
    address: String,
}

/// The fields of a Node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct NodeFields {
    pub(in super::super) uid: u128,
    pub(in super::super) name: String,
    pub(in super::super) zone: String,
    pub(in super::super) region: String,
    pub(in super::super) pool: String,
    /// Addresses from the status.
    pub(in super::super) addresses: Vec<Address>,
    /// Addresses from annotations of network plugins, that the status does not have. An annotation
    /// stays when another plugin replaces its own.
    pub(in super::super) annotated: Vec<Address>,
    pub(in super::super) pod_cidrs: Vec<IpNet>,
    pub(in super::super) gateways: Vec<Gateway>,
    /// The network plugin does not use the pod CIDRs: an address in them can belong to a pod of any
    /// node.
    pub(in super::super) ignores_pod_cidrs: bool,
    /// No machine of its own stands behind the node: its addresses are those of another object.
    pub(in super::super) is_virtual: bool,
    /// The node does not report its state any more. Its machine may be gone, and its addresses and
    /// those of its pods in use by others.
    pub(in super::super) is_unreachable: bool,
    /// Creation time, milliseconds since the epoch.
    pub(in super::super) created: u64,
    /// An annotation that cannot be read.
    pub(in super::super) malformed: Option<&'static str>,
}

impl Node {
    pub(in super::super) fn fields(self, selectors: &LabelSelectors) -> NodeFields {
        let Self {
            metadata,
            spec,
            status,
        } = self;
        let NodeNetworks {
            addresses,
            pod_cidrs,
            gateway,
            malformed,
        } = metadata
            .annotations
            .as_ref()
            .map(node_annotations::read)
            .unwrap_or_default();
        let reported = status.addresses.iter();
        let reported = distinct(reported.filter_map(|one| address(&one.address)));
        // A plugin with its own pod CIDRs does not use those of the Node.
        let ignores_pod_cidrs = gateway == GatewayRule::OtherIpam && pod_cidrs.is_empty();
        let pod_cidrs = if pod_cidrs.is_empty() {
            let all = spec.pod_cidrs.iter().chain([&spec.pod_cidr]);
            distinct(all.filter_map(|text| cidr(text)))
        } else {
            pod_cidrs
        };
        let created = metadata.creation_timestamp.as_ref();
        NodeFields {
            zone: first_label(&metadata, &ZONE_LABELS),
            region: first_label(&metadata, &REGION_LABELS),
            pool: first_label(&metadata, &selectors.node_pool_labels),
            is_virtual: is_virtual(&metadata, &spec.taints),
            is_unreachable: spec.taints.iter().any(|taint| {
                let key = taint.key.as_str();
                UNREACHABLE_TAINTS.contains(&key)
            }),
            annotated: addresses
                .into_iter()
                .filter(|one| !reported.contains(one))
                .collect(),
            addresses: reported,
            ignores_pod_cidrs,
            gateways: pod_cidrs
                .iter()
                .flat_map(|cidr| gateway.gateways(*cidr))
                .collect(),
            pod_cidrs,
            created: created.and_then(milliseconds).unwrap_or_default(),
            malformed,
            uid: uid(metadata.uid.as_deref().unwrap_or_default()),
            name: metadata.name.unwrap_or_default(),
        }
    }
}

/// Taints of a node whose machine may be gone. Its pods get a deletion time five minutes later.
const UNREACHABLE_TAINTS: [&str; 3] = [
    "node.kubernetes.io/unreachable",
    "node.kubernetes.io/out-of-service",
    "node.cloudprovider.kubernetes.io/shutdown",
];

/// Labels of nodes that a process presents instead of a machine, with their values: Virtual Kubelet
/// (AKS virtual nodes, ACK, CCE), Liqo, KWOK. The address is that of the process: its pod or node.
const VIRTUAL_LABELS: [(&str, &str); 4] = [
    ("type", "virtual-kubelet"),
    ("type", "kwok"),
    ("liqo.io/type", "virtual-node"),
    ("node.kubernetes.io/instance-type", "eklet"),
];
/// Domains of the taints of such nodes.
const VIRTUAL_TAINTS: [&str; 2] = ["virtual-kubelet.io", "virtual-node.liqo.io"];

fn is_virtual(metadata: &ObjectMeta, taints: &[Taint]) -> bool {
    let has_label =
        |(name, value): &(&str, &str)| label(metadata, name).is_some_and(|found| found == value);
    let has_domain = |taint: &Taint| {
        let domain = taint.key.split_once('/').map(|(domain, _)| domain);
        domain.is_some_and(|domain| VIRTUAL_TAINTS.contains(&domain))
    };
    VIRTUAL_LABELS.iter().any(has_label) || taints.iter().any(has_domain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(metadata: &str, spec: &str) -> NodeFields {
        let text = format!(r#"{{"metadata": {metadata}, "spec": {spec}}}"#);
        let selectors = LabelSelectors {
            node_pool_labels: vec!["autoscaler/pool".into(), "cloud/group".into()],
            ..LabelSelectors::default()
        };
        serde_json::from_str::<Node>(&text)
            .unwrap()
            .fields(&selectors)
    }

    #[test]
    fn the_pool_is_the_first_label_of_the_list_that_the_node_has() {
        for (labels, pool) in [
            (
                r#"{"cloud/group": "general", "autoscaler/pool": "spot"}"#,
                "spot",
            ),
            (r#"{"cloud/group": "general"}"#, "general"),
            (
                r#"{"cloud/group": "general", "autoscaler/pool": ""}"#,
                "general",
            ),
            (r#"{"other": "x"}"#, ""),
        ] {
            let metadata = format!(r#"{{"labels": {labels}}}"#);
            assert_eq!(fields(&metadata, "{}").pool, pool, "{labels}");
        }
    }

    #[test]
    fn a_zone_label_without_a_value_leaves_the_legacy_one() {
        let labels = r#"{"labels": {"topology.kubernetes.io/zone": "",
            "failure-domain.beta.kubernetes.io/zone": "z1",
            "failure-domain.beta.kubernetes.io/region": "r1"}}"#;
        let fields = fields(labels, "{}");
        assert_eq!((&*fields.zone, &*fields.region), ("z1", "r1"));
    }

    #[test]
    fn a_node_without_a_machine_is_known_by_its_labels_and_taints() {
        let label = |label: &str| fields(&format!(r#"{{"labels": {{{label}}}}}"#), "{}");
        let taint = |key: &str| {
            let taints = format!(r#"{{"taints": [{{"key": "{key}", "effect": "NoSchedule"}}]}}"#);
            fields("{}", &taints)
        };
        for node in [
            label(r#""type": "virtual-kubelet""#),
            label(r#""type": "kwok""#),
            label(r#""liqo.io/type": "virtual-node""#),
            label(r#""node.kubernetes.io/instance-type": "eklet""#),
            taint("virtual-kubelet.io/provider"),
            taint("virtual-node.liqo.io/not-allowed"),
        ] {
            assert!(node.is_virtual, "{node:?}");
        }
        for node in [
            label(r#""type": "worker""#),
            label(r#""node.kubernetes.io/instance-type": "m5.large""#),
            taint("node.kubernetes.io/not-ready"),
            taint("virtual-kubelet.io"),
            taint("example.com/virtual-kubelet.io"),
            fields("{}", r#"{"taints": [{"key": null}]}"#),
            fields("{}", r#"{"taints": null}"#),
        ] {
            assert!(!node.is_virtual, "{node:?}");
        }
        assert!(taint("node.kubernetes.io/unreachable").is_unreachable);
        assert!(taint("node.cloudprovider.kubernetes.io/shutdown").is_unreachable);
        assert!(!taint("node.kubernetes.io/not-ready").is_unreachable);
    }

    #[test]
    fn the_chart_keeps_probes_off_the_nodes_with_these_labels() {
        let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/helm/kipfix");
        let values = std::fs::read_to_string(format!("{chart}/values.yaml")).unwrap();
        for (label, value) in VIRTUAL_LABELS {
            let start = format!("- {{key: {label}, operator: NotIn, values: [");
            let mut excluded = values
                .lines()
                .filter_map(|line| line.trim().strip_prefix(&start));
            let excluded = excluded.next().and_then(|line| line.strip_suffix("]}"));
            let mut excluded = excluded.unwrap_or_default().split(", ");
            assert!(excluded.any(|one| one == value), "{label}={value}");
        }
    }

    #[test]
    fn an_annotation_of_calico_after_a_migration_does_not_take_the_node_from_its_pod_cidrs() {
        let calico = r#""projectcalico.org/IPv4IPIPTunnelAddr": "10.48.77.128""#;
        let spec = r#"{"podCIDR": "10.1.0.0/24"}"#;
        for (other, ignores, cidr) in [
            ("", true, "10.1.0.0/24"),
            (
                r#", "network.cilium.io/ipv4-pod-cidr": "10.7.3.0/24""#,
                false,
                "10.7.3.0/24",
            ),
            (
                r#", "network.cilium.io/ipv4-cilium-host": "10.1.0.64""#,
                false,
                "10.1.0.0/24",
            ),
            (
                r#", "k8s.ovn.org/node-subnets": "{\"default\": \"10.130.2.0/23\"}""#,
                false,
                "10.130.2.0/23",
            ),
            (
                r#", "kube-router.io/pod-cidrs": "10.8.0.0/24""#,
                false,
                "10.8.0.0/24",
            ),
        ] {
            let fields = fields(&format!(r#"{{"annotations": {{{calico}{other}}}}}"#), spec);
            assert_eq!(fields.ignores_pod_cidrs, ignores, "{other}");
            assert_eq!(fields.pod_cidrs, [cidr.parse::<IpNet>().unwrap()]);
        }
    }

    #[test]
    fn null_stands_for_what_a_node_does_not_have() {
        for text in [
            r#"{"metadata": {"name": "a"}, "spec": null, "status": null}"#,
            r#"{"metadata": {"name": "a"}, "spec": {"podCIDR": null, "podCIDRs": null},
            "status": {"addresses": null}}"#,
            r#"{"metadata": {"name": "a"}, "status": {"addresses": [{"address": null}]}}"#,
        ] {
            let node: Node = serde_json::from_str(text).unwrap();
            let fields = node.fields(&LabelSelectors::default());
            assert_eq!((&*fields.name, fields.addresses), ("a", Vec::new()));
            assert_eq!(fields.annotated, []);
        }
    }
}
