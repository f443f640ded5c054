//! Event tables: updates of the watches in simulated time, and what the index answers.

mod egress;
mod labels;
mod lists;
mod memory;
mod model;
mod nodes;
mod owners;
mod pods;
mod secondary;
mod services;
mod unreachable;

use std::net::IpAddr;
use std::sync::Arc;

use super::{ClusterState, ProbeStatus};
use crate::inventory::address_key::TransportPort;
use crate::inventory::clock_reading::ClockReading;
use crate::inventory::cluster::fields::{
    CiliumNodeFields, Controller, EgressFields, EndpointSliceFields, Gateway, NamespaceFields,
    NodeFields, OwnerFields, PodFields, ResourceClaimFields, ServiceFields,
};
use crate::inventory::cluster::health::WatchHealth;
use crate::inventory::cluster::resource_kind::ResourceKind;
use crate::inventory::cluster::uid::uid;
use crate::inventory::cluster::update::{WatchEvent, WatchFailure, WatchUpdate};
use crate::inventory::endpoint::{EndpointKind, NodeId};
use crate::inventory::snapshot::{Certainty, Found, IndexSnapshot};
use crate::inventory::time_range::TimeRange;
use crate::inventory::writer::{Bounds, IndexWriter};
use flowproto::Address;

/// The time that seconds of a test count from, milliseconds since the epoch.
const EPOCH: u64 = 1_700_000_000_000;
/// Retention time of the tests, seconds.
const KEPT: u64 = 300;

/// Milliseconds since the epoch.
fn time(seconds: u64) -> u64 {
    EPOCH + seconds * 1000
}

fn address(text: &str) -> Address {
    Address::from(text.parse::<IpAddr>().unwrap())
}

fn addresses(texts: &[&str]) -> Vec<Address> {
    texts.iter().map(|text| address(text)).collect()
}

fn tcp(port: u16) -> TransportPort {
    TransportPort::new(6, port).unwrap()
}

/// A cluster whose API server is the test.
struct Scenario {
    state: ClusterState,
    health: Arc<WatchHealth>,
    probes: Vec<(String, ProbeStatus)>,
}

impl Scenario {
    fn new() -> Self {
        Self::within(Bounds {
            kept_milliseconds: KEPT * 1000,
            ..Bounds::default()
        })
    }

    fn within(bounds: Bounds) -> Self {
        let health = Arc::new(WatchHealth::new(ResourceKind::ALL.to_vec()));
        let mut writer = IndexWriter::new(bounds);
        writer.start_watch();
        let mut scenario = Self {
            state: ClusterState::new(writer, Arc::clone(&health)),
            health,
            probes: Vec::new(),
        };
        scenario.at(0);
        scenario
    }

    /// Sets both clocks, and removes what has expired.
    fn at(&mut self, seconds: u64) -> &mut Self {
        self.state.set_now(ClockReading {
            wall_milliseconds: time(seconds),
            monotonic_milliseconds: seconds * 1000,
        });
        self.state.writer().expire();
        self
    }

    fn apply(&mut self, update: WatchUpdate) -> &mut Self {
        for (node, status) in self.state.apply(update) {
            let name = self.state.writer().node_of(node).name.to_string();
            self.probes.push((name, status));
        }
        self
    }

    fn changed(&mut self, object: impl Into<Object>) -> &mut Self {
        self.apply(object.into().update(Verb::Changed))
    }

    fn deleted(&mut self, object: impl Into<Object>) -> &mut Self {
        self.apply(object.into().update(Verb::Deleted))
    }

    fn initial(&mut self, object: impl Into<Object>) -> &mut Self {
        self.apply(object.into().update(Verb::Initial))
    }

    /// A complete list of one kind.
    fn list(&mut self, kind: ResourceKind, objects: Vec<Object>) -> &mut Self {
        self.apply(marker(kind, true));
        for object in objects {
            self.initial(object);
        }
        self.apply(marker(kind, false))
    }

    fn list_pods(&mut self, pods: &[&PodFields]) -> &mut Self {
        let pods = pods.iter().map(|pod| (*pod).clone().into());
        self.list(ResourceKind::Pods, pods.collect())
    }

    fn list_nodes(&mut self, nodes: &[&NodeFields]) -> &mut Self {
        let nodes = nodes.iter().map(|node| (*node).clone().into());
        self.list(ResourceKind::Nodes, nodes.collect())
    }

