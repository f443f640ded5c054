//! The pipeline: octets of a Message → records that are resolved and decided → sinks.
//!
//! 1. `decode`: flowproto's records become a block of [`Flow`]s with an exporter and a time.
//! 2. [`enrich`]: the endpoints of all flows of the block are resolved.
//! 3. `decide` and `dedup`: the record of the authoritative observer counts.
//! 4. `pending`: a record that cannot be resolved or decided yet waits in a queue with deadlines.
//! 5. Each [`DecidedRecord`] is handed to the sinks in a row.
//!
//! `traffic` is a short cut for records of which nothing but their traffic is needed.
//!
//! A pipeline belongs to one thread. Pipelines share a [`PipelineContext`].

mod block;
mod counts;
mod decide;
mod decided;
mod decode;
mod dedup;
mod delay_queue;
pub mod enrich;
mod exporters;
mod flow;
mod health;
mod host_names;
mod interfaces;
mod observers;
mod pending;
mod policy;
mod traffic;
mod unconfirmed;

use std::net::SocketAddr;
use std::sync::Arc;

use flowproto::Address;
use flowproto::collector::{CollectingProcess, DomainReport, Limits, State, Unusable};

pub use counts::{PipelineCounts, RecordCounts};
pub use decided::{DecidedRecord, PathEnd, Reason, Sinks, Verdict, WholeRecord};
pub use exporters::Origin;
pub use flow::{
    AddressAndPort, Flow, FlowExtras, Initiator, Measures, PathCount, RecordDirection, TunnelEnds,
};
pub use health::{ConnectionHealth, FlowHealth, PacketHealth};
pub use host_names::host_names;
pub use observers::{ObserverTimeouts, Observers};
pub use policy::{CountedDirection, ExporterPolicies, ExporterPolicy, RecordPolicy};

use crate::clock::Now;
use crate::inventory::NodeId;
use crate::receive::Ingest;
use crate::snapshots::{SnapshotStore, Snapshots};
use block::{Block, MAX_FLOWS, ResolvedFlow};
use decide::{Decider, Decision};
use decode::MessageExporter;
use dedup::Stage;
use enrich::{EndpointCache, Resolver, TunnelNetworks};
use exporters::{Exporter, Exporters};
use interfaces::InterfaceNames;
use pending::{PendingQueue, PendingRecord};
use unconfirmed::Unconfirmed;

/// How records are decided.
#[derive(Clone, Copy, Debug)]
pub struct PipelineSettings {
    /// Bounds of the Collecting Process.
    pub limits: Limits,
    /// Octets of pending records.
    pub pending_octets: usize,
    /// How long a record waits for the pod that has its address, milliseconds.
    pub attribution_wait_milliseconds: u64,
    /// How long records wait for the initial Kubernetes list, milliseconds after the start.
    pub inventory_wait_milliseconds: u64,
    /// An exporter's clock that is off by more is not used, milliseconds.
    pub max_clock_skew_milliseconds: u64,
    /// Whether traffic within a node counts.
    pub intra_node: bool,
    /// Whether a record of an exporter that does not count connections counts as one.
    pub connections_from_flows: bool,
    /// The records of exporters on no known node that count.
    pub flow_direction: CountedDirection,
    /// Those of exporters on known nodes.
    pub node_flow_direction: CountedDirection,
    /// When the collector started, monotonic milliseconds. `None` for savefiles: until their end a
    /// silent node may still turn out to be observed.
    pub started_milliseconds: Option<u64>,
}

impl PipelineSettings {
    /// True for the first seconds, in which Kubernetes has not necessarily listed all nodes and
    /// pods. Offline the list is complete before the first record.
    #[must_use]
    pub fn is_waiting_for_inventory(&self, now: Now) -> bool {
        self.is_within(self.inventory_wait_milliseconds, now)
    }

    /// When records stop waiting for the initial list, monotonic milliseconds.
    fn inventory_deadline(&self) -> u64 {
        let start = self.started_milliseconds.unwrap_or_default();
        start.saturating_add(self.inventory_wait_milliseconds)
    }

