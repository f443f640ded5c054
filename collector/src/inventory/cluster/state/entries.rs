//! The objects of the cluster and what each of them has in the index.

use std::collections::BTreeSet;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use flowproto::Address;
use ipnet::IpNet;

use crate::inventory::address_key::AddressKey;
use crate::inventory::cluster::fields::{CiliumNodeFields, EgressFields, Gateway, NodeFields};
use crate::inventory::cluster::resource_kind::ResourceKind;
use crate::inventory::endpoint::{EndpointId, NodeId};

/// Objects by a key.
pub(super) type Map<K, V> = HashMap<K, V, RandomState>;

/// A pod.
#[derive(Debug)]
pub(super) struct PodEntry {
    pub(super) endpoint: EndpointId,
    pub(super) node: Option<NodeId>,
    /// Addresses from the status, except those of a terminated pod.
    pub(super) addresses: Box<[Address]>,
    /// Time when the deletion will be or should have been complete, milliseconds since the epoch.
    /// 0 if the pod is not in deletion.
    pub(super) deletion: u64,
    pub(super) list: u32,
    pub(super) is_terminated: bool,
    pub(super) is_probe: bool,
}

/// What a pod has besides the addresses in its status.
#[derive(Debug, Default)]
pub(super) struct PodKeys {
    /// Ports of the node, and addresses from annotations.
    pub(super) own: Box<[AddressKey]>,
    /// Addresses from ResourceClaims, with the uid of the claim. Kept for pods that are not known
    /// yet.
    pub(super) from_claims: Vec<(u128, AddressKey)>,
}

impl PodKeys {
    /// Returns all keys.
    pub(super) fn all(&self) -> impl Iterator<Item = AddressKey> {
        let claimed = self.from_claims.iter().map(|(_, key)| *key);
        self.own.iter().copied().chain(claimed)
    }

    pub(super) fn contains(&self, key: AddressKey) -> bool {
        self.all().any(|one| one == key)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.own.is_empty() && self.from_claims.is_empty()
    }
}

/// A ResourceClaim with network devices.
#[derive(Debug)]
pub(super) struct ResourceClaim {
    pub(super) pods: Box<[u128]>,
    pub(super) keys: Box<[AddressKey]>,
    pub(super) list: u32,
}

impl ResourceClaim {
    pub(super) fn contains(&self, pod: u128, key: AddressKey) -> bool {
        self.pods.contains(&pod) && self.keys.contains(&key)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (u128, AddressKey)> {
        let pods = self.pods.iter();
        pods.flat_map(|pod| self.keys.iter().map(|key| (*pod, *key)))
    }
}

/// A Node object.
#[derive(Debug)]
pub(super) struct NodeEntry {
    pub(super) id: NodeId,
    pub(super) endpoint: EndpointId,
    /// The pods of the node that are known only by a pod CIDR.
    pub(super) pods: EndpointId,
    pub(super) fields: Box<NodeFields>,
    pub(super) list: u32,
}

/// The addresses of a node, from the Node, the CiliumNode and the egress addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NodeAddresses {
    pub(super) keys: BTreeSet<AddressKey>,
    /// Those of `keys` that only annotations have. A pod that reports one has it.
    pub(super) annotated: BTreeSet<AddressKey>,
    pub(super) pod_cidrs: Vec<IpNet>,
    pub(super) gateways: Vec<Gateway>,
    /// See [`NodeFields::ignores_pod_cidrs`].
    pub(super) ignores_pod_cidrs: bool,
}

impl NodeAddresses {
    pub(super) fn of<'a>(
        node: &'a NodeFields,
        cilium: Option<&'a CiliumNodeFields>,
        egress: impl Iterator<Item = &'a Address>,
    ) -> Self {
        let of_cilium = cilium.map_or(&[][..], |cilium| &cilium.addresses);
        let addresses = node.addresses.iter().chain(of_cilium).chain(egress);
        let key = |address: &Address| node_key(node, *address);
        let mut keys: BTreeSet<AddressKey> = addresses.map(key).collect();
        let annotated = node.annotated.iter().map(key);
        let annotated: BTreeSet<_> = annotated.filter(|one| !keys.contains(one)).collect();
        keys.extend(&annotated);
        let mut all = Self {
            keys,
            annotated,
            pod_cidrs: node.pod_cidrs.clone(),
            gateways: node.gateways.clone(),
            ignores_pod_cidrs: node.ignores_pod_cidrs,
        };
        if let Some(cilium) = cilium {
            // Cilium uses the pod CIDRs of the Node only if it has copied them. It has no gateway
            // address besides those in its object.
            if !cilium.pod_cidrs.is_empty() {
                all.pod_cidrs.clone_from(&cilium.pod_cidrs);
                all.ignores_pod_cidrs = false;
            }
            all.gateways.retain(|gateway| !gateway.is_guess);
        }
        all
    }
}

/// Returns the key of an address of a node. A pod or another node has the address of a virtual
/// node.
pub(super) const fn node_key(node: &NodeFields, address: Address) -> AddressKey {
    match node.is_virtual {
        true => AddressKey::claimed(address),
        false => AddressKey::address(address),
    }
}

/// Addresses that nodes use for egress traffic, from an object of one of several kinds.
#[derive(Debug)]
pub(super) struct EgressEntry {
    pub(super) kind: ResourceKind,
    pub(super) fields: EgressFields,
    pub(super) list: u32,
}

/// A Service, or an external address of an EndpointSlice.
#[derive(Debug)]
pub(super) struct KeyedEntry {
    pub(super) endpoint: EndpointId,
    pub(super) keys: Box<[AddressKey]>,
    pub(super) list: u32,
}

impl KeyedEntry {
    /// Creates the entry of an endpoint without keys.
    pub(super) fn of(endpoint: EndpointId) -> Self {
        Self {
            endpoint,
            keys: Box::default(),
            list: 0,
        }
    }
}
