//! Pending records: those whose endpoints the inventory does not know yet, and those whose
//! authoritative observer is not known yet. They are processed again at their deadline, or earlier
//! if the room is needed.
//!
//! A pending record keeps what its sinks will need: the flow, its exporter, and, if a sink needs
//! the record as it was received, the decoded record and its octets with their template. Text is
//! written when it is decided. Octets are the bound, and each sender has a share of it.

use std::sync::{Arc, LazyLock};

use flowproto::collector::{CollectingProcess, Fields, Limits};
use flowproto::template::Template;
use flowproto::{Address, FlowRecord};

use super::Stages;
use super::block::ResolvedFlow;
use super::decided::{Sinks, WholeRecord};
use super::dedup::Stage;
use super::delay_queue::{DelayQueue, Footprint, Shared};
use super::enrich::{Endpoints, Resolver};
use super::exporters::{Exporter, Origin};
use super::flow::{Flow, FlowExtras};
use super::health::FlowHealth;
use crate::clock::Now;

/// Estimated octets of a template, for each octet of its shortest record.
const TEMPLATE_OCTETS: usize = 128;

/// The queue of a pipeline.
pub(super) type PendingQueue = DelayQueue<PendingRecord>;

/// A record that waits.
#[derive(Debug)]
pub(super) struct PendingRecord {
    flow: Flow,
    extras: Option<Box<FlowExtras>>,
    health: Option<Box<FlowHealth>>,
    origin: Arc<Origin>,
    /// Revision of the Observation Domain, for the names that its options data has.
    revision: u32,
    reason: PendingReason,
    arrived: Now,
    /// When it is processed again, monotonic milliseconds.
    deadline_milliseconds: u64,
    whole: Option<Box<PendingWhole>>,
}

/// Why a record waits.
#[derive(Clone, Copy, Debug)]
enum PendingReason {
    /// The inventory may not know its endpoints yet.
    Inventory,
    /// The authoritative observer of these endpoints is not known.
    Observer(Endpoints),
}

/// A record as it was received.
#[derive(Debug)]
struct PendingWhole {
    record: FlowRecord,
    /// The template and octets of a record of IPFIX or NetFlow v9, if they are written anywhere.
    octets: Option<(Arc<Template>, Box<[u8]>)>,
}

impl PendingWhole {
    /// Fields are written once a record, with its own direction.
    fn new(whole: &WholeRecord<'_>, with_octets: bool) -> Self {
        let octets = whole.fields.octets().filter(|_| with_octets);
        Self {
            record: whole.record.clone(),
            octets: octets.map(|(template, octets)| (Arc::clone(template), octets.into())),
        }
    }

    /// The fields, with the names that the options data of the record's exporter has.
    fn fields<'a>(&'a self, of: &PendingRecord, decoder: &'a CollectingProcess) -> Fields<'a> {
        let domain = usize::try_from(of.flow.domain).unwrap_or(usize::MAX);
        match &self.octets {
            None => Fields::of_record(&self.record),
            Some((template, octets)) => decoder.fields((domain, of.revision), template, octets),
        }
    }

    fn footprint(&self) -> Footprint {
        let octets = self.octets.as_ref();
        Footprint {
            octets: size_of::<Self>().saturating_add(octets.map_or(0, |(_, octets)| octets.len())),
            // A template stays in memory for as long as a record of it does.
            shared: octets.map(|(template, _)| Shared {
                key: Arc::as_ptr(template).addr(),
                octets: template.minimum_length().saturating_mul(TEMPLATE_OCTETS),
            }),
        }
    }
}

impl PendingRecord {
    /// A copy of a flow that can wait.
    pub(super) fn new(
        resolved: &ResolvedFlow<'_>,
        exporter: &Exporter,
        whole: Option<WholeRecord<'_>>,
        arrived: Now,
    ) -> Self {
        let flow = *resolved.flow;
        Self {
            flow,
            extras: resolved.extras.map(|extras| Box::new(extras.clone())),
            health: resolved.health.map(|health| Box::new(*health)),
            origin: Arc::clone(&exporter.origin),
            revision: exporter.revision,
            reason: PendingReason::Inventory,
            arrived,
            deadline_milliseconds: 0,
            whole: whole.map(|whole| Box::new(PendingWhole::new(&whole, flow.is_forward()))),
        }
    }

    fn footprint(&self) -> Footprint {
        let extras = self.extras.as_ref().map_or(0, |_| size_of::<FlowExtras>());
        let health = self.health.as_ref().map_or(0, |_| size_of::<FlowHealth>());
        let own = size_of::<Self>()
            .saturating_add(extras)
            .saturating_add(health);
        let whole = self.whole.as_ref();
        let whole = whole.map_or_else(Footprint::default, |whole| whole.footprint());
        Footprint {
            octets: own.saturating_add(whole.octets),
            ..whole
        }
    }
}

impl<S: Sinks> Stages<S> {
    /// Lets a record wait until the inventory may know its endpoints.
    #[cold]
    pub(super) fn wait_for_inventory(&mut self, record: PendingRecord) {
        let deadline = if self.is_waiting_for_inventory() {
            self.has_waited_for_list = true;
            self.settings.inventory_deadline()
        } else {
            self.attribution_deadline(&record)
        };
        self.wait(record, deadline);
    }

