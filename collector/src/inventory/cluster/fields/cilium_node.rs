//! The fields of a CiliumNode (`cilium.io/v2`): addresses that only Cilium knows.

use flowproto::Address;
use ipnet::IpNet;
use kube::core::object::{NotUsed, Object};
use kube::core::{ApiResource, GroupVersionKind};
use serde::Deserialize;

use super::parse::{address, cidr, distinct, or_default};
use crate::inventory::cluster::uid::uid;

/// Maximum number of addresses or pod CIDRs of a node.
const MAX_ADDRESSES: usize = 256;

pub(in super::super) type CiliumNode = Object<Option<CiliumNodeSpec>, NotUsed>;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(in super::super) struct CiliumNodeSpec {
    /// Addresses of all types: `InternalIP`, `ExternalIP`, `CiliumInternalIP` (the router), …
    addresses: Option<Vec<CiliumNodeAddress>>,
    ipam: Option<Ipam>,
    /// Addresses of the health endpoint.
    health: Option<FamilyAddresses>,
    /// Addresses of the Ingress listener.
    ingress: Option<FamilyAddresses>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct CiliumNodeAddress {
    #[serde(deserialize_with = "or_default")]
    ip: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct FamilyAddresses {
    ipv4: Option<String>,
    ipv6: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Ipam {
    #[serde(rename = "podCIDRs")]
    pod_cidrs: Option<Vec<String>>,
    pools: Option<Pools>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Pools {
    allocated: Option<Vec<AllocatedPool>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct AllocatedPool {
    cidrs: Option<Vec<String>>,
}

/// The fields of a CiliumNode.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct CiliumNodeFields {
    pub(in super::super) uid: u128,
    /// Name of the Node.
    pub(in super::super) name: String,
    pub(in super::super) addresses: Vec<Address>,
    pub(in super::super) pod_cidrs: Vec<IpNet>,
}

impl CiliumNodeFields {
    /// Returns the API versions of the kind.
    pub(in super::super) fn resources() -> Vec<ApiResource> {
        let kind = GroupVersionKind::gvk("cilium.io", "v2", "CiliumNode");
        vec![ApiResource::from_gvk_with_plural(&kind, "ciliumnodes")]
    }

    pub(in super::super) fn of(node: CiliumNode) -> Self {
        let spec = node.spec.unwrap_or_default();
        let listed = spec.addresses.iter().flatten().map(|one| &one.ip);
        let families = spec.health.iter().chain(&spec.ingress);
        let families = families.flat_map(|one| one.ipv4.iter().chain(&one.ipv6));
        let addresses = listed.chain(families).filter_map(|text| address(text));
        let ipam = spec.ipam.unwrap_or_default();
        let pools = ipam.pools.unwrap_or_default().allocated.unwrap_or_default();
        let pools = pools.iter().flat_map(|pool| pool.cidrs.iter().flatten());
        let cidrs = ipam.pod_cidrs.iter().flatten().chain(pools);
        let cidrs = cidrs.filter_map(|text| cidr(text));
        Self {
            addresses: distinct(addresses.take(MAX_ADDRESSES)),
            pod_cidrs: distinct(cidrs.take(MAX_ADDRESSES)),
            uid: uid(node.metadata.uid.as_deref().unwrap_or_default()),
            name: node.metadata.name.unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(json: &str) -> CiliumNodeFields {
        CiliumNodeFields::of(serde_json::from_str(json).unwrap())
    }

    #[test]
    fn all_addresses_and_pod_cidrs_are_read() {
        let fields = fields(
            r#"{"apiVersion": "cilium.io/v2", "kind": "CiliumNode",
            "metadata": {"name": "worker-3", "uid": "7"},
            "spec": {
                "addresses": [
                    {"ip": "192.0.2.33", "type": "InternalIP"},
                    {"ip": "2001:db8::33", "type": "InternalIP"},
                    {"ip": "10.7.3.64", "type": "CiliumInternalIP"},
                    {"ip": "fd00:7:3::40", "type": "CiliumInternalIP"},
                    {"ip": "", "type": "ExternalIP"}
                ],
                "alibaba-cloud": {}, "azure": {}, "encryption": {}, "eni": {},
                "health": {"ipv4": "10.7.3.91", "ipv6": "fd00:7:3::5b"},
                "ingress": {"ipv4": "10.7.3.17"},
                "ipam": {
                    "podCIDRs": ["10.7.3.0/24"],
                    "pools": {"allocated": [{"pool": "blue", "cidrs": ["10.71.3.0/26"]}]},
                    "pool": {"10.7.3.99": {"resource": "eni-1"}}
                }
            },
            "status": {}}"#,
        );
        let addresses: Vec<String> = fields.addresses.iter().map(ToString::to_string).collect();
        assert_eq!(
            addresses,
            [
                "192.0.2.33",
                "2001:db8::33",
                "10.7.3.64",
                "fd00:7:3::40",
                "10.7.3.91",
                "fd00:7:3::5b",
                "10.7.3.17"
            ]
        );
        let cidrs: Vec<String> = fields.pod_cidrs.iter().map(ToString::to_string).collect();
        assert_eq!(cidrs, ["10.7.3.0/24", "10.71.3.0/26"]);
        assert_eq!(fields.name, "worker-3");
    }

    #[test]
    fn a_node_without_any_field_has_no_addresses() {
        for json in [
            r#"{"metadata": {}}"#,
            r#"{"metadata": {}, "spec": null}"#,
            r#"{"metadata": {}, "spec": {"addresses": null, "ipam": {"pools": {}}}}"#,
            r#"{"metadata": {}, "spec": {"addresses": [{"ip": null}], "health": null}}"#,
        ] {
            assert_eq!(fields(json), CiliumNodeFields::default());
        }
    }
}
