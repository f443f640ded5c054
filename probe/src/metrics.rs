//! What the probe tells of itself: `kipfix_probe_…`, every series there from the start.
//!
//! The metering thread counts in plain integers ([`pipeline::Counters`]) and publishes them about once a
//! second; the exporting thread counts a Message at a time. For every stage, in = out + losses:
//!
//! * `packets_captured` = `packets_not_selected` + `packets_metered` + Σ `packets_undecodable`
//!   + `packets_own_export` + `packets_second_sighting`
//! * `packets_metered` + `packets_corrected` = Σ packetDeltaCount of the records made
//!   (`record_packets`) + packets of the conversations still in the cache
//! * Σ `records` (made) = Σ over the queue: `queue_records_lost` + `target_records_received` of each target
//! * for each target, what [`kipfix_export::counters`] says
//!
//! What the kernel dropped before we saw it (`packets_dropped`) was not captured and stands beside these.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flowproto::record::FlowEndReason;
use kipfix_export::counters::TargetFamilies;
use kipfix_service::registry::Registry;
use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts};

use crate::decode::Undecodable;
use crate::pipeline;

/// Interfaces that have series of their own; names of short-lived ones beyond that count as "other".
const MAX_INTERFACE_SERIES: usize = 256;

const END_REASONS: [(FlowEndReason, &str); 5] = [
    (FlowEndReason::IdleTimeout, "idle_timeout"),
    (FlowEndReason::ActiveTimeout, "active_timeout"),
    (FlowEndReason::EndOfFlowDetected, "end_of_flow"),
    (FlowEndReason::ForcedEnd, "forced_end"),
    (FlowEndReason::LackOfResources, "lack_of_resources"),
];

/// All metrics of a probe.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Held while counters that belong together change, and while a scrape reads them.
    changing: Arc<Mutex<()>>,
    interface_packets: IntCounterVec,
    interface_octets: IntCounterVec,
    interface_drops: IntCounterVec,
    interface_names: Vec<String>,
    interfaces: IntGauge,
    interface_failures: IntCounter,
    undecodable: Vec<IntCounter>,
    inner_undecodable: Vec<IntCounter>,
    not_selected: IntCounter,
    own_export: IntCounter,
    second_sighting_packets: IntCounter,
    second_sighting_octets: IntCounter,
    metered_packets: IntCounter,
    metered_octets: IntCounter,
    corrected: IntCounter,
    fragment_orphans: IntCounter,
    fragments_forgotten: IntCounter,
    fragments: IntGauge,
    begun: IntCounter,
    joined: IntCounter,
    records: Vec<IntCounter>,
    record_packets: IntCounter,
    record_octets: IntCounter,
    dormant_evicted: IntCounter,
    conversations: IntGauge,
    dormant: IntGauge,
    queue_lost: IntCounter,
    targets: TargetFamilies,
}

/// Bounds that are told beside the gauges they bound.
#[derive(Clone, Copy, Debug, Default)]
pub struct Capacities {
    /// Conversations, dormant ones included.
    pub conversations: u32,
    /// Fragmented packets.
    pub fragments: usize,
    /// Records between metering and exporting.
    pub queue_records: usize,
    /// Interfaces captured at once.
    pub interfaces: usize,
}

/// Registers families with one prefix.
struct Families<'a>(&'a Registry);

impl Families<'_> {
    fn options(name: &str, help: &str) -> Opts {
        Opts::new(name, help).namespace("kipfix_probe")
    }

    fn counter(&self, name: &str, help: &str) -> prometheus::Result<IntCounter> {
        let counter = IntCounter::with_opts(Self::options(name, help))?;
        self.0.register(Box::new(counter.clone()))?;
        Ok(counter)
    }

    fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> prometheus::Result<IntCounterVec> {
        let counters = IntCounterVec::new(Self::options(name, help), labels)?;
        self.0.register(Box::new(counters.clone()))?;
        Ok(counters)
    }

    fn gauge(&self, name: &str, help: &str) -> prometheus::Result<IntGauge> {
        let gauge = IntGauge::with_opts(Self::options(name, help))?;
        self.0.register(Box::new(gauge.clone()))?;
        Ok(gauge)
    }

    fn capacity(&self, name: &str, help: &str, value: usize) -> prometheus::Result<()> {
        self.gauge(name, help)?
            .set(i64::try_from(value).unwrap_or(i64::MAX));
        Ok(())
    }

    fn by_reason(
        &self,
        name: &str,
        help: &str,
        reasons: impl Iterator<Item = &'static str>,
    ) -> prometheus::Result<Vec<IntCounter>> {
        let counters = self.counters(name, help, &["reason"])?;
        Ok(reasons
            .map(|reason| counters.with_label_values(&[reason]))
            .collect())
    }
}

