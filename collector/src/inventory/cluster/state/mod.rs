//! What the watches told, put into the directory: objects by uid, what each of them holds, and what is
//! to be released when they change or go.

mod nodes;
mod pods;
mod services;

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};

use super::super::directory::Directory;
use super::super::holders::Key;
use super::super::index::{Endpoint, EndpointId, NodeId};
use super::health::{Health, Kind, PerKind};
use super::kinds::{NamespaceFacts, OwnerFacts};
use super::owners::Owners;
use super::uid;
use super::watch::{Event, News};
use nodes::KnownNode;
use pods::Pod;
use services::{Service, Slice};

type Map<K, V> = HashMap<K, V, RandomState>;

/// The lists of one kind: their number, and since when nothing was heard before the one at hand.
#[derive(Clone, Copy, Debug, Default)]
struct Lists {
    number: u32,
    listed: bool,
    /// Since when the watch was away; 0 where it was not.
    blind: u64,
    heard: u64,
}

/// Why an object is told of: decides since when it holds what it holds.
#[derive(Clone, Copy, Debug)]
struct Told {
    now: u64,
    list: u32,
    /// The earliest moment when it may have been reported first.
    earliest: u64,
}

impl Told {
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
    directory: Directory,
    health: Arc<Health>,
    lists: PerKind<Lists>,
    pods: Map<u128, Pod>,
    /// Ports of nodes that pods declare.
    pod_ports: Map<u128, Box<[Key]>>,
    nodes: Map<u128, KnownNode>,
    services: Map<u128, Service>,
    slices: Map<u128, Slice>,
    /// Namespaces and the list that each was last told in.
    namespaces: Map<Arc<str>, u32>,
    owners: Owners,
    /// Endpoints that declare a port of a node: only a single one holds it.
    declared: Map<Key, Vec<EndpointId>>,
    node_endpoints: Map<NodeId, EndpointId>,
    /// Ready probes.
    probes: Map<NodeId, HashSet<u128, RandomState>>,
    probes_changed: Vec<(NodeId, bool)>,
    complete: bool,
}