    fn is_within(&self, milliseconds: u64, now: Now) -> bool {
        self.started_milliseconds
            .is_some_and(|start| now.monotonic_milliseconds.saturating_sub(start) < milliseconds)
    }
}

/// What all pipelines share.
#[derive(Clone, Debug)]
pub struct PipelineContext {
    /// Snapshots of the inventory.
    pub store: Arc<SnapshotStore>,
    /// Observers of the nodes.
    pub observers: Arc<Observers>,
    /// Policies of exporters.
    pub policies: Arc<ExporterPolicies>,
    /// Networks of tunnel ends.
    pub tunnels: Arc<TunnelNetworks>,
}

impl PipelineContext {
    /// A context without policies of exporters and networks of tunnels, in which no node is
    /// observed yet.
    #[must_use]
    pub fn new(store: Arc<SnapshotStore>, timeouts: ObserverTimeouts) -> Self {
        let nodes = store.load().index.node_bound();
        Self {
            store,
            observers: Arc::new(Observers::new(nodes, timeouts)),
            policies: Arc::default(),
            tunnels: Arc::default(),
        }
    }
}

/// The pipeline of one thread.
#[derive(Debug)]
pub struct Pipeline<S> {
    collecting: CollectingProcess,
    stages: Stages<S>,
}

/// The stages behind the decoder.
#[derive(Debug)]
struct Stages<S> {
    settings: PipelineSettings,
    store: Arc<SnapshotStore>,
    snapshots: Snapshots,
    observers: Arc<Observers>,
    policies: Arc<ExporterPolicies>,
    tunnels: Arc<TunnelNetworks>,
    exporters: Exporters,
    exporter: MessageExporter,
    interface_names: InterfaceNames,
    block: Block,
    /// Records that the sinks have taken since the end of the last block.
    taken_records: usize,
    /// Whether the next record is needed as it was received, if the sinks have been asked already.
    needs_whole_record: Option<bool>,
    cache: EndpointCache,
    pending: PendingQueue,
    unconfirmed: Unconfirmed,
    counts: RecordCounts,
    now: Now,
    /// The next datagram is the first of a batch.
    is_batch_start: bool,
    /// Records wait for the initial Kubernetes list.
    has_waited_for_list: bool,
    sinks: S,
}

impl<S: Sinks> Pipeline<S> {
    /// Creates a pipeline that hands its records to `sinks`.
    #[must_use]
    pub fn new(settings: PipelineSettings, context: PipelineContext, sinks: S) -> Self {
        let PipelineContext {
            store,
            observers,
            policies,
            tunnels,
        } = context;
        let snapshots = store.load();
        let mut collecting = CollectingProcess::new(settings.limits);
        collecting.set_sampling_policy(policies.sampling_policy());
        collecting.set_alias_policy(policies.alias_policy());
        Self {
            collecting,
            stages: Stages {
                cache: EndpointCache::new(snapshots.index.sizes().addresses),
                snapshots,
                store,
                unconfirmed: Unconfirmed::new(observers.nodes()),
                observers,
                policies,
                tunnels,
                exporters: Exporters::default(),
                exporter: MessageExporter::default(),
                interface_names: InterfaceNames::default(),
                block: Block::default(),
                taken_records: 0,
                needs_whole_record: None,
                pending: PendingQueue::new(settings.pending_octets),
                counts: RecordCounts::default(),
                now: Now::default(),
                is_batch_start: true,
                has_waited_for_list: false,
                settings,
                sinks,
            },
        }
    }

    /// The sinks.
    pub const fn sinks(&self) -> &S {
        &self.stages.sinks
    }

    /// The sinks, with all records that are counted.
    pub fn sinks_mut(&mut self) -> &mut S {
        self.stages.run_block();
        &mut self.stages.sinks
    }

    /// Ends the pipeline: no more octets arrive, so nothing waits any longer.
    pub fn finish(&mut self) {
        self.stages.run_block();
        self.collecting.expire(u64::MAX);
        self.stages.resolve_all(&self.collecting);
        self.stages.settle_unconfirmed(true);
        self.stages.sinks.flush(self.stages.now);
    }