impl Metrics {
    /// All series at 0.
    ///
    /// # Errors
    /// Two families of one name: a bug.
    pub fn new(capacities: Capacities) -> prometheus::Result<Self> {
        let registry = Registry::new();
        let new = Families(&registry);
        let undecodable = || Undecodable::ALL.iter().map(|reason| reason.as_str());
        new.capacity(
            "cache_capacity_conversations",
            "Conversations the flow cache can hold, dormant ones included (--max-flows).",
            usize::try_from(capacities.conversations).unwrap_or(usize::MAX),
        )?;
        new.capacity(
            "fragments_capacity",
            "Fragmented packets that can be remembered (--max-fragments).",
            capacities.fragments,
        )?;
        new.capacity(
            "queue_capacity_records",
            "Records that can wait between metering and exporting (--queue).",
            capacities.queue_records,
        )?;
        new.capacity(
            "interfaces_capacity",
            "Interfaces that can be captured at once (--max-interfaces).",
            capacities.interfaces,
        )?;
        Ok(Self {
            interface_packets: new.counters(
                "packets_captured_total",
                "Frames captured, by interface.",
                &["interface"],
            )?,
            interface_octets: new.counters(
                "captured_bytes_total",
                "Bytes that the captured frames had on the wire, by interface.",
                &["interface"],
            )?,
            interface_drops: new.counters(
                "packets_dropped_total",
                "Frames the kernel dropped before they could be captured, by interface: the buffer was full.",
                &["interface"],
            )?,
            interface_names: Vec::new(),
            interfaces: new.gauge("interfaces", "Interfaces being captured.")?,
            interface_failures: new.counter(
                "interface_failures_total",
                "Captures that ended because the interface went away or down, or that could not begin.",
            )?,
            undecodable: new.by_reason(
                "packets_undecodable_total",
                "Frames that hold no IP packet that can be metered, by reason (tunnel_fragment: metered with the first fragment, not lost).",
                undecodable(),
            )?,
            inner_undecodable: new.by_reason(
                "inner_packets_undecodable_total",
                "Tunnel packets metered by their outer header because the inner one cannot be used, by reason.",
                undecodable(),
            )?,
            not_selected: new.counter(
                "packets_not_selected_total",
                "Packets that the sampling (--sampling) passed over.",
            )?,
            own_export: new.counter(
                "packets_own_export_total",
                "Packets of this probe's own export, left out.",
            )?,
            second_sighting_packets: new.counter(
                "packets_second_sighting_total",
                "Packets already metered on another interface of this node, left out.",
            )?,
            second_sighting_octets: new.counter(
                "second_sighting_bytes_total",
                "Bytes of packets already metered on another interface of this node, left out.",
            )?,
            metered_packets: new.counter("packets_metered_total", "Packets metered, as captured.")?,
            metered_octets: new.counter(
                "metered_bytes_total",
                "Bytes of the IP packets metered, headers included.",
            )?,
            corrected: new.counter(
                "packets_corrected_total",
                "Packets added to the count because offloads had merged several into one.",
            )?,
            fragment_orphans: new.counter(
                "fragments_orphaned_total",
                "Later fragments metered without ports because their first one was not seen.",
            )?,
            fragments_forgotten: new.counter(
                "fragments_forgotten_total",
                "First fragments forgotten before their time for want of room.",
            )?,
            fragments: new.gauge("fragments", "Fragmented packets remembered.")?,
            begun: new.counter(
                "conversations_begun_total",
                "Conversations whose beginning was seen.",
            )?,
            joined: new.counter(
                "conversations_joined_total",
                "Conversations joined half-way: who began them is not known, and no connection is counted.",
            )?,
            records: new.by_reason(
                "records_total",
                "Flow records made, by flowEndReason.",
                END_REASONS.iter().map(|(_, name)| *name),
            )?,
            record_packets: new.counter("record_packets_total", "Packets in the flow records made.")?,
            record_octets: new.counter("record_bytes_total", "Bytes in the flow records made.")?,
            dormant_evicted: new.counter(
                "cache_dormant_evicted_total",
                "Quiet conversations forgotten because a new one needed room.",
            )?,
            conversations: new.gauge(
                "cache_conversations",
                "Conversations in the flow cache with packets to report.",
            )?,
            dormant: new.gauge(
                "cache_dormant_conversations",
                "Quiet conversations in the flow cache: reported, but remembered.",
            )?,
            queue_lost: new.counter(
                "queue_records_lost_total",
                "Records lost, for every target, because the queue to the exporting thread was full.",
            )?,
            targets: TargetFamilies::register(&registry, "kipfix_probe")?,
            registry,
            changing: Arc::default(),
        })
    }

