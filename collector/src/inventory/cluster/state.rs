//! What the watches told, put into the directory: objects by uid, what each of them holds, and what is
//! to be released when they change or go.

use std::sync::Arc;

use flowproto::Address;
use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};
use ipnet::IpNet;

use super::super::directory::Directory;
use super::super::holders::{Key, Port};
use super::super::index::{Endpoint, EndpointId, EndpointKind, Node, NodeId};
use super::health::{Health, Kind};
use super::kinds::{NodeFacts, OwnerFacts, PodFacts, ServiceFacts};
use super::owners::Owners;
use super::uid;
use super::watch::{Event, News};

type Map<K, V> = HashMap<K, V, RandomState>;

/// A pod that is told of.
#[derive(Debug)]
struct Pod {
    endpoint: EndpointId,
    node: Option<NodeId>,
    addresses: Box<[Address]>,
    ports: Box<[Key]>,
    /// The ReplicaSet or Job, or 0.
    owner: u128,
    /// When it will have gone or should have; 0 where it is to stay.
    deletion: u64,
    is_ready_probe: bool,
    list: u32,
}

#[derive(Debug)]
struct KnownNode {
    id: NodeId,
    endpoint: EndpointId,
    pods: EndpointId,
    facts: NodeFacts,
    list: u32,
}