    fn failed(&mut self, kind: ResourceKind, failure: WatchFailure) -> &mut Self {
        self.apply(WatchUpdate::Failed {
            kind,
            error: "connection refused".into(),
            failure,
        })
    }

    fn unavailable(&mut self, kind: ResourceKind) -> &mut Self {
        self.failed(kind, WatchFailure::Unavailable)
    }

    fn index(&mut self) -> IndexSnapshot {
        self.state.writer().current()
    }

    fn found(&mut self, text: &str, port: u16, seconds: u64) -> (IndexSnapshot, Found) {
        let index = self.index();
        let range = TimeRange::instant(time(seconds));
        let found = index.lookup_port(address(text), TransportPort::new(6, port), range);
        (index, found)
    }

    /// Returns what an address belongs to at a time: a name; `~WORKLOAD` if several endpoints of
    /// one workload have it; `?NODE` for an unreported pod; an empty text for an external address.
    fn owner(&mut self, address: &str, seconds: u64) -> String {
        self.owner_of_port(address, 0, seconds)
    }

    fn owner_of_port(&mut self, address: &str, port: u16, seconds: u64) -> String {
        let (index, found) = self.found(address, port, seconds);
        let endpoint = index.endpoint(found.endpoint);
        let node = endpoint.node.map_or("", |node| &index.node(node).name);
        match found.certainty {
            Certainty::Ambiguous => format!("~{}", endpoint.workload_name),
            Certainty::Unreported if endpoint.kind == EndpointKind::Pod => format!("?{node}"),
            Certainty::Unreported => format!("?{}", endpoint.name),
            Certainty::Known => endpoint.name.to_string(),
        }
    }

    /// Asserts what addresses belong to: address, seconds, expected owner.
    #[track_caller]
    fn assert_owners(&mut self, expected: &[(&str, u64, &str)]) {
        for (address, seconds, owner) in expected {
            let found = self.owner(address, *seconds);
            assert_eq!(found, *owner, "{address} at {seconds} s");
        }
    }

    fn workload(&mut self, address: &str, seconds: u64) -> String {
        let (index, found) = self.found(address, 0, seconds);
        let endpoint = index.endpoint(found.endpoint);
        format!("{} {}", endpoint.workload_kind, endpoint.workload_name)
    }
}

/// An object of any kind.
#[derive(Clone)]
#[allow(clippy::large_enum_variant, reason = "test code")]
enum Object {
    Pod(PodFields),
    Node(NodeFields),
    CiliumNode(CiliumNodeFields),
    Egress(EgressFields),
    Service(ServiceFields),
    EndpointSlice(EndpointSliceFields),
    ResourceClaim(ResourceClaimFields),
}

/// What happens to an object.
#[derive(Clone, Copy)]
enum Verb {
    Initial,
    Changed,
    Deleted,
}

impl Verb {
    fn event<T>(self, object: T) -> WatchEvent<T> {
        match self {
            Self::Initial => WatchEvent::Initial(object),
            Self::Changed => WatchEvent::Changed(object),
            Self::Deleted => WatchEvent::Deleted(object),
        }
    }
}

impl Object {
    fn update(self, verb: Verb) -> WatchUpdate {
        match self {
            Self::Pod(pod) => WatchUpdate::Pod(verb.event(pod)),
            Self::Node(node) => WatchUpdate::Node(verb.event(node)),
            Self::CiliumNode(node) => WatchUpdate::CiliumNode(verb.event(node)),
            Self::Egress(egress) => {
                WatchUpdate::Egress(ResourceKind::EgressIps, verb.event(egress))
            }
            Self::Service(service) => WatchUpdate::Service(verb.event(service)),
            Self::EndpointSlice(slice) => WatchUpdate::EndpointSlice(verb.event(slice)),
            Self::ResourceClaim(claim) => WatchUpdate::ResourceClaim(verb.event(claim)),
        }
    }
}