    /// For the scrape.
    #[must_use]
    pub const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// What a scrape has to hold, so that its sums add up.
    #[must_use]
    pub fn changing(&self) -> Arc<Mutex<()>> {
        Arc::clone(&self.changing)
    }

    /// Keeps scrapes away while counters that belong together change.
    pub fn change(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The series of the export targets.
    #[must_use]
    pub const fn targets(&self) -> &TargetFamilies {
        &self.targets
    }

    /// The series of an interface (or of a savefile).
    #[must_use]
    pub fn interface(&mut self, name: &str) -> InterfaceMetrics {
        let known = self.interface_names.iter().any(|known| known == name);
        let label = if known || self.interface_names.len() < MAX_INTERFACE_SERIES {
            if !known {
                self.interface_names.push(name.to_owned());
            }
            name
        } else {
            "other"
        };
        InterfaceMetrics {
            packets: self.interface_packets.with_label_values(&[label]),
            octets: self.interface_octets.with_label_values(&[label]),
            drops: self.interface_drops.with_label_values(&[label]),
        }
    }

    /// Interfaces being captured now.
    pub fn interfaces_captured(&self, count: usize) {
        self.interfaces
            .set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// The gauge of the interfaces being captured, for who asks whether the probe is ready.
    #[must_use]
    pub fn interfaces(&self) -> IntGauge {
        self.interfaces.clone()
    }

    /// A capture ended, or could not begin.
    pub fn interface_failed(&self) {
        self.interface_failures.inc();
    }

    /// Publishes what the metering thread has counted, and what the queue behind it has lost.
    pub fn publish(&self, counters: &pipeline::Counters, queue_lost: u64) {
        let cache = &counters.cache;
        advance_all(&self.undecodable, &counters.undecodable);
        advance_all(&self.inner_undecodable, &counters.inner_undecodable);
        for (counter, (reason, _)) in self.records.iter().zip(END_REASONS) {
            if let Some(count) = cache.records.get(usize::from(reason.octet())) {
                advance(counter, *count);
            }
        }
        for (counter, count) in [
            (&self.not_selected, counters.not_selected),
            (&self.own_export, counters.own_export),
            (&self.second_sighting_packets, cache.second_sighting_packets),
            (&self.second_sighting_octets, cache.second_sighting_octets),
            (&self.metered_packets, cache.packets),
            (&self.metered_octets, cache.octets),
            (&self.corrected, cache.packets_corrected),
            (&self.fragment_orphans, counters.fragment_orphans),
            (&self.fragments_forgotten, counters.fragments_forgotten),
            (&self.begun, cache.conversations_begun),
            (&self.joined, cache.conversations_joined),
            (&self.record_packets, cache.record_packets),
            (&self.record_octets, cache.record_octets),
            (&self.dormant_evicted, cache.dormant_evicted),
            (&self.queue_lost, queue_lost),
        ] {
            advance(counter, count);
        }
        self.conversations.set(i64::from(counters.conversations));
        self.dormant.set(i64::from(counters.dormant));
        self.fragments
            .set(i64::try_from(counters.fragments).unwrap_or(i64::MAX));
    }
}

/// Counters of one interface.
#[derive(Clone, Debug)]
pub struct InterfaceMetrics {
    packets: IntCounter,
    octets: IntCounter,
    drops: IntCounter,
}

impl InterfaceMetrics {
    /// Frames came in.
    pub fn captured(&self, packets: u64, octets: u64) {
        self.packets.inc_by(packets);
        self.octets.inc_by(octets);
    }

    /// The kernel dropped frames.
    pub fn dropped(&self, packets: u64) {
        self.drops.inc_by(packets);
    }
}

/// Brings a counter up to a total.
fn advance(counter: &IntCounter, total: u64) {
    counter.inc_by(total.saturating_sub(counter.get()));
}

fn advance_all(counters: &[IntCounter], totals: &[u64]) {
    for (counter, total) in counters.iter().zip(totals) {
        advance(counter, *total);
    }
}
