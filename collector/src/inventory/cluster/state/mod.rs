//! What the watches told, put into the writer: objects by uid, what each of them holds, and what is
//! to be released when they change or go.

mod nodes;
mod pods;
mod services;

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};

use super::super::address_history::AddressKey;
use super::super::snapshot::{Endpoint, EndpointId, NodeId};
use super::super::writer::IndexWriter;
use super::fields::{NamespaceFields, OwnerFields};
use super::health::{Health, PerKind, ResourceKind};
use super::owners::Owners;
use super::uid;
use super::watch::{WatchEvent, WatchUpdate};
use nodes::NodeEntry;
use pods::Pod;
use services::{Service, Slice};

type Map<K, V> = HashMap<K, V, RandomState>;

/// The lists of one kind: their number, and since when nothing was heard before the one at hand.
#[derive(Clone, Copy, Debug, Default)]
struct ListState {
    number: u32,
    listed: bool,
    /// Since when the watch was away; 0 where it was not.
    blind: u64,
    heard: u64,
}

/// Why an object is told of: decides since when it holds what it holds.
#[derive(Clone, Copy, Debug)]
struct UpdateContext {
    now: u64,
    list: u32,
    /// The earliest moment when it may have been reported first.
    earliest: u64,
}

impl UpdateContext {
    /// Since when an object that started at `started` holds what is new of it, and how long before it
    /// may have used that already.
    fn begin(self, started: u64) -> (u64, u64) {
        let from = self.earliest.max(started).min(self.now);
        (from, from.saturating_sub(started))
    }
}

/// All that the watches told.
#[derive(Debug)]
pub(super) struct State {
    writer: IndexWriter,
    health: Arc<Health>,
    lists: PerKind<ListState>,
    pods: Map<u128, Pod>,
    /// Ports of nodes that pods declare.
    pod_ports: Map<u128, Box<[AddressKey]>>,
    nodes: Map<u128, NodeEntry>,
    services: Map<u128, Service>,
    slices: Map<u128, Slice>,
    /// Namespaces and the list that each was last told in.
    namespaces: Map<Arc<str>, u32>,
    owners: Owners,
    /// Endpoints that declare a port of a node: only a single one holds it.
    declared: Map<AddressKey, Vec<EndpointId>>,
    node_endpoints: Map<NodeId, EndpointId>,
    /// Ready probes.
    probes: Map<NodeId, HashSet<u128, RandomState>>,
    probes_changed: Vec<(NodeId, bool)>,
    complete: bool,
}

impl State {
    pub(super) fn new(writer: IndexWriter, health: Arc<Health>) -> Self {
        Self {
            writer,
            health,
            lists: PerKind::default(),
            pods: Map::default(),
            pod_ports: Map::default(),
            nodes: Map::default(),
            services: Map::default(),
            slices: Map::default(),
            namespaces: Map::default(),
            owners: Owners::default(),
            declared: Map::default(),
            node_endpoints: Map::default(),
            probes: Map::default(),
            probes_changed: Vec::new(),
            complete: false,
        }
    }

    pub(super) fn writer(&mut self) -> &mut IndexWriter {
        &mut self.writer
    }

    pub(super) const fn is_complete(&self) -> bool {
        self.complete
    }

    /// Takes one piece of updates. `probe`: told whether a probe on a node is Ready.
    pub(super) fn take(
        &mut self,
        updates: WatchUpdate,
        now: u64,
        probe: &mut impl FnMut(NodeId, bool),
    ) {
        match updates {
            WatchUpdate::Node(event) => {
                self.event(ResourceKind::Nodes, event, now, Self::node, Self::node_gone)
            }
            WatchUpdate::Service(event) => {
                self.event(
                    ResourceKind::Services,
                    event,
                    now,
                    Self::service,
                    Self::service_gone,
                );
            }
            WatchUpdate::Slice(event) => {
                self.event(
                    ResourceKind::EndpointSlices,
                    event,
                    now,
                    Self::slice,
                    Self::slice_gone,
                );
            }
            WatchUpdate::Namespace(event) => self.event(
                ResourceKind::Namespaces,
                event,
                now,
                |state, fields, told| state.namespace(&fields, told.list),
                |state, fields, _| state.namespace_gone(&fields.name),
            ),
            WatchUpdate::Owner(kind, event) => self.event(
                kind,
                event,
                now,
                |state, fields, told| state.owner(kind, &fields, told.list),
                |state, fields, _| state.owners.forget(uid(&fields.uid)),
            ),
            WatchUpdate::Pod(event) => self.event(
                ResourceKind::Pods,
                event,
                now,
                |state, fields, told| state.pod(&fields, told),
                |state, fields, now| state.pod_gone(uid(&fields.uid), now),
            ),
            WatchUpdate::Idle(kind) => self.health.silent(kind, now),
            WatchUpdate::Failed(kind, error, forbidden) => {
                self.health.failed(kind, &error, forbidden, now);
                let lists = self.lists.get_mut(kind);
                if lists.blind == 0 {
                    lists.blind = now;
                }
            }
        }
        if !self.complete && self.health.is_complete() {
            self.complete = true;
            self.writer.set_complete();
            tracing::info!(
                nodes = self.nodes.len(),
                pods = self.pods.len(),
                services = self.services.len(),
                owners = self.owners.len(),
                "Kubernetes has told of all"
            );
        }
        for (node, ready) in self.probes_changed.drain(..) {
            probe(node, ready);
        }
    }

