//! The fields of a Node.

use flowproto::Address;
use ipnet::IpNet;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::Deserialize;

use super::super::selectors::LabelSelectors;
use super::super::uid::uid;
use super::gateway::Gateway;
use super::node_annotations::{self, NodeNetworks};
use super::parse::{
    REGION_LABELS, ZONE_LABELS, address, cidr, distinct, first_label, label, milliseconds,
    or_default,
};

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
    /// Addresses from the status and from annotations of network plugins.
    pub(in super::super) addresses: Vec<Address>,
    pub(in super::super) pod_cidrs: Vec<IpNet>,
    pub(in super::super) gateways: Vec<Gateway>,
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
        let reported = reported.filter_map(|one| address(&one.address));
        // A plugin with its own pod CIDRs does not use those of the Node.
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
            pool: label(&metadata, &selectors.node_pool_label)
                .cloned()
                .unwrap_or_default(),
            addresses: distinct(reported.chain(addresses)),
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

#[cfg(test)]
mod tests {
    use super::*;

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
        }
    }
}