    /// What is known of each Observation Domain.
    pub fn domains(&self) -> impl Iterator<Item = DomainReport<'_>> {
        self.collecting.domains()
    }

    /// What could not be used, by source address; `None` for addresses without counts of their own.
    pub fn unusable_by_exporter(&self) -> impl Iterator<Item = (Option<Address>, Unusable, u64)> {
        self.collecting.unusable_by_exporter()
    }

    /// The state of exporters that is kept over a restart.
    #[must_use]
    pub fn state(&self, now: Now) -> State {
        self.collecting.state(now.monotonic_milliseconds)
    }

    /// Continues with the state of an earlier collector.
    pub fn restore(&mut self, state: &State, now: Now) {
        self.collecting.restore(state, now.monotonic_milliseconds);
    }

    /// The exporters with their policies.
    pub fn exporter_policies(&self) -> impl Iterator<Item = (&Origin, ExporterPolicy)> {
        self.stages.exporters.policies()
    }

    /// Exporters whose clock is off: source address, and offset in milliseconds.
    pub fn skewed_exporters(&self) -> impl Iterator<Item = (Address, i64)> {
        self.stages.exporters.skewed()
    }

    /// The counts.
    #[must_use]
    pub fn counts(&self) -> PipelineCounts {
        let number = |size: usize| u64::try_from(size).unwrap_or(u64::MAX);
        PipelineCounts {
            decoding: *self.collecting.counters(),
            occupancy: self.collecting.occupancy(),
            records: RecordCounts {
                pending: number(self.stages.pending.len()),
                pending_octets: number(self.stages.pending.octets()),
                ..self.stages.counts
            },
        }
    }
}

impl<S: Sinks> Ingest for Pipeline<S> {
    fn datagram(&mut self, exporter: SocketAddr, octets: &[u8], now: Now) {
        self.stages.sinks.replicate(exporter, octets);
        self.stages.begin_batch(now);
        let stages = &mut self.stages;
        self.collecting
            .receive(exporter, octets, now.monotonic_milliseconds, stages);
    }

    fn message(
        &mut self,
        connection: u64,
        exporter: SocketAddr,
        octets: &[u8],
        now: Now,
    ) -> Result<(), Unusable> {
        self.stages.sinks.replicate(exporter, octets);
        self.stages.begin_batch(now);
        let now = now.monotonic_milliseconds;
        let stages = &mut self.stages;
        self.collecting
            .receive_over(connection, exporter, octets, now, stages)
    }

    fn close(&mut self, connection: u64) {
        self.stages.run_block();
        self.collecting.close(connection);
    }

    fn is_node(&self, address: Address) -> bool {
        self.stages.snapshots.index.is_node_address(address)
    }

    fn flush(&mut self) {
        self.stages.run_block();
        self.stages.is_batch_start = true;
        self.stages.sinks.flush(self.stages.now);
    }

    fn tick(&mut self, now: Now) {
        self.stages.begin_batch(now);
        self.collecting.expire(now.monotonic_milliseconds);
        self.stages.resolve_expired(&self.collecting);
        self.stages.settle_unconfirmed(false);
        self.flush();
    }
}

impl<S: Sinks> Stages<S> {
    /// Begins a batch of octets that arrived at the same time.
    fn begin_batch(&mut self, now: Now) {
        if !self.is_batch_start && self.now == now {
            return;
        }
        self.run_block();
        self.is_batch_start = false;
        self.now = now;
        if self.store.refresh(&mut self.snapshots) {
            self.cache.clear(self.snapshots.index.sizes().addresses);
        }
    }

    /// Processes the flows of the block, and ends it.
    fn run_block(&mut self) {
        self.process_flows(None);
        if self.taken_records > 0 {
            self.taken_records = 0;
            self.sinks.end_block(&self.snapshots, self.now);
        }
    }

    /// Counts a record that the sinks have taken at once, and ends the block if it is full.
    #[inline]
    fn on_taken(&mut self) {
        self.taken_records = self.taken_records.wrapping_add(1);
        if self.taken_records >= MAX_FLOWS {
            self.run_block();
        }
    }