#[derive(Debug)]
struct Service {
    endpoint: EndpointId,
    facts: ServiceFacts,
    list: u32,
}

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
    lists: [Lists; 5],
    pods: Map<u128, Pod>,
    nodes: Map<u128, KnownNode>,
    services: Map<u128, Service>,
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
    pub(super) fn new(mut directory: Directory, health: Arc<Health>) -> Self {
        directory.watch();
        Self {
            directory,
            health,
            lists: [Lists::default(); 5],
            pods: Map::default(),
            nodes: Map::default(),
            services: Map::default(),
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
            News::Failed(kind, error, forbidden) => {
                self.health.failed(kind, &error, forbidden, now);
                let lists = self.lists_mut(kind);
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
        let lists = self.lists_mut(kind);
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

    fn lists_mut(&mut self, kind: Kind) -> &mut Lists {
        let [nodes, pods, services, replica_sets, jobs] = &mut self.lists;
        match kind {
            Kind::Nodes => nodes,
            Kind::Pods => pods,
            Kind::Services => services,
            Kind::ReplicaSets => replica_sets,
            Kind::Jobs => jobs,
        }
    }

    /// Who is not in the list that has just ended has gone while nobody looked.
    fn forget_unlisted(&mut self, kind: Kind, list: u32, now: u64) {
        match kind {
            Kind::Nodes => {
                for node in self
                    .nodes
                    .extract_if(|_, node| node.list != list)
                    .collect::<Vec<_>>()
                {
                    self.release_node(node.1, now);
                }
            }
            Kind::Services => {
                let gone = self.services.extract_if(|_, service| service.list != list);
                for service in gone.collect::<Vec<_>>() {
                    self.release_service(&service.1, now);
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

    //------------ Pods --------------------------------------------------------------------------

    fn pod(&mut self, facts: &PodFacts, told: Told) {
        let number = uid(&facts.uid);
        let before = self.pods.remove(&number);
        let node = match facts.node.as_str() {
            "" => None,
            name => self.directory.node(name, told.now),
        };
        let workload = self.owners.workload(facts, number, &mut self.directory);
        let endpoint = Endpoint {
            kind: EndpointKind::Pod,
            namespace: self.directory.intern(&facts.namespace),
            name: Arc::from(facts.name.as_str()),
            workload_kind: workload.kind,
            workload_name: workload.name,
            node,
        };
        let id = match &before {
            Some(before) if before.endpoint != EndpointId::OUTSIDE => {
                set(&mut self.directory, before.endpoint, endpoint);
                before.endpoint
            }
            _ => self.directory.add_endpoint(endpoint, told.now),
        };
        let (from, lead) = told.begin(facts.started);
        // What has run to its end holds nothing; one that is told of only now did, until then.
        let over = facts
            .over
            .unwrap_or(told.now)
            .clamp(facts.started, told.now.max(facts.started));
        let holds = !facts.is_over && !facts.host_network;
        let addresses: &[Address] = if holds { &facts.addresses } else { &[] };
        match &before {
            Some(before) => {
                for address in before.addresses.iter().filter(|a| !addresses.contains(a)) {
                    self.directory.release(Key::address(*address), id, told.now);
                }
            }
            None if facts.is_over && !facts.host_network => {
                for address in &facts.addresses {
                    let key = Key::address(*address);
                    if self.directory.holder(key).is_none() {
                        self.directory.hold(key, id, facts.started, 0);
                        self.directory.release(key, id, over);
                    }
                }
            }
            None => {}
        }
        for address in addresses {
            self.directory.hold(Key::address(*address), id, from, lead);
        }
        let keys: Box<[Key]> = match node {
            Some(node) if !facts.is_over => {
                let key = |(address, port): &(Option<Address>, Port)| match address {
                    Some(address) => Key::port(*address, *port),
                    None => Key::node_port(node, *port),
                };
                facts.ports.iter().map(key).collect()
            }
            _ => Box::default(),
        };
        let old_keys = before.as_ref().map_or(&[][..], |before| &before.ports);
        for key in old_keys.iter().filter(|key| !keys.contains(key)) {
            self.undeclare(*key, id, node, told.now);
        }
        for key in keys.iter().filter(|key| !old_keys.contains(key)) {
            self.declare(*key, id, node, from, lead);
        }
        if let Some(node) = node {
            self.probe(node, number, facts.is_ready_probe);
        }
        let controller = facts.controller.as_ref();
        let pod = Pod {
            endpoint: id,
            node,
            addresses: addresses.into(),
            ports: keys,
            owner: controller.map_or(0, |controller| uid(&controller.uid)),
            deletion: facts.deletion.unwrap_or_default(),
            is_ready_probe: facts.is_ready_probe,
            list: told.list,
        };
        self.pods.insert(number, pod);
    }

    fn pod_gone(&mut self, number: u128, until: u64) {
        let Some(pod) = self.pods.remove(&number) else {
            return;
        };
        for address in &pod.addresses {
            self.directory
                .release(Key::address(*address), pod.endpoint, until);
        }
        for key in &pod.ports {
            self.undeclare(*key, pod.endpoint, pod.node, until);
        }
        self.owners.wait_no_longer(pod.owner, number);
        self.directory.retire_endpoint(pod.endpoint, until);
        if let Some(node) = pod.node.filter(|_| pod.is_ready_probe) {
            self.probe(node, number, false);
        }
    }

    /// A pod on `node` is a Ready probe, or is not.
    fn probe(&mut self, node: NodeId, pod: u128, is_ready_probe: bool) {
        if !is_ready_probe && !self.probes.contains_key(&node) {
            return;
        }
        let probes = self.probes.entry(node).or_default();
        if is_ready_probe {
            probes.insert(pod);
        } else {
            probes.remove(&pod);
        }
        let ready = !probes.is_empty();
        if !ready {
            self.probes.remove(&node);
        }
        self.probes_changed.push((node, ready));
    }

    /// A pod declares a port of its node. Only a single one that does holds it; where there are
    /// several, the port is the node's.
    fn declare(&mut self, key: Key, pod: EndpointId, node: Option<NodeId>, from: u64, lead: u64) {
        let declared = self.declared.entry(key).or_default();
        declared.push(pod);
        let holder = match declared.as_slice() {
            [one] => Some(*one),
            _ => node.and_then(|node| self.node_endpoints.get(&node).copied()),
        };
        match holder {
            Some(holder) => self.directory.hold(key, holder, from, lead),
            None => {
                if let Some(holder) = self.directory.holder(key) {
                    self.directory.release(key, holder, from);
                }
            }
        }
    }

    fn undeclare(&mut self, key: Key, pod: EndpointId, node: Option<NodeId>, until: u64) {
        let Some(declared) = self.declared.get_mut(&key) else {
            return;
        };
        declared.retain(|one| *one != pod);
        match declared.as_slice() {
            [] => {
                self.declared.remove(&key);
                self.directory.release(key, pod, until);
                let node = node.and_then(|node| self.node_endpoints.get(&node).copied());
                if let Some(node) = node {
                    self.directory.release(key, node, until);
                }
            }
            [one] => self.directory.hold(key, *one, until, 0),
            _ => {}
        }
    }

    //------------ Nodes -------------------------------------------------------------------------

    fn node(&mut self, facts: NodeFacts, told: Told) {
        let number = uid(&facts.uid);
        if let Some(known) = self.nodes.get_mut(&number) {
            known.list = told.list;
            // Most of what a node's watch tells is a heartbeat.
            if known.facts == facts {
                return;
            }
        }
        let Some(id) = self.directory.node(&facts.name, told.now) else {
            return;
        };
        let node = Node {
            name: self.directory.intern(&facts.name),
            zone: self.directory.intern(&facts.zone),
            region: self.directory.intern(&facts.region),
            pool: self.directory.intern(&facts.pool),
        };
        self.directory.set_node(id, node);
        let before = self.nodes.remove(&number);
        let (endpoint, pods) = match &before {
            Some(before) => (before.endpoint, before.pods),
            None => (
                self.node_endpoint(id, &facts.name, told.now),
                self.unknown_pods(id, told.now),
            ),
        };
        self.node_endpoints.insert(id, endpoint);
        let old = before.map(|before| before.facts).unwrap_or_default();
        for address in old
            .addresses
            .iter()
            .filter(|a| !facts.addresses.contains(a))
        {
            self.directory
                .release(Key::address(*address), endpoint, told.now);
        }
        let (from, lead) = told.begin(facts.created);
        for address in &facts.addresses {
            self.directory
                .hold(Key::address(*address), endpoint, from, lead);
        }
        for (old, new, id) in [
            (&old.pod_cidrs, &facts.pod_cidrs, pods),
            (&old.gateways, &facts.gateways, endpoint),
        ] {
            for prefix in old.iter().filter(|prefix| !new.contains(prefix)) {
                self.directory.release_prefix(*prefix, id);
            }
            for prefix in new {
                self.directory.claim_prefix(*prefix, id);
            }
        }
        let list = told.list;
        self.nodes.insert(
            number,
            KnownNode {
                id,
                endpoint,
                pods,
                facts,
                list,
            },
        );
    }

    fn node_endpoint(&mut self, id: NodeId, name: &str, now: u64) -> EndpointId {
        let name = self.directory.intern(name);
        let endpoint = Endpoint {
            kind: EndpointKind::Node,
            namespace: Arc::default(),
            workload_kind: self.directory.intern("Node"),
            workload_name: Arc::clone(&name),
            name,
            node: Some(id),
        };
        self.directory.add_endpoint(endpoint, now)
    }

    /// The pods of a node that only their CIDR tells of.
    fn unknown_pods(&mut self, id: NodeId, now: u64) -> EndpointId {
        let unknown = self.directory.intern("unknown");
        let endpoint = Endpoint {
            kind: EndpointKind::Pod,
            namespace: Arc::clone(&unknown),
            workload_kind: self.directory.intern("Pod"),
            workload_name: unknown,
            name: Arc::default(),
            node: Some(id),
        };
        self.directory.add_endpoint(endpoint, now)
    }

    fn node_gone(&mut self, facts: NodeFacts, now: u64) {
        if let Some(node) = self.nodes.remove(&uid(&facts.uid)) {
            self.release_node(node, now);
        }
    }

    fn release_node(&mut self, node: KnownNode, now: u64) {
        for address in &node.facts.addresses {
            self.directory
                .release(Key::address(*address), node.endpoint, now);
        }
        let release = |prefixes: &[IpNet], id, directory: &mut Directory| {
            for prefix in prefixes {
                directory.release_prefix(*prefix, id);
            }
        };
        release(&node.facts.pod_cidrs, node.pods, &mut self.directory);
        release(&node.facts.gateways, node.endpoint, &mut self.directory);
        // A node of that name may have come back as another object already.
        if self.node_endpoints.get(&node.id) == Some(&node.endpoint) {
            self.node_endpoints.remove(&node.id);
            self.directory.retire_node(node.id, now);
        }
        self.directory.retire_endpoint(node.endpoint, now);
        self.directory.retire_endpoint(node.pods, now);
    }

    //------------ Services ----------------------------------------------------------------------

    fn service(&mut self, facts: ServiceFacts, told: Told) {
        let number = uid(&facts.uid);
        let before = self.services.remove(&number);
        let endpoint = match &before {
            Some(before) => before.endpoint,
            None => {
                let name = self.directory.intern(&facts.name);
                let endpoint = Endpoint {
                    kind: EndpointKind::Service,
                    namespace: self.directory.intern(&facts.namespace),
                    workload_kind: self.directory.intern("Service"),
                    workload_name: Arc::clone(&name),
                    name,
                    node: None,
                };
                self.directory.add_endpoint(endpoint, told.now)
            }
        };
        let new = keys(&facts);
        if let Some(before) = &before {
            for key in keys(&before.facts).iter().filter(|key| !new.contains(key)) {
                self.directory.release(*key, endpoint, told.now);
            }
        }
        let (from, lead) = told.begin(facts.created);
        for key in new {
            self.directory.hold(key, endpoint, from, lead);
        }
        let list = told.list;
        self.services.insert(
            number,
            Service {
                endpoint,
                facts,
                list,
            },
        );
    }

    fn service_gone(&mut self, facts: ServiceFacts, now: u64) {
        if let Some(service) = self.services.remove(&uid(&facts.uid)) {
            self.release_service(&service, now);
        }
    }

    fn release_service(&mut self, service: &Service, now: u64) {
        for key in keys(&service.facts) {
            self.directory.release(key, service.endpoint, now);
        }
        self.directory.retire_endpoint(service.endpoint, now);
    }
}

/// What a service holds.
fn keys(facts: &ServiceFacts) -> Vec<Key> {
    let addresses = facts.addresses.iter().map(|address| Key::address(*address));
    let shared = facts.shared_addresses.iter();
    let shared =
        shared.flat_map(|address| facts.ports.iter().map(|port| Key::port(*address, *port)));
    let node_ports = facts
        .node_ports
        .iter()
        .map(|port| Key::any_node_port(*port));
    addresses.chain(shared).chain(node_ports).collect()
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
