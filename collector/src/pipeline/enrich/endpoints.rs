//! The two endpoints of a flow, with address translation taken into account.

use flowproto::Address;

use super::lookup::ResolvedEndpoint;
use super::tunnels::{TunnelNetworks, TunnelUse, trusted_ends};
use super::{EndpointCache, Scope, TrafficClass};
use crate::inventory::{Certainty, EndpointId, EndpointKind};
use crate::pipeline::flow::{AddressAndPort, Flow, FlowExtras};
use crate::snapshots::Snapshots;

/// The endpoints of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// The sender.
    pub source: ResolvedEndpoint,
    /// The receiver.
    pub destination: ResolvedEndpoint,
    /// The packet of a tunnel that they are of.
    pub tunnel: TunnelUse,
}

impl Endpoints {
    /// The endpoints of the opposite direction.
    #[must_use]
    pub const fn reversed(self) -> Self {
        Self {
            source: self.destination,
            destination: self.source,
            tunnel: self.tunnel,
        }
    }

    /// The class of the traffic between them.
    #[inline]
    #[must_use]
    pub fn class(&self) -> TrafficClass {
        TrafficClass::between(self.source.place, self.destination.place)
    }

    /// Whether the traffic stays in the cluster.
    #[must_use]
    pub fn scope(&self) -> Scope {
        Scope::between(self.source.place, self.destination.place)
    }

    /// True if there is no doubt about either.
    #[inline]
    #[must_use]
    pub fn are_certain(&self) -> bool {
        self.source.certainty == Certainty::Known && self.destination.certainty == Certainty::Known
    }

    /// True if an address was reassigned while the packets were sent.
    #[inline]
    #[must_use]
    pub fn is_ambiguous(&self) -> bool {
        self.has(Certainty::Ambiguous)
    }

    /// True if an address is in a pod CIDR but no pod has reported it.
    #[inline]
    #[must_use]
    pub fn is_unreported(&self) -> bool {
        self.has(Certainty::Unreported)
    }

    fn has(&self, certainty: Certainty) -> bool {
        self.source.certainty == certainty || self.destination.certainty == certainty
    }
}

/// Resolves the endpoints of flows.
#[derive(Debug)]
pub struct Resolver<'a> {
    /// What is known of addresses.
    pub snapshots: &'a Snapshots,
    /// Recent answers.
    pub cache: &'a mut EndpointCache,
    /// Networks of tunnel ends.
    pub tunnels: &'a TunnelNetworks,
}