    /// Processes the flows of the block. `whole` is the record that all of them are from.
    fn process_flows(&mut self, whole: Option<WholeRecord<'_>>) {
        if !self.block.is_empty() {
            // A record that is needed whole is counted when it is taken.
            let records = usize::from(whole.is_none());
            self.taken_records = self.taken_records.wrapping_add(records);
            self.decide_block(whole);
        }
    }

    /// Resolves and decides the flows of the block.
    fn decide_block(&mut self, whole: Option<WholeRecord<'_>>) {
        self.block.resolve(&mut Resolver {
            snapshots: &self.snapshots,
            cache: &mut self.cache,
            tunnels: &self.tunnels,
        });
        if self.observers.is_any() {
            self.block.touch_observers(&self.observers);
        }
        let is_watched = self.snapshots.index.is_watched();
        let is_waiting = is_watched && self.is_waiting_for_inventory();
        let stage = self.stage();
        let block = std::mem::take(&mut self.block);
        let exporters = std::mem::take(&mut self.exporters);
        for resolved in block.resolved() {
            let (flow, endpoints) = (resolved.flow, resolved.endpoints);
            let domain = usize::try_from(flow.domain).unwrap_or(usize::MAX);
            let Some(exporter) = exporters.get(domain) else {
                continue;
            };
            if is_waiting || is_watched && endpoints.is_unreported() {
                let record = self.hold(&resolved, exporter, whole);
                self.wait_for_inventory(record);
                continue;
            }
            self.counts
                .attribute(flow, endpoints, &self.snapshots.index);
            match self.decider(self.now, stage).decide(&resolved) {
                Err(until) => {
                    let record = self.hold(&resolved, exporter, whole);
                    self.wait_for_observer(record, endpoints, until);
                }
                Ok(decision) => self.hand_over(&resolved, decision, &exporter.origin, whole),
            }
        }
        self.exporters = exporters;
        self.block = block;
        self.block.clear();
        self.resolve_overflow();
    }

    #[cold]
    fn hold(
        &mut self,
        resolved: &ResolvedFlow<'_>,
        exporter: &Exporter,
        whole: Option<WholeRecord<'_>>,
    ) -> PendingRecord {
        self.counts.held = self.counts.held.wrapping_add(1);
        PendingRecord::new(resolved, exporter, whole, self.now)
    }

    /// Counts the decision on a flow, and hands the record to the sinks.
    #[inline]
    fn hand_over<'a>(
        &mut self,
        resolved: &ResolvedFlow<'a>,
        decision: Decision,
        origin: &'a Arc<Origin>,
        whole: Option<WholeRecord<'a>>,
    ) {
        self.count_decision(resolved.flow.node, decision);
        let record = resolved.decided(decision, origin, whole);
        self.sinks.accept(&record, &self.snapshots);
    }

    #[inline]
    fn count_decision(&mut self, node: Option<NodeId>, decision: Decision) {
        self.counts.decide(node, decision, &self.snapshots.index);
        self.unconfirmed
            .add(decision.unconfirmed, &self.observers, &mut self.counts);
    }

    /// How much is known now about which nodes are observed. Offline, nothing is certain before the
    /// end.
    fn stage(&self) -> Stage {
        let silence = self.observers.timeouts().silence_milliseconds();
        let is_warm_up = match self.settings.started_milliseconds {
            None => true,
            Some(_) => self.settings.is_within(silence, self.now) && self.observers.is_any(),
        };
        if is_warm_up {
            Stage::WarmUp
        } else {
            Stage::Running
        }
    }

    #[inline]
    fn decider(&self, arrived: Now, stage: Stage) -> Decider<'_> {
        Decider {
            settings: &self.settings,
            compares: self.sinks.need_comparison(),
            observers: &self.observers,
            now: self.now,
            arrived,
            stage,
        }
    }

    fn settle_unconfirmed(&mut self, is_end: bool) {
        let now = self.now.monotonic_milliseconds;
        self.unconfirmed
            .settle(&self.observers, now, is_end, &mut self.counts);
    }

    /// True if records wait for the initial Kubernetes list.
    fn is_waiting_for_inventory(&self) -> bool {
        !self.snapshots.index.is_complete() && self.settings.is_waiting_for_inventory(self.now)
    }
}