    fn event<T>(
        &mut self,
        kind: ResourceKind,
        event: WatchEvent<T>,
        now: u64,
        mut apply: impl FnMut(&mut Self, T, UpdateContext),
        mut gone: impl FnMut(&mut Self, T, u64),
    ) {
        let lists = self.lists.get_mut(kind);
        let mut told = UpdateContext {
            now,
            list: lists.number,
            earliest: now,
        };
        match event {
            WatchEvent::ListStart => {
                lists.number = lists.number.wrapping_add(1);
                return;
            }
            WatchEvent::Initial(object) => {
                told.earliest = match (lists.listed, lists.blind) {
                    (false, _) => 0,
                    (true, 0) => lists.heard,
                    (true, blind) => blind,
                };
                apply(self, object, told);
                self.health.told(kind, false, now);
                return;
            }
            WatchEvent::ListEnd => {
                lists.listed = true;
                lists.blind = 0;
                lists.heard = now;
                let number = lists.number;
                self.forget_unlisted(kind, number, now);
                self.health.told(kind, true, now);
                return;
            }
            WatchEvent::Changed(object) => {
                lists.heard = now;
                lists.blind = 0;
                apply(self, object, told);
            }
            WatchEvent::Deleted(object) => {
                lists.heard = now;
                lists.blind = 0;
                gone(self, object, now);
            }
        }
        self.health.told(kind, false, now);
    }

    /// Who is not in the list that has just ended has gone while nobody looked.
    fn forget_unlisted(&mut self, kind: ResourceKind, list: u32, now: u64) {
        match kind {
            ResourceKind::Nodes => {
                let gone = self.nodes.extract_if(|_, node| node.list != list);
                for (_, node) in gone.collect::<Vec<_>>() {
                    self.release_node(node, now);
                }
            }
            ResourceKind::Services => {
                let gone = self.services.extract_if(|_, service| service.list != list);
                for (_, service) in gone.collect::<Vec<_>>() {
                    self.release_service(&service, now);
                }
            }
            ResourceKind::EndpointSlices => {
                let gone = self.slices.extract_if(|_, slice| slice.list != list);
                for (_, slice) in gone.collect::<Vec<_>>() {
                    self.release_slice(&slice, now);
                }
            }
            ResourceKind::Namespaces => {
                let gone = self.namespaces.iter().filter(|(_, told)| **told != list);
                for name in gone.map(|(name, _)| Arc::clone(name)).collect::<Vec<_>>() {
                    self.namespace_gone(&name);
                }
            }
            ResourceKind::Pods => {
                let gone = self.pods.iter().filter(|(_, pod)| pod.list != list);
                let gone: Vec<(u128, u64)> = gone.map(|(uid, pod)| (*uid, pod.deletion)).collect();
                for (number, deletion) in gone {
                    let until = if deletion == 0 {
                        now
                    } else {
                        deletion.min(now)
                    };
                    self.pod_gone(number, until);
                }
            }
            ResourceKind::ReplicaSets | ResourceKind::Jobs => {
                let number = owner_list(kind, list);
                self.owners
                    .forget_unlisted(|list| list % 2 == number % 2, number);
            }
        }
    }

    //------------ Owners ------------------------------------------------------------------------

    fn owner(&mut self, kind: ResourceKind, fields: &OwnerFields, list: u32) {
        let name = match kind {
            ResourceKind::Jobs => "Job",
            _ => "ReplicaSet",
        };
        let bound = self.writer.endpoint_bound();
        let list = owner_list(kind, list);
        let waiting = self
            .owners
            .tell(name, fields, list, bound, &mut self.writer);
        let Some(top) = self.owners.top(uid(&fields.uid)) else {
            return;
        };
        for number in waiting {
            let Some(pod) = self.pods.get(&number) else {
                continue;
            };
            let endpoint = Endpoint {
                workload_kind: Arc::clone(&top.kind),
                workload_name: Arc::clone(&top.name),
                ..self.writer.endpoint(pod.endpoint).clone()
            };
            set(&mut self.writer, pod.endpoint, endpoint);
        }
    }

    //------------ Namespaces --------------------------------------------------------------------

    fn namespace(&mut self, fields: &NamespaceFields, list: u32) {
        let name = self.writer.intern(&fields.name);
        if self.writer.set_namespace_group(&name, &fields.group) {
            self.namespaces.insert(name, list);
        }
    }

    fn namespace_gone(&mut self, name: &str) {
        self.namespaces.remove(name);
        self.writer.set_namespace_group(name, "");
    }
}

/// A list's number among those of ReplicaSets, which are even, and of Jobs, which are odd.
fn owner_list(kind: ResourceKind, list: u32) -> u32 {
    list.wrapping_mul(2) | u32::from(kind == ResourceKind::Jobs)
}

/// Says anew what an endpoint is, if it is not that already: most of what is told of a pod is its
/// status.
fn set(writer: &mut IndexWriter, id: EndpointId, endpoint: Endpoint) {
    if *writer.endpoint(id) != endpoint {
        writer.set_endpoint(id, endpoint);
    }
}