/// The start or end of a list.
fn marker(kind: ResourceKind, is_start: bool) -> WatchUpdate {
    fn event<T>(is_start: bool) -> WatchEvent<T> {
        if is_start {
            WatchEvent::ListStart
        } else {
            WatchEvent::ListEnd
        }
    }
    match kind {
        ResourceKind::Nodes => WatchUpdate::Node(event(is_start)),
        ResourceKind::Pods => WatchUpdate::Pod(event(is_start)),
        ResourceKind::Services => WatchUpdate::Service(event(is_start)),
        ResourceKind::EndpointSlices => WatchUpdate::EndpointSlice(event(is_start)),
        ResourceKind::Namespaces => WatchUpdate::Namespace(event(is_start)),
        ResourceKind::ReplicaSets | ResourceKind::Jobs => WatchUpdate::Owner(kind, event(is_start)),
        ResourceKind::CiliumNodes => WatchUpdate::CiliumNode(event(is_start)),
        ResourceKind::EgressIps | ResourceKind::Egresses => {
            WatchUpdate::Egress(kind, event(is_start))
        }
        ResourceKind::ResourceClaims => WatchUpdate::ResourceClaim(event(is_start)),
    }
}

macro_rules! objects {
    ($($fields:ident => $variant:ident),*) => {
        $(impl From<$fields> for Object {
            fn from(fields: $fields) -> Self {
                Self::$variant(fields)
            }
        }

        impl From<&$fields> for Object {
            fn from(fields: &$fields) -> Self {
                Self::$variant(fields.clone())
            }
        })*
    };
}

objects! {
    PodFields => Pod,
    NodeFields => Node,
    CiliumNodeFields => CiliumNode,
    EgressFields => Egress,
    ServiceFields => Service,
    EndpointSliceFields => EndpointSlice,
    ResourceClaimFields => ResourceClaim
}

//------------ Objects ---------------------------------------------------------------------------

/// A pod that started at 0 s, on the node `a`.
fn pod(name: &str, pod_addresses: &[&str]) -> PodFields {
    PodFields {
        uid: uid(&format!("pod {name}")),
        namespace: "shop".into(),
        name: name.into(),
        node: "a".into(),
        addresses: addresses(pod_addresses),
        started: time(0),
        ..PodFields::default()
    }
}

/// The same pod, started at another time.
fn started(pod: PodFields, seconds: u64) -> PodFields {
    PodFields {
        started: time(seconds),
        ..pod
    }
}

/// The same pod in deletion, which will be complete at a time.
fn in_deletion(pod: &PodFields, seconds: u64) -> PodFields {
    PodFields {
        deletion: Some(time(seconds)),
        ..pod.clone()
    }
}

/// The same pod after all its containers have terminated.
fn terminated(pod: &PodFields, seconds: u64) -> PodFields {
    PodFields {
        is_terminated: true,
        terminated: Some(time(seconds)),
        ..pod.clone()
    }
}

/// The same pod with a controller.
fn controlled(pod: PodFields, kind: &str, name: &str) -> PodFields {
    PodFields {
        controller: Some(Controller::new(kind, name, &format!("owner {name}"))),
        ..pod
    }
}

fn node(name: &str, node_addresses: &[&str], pod_cidrs: &[&str]) -> NodeFields {
    NodeFields {
        uid: uid(&format!("node {name}")),
        name: name.into(),
        addresses: addresses(node_addresses),
        pod_cidrs: pod_cidrs.iter().map(|cidr| cidr.parse().unwrap()).collect(),
        ..NodeFields::default()
    }
}

fn service(name: &str, service_addresses: &[&str]) -> ServiceFields {
    ServiceFields {
        uid: uid(&format!("service {name}")),
        namespace: "shop".into(),
        name: name.into(),
        addresses: addresses(service_addresses),
        ..ServiceFields::default()
    }
}

fn gateway(text: &str, is_guess: bool) -> Gateway {
    Gateway {
        prefix: address(text).to_ip().into(),
        is_guess,
    }
}

fn cilium(name: &str, cilium_addresses: &[&str], pod_cidrs: &[&str]) -> CiliumNodeFields {
    CiliumNodeFields {
        uid: uid(&format!("cilium {name}")),
        name: name.into(),
        addresses: addresses(cilium_addresses),
        pod_cidrs: pod_cidrs.iter().map(|cidr| cidr.parse().unwrap()).collect(),
    }
}

fn egress(name: &str, node_addresses: &[(&str, &str)]) -> EgressFields {
    let addresses = node_addresses.iter();
    EgressFields {
        uid: uid(&format!("egress {name}")),
        addresses: addresses
            .map(|(node, text)| ((*node).to_owned(), address(text)))
            .collect(),
    }
}