    /// Lets a record wait until its authoritative observer may be known.
    #[cold]
    pub(super) fn wait_for_observer(
        &mut self,
        mut record: PendingRecord,
        endpoints: &Endpoints,
        until: u64,
    ) {
        record.reason = PendingReason::Observer(*endpoints);
        let wait = self.observers.timeouts().wait_milliseconds;
        let latest = match self.settings.started_milliseconds {
            Some(_) => self.now.monotonic_milliseconds.saturating_add(wait),
            // Offline, a node without a Message may still send one.
            None => u64::MAX,
        };
        self.wait(record, until.min(latest));
    }

    fn wait(&mut self, mut record: PendingRecord, deadline_milliseconds: u64) {
        record.deadline_milliseconds = deadline_milliseconds;
        let sender = record.origin.source_address;
        let footprint = record.footprint();
        self.pending
            .push(record, footprint, sender, deadline_milliseconds);
    }

    fn attribution_deadline(&self, record: &PendingRecord) -> u64 {
        let wait = self.settings.attribution_wait_milliseconds;
        record.arrived.monotonic_milliseconds.saturating_add(wait)
    }

    /// Decides the records for which there is no room. Names from options data are left out, since
    /// the decoder is at work.
    pub(super) fn resolve_overflow(&mut self) {
        while let Some(record) = self.pending.pop_overflow() {
            self.counts.resolved_early = self.counts.resolved_early.wrapping_add(1);
            self.resolve(record, &NAMELESS, true);
        }
    }

    /// Processes the records whose deadline has passed, and all of them when the initial Kubernetes
    /// list has become complete.
    pub(super) fn resolve_expired(&mut self, decoder: &CollectingProcess) {
        if self.has_waited_for_list && !self.is_waiting_for_inventory() {
            self.has_waited_for_list = false;
            for record in self.take_all() {
                self.resolve(record, decoder, false);
            }
        }
        let now = self.now.monotonic_milliseconds;
        while let Some(record) = self.pending.pop_expired(now) {
            self.resolve(record, decoder, false);
        }
        self.resolve_overflow();
        self.sinks.end_block(&self.snapshots, self.now);
    }

    /// Decides all records.
    pub(super) fn resolve_all(&mut self, decoder: &CollectingProcess) {
        let mut records = self.take_all();
        // All observers must be known before the first decision.
        for record in &mut records {
            self.locate(record);
        }
        for record in records {
            self.resolve(record, decoder, true);
        }
        self.sinks.end_block(&self.snapshots, self.now);
    }

    fn take_all(&mut self) -> Vec<PendingRecord> {
        std::iter::from_fn(|| self.pending.pop()).collect()
    }

    /// Finds the node of a record's exporter, which the inventory may not have known when the
    /// record arrived.
    fn locate(&self, record: &mut PendingRecord) {
        let extras = record.extras.as_deref();
        let address = extras.map_or(Address::UNSPECIFIED, |extras| extras.exporter_address);
        let node = record.origin.node(&self.snapshots.index, address);
        if record.flow.node.is_none()
            && let Some(node) = node
        {
            let arrived = record.arrived.monotonic_milliseconds;
            self.observers.on_message(node, arrived);
        }
        record.flow.node = node.or(record.flow.node);
    }

    /// Processes a record again. On its last chance it is decided by what is known.
    fn resolve(
        &mut self,
        mut record: PendingRecord,
        decoder: &CollectingProcess,
        is_last_chance: bool,
    ) {
        let now = self.now.monotonic_milliseconds;
        let (endpoints, has_waited) = match record.reason {
            PendingReason::Observer(endpoints) => (endpoints, now >= record.deadline_milliseconds),
            PendingReason::Inventory => {
                self.locate(&mut record);
                let extras = record.extras.as_deref();
                let mut resolver = Resolver {
                    snapshots: &self.snapshots,
                    cache: &mut self.cache,
                    tunnels: &self.tunnels,
                };
                let endpoints = resolver.resolve(&record.flow, extras);
                let may_be_reported =
                    endpoints.is_unreported() && now < self.attribution_deadline(&record);
                if !is_last_chance && (may_be_reported || self.is_waiting_for_inventory()) {
                    return self.wait_for_inventory(record);
                }
                self.counts
                    .attribute(&record.flow, &endpoints, &self.snapshots.index);
                (endpoints, false)
            }
        };
        let stage = match (is_last_chance, has_waited) {
            (true, _) => Stage::LastChance,
            (false, true) => Stage::Running,
            (false, false) => self.stage(),
        };
        let decider = self.decider(record.arrived, stage);
        let resolved = ResolvedFlow {
            flow: &record.flow,
            extras: record.extras.as_deref(),
            health: record.health.as_deref(),
            endpoints: &endpoints,
        };
        match decider.decide(&resolved) {
            Err(until) => self.wait_for_observer(record, &endpoints, until),
            Ok(decision) => {
                let whole = record.whole.as_deref().map(|whole| WholeRecord {
                    record: &whole.record,
                    fields: whole.fields(&record, decoder),
                });
                self.hand_over(&resolved, decision, &record.origin, whole);
            }
        }
    }
}

/// A decoder that has learned nothing.
static NAMELESS: LazyLock<CollectingProcess> =
    LazyLock::new(|| CollectingProcess::new(Limits::default()));
