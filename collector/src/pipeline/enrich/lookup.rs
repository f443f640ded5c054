//! The endpoint of one address.

use std::net::IpAddr;

use flowproto::Address;

use crate::inventory::{Certainty, EndpointId, EndpointKind, Place, TimeRange, TransportPort};
use crate::snapshots::Snapshots;

/// The endpoint of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResolvedEndpoint {
    /// The endpoint.
    pub id: EndpointId,
    /// Its kind and node.
    pub place: Place,
    /// How certain the attribution is.
    pub certainty: Certainty,
    /// The Service whose virtual address the record has, before translation.
    pub service: Option<EndpointId>,
    /// It is the endpoint of the address after translation.
    pub is_translated: bool,
}

impl ResolvedEndpoint {
    /// The endpoint that the address of a record has, before translation.
    #[inline(always)]
    #[must_use]
    pub fn new(id: EndpointId, place: Place, certainty: Certainty) -> Self {
        Self {
            id,
            place,
            certainty,
            service: (place.kind == EndpointKind::Service).then_some(id),
            is_translated: false,
        }
    }

    /// True if it is outside the cluster.
    #[must_use]
    pub fn is_external(&self) -> bool {
        self.place.kind == EndpointKind::External
    }
}

/// The endpoint of an address at a time, for people. Ports are not considered.
#[must_use]
pub fn resolve_address(
    snapshots: &Snapshots,
    address: Address,
    time: TimeRange,
) -> ResolvedEndpoint {
    look_up(snapshots, address, None, time).0
}

/// The answer of the snapshots, and the time from which on it is the same for all packets;
/// `u64::MAX` if it depends on the time.
pub(super) fn look_up(
    snapshots: &Snapshots,
    address: Address,
    port: Option<TransportPort>,
    time: TimeRange,
) -> (ResolvedEndpoint, u64) {
    let mut found = snapshots.index.lookup_port(address, port, time);
    let mut place = snapshots.index.place(found.endpoint);
    if found.certainty == Certainty::Ambiguous
        && place.kind == EndpointKind::External
        && found.endpoint != EndpointId::EXTERNAL
    {
        // Several slices lead there. It is certainly external, and has the name of a Service only
        // if all of them are of that Service.
        found.certainty = Certainty::Known;
        if snapshots.index.endpoint(found.endpoint).name.is_empty() {
            found.endpoint = EndpointId::EXTERNAL;
        }
    }
    if found.endpoint == EndpointId::EXTERNAL {
        found.endpoint = external(snapshots, address);
        place = snapshots.place(found.endpoint);
    }
    let resolved = ResolvedEndpoint::new(found.endpoint, place, found.certainty);
    (resolved, found.since_milliseconds)
}

/// The endpoint of an address outside the cluster. An address that does not leave its link is
/// external only if it has a name.
fn external(snapshots: &Snapshots, address: Address) -> EndpointId {
    let external = snapshots.external.lookup(address);
    let is_named = || !snapshots.external.attributes(external).name.is_empty();
    if is_link(address.to_ip()) && !is_named() {
        EndpointId::LINK
    } else {
        EndpointId::from_external(external)
    }
}

