//! Whether the inner packet of a tunnel is trusted.
//!
//! A pod can send any packet to any address, including one that looks like a tunnel with a packet
//! of another pod inside. So the inner addresses are used only if both ends of the tunnel are nodes
//! or in a network of `--tunnel-cidr`. Otherwise the outer addresses are used.
//!
//! A node forwards what leaves the tunnel. So in a tunnel between nodes, an inner external address
//! is attributed to the node of that end: the packets enter or leave the cluster there, in another
//! flow (egress gateway, NodePort).

use flowproto::Address;
use ipnet::IpNet;

use super::EndpointCache;
use super::lookup::ResolvedEndpoint;
use crate::inventory::{EndpointKind, TimeRange};
use crate::snapshots::Snapshots;

/// Networks whose addresses are ends of tunnels, in addition to the nodes.
#[derive(Clone, Debug, Default)]
pub struct TunnelNetworks(Vec<IpNet>);

impl TunnelNetworks {
    /// Creates the set.
    #[must_use]
    pub fn new(networks: &[IpNet]) -> Self {
        Self(networks.to_vec())
    }

    fn contain(&self, address: Address) -> bool {
        let mut networks = self.0.iter();
        !self.0.is_empty() && {
            let ip = address.to_ip();
            networks.any(|network| network.contains(&ip))
        }
    }
}

/// The packet of a tunnel to which a record is attributed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TunnelUse {
    /// There is no tunnel, or its ends are unknown.
    #[default]
    None,
    /// The inner one.
    Inner,
    /// The outer one, because an end of the tunnel has this kind and is not trusted.
    Outer(EndpointKind),
}

impl TunnelUse {
    /// True if the record is attributed to the outer packet.
    #[must_use]
    pub const fn is_outer(self) -> bool {
        matches!(self, Self::Outer(_))
    }
}

/// The nodes at the ends of a trusted tunnel, where they are known; otherwise the kind of the end
/// that is not trusted.
pub(super) fn trusted_ends(
    snapshots: &Snapshots,
    cache: &mut EndpointCache,
    networks: &TunnelNetworks,
    [source, destination]: [Address; 2],
    time: TimeRange,
) -> Result<[Option<ResolvedEndpoint>; 2], EndpointKind> {
    // Without nodes and networks, an external address can be that of a node.
    let are_ends_known = !networks.0.is_empty() || snapshots.index.sizes().nodes > 0;
    let mut end = |address: Address| {
        if address.is_unspecified() {
            return Ok(None);
        }
        let found = cache.lookup(snapshots, address, (0, 0), time);
        match found.place.kind {
            EndpointKind::Node => Ok(Some(found)),
            EndpointKind::External if !are_ends_known => Ok(None),
            _ if networks.contain(address) => Ok(None),
            kind => Err(kind),
        }
    };
    Ok([end(source)?, end(destination)?])
}