impl State {
    pub(super) fn new(directory: Directory, health: Arc<Health>) -> Self {
        Self {
            directory,
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

    pub(super) fn directory(&mut self) -> &mut Directory {
        &mut self.directory
    }

    pub(super) const fn is_complete(&self) -> bool {
        self.complete
    }

    /// Takes one piece of news. `probe`: told whether a probe on a node is Ready.
    pub(super) fn take(&mut self, news: News, now: u64, probe: &mut impl FnMut(NodeId, bool)) {
        match news {
            News::Node(event) => self.event(Kind::Nodes, event, now, Self::node, Self::node_gone),
            News::Service(event) => {
                self.event(
                    Kind::Services,
                    event,
                    now,
                    Self::service,
                    Self::service_gone,
                );
            }
            News::Slice(event) => {
                self.event(
                    Kind::EndpointSlices,
                    event,
                    now,
                    Self::slice,
                    Self::slice_gone,
                );
            }
            News::Namespace(event) => self.event(
                Kind::Namespaces,
                event,
                now,
                |state, facts, told| state.namespace(&facts, told.list),
                |state, facts, _| state.namespace_gone(&facts.name),
            ),
            News::Owner(kind, event) => self.event(
                kind,
                event,
                now,
                |state, facts, told| state.owner(kind, &facts, told.list),
                |state, facts, _| state.owners.forget(uid(&facts.uid)),
            ),
            News::Pod(event) => self.event(
                Kind::Pods,
                event,
                now,
                |state, facts, told| state.pod(&facts, told),
                |state, facts, now| state.pod_gone(uid(&facts.uid), now),
            ),
            News::Silent(kind) => self.health.silent(kind, now),
            News::Failed(kind, error, forbidden) => {
                self.health.failed(kind, &error, forbidden, now);
                let lists = self.lists.get_mut(kind);
                if lists.blind == 0 {
                    lists.blind = now;
                }
            }
        }
        if !self.complete && self.health.is_complete() {
            self.complete = true;
            self.directory.complete();
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
        kind: Kind,
        event: Event<T>,
        now: u64,
        mut apply: impl FnMut(&mut Self, T, Told),
        mut gone: impl FnMut(&mut Self, T, u64),
    ) {
        let lists = self.lists.get_mut(kind);
        let mut told = Told {
            now,
            list: lists.number,
            earliest: now,
        };
        match event {
            Event::Begin => {
                lists.number = lists.number.wrapping_add(1);
                return;
            }
            Event::Listed(object) => {
                told.earliest = match (lists.listed, lists.blind) {
                    (false, _) => 0,
                    (true, 0) => lists.heard,
                    (true, blind) => blind,
                };
                apply(self, object, told);
                self.health.told(kind, false, now);
                return;
            }
            Event::End => {
                lists.listed = true;
                lists.blind = 0;
                lists.heard = now;
                let number = lists.number;
                self.forget_unlisted(kind, number, now);
                self.health.told(kind, true, now);
                return;
            }
            Event::Changed(object) => {
                lists.heard = now;
                lists.blind = 0;
                apply(self, object, told);
            }
            Event::Gone(object) => {
                lists.heard = now;
                lists.blind = 0;
                gone(self, object, now);
            }
        }
        self.health.told(kind, false, now);
    }

    /// Who is not in the list that has just ended has gone while nobody looked.
    fn forget_unlisted(&mut self, kind: Kind, list: u32, now: u64) {
        match kind {
            Kind::Nodes => {
                let gone = self.nodes.extract_if(|_, node| node.list != list);
                for (_, node) in gone.collect::<Vec<_>>() {
                    self.release_node(node, now);
                }
            }
            Kind::Services => {
                let gone = self.services.extract_if(|_, service| service.list != list);
                for (_, service) in gone.collect::<Vec<_>>() {
                    self.release_service(&service, now);
                }
            }
            Kind::EndpointSlices => {
                let gone = self.slices.extract_if(|_, slice| slice.list != list);
                for (_, slice) in gone.collect::<Vec<_>>() {
                    self.release_slice(&slice, now);
                }
            }
            Kind::Namespaces => {
                let gone = self.namespaces.iter().filter(|(_, told)| **told != list);
                for name in gone.map(|(name, _)| Arc::clone(name)).collect::<Vec<_>>() {
                    self.namespace_gone(&name);
                }
            }
            Kind::Pods => {
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
            Kind::ReplicaSets | Kind::Jobs => {
                let number = owner_list(kind, list);
                self.owners
                    .forget_unlisted(|list| list % 2 == number % 2, number);
            }
        }
    }

    //------------ Owners ------------------------------------------------------------------------

    fn owner(&mut self, kind: Kind, facts: &OwnerFacts, list: u32) {
        let name = match kind {
            Kind::Jobs => "Job",
            _ => "ReplicaSet",
        };
        let bound = self.directory.endpoint_bound();
        let list = owner_list(kind, list);
        let waiting = self
            .owners
            .tell(name, facts, list, bound, &mut self.directory);
        let Some(top) = self.owners.top(uid(&facts.uid)) else {
            return;
        };
        for number in waiting {
            let Some(pod) = self.pods.get(&number) else {
                continue;
            };
            let endpoint = Endpoint {
                workload_kind: Arc::clone(&top.kind),
                workload_name: Arc::clone(&top.name),
                ..self.directory.endpoint(pod.endpoint).clone()
            };
            set(&mut self.directory, pod.endpoint, endpoint);
        }
    }

    //------------ Namespaces --------------------------------------------------------------------

    fn namespace(&mut self, facts: &NamespaceFacts, list: u32) {
        let name = self.directory.intern(&facts.name);
        if self.directory.set_namespace_group(&name, &facts.group) {
            self.namespaces.insert(name, list);
        }
    }

    fn namespace_gone(&mut self, name: &str) {
        self.namespaces.remove(name);
        self.directory.set_namespace_group(name, "");
    }
}

/// A list's number among those of ReplicaSets, which are even, and of Jobs, which are odd.
fn owner_list(kind: Kind, list: u32) -> u32 {
    list.wrapping_mul(2) | u32::from(kind == Kind::Jobs)
}

/// Says anew what an endpoint is, if it is not that already: most of what is told of a pod is its
/// status.
fn set(directory: &mut Directory, id: EndpointId, endpoint: Endpoint) {
    if *directory.endpoint(id) != endpoint {
        directory.set_endpoint(id, endpoint);
    }
}