/// True for addresses that routers do not forward (RFC 5771 §4, RFC 919 §7, RFC 3927 §2.7, RFC 4291
/// §2.5.6, RFC 1122 §3.2.1.3), and for all other multicast: its packets have no single receiver.
fn is_link(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            address.is_multicast()
                || address.is_broadcast()
                || address.is_link_local()
                || address.is_loopback()
                // "This network": the source of a host that has no address yet.
                || matches!(address.octets(), [0, ..])
        }
        IpAddr::V6(address) => {
            address.is_multicast() || address.is_unicast_link_local() || address.is_loopback()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::external::{ExternalSources, ExternalWatcher};
    use crate::inventory::{AddressKey, Endpoint, IndexWriter};
    use crate::snapshots::SnapshotStore;

    fn kind_of(snapshots: &Snapshots, address: &str) -> EndpointKind {
        let address = Address::from(address.parse::<IpAddr>().unwrap());
        let (found, _) = look_up(snapshots, address, None, TimeRange::instant(0));
        assert_eq!(snapshots.endpoint(found.id).endpoint.kind, found.place.kind);
        found.place.kind
    }

    fn snapshots(sources: &ExternalSources, held: Option<&str>) -> Snapshots {
        let service = Endpoint {
            kind: EndpointKind::Service,
            ..Endpoint::default()
        };
        let held = held.map(|address| (address, service));
        snapshots_of(sources, held.into_iter())
    }

    /// Snapshots with endpoints, which can share an address.
    fn snapshots_of<'a>(
        sources: &ExternalSources,
        endpoints: impl Iterator<Item = (&'a str, Endpoint)>,
    ) -> Snapshots {
        let mut writer = IndexWriter::default();
        for (address, endpoint) in endpoints {
            let id = writer.add_endpoint(endpoint);
            let address = address.parse::<IpAddr>().unwrap();
            writer.assign(AddressKey::address(address.into()), id, 0, 0);
        }
        let external = ExternalWatcher::new(sources).unwrap().published();
        SnapshotStore::new(writer.current(), external, "").load()
    }

    #[test]
    fn multicast_broadcast_link_local_and_loopback_are_not_external() {
        let snapshots = snapshots(&ExternalSources::default(), None);
        for address in [
            "224.0.0.1",
            "224.0.0.251",
            "239.255.255.250",
            "255.255.255.255",
            "169.254.0.1",
            "169.254.169.254",
            "127.0.0.53",
            "0.0.0.0",
            "0.0.0.9",
            "fe80::1",
            "febf::1",
            "ff01::1",
            "ff02::1:ff00:2",
            "ff0e::101",
            "::1",
        ] {
            assert_eq!(
                kind_of(&snapshots, address),
                EndpointKind::Link,
                "{address}"
            );
        }
        for address in [
            "223.255.255.255",
            "240.0.0.1",
            "255.255.255.254",
            "169.253.255.255",
            "169.255.0.0",
            "128.0.0.1",
            "1.0.0.0",
            "fec0::1",
            "fe7f::1",
            "fd00::1",
            "::2",
            "2001:db8::1",
        ] {
            let kind = kind_of(&snapshots, address);
            assert_eq!(kind, EndpointKind::External, "{address}");
        }
    }

    #[test]
    fn a_link_local_address_of_the_cluster_or_with_a_name_keeps_its_endpoint() {
        let sources = ExternalSources {
            cidrs: vec!["169.254.169.254/32=metadata".parse().unwrap()],
            ..ExternalSources::default()
        };
        let snapshots = snapshots(&sources, Some("169.254.20.10"));
        for (address, kind) in [
            ("169.254.20.10", EndpointKind::Service),
            ("169.254.169.254", EndpointKind::External),
            ("169.254.169.253", EndpointKind::Link),
        ] {
            assert_eq!(kind_of(&snapshots, address), kind, "{address}");
        }
    }

    #[test]
    fn an_external_address_of_several_services_keeps_the_name_of_its_network() {
        let sources = ExternalSources {
            cidrs: vec!["203.0.113.0/24=databases".parse().unwrap()],
            ..ExternalSources::default()
        };
        let slice = |address: &'static str, service: &str| {
            let endpoint = Endpoint {
                kind: EndpointKind::External,
                name: service.into(),
                workload_name: service.into(),
                ..Endpoint::default()
            };
            (address, endpoint)
        };
        let slices = [
            slice("203.0.113.1", "a.svc"),
            slice("203.0.113.2", "a.svc"),
            slice("203.0.113.2", "a.svc"),
            slice("203.0.113.3", "a.svc"),
            slice("203.0.113.3", "b.svc"),
        ];
        let snapshots = snapshots_of(&sources, slices.into_iter());
        for (address, name) in [
            ("203.0.113.1", "a.svc"),
            ("203.0.113.2", "a.svc"),
            ("203.0.113.3", "databases"),
            ("203.0.113.4", "databases"),
        ] {
            let ip = Address::from(address.parse::<IpAddr>().unwrap());
            let found = resolve_address(&snapshots, ip, TimeRange::instant(1));
            assert_eq!(found.certainty, Certainty::Known, "{address}");
            let view = snapshots.endpoint(found.id);
            assert_eq!(view.workload_name(), name, "{address}");
        }
    }
}