impl Resolver<'_> {
    /// Resolves the endpoints of a flow.
    ///
    /// If the record has addresses before and after translation, the endpoint is the one of the two
    /// that is a pod, otherwise the address before. So a masqueraded pod is the pod, and a Service
    /// is the pod behind it. A Service that leads to a node (a pod that shares the node's address)
    /// is that node, and one that leads out of the cluster is the external address.
    ///
    /// The addresses of a tunnelled packet are those of the outer packet, unless the tunnel is
    /// between nodes.
    #[inline]
    pub fn resolve(&mut self, flow: &Flow, extras: Option<&FlowExtras>) -> Endpoints {
        match extras {
            None => self.resolve_addresses(flow),
            Some(extras) => self.resolve_with(flow, extras),
        }
    }

    /// Resolves the addresses of a flow that has neither translation nor tunnel.
    #[inline]
    fn resolve_addresses(&mut self, flow: &Flow) -> Endpoints {
        let [source, destination] = flow.ends();
        Endpoints {
            source: self.resolve_before(flow, flow.protocol, source),
            destination: self.resolve_before(flow, flow.protocol, destination),
            tunnel: TunnelUse::None,
        }
    }

    #[inline(never)]
    fn resolve_with(&mut self, flow: &Flow, extras: &FlowExtras) -> Endpoints {
        let Some(tunnel) = extras.tunnel else {
            return self.resolve_translated(flow, extras);
        };
        let [source, destination] = flow.sides(tunnel.ends);
        let addresses = [source.0, destination.0];
        let Self {
            snapshots,
            cache,
            tunnels,
        } = self;
        match trusted_ends(snapshots, cache, tunnels, addresses, flow.time) {
            Ok(nodes) => {
                let mut endpoints = self.resolve_translated(flow, extras);
                endpoints.tunnel = TunnelUse::Inner;
                let sides = [&mut endpoints.source, &mut endpoints.destination];
                for (endpoint, node) in sides.into_iter().zip(nodes) {
                    if let Some(node) = node.filter(|_| endpoint.is_external()) {
                        *endpoint = node;
                    }
                }
                endpoints
            }
            Err(kind) => Endpoints {
                source: self.resolve_before(flow, tunnel.protocol, source),
                destination: self.resolve_before(flow, tunnel.protocol, destination),
                tunnel: TunnelUse::Outer(kind),
            },
        }
    }

    fn resolve_translated(&mut self, flow: &Flow, extras: &FlowExtras) -> Endpoints {
        let mut endpoints = self.resolve_addresses(flow);
        if let Some(translated) = extras.translated {
            let [source, destination] = flow.sides(translated);
            let (sender, receiver) = (endpoints.source, endpoints.destination);
            endpoints.source = self.resolve_after(flow, sender, flow.source_port, source);
            endpoints.destination =
                self.resolve_after(flow, receiver, flow.destination_port, destination);
        }
        endpoints
    }

    /// The endpoint of an address before translation.
    #[inline(always)]
    fn resolve_before(
        &mut self,
        flow: &Flow,
        protocol: u8,
        (address, port): AddressAndPort,
    ) -> ResolvedEndpoint {
        self.cache
            .lookup(self.snapshots, address, (protocol, port), flow.time)
    }

    /// The endpoint, given the one before translation and the address after it.
    fn resolve_after(
        &mut self,
        flow: &Flow,
        before: ResolvedEndpoint,
        port_before: u16,
        (address, port): AddressAndPort,
    ) -> ResolvedEndpoint {
        if before.place.kind == EndpointKind::Pod || address.is_unspecified() {
            return before;
        }
        let port = if port == 0 { port_before } else { port };
        let after = self
            .cache
            .lookup(self.snapshots, address, (flow.protocol, port), flow.time);
        match after.place.kind {
            EndpointKind::Pod => {}
            EndpointKind::Node if before.service.is_some() => {}
            // It leaves the cluster, as if the client had used the external address itself.
            EndpointKind::External
                if before.service.is_some() && self.is_endpoint(flow, address) => {}
            _ => return before,
        }
        ResolvedEndpoint {
            service: before.service,
            is_translated: true,
            ..after
        }
    }

    /// True for an external address that is an endpoint of a Service. Another one can be that of a
    /// pod that is not known yet.
    fn is_endpoint(&self, flow: &Flow, address: Address) -> bool {
        let found = self.snapshots.index.lookup(address, flow.time).endpoint;
        found != EndpointId::EXTERNAL
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use flowproto::FlowRecord;
    use flowproto::record::{Translation, Tunnel, TunnelType};

    use super::*;
    use crate::inventory::{Endpoint, IndexWriter, Node, TimeRange};
    use crate::snapshots::SnapshotStore;

    const POD: Address = Address::from_v4_bits(0x0a01_010a);
    const NODE: Address = Address::from_v4_bits(0x0a09_0001);
    const SERVICE: Address = Address::from_v4_bits(0x0a60_000a);

    fn index() -> (Snapshots, [EndpointId; 3]) {
        let mut writer = IndexWriter::default();
        writer.add_node(Node::default()).unwrap();
        let ids = [
            (POD, EndpointKind::Pod),
            (NODE, EndpointKind::Node),
            (SERVICE, EndpointKind::Service),
        ]
        .map(|(address, kind)| {
            let id = writer.add_endpoint(Endpoint {
                kind,
                ..Endpoint::default()
            });
            writer.assign_address(address, id).unwrap();
            id
        });
        let store = SnapshotStore::new(writer.current(), Default::default(), "");
        (store.load(), ids)
    }

    fn external() -> Address {
        Address::from(Ipv4Addr::new(192, 0, 2, 1))
    }

    fn endpoints(
        snapshots: &Snapshots,
        (source, destination): (Address, Address),
        translation: Translation,
    ) -> Endpoints {
        let mut record = FlowRecord::default();
        record.key.source_address = source;
        record.key.destination_address = destination;
        record.translation = Some(translation);
        let forward = Flow::forward(&record, TimeRange::instant(0), 0);
        let extras = FlowExtras::of(&record);
        let endpoints_of = |flow: &Flow| {
            let mut resolver = Resolver {
                snapshots,
                cache: &mut EndpointCache::default(),
                tunnels: &TunnelNetworks::default(),
            };
            resolver.resolve(flow, Some(&extras))
        };
        let endpoints = endpoints_of(&forward);
        assert_eq!(
            endpoints_of(&forward.reverse(&record)),
            endpoints.reversed()
        );
        endpoints
    }

    /// The endpoints of the packet `inner` inside a tunnel between `ends`.
    fn tunnelled(
        snapshots: &Snapshots,
        inner: (Address, Address),
        ends: (Address, Address),
        networks: &[&str],
    ) -> Endpoints {
        let networks: Vec<_> = networks.iter().map(|text| text.parse().unwrap()).collect();
        let mut record = FlowRecord::default();
        record.key.source_address = inner.0;
        record.key.destination_address = inner.1;
        record.tunnel = Some(Tunnel {
            tunnel_source_address: ends.0,
            tunnel_destination_address: ends.1,
            tunnel_type: TunnelType::Vxlan,
            tunnel_key: 7,
            tunnel_protocol_identifier: 17,
            tunnel_source_port: 50_000,
            tunnel_destination_port: 4789,
        });
        let forward = Flow::forward(&record, TimeRange::instant(0), 0);
        let extras = FlowExtras::of(&record);
        let endpoints_of = |flow: &Flow| {
            let mut resolver = Resolver {
                snapshots,
                cache: &mut EndpointCache::default(),
                tunnels: &TunnelNetworks::new(&networks),
            };
            resolver.resolve(flow, Some(&extras))
        };
        let endpoints = endpoints_of(&forward);
        assert_eq!(
            endpoints_of(&forward.reverse(&record)),
            endpoints.reversed()
        );
        endpoints
    }

    fn ids(endpoints: &Endpoints) -> [EndpointId; 2] {
        [endpoints.source.id, endpoints.destination.id]
    }

    #[test]
    fn the_inner_packet_counts_in_a_tunnel_between_nodes_only() {
        let (snapshots, [pod, node, service]) = index();
        let inner = (POD, SERVICE);
        let between_nodes = tunnelled(&snapshots, inner, (NODE, NODE), &[]);
        assert_eq!(ids(&between_nodes), [pod, service]);
        assert_eq!(between_nodes.tunnel, TunnelUse::Inner);
        assert_eq!(between_nodes.destination.service, Some(service));
        for (end, id, kind) in [
            (POD, pod, EndpointKind::Pod),
            (SERVICE, service, EndpointKind::Service),
            (external(), EndpointId::EXTERNAL, EndpointKind::External),
        ] {
            let to = tunnelled(&snapshots, inner, (NODE, end), &[]);
            assert_eq!(ids(&to), [node, id]);
            assert_eq!(to.tunnel, TunnelUse::Outer(kind));
            let from = tunnelled(&snapshots, inner, (end, NODE), &[]);
            assert_eq!(ids(&from), [id, node]);
            assert_eq!(from.tunnel, TunnelUse::Outer(kind));
        }
    }

    #[test]
    fn a_network_of_tunnels_is_trusted_as_a_node_is() {
        let (snapshots, [pod, _, service]) = index();
        let ends = (NODE, external());
        let endpoints = tunnelled(&snapshots, (POD, SERVICE), ends, &["192.0.2.0/30"]);
        assert_eq!(ids(&endpoints), [pod, service]);
        let endpoints = tunnelled(&snapshots, (POD, SERVICE), ends, &["192.0.2.4/30"]);
        assert!(endpoints.tunnel.is_outer());
    }

    #[test]
    fn an_external_address_inside_a_tunnel_between_nodes_is_at_the_node_of_that_end() {
        let (snapshots, [pod, node, _]) = index();
        let out = tunnelled(&snapshots, (POD, external()), (NODE, NODE), &[]);
        assert_eq!(ids(&out), [pod, node]);
        let back = tunnelled(&snapshots, (external(), POD), (NODE, NODE), &[]);
        assert_eq!(ids(&back), [node, pod]);
        // The node at the end of a trusted network is not known.
        let networks = &["192.0.2.0/24"];
        let ends = (NODE, Address::from(Ipv4Addr::new(192, 0, 2, 9)));
        let beyond = tunnelled(&snapshots, (POD, external()), ends, networks);
        assert_eq!(ids(&beyond), [pod, EndpointId::EXTERNAL]);
    }

    #[test]
    fn without_any_node_only_ends_that_are_known_not_to_be_nodes_are_refused() {
        let mut writer = IndexWriter::default();
        let pod = writer.add_endpoint(Endpoint {
            kind: EndpointKind::Pod,
            ..Endpoint::default()
        });
        writer.assign_address(POD, pod).unwrap();
        let store = SnapshotStore::new(writer.current(), Default::default(), "");
        let snapshots = store.load();
        let trusted = tunnelled(&snapshots, (POD, external()), (NODE, NODE), &[]);
        assert_eq!(trusted.tunnel, TunnelUse::Inner);
        let refused = tunnelled(&snapshots, (POD, external()), (POD, NODE), &[]);
        assert_eq!(refused.tunnel, TunnelUse::Outer(EndpointKind::Pod));
        let elsewhere = &["203.0.113.0/24"];
        let refused = tunnelled(&snapshots, (POD, external()), (NODE, NODE), elsewhere);
        assert_eq!(refused.tunnel, TunnelUse::Outer(EndpointKind::External));
    }

    #[test]
    fn a_masqueraded_pod_is_seen_as_the_pod_on_either_side_of_the_translation() {
        let (snapshots, [pod, ..]) = index();
        for (pre, post) in [(POD, NODE), (NODE, POD)] {
            let translation = Translation {
                post_nat_source_address: post,
                ..Translation::default()
            };
            let endpoints = endpoints(&snapshots, (pre, external()), translation);
            assert_eq!(endpoints.source.id, pod);
        }
    }

    #[test]
    fn a_service_is_seen_as_the_pod_behind_it_and_keeps_its_name() {
        let (snapshots, [pod, _, service]) = index();
        let translation = Translation {
            post_nat_destination_address: POD,
            ..Translation::default()
        };
        let endpoints = endpoints(&snapshots, (external(), SERVICE), translation);
        assert_eq!(endpoints.destination.id, pod);
        assert_eq!(endpoints.destination.service, Some(service));
    }

    #[test]
    fn without_a_pod_the_address_before_translation_counts() {
        let (snapshots, [_, node, service]) = index();
        let translation = Translation {
            post_nat_source_address: external(),
            post_nat_destination_address: external(),
            ..Translation::default()
        };
        let endpoints = endpoints(&snapshots, (NODE, SERVICE), translation);
        assert_eq!(
            (endpoints.source.id, endpoints.destination.id),
            (node, service)
        );
    }

    #[test]
    fn a_service_that_leads_out_of_the_cluster_is_seen_as_that_address_and_keeps_its_name() {
        let mut writer = IndexWriter::default();
        let [service, database] = [
            (SERVICE, EndpointKind::Service, None),
            (external(), EndpointKind::External, Some(external())),
        ]
        .map(|(address, kind, external)| {
            let id = writer.add_endpoint(Endpoint {
                kind,
                external_address: external.map(Box::new),
                ..Endpoint::default()
            });
            writer.assign_address(address, id).unwrap();
            id
        });
        let store = SnapshotStore::new(writer.current(), Default::default(), "");
        let translation = Translation {
            post_nat_destination_address: external(),
            ..Translation::default()
        };
        let endpoints = endpoints(&store.load(), (POD, SERVICE), translation);
        assert_eq!(endpoints.destination.id, database);
        assert_eq!(endpoints.destination.service, Some(service));
        assert!(endpoints.destination.is_external());
    }

    #[test]
    fn a_service_that_leads_to_a_node_is_seen_as_the_node_and_keeps_its_name() {
        let (snapshots, [_, node, service]) = index();
        let translation = Translation {
            post_nat_destination_address: NODE,
            ..Translation::default()
        };
        let endpoints = endpoints(&snapshots, (external(), SERVICE), translation);
        assert_eq!(endpoints.destination.id, node);
        assert_eq!(endpoints.destination.service, Some(service));
    }
}
