//! The fields of an EgressIP (`k8s.ovn.org`, OVN-Kubernetes) and of an Egress (`crd.antrea.io`,
//! Antrea): addresses that a node uses for egress traffic of selected pods.

use flowproto::Address;
use kube::core::object::{NotUsed, Object};
use kube::core::{ApiResource, GroupVersionKind};
use serde::Deserialize;

use super::parse::{address, distinct, or_default};
use crate::inventory::cluster::uid::uid;

/// Maximum number of addresses of an object.
const MAX_ADDRESSES: usize = 256;

pub(in super::super) type EgressIp = Object<Option<NotUsed>, EgressIpStatus>;
pub(in super::super) type Egress = Object<Option<EgressSpec>, EgressStatus>;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(in super::super) struct EgressIpStatus {
    #[serde(deserialize_with = "or_default")]
    items: Vec<EgressIpItem>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct EgressIpItem {
    #[serde(deserialize_with = "or_default")]
    node: String,
    #[serde(rename = "egressIP", deserialize_with = "or_default")]
    egress_ip: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(in super::super) struct EgressSpec {
    #[serde(rename = "egressIP", deserialize_with = "or_default")]
    egress_ip: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in super::super) struct EgressStatus {
    /// Empty until a node has the address.
    #[serde(deserialize_with = "or_default")]
    egress_node: String,
    /// Not set by older versions.
    #[serde(rename = "egressIP", deserialize_with = "or_default")]
    egress_ip: String,
}

/// The fields of an object that gives egress addresses to nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct EgressFields {
    pub(in super::super) uid: u128,
    /// Each address with the name of the node that has it.
    pub(in super::super) addresses: Vec<(String, Address)>,
}

impl EgressFields {
    /// Returns the API versions of EgressIPs.
    pub(in super::super) fn ovn_resources() -> Vec<ApiResource> {
        resources("k8s.ovn.org", &["v1"], "EgressIP", "egressips")
    }

    /// Returns the API versions of Egresses, the newest first.
    pub(in super::super) fn antrea_resources() -> Vec<ApiResource> {
        resources(
            "crd.antrea.io",
            &["v1beta1", "v1alpha2"],
            "Egress",
            "egresses",
        )
    }

    pub(in super::super) fn of_ovn(object: EgressIp) -> Self {
        let items = object.status.unwrap_or_default().items.into_iter();
        let addresses = items.filter_map(|item| assigned(item.node, &item.egress_ip));
        Self {
            addresses: distinct(addresses.take(MAX_ADDRESSES)),
            uid: uid(object.metadata.uid.as_deref().unwrap_or_default()),
        }
    }

    pub(in super::super) fn of_antrea(object: Egress) -> Self {
        let spec = object.spec.unwrap_or_default();
        let status = object.status.unwrap_or_default();
        let egress_ip = match status.egress_ip.as_str() {
            "" => &spec.egress_ip,
            egress_ip => egress_ip,
        };
        Self {
            addresses: assigned(status.egress_node, egress_ip)
                .into_iter()
                .collect(),
            uid: uid(object.metadata.uid.as_deref().unwrap_or_default()),
        }
    }
}

fn resources(group: &str, versions: &[&str], kind: &str, plural: &str) -> Vec<ApiResource> {
    let versions = versions.iter();
    let kinds = versions.map(|version| GroupVersionKind::gvk(group, version, kind));
    kinds
        .map(|kind| ApiResource::from_gvk_with_plural(&kind, plural))
        .collect()
}

fn assigned(node: String, egress_ip: &str) -> Option<(String, Address)> {
    let address = address(egress_ip)?;
    (!node.is_empty()).then_some((node, address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(fields: &EgressFields) -> Vec<String> {
        let addresses = fields.addresses.iter();
        addresses
            .map(|(node, address)| format!("{node} {address}"))
            .collect()
    }

    #[test]
    fn the_addresses_of_an_egress_ip_are_those_of_its_status() {
        let object: EgressIp = serde_json::from_str(
            r#"{"apiVersion": "k8s.ovn.org/v1", "kind": "EgressIP",
            "metadata": {"name": "billing", "uid": "e1"},
            "spec": {"egressIPs": ["192.0.2.90", "2001:db8::90", "192.0.2.91"],
                     "namespaceSelector": {"matchLabels": {"team": "billing"}}},
            "status": {"items": [
                {"node": "infra-1", "egressIP": "192.0.2.90"},
                {"node": "infra-2", "egressIP": "2001:db8::90"},
                {"node": "", "egressIP": "192.0.2.91"},
                {"node": "infra-2", "egressIP": null}
            ]}}"#,
        )
        .unwrap();
        let fields = EgressFields::of_ovn(object);
        assert_eq!(
            listed(&fields),
            ["infra-1 192.0.2.90", "infra-2 2001:db8::90"]
        );
        assert_eq!(fields.uid, 0xe1);
    }

    #[test]
    fn the_address_of_an_egress_is_that_of_its_node() {
        for (spec, status, expected) in [
            (
                r#"{"egressIP": "192.0.2.95", "externalIPPool": "pool"}"#,
                r#"{"egressNode": "worker-2", "egressIP": "192.0.2.95"}"#,
                &["worker-2 192.0.2.95"][..],
            ),
            // Older versions have no address in the status.
            (
                r#"{"egressIP": "192.0.2.96"}"#,
                r#"{"egressNode": "worker-3"}"#,
                &["worker-3 192.0.2.96"],
            ),
            // No node has it yet.
            (
                r#"{"egressIP": "192.0.2.97"}"#,
                r#"{"egressNode": ""}"#,
                &[],
            ),
            (r#"{"egressIP": "192.0.2.97"}"#, "null", &[]),
            ("null", r#"{"egressNode": "worker-3"}"#, &[]),
        ] {
            let text = format!(r#"{{"metadata": {{}}, "spec": {spec}, "status": {status}}}"#);
            let fields = EgressFields::of_antrea(serde_json::from_str(&text).unwrap());
            assert_eq!(listed(&fields), expected, "{text}");
        }
    }
}
