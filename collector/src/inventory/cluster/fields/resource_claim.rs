//! The fields of a ResourceClaim (`resource.k8s.io`): addresses of network devices of pods.

use flowproto::Address;
use kube::core::object::{NotUsed, Object};
use kube::core::{ApiResource, GroupVersionKind};
use serde::Deserialize;

use super::parse::{address, distinct, milliseconds, or_default};
use crate::inventory::cluster::uid::uid;

/// Maximum number of addresses of a claim.
const MAX_ADDRESSES: usize = 64;

pub(in super::super) type ResourceClaim = Object<Option<NotUsed>, ClaimStatus>;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in super::super) struct ClaimStatus {
    /// The consumers of the claim.
    reserved_for: Option<Vec<Consumer>>,
    devices: Option<Vec<DeviceStatus>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Consumer {
    #[serde(deserialize_with = "or_default")]
    resource: String,
    #[serde(deserialize_with = "or_default")]
    uid: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct DeviceStatus {
    network_data: Option<NetworkData>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct NetworkData {
    /// Addresses with prefix lengths.
    ips: Option<Vec<String>>,
}

/// The fields of a ResourceClaim.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct ResourceClaimFields {
    pub(in super::super) uid: u128,
    /// Uids of the pods that use the devices.
    pub(in super::super) pods: Vec<u128>,
    pub(in super::super) addresses: Vec<Address>,
    /// Creation time, milliseconds since the epoch.
    pub(in super::super) created: u64,
}

impl ResourceClaimFields {
    /// Returns the API versions of the kind, the newest first.
    pub(in super::super) fn resources() -> Vec<ApiResource> {
        ["v1", "v1beta2", "v1beta1"]
            .map(|version| {
                let kind = GroupVersionKind::gvk("resource.k8s.io", version, "ResourceClaim");
                ApiResource::from_gvk_with_plural(&kind, "resourceclaims")
            })
            .into()
    }

    pub(in super::super) fn of(claim: ResourceClaim) -> Self {
        let created = claim.metadata.creation_timestamp.as_ref();
        let status = claim.status.unwrap_or_default();
        let consumers = status.reserved_for.iter().flatten();
        let pods = consumers.filter(|one| one.resource == "pods");
        let devices = status.devices.iter().flatten();
        let networks = devices.filter_map(|device| device.network_data.as_ref());
        let addresses = networks.flat_map(|network| network.ips.iter().flatten());
        let addresses = addresses.filter_map(|text| address(text));
        Self {
            uid: uid(claim.metadata.uid.as_deref().unwrap_or_default()),
            pods: pods.map(|pod| uid(&pod.uid)).collect(),
            addresses: distinct(addresses.take(MAX_ADDRESSES)),
            created: created.and_then(milliseconds).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_all_network_devices_belong_to_the_pods_of_the_claim() {
        let claim: ResourceClaim = serde_json::from_str(
            r#"{"apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim",
            "metadata": {"name": "rdma", "namespace": "ml", "uid": "c1",
                         "creationTimestamp": "2026-01-02T03:04:05Z"},
            "spec": {"devices": {"requests": [{"name": "nic"}]}},
            "status": {
                "allocation": {"devices": {"results": []}},
                "reservedFor": [
                    {"resource": "pods", "name": "train-0", "uid": "a1"},
                    {"apiGroup": "example.com", "resource": "jobs", "name": "x", "uid": "a2"}
                ],
                "devices": [
                    {"driver": "nic.example.com", "pool": "n1", "device": "nic0",
                     "networkData": {"interfaceName": "net1",
                                     "ips": ["192.0.2.77/24", "2001:db8::77/64"]}},
                    {"driver": "gpu.example.com", "pool": "n1", "device": "gpu0"},
                    {"driver": "nic.example.com", "pool": "n1", "device": "nic1",
                     "networkData": {"ips": ["198.51.100.77/32", "nonsense"]}}
                ]
            }}"#,
        )
        .unwrap();
        let fields = ResourceClaimFields::of(claim);
        assert_eq!(fields.pods, [0xa1]);
        assert_eq!(fields.created, 1_767_323_045_000);
        let addresses: Vec<String> = fields.addresses.iter().map(ToString::to_string).collect();
        assert_eq!(addresses, ["192.0.2.77", "2001:db8::77", "198.51.100.77"]);
    }

    #[test]
    fn a_claim_that_is_not_allocated_has_no_addresses() {
        for json in [
            r#"{"metadata": {}}"#,
            r#"{"metadata": {}, "status": {"devices": null, "reservedFor": null}}"#,
            r#"{"metadata": {}, "status": {"devices": [{"networkData": {"ips": null}}]}}"#,
            r#"{"metadata": {}, "status": {"reservedFor": [{"resource": null, "uid": null}]}}"#,
        ] {
            let claim: ResourceClaim = serde_json::from_str(json).unwrap();
            assert_eq!(
                ResourceClaimFields::of(claim),
                ResourceClaimFields::default()
            );
        }
    }
}
