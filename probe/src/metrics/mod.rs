//! Self-metrics: `kipfix_probe_…`. Every series exists from the start.
//!
//! The metering thread counts in plain integers ([`PipelineCounters`], [`CaptureCounters`]) and
//! publishes them about once per second. The exporting thread counts per Message. For every stage,
//! in = out + losses:
//!
//! * `packets_captured` = `packets_not_selected` + `packets_metered` + Σ `packets_undecodable`
//!   + `packets_own_export` + `packets_duplicate`
//! * `packets_metered` + `packets_corrected` = Σ packetDeltaCount of the records made
//!   (`record_packets`) + packets of the conversations in the cache + `packets_withdrawn`
//! * Σ `records` (made) = `queue_records_lost` + `target_records_received`, for each target
//! * for each target, the identity in [`kipfix_export::counters`]
//!
//! Frames that the kernel dropped (`packets_dropped`) were not captured and are in none of these.

mod http;
mod names;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use enum_map::EnumMap;
use flowproto::record::FlowEndReason;
use flowproto::tcp::ConnectionState;
use kipfix_export::counters::TargetFamilies;
use kipfix_service::admin::HttpMetrics;
use kipfix_service::metric_maker::{MetricMaker, level, raise, raise_by_reason, raise_each};
use kipfix_service::registry::Registry;
use prometheus::core::Collector as _;
use prometheus::{IntCounter, IntCounterVec, IntGauge};

use crate::capture::counters::CaptureCounters;
use crate::decode::Undecodable;
use crate::pipeline::PipelineCounters;
use crate::translation::table::MAX_TRANSLATIONS;
use http::HttpFamilies;
use names::NameFamilies;

const END_REASONS: [(FlowEndReason, &str); 5] = [
    (FlowEndReason::IdleTimeout, "idle_timeout"),
    (FlowEndReason::ActiveTimeout, "active_timeout"),
    (FlowEndReason::EndOfFlowDetected, "end_of_flow"),
    (FlowEndReason::ForcedEnd, "forced_end"),
    (FlowEndReason::LackOfResources, "lack_of_resources"),
];

/// Reasons why first packets were lost.
const MISSED_REASONS: [&str; 2] = ["kernel_drop", "table_full"];

/// All metrics of a probe.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Locked while counters that belong together change, and while a scrape reads them.
    consistency: Arc<Mutex<()>>,
    interface_packets: IntCounterVec,
    interface_octets: IntCounterVec,
    interface_drops: IntCounterVec,
    interfaces: IntGauge,
    interface_failures: IntCounter,
    undecodable: EnumMap<Undecodable, IntCounter>,
    inner_undecodable: EnumMap<Undecodable, IntCounter>,
    not_selected: IntCounter,
    own_export: IntCounter,
    duplicate_packets: IntCounter,
    duplicate_octets: IntCounter,
    duplicates_evicted: IntCounter,
    wire_length_lost: IntCounter,
    metered_packets: IntCounter,
    metered_octets: IntCounter,
    corrected: IntCounter,
    fragment_orphans: IntCounter,
    fragments_evicted: IntCounter,
    fragments: IntGauge,
    conversations_started: IntCounter,
    conversations_start_not_observed: IntCounter,
    records: Vec<IntCounter>,
    record_packets: IntCounter,
    record_octets: IntCounter,
    dormant_evicted: IntCounter,
    tcp_retransmitted: IntCounter,
    tcp_out_of_order: IntCounter,
    tcp_round_trips: IntCounter,
    tcp_states: Vec<IntCounter>,
    conversations: IntGauge,
    dormant: IntGauge,
    queue_lost: IntCounter,
    withdrawn_packets: IntCounter,
    withdrawn_octets: IntCounter,
    first_packets: IntCounter,
    translations_learned: IntCounter,
    translations_expired: IntCounter,
    translations_ambiguous: IntCounter,
    translations_missed: Vec<IntCounter>,
    translations: IntGauge,
    names: NameFamilies,
    metered_http: HttpFamilies,
    targets: TargetFamilies,
    http: HttpMetrics,
}

/// The number of frames that the kernel dropped, as last published.
#[derive(Clone, Debug)]
pub(crate) struct KernelDrops(IntCounterVec);

impl KernelDrops {
    pub(crate) fn get(&self) -> f64 {
        let families = self.0.collect();
        let series = families.iter().flat_map(|family| family.get_metric());
        series.map(|metric| metric.get_counter().get_value()).sum()
    }
}

/// Limits that are published next to the gauges they limit.
#[derive(Clone, Copy, Debug, Default)]
pub struct Capacities {
    /// Conversations, dormant ones included.
    pub conversations: u32,
    /// Fragmented packets.
    pub fragments: usize,
    /// Records between metering and exporting.
    pub queue_records: usize,
    /// Interfaces captured at the same time.
    pub interfaces: usize,
    /// Resolved names.
    pub names: usize,
}

impl Metrics {
    /// Registers all families, with their series at 0.
    ///
    /// # Errors
    /// Two families have the same name, which is a bug.
    pub fn new(capacities: Capacities) -> prometheus::Result<Self> {
        let new = MetricMaker::new("kipfix_probe");
        new.capacity(
            "cache_capacity_conversations",
            "Maximum number of conversations in the flow cache, dormant ones included \
             (--max-flows).",
            capacities.conversations,
        )?;
        new.capacity(
            "fragments_capacity",
            "Maximum number of fragmented packets that are kept (--max-fragments).",
            capacities.fragments,
        )?;
        new.capacity(
            "queue_capacity_records",
            "Maximum number of records between metering and exporting (--queue).",
            capacities.queue_records,
        )?;
        new.capacity(
            "interfaces_capacity",
            "Maximum number of interfaces captured at the same time (--max-interfaces).",
            capacities.interfaces,
        )?;
        new.capacity(
            "translations_capacity",
            "Maximum number of address translations that are kept.",
            MAX_TRANSLATIONS,
        )?;
        Ok(Self {
            interface_packets: new.counters(
                "packets_captured_total",
                "Frames captured, by interface.",
                &["interface"],
            )?,
            interface_octets: new.counters(
                "captured_bytes_total",
                "Bytes of the captured frames on the wire, by interface.",
                &["interface"],
            )?,
            interface_drops: new.counters(
                "packets_dropped_total",
                "Frames that the kernel dropped because the capture buffer was full, by interface.",
                &["interface"],
            )?,
            interfaces: new.gauge("interfaces", "Interfaces that are captured.")?,
            interface_failures: new.counter(
                "interface_failures_total",
                "Captures that ended because the interface was removed or went down, or that could \
                 not be opened.",
            )?,
            undecodable: new.by_reason(
                "packets_undecodable_total",
                "Frames without an IP packet that can be metered, by reason (tunnel_fragment: \
                 metered with the first fragment, not lost).",
            )?,
            inner_undecodable: new.by_reason(
                "inner_packets_undecodable_total",
                "Tunnel packets metered by their outer header because the inner one is not \
                 decodable, by reason.",
            )?,
            not_selected: new.counter(
                "packets_not_selected_total",
                "Packets that the sampling (--sampling) did not select.",
            )?,
            own_export: new.counter(
                "packets_own_export_total",
                "Packets of this probe's own export, which are not metered.",
            )?,
            duplicate_packets: new.counter(
                "packets_duplicate_total",
                "Packets observed again on another interface of this node, which are not metered.",
            )?,
            duplicate_octets: new.counter(
                "duplicate_bytes_total",
                "Bytes of packets observed again on another interface of this node.",
            )?,
            duplicates_evicted: new.counter(
                "duplicate_detection_evicted_total",
                "Packets forgotten by the duplicate detection although copies of them could still \
                 be observed.",
            )?,
            wire_length_lost: new.counter(
                "packets_wire_length_lost_total",
                "Packets of a savefile metered by the length in their IP header because the writer \
                 lost the length on the wire.",
            )?,
            metered_packets: new
                .counter("packets_metered_total", "Packets metered, as captured.")?,
            metered_octets: new.counter(
                "metered_bytes_total",
                "Bytes of the metered IP packets, headers included.",
            )?,
            corrected: new.counter(
                "packets_corrected_total",
                "Packets added to the count because offloads had merged several into one.",
            )?,
            fragment_orphans: new.counter(
                "fragments_orphaned_total",
                "Later fragments metered without ports because their first fragment was not \
                 observed before.",
            )?,
            fragments_evicted: new.counter(
                "fragments_evicted_total",
                "Fragmented packets evicted because the table was full.",
            )?,
            fragments: new.gauge("fragments", "Fragmented packets that are kept.")?,
            conversations_started: new.counter(
                "conversations_started_total",
                "Conversations whose start was observed.",
            )?,
            conversations_start_not_observed: new.counter(
                "conversations_start_not_observed_total",
                "Conversations whose start was not observed: the initiator is unknown and no \
                 connection is counted.",
            )?,
            records: new.by_reasons(
                "records_total",
                "Flow records made, by flowEndReason.",
                END_REASONS.iter().map(|(_, name)| *name),
            )?,
            record_packets: new
                .counter("record_packets_total", "Packets in the flow records made.")?,
            record_octets: new.counter("record_bytes_total", "Bytes in the flow records made.")?,
            dormant_evicted: new.counter(
                "cache_dormant_evicted_total",
                "Dormant conversations evicted because a new one needed the slot.",
            )?,
            tcp_retransmitted: new.counter(
                "tcp_retransmitted_packets_total",
                "TCP segments in the flow records made that were sent again.",
            )?,
            tcp_out_of_order: new.counter(
                "tcp_out_of_order_packets_total",
                "TCP segments in the flow records made that arrived after a later one.",
            )?,
            tcp_round_trips: new.counter(
                "tcp_round_trips_total",
                "Round-trip times measured in TCP connections, handshakes excluded.",
            )?,
            tcp_states: {
                let counters = new.counters(
                    "tcp_connections_reported_total",
                    "States of TCP connections in the flow records made. A connection is reported \
                     once in each state (open: idle or exported at the end of the probe).",
                    &["state"],
                )?;
                ConnectionState::ALL
                    .map(|state| counters.with_label_values(&[<&str>::from(state)]))
                    .into()
            },
            conversations: new.gauge(
                "cache_conversations",
                "Conversations in the flow cache with packets to report.",
            )?,
            dormant: new.gauge(
                "cache_dormant_conversations",
                "Dormant conversations in the flow cache: reported and quiet, with the state of \
                 their connection.",
            )?,
            queue_lost: new.counter(
                "queue_records_lost_total",
                "Records lost, for every target, because the queue to the exporting thread was \
                 full.",
            )?,
            withdrawn_packets: new.counter(
                "packets_withdrawn_total",
                "Packets that were metered on two sides of an address translation before it was \
                 learned, and are in no record for one of them.",
            )?,
            withdrawn_octets: new
                .counter("withdrawn_bytes_total", "Bytes of packets_withdrawn_total.")?,
            first_packets: new.counter(
                "first_packets_total",
                "First packets (SYNs, datagrams) captured on all interfaces to learn address \
                 translations. They are not metered.",
            )?,
            translations_learned: new.counter(
                "translations_learned_total",
                "Address translations learned from first packets.",
            )?,
            translations_expired: new.counter(
                "translations_expired_total",
                "Address translations learned of connections that are not captured otherwise.",
            )?,
            translations_ambiguous: new.counter(
                "translations_ambiguous_total",
                "First packets that could belong to several connections, so that no translation \
                 was learned.",
            )?,
            translations_missed: new.by_reasons(
                "translations_missed_total",
                "First packets lost before they were compared, by reason: kernel_drop (the buffer \
                 was full) or table_full.",
                MISSED_REASONS,
            )?,
            translations: new.gauge(
                "translations",
                "Address translations that are kept for conversations that begin.",
            )?,
            names: NameFamilies::register(&new, capacities.names)?,
            metered_http: HttpFamilies::register(&new)?,
            targets: TargetFamilies::register(new.registry(), "kipfix_probe")?,
            http: HttpMetrics::new(&new)?,
            registry: new.registry().clone(),
            consistency: Arc::default(),
        })
    }

    /// The registry of all families.
    #[must_use]
    pub const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The lock that a scrape holds so that its sums add up.
    #[must_use]
    pub fn consistency(&self) -> Arc<Mutex<()>> {
        Arc::clone(&self.consistency)
    }

    /// Blocks scrapes while counters that belong together change.
    pub fn lock(&self) -> MutexGuard<'_, ()> {
        self.consistency
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the number of frames that the kernel dropped.
    pub(crate) fn drops(&self) -> KernelDrops {
        KernelDrops(self.interface_drops.clone())
    }

    /// The series of the export targets.
    #[must_use]
    pub const fn targets(&self) -> &TargetFamilies {
        &self.targets
    }

    /// The metrics of the admin port.
    #[must_use]
    pub const fn http(&self) -> &HttpMetrics {
        &self.http
    }

    /// The gauge of the interfaces that are captured, for readiness.
    #[must_use]
    pub fn interfaces(&self) -> IntGauge {
        self.interfaces.clone()
    }

    /// Publishes the counts of the capture.
    pub fn publish_capture(&self, counters: &CaptureCounters) {
        for interface in &counters.interfaces {
            for (family, total) in [
                (&self.interface_packets, interface.frames),
                (&self.interface_octets, interface.octets),
                (&self.interface_drops, interface.dropped),
            ] {
                raise(&family.with_label_values(&[&interface.name]), total);
            }
        }
        raise(&self.interface_failures, counters.failures);
        self.names.publish_capture(&counters.dns_answers);
        raise(&self.first_packets, counters.first_packets.frames);
        if let [kernel_drop, ..] = self.translations_missed.as_slice() {
            raise(kernel_drop, counters.first_packets.dropped);
        }
        self.interfaces.set(level(counters.open));
    }

    /// Publishes the counts of the pipeline, and the records that the queue after it lost.
    pub fn publish(&self, counters: &PipelineCounters, queue_lost: u64) {
        let cache = &counters.cache;
        raise_by_reason(&self.undecodable, &counters.undecodable);
        raise_by_reason(&self.inner_undecodable, &counters.inner_undecodable);
        for (counter, (reason, _)) in self.records.iter().zip(END_REASONS) {
            if let Some(count) = cache.records.get(usize::from(reason.octet())) {
                raise(counter, *count);
            }
        }
        raise_each(&self.tcp_states, &cache.tcp_connection_states);
        self.names.publish(counters);
        if let Some(http) = &counters.http {
            self.metered_http.publish(http);
        }
        let translations = &counters.translations;
        if let [_, table_full] = self.translations_missed.as_slice() {
            raise(table_full, translations.missed);
        }
        for (counter, count) in [
            (&self.withdrawn_packets, cache.withdrawn_packets),
            (&self.withdrawn_octets, cache.withdrawn_octets),
            (&self.translations_learned, translations.learned),
            (&self.translations_expired, translations.expired),
            (&self.translations_ambiguous, translations.ambiguous),
            (&self.not_selected, counters.not_selected),
            (&self.own_export, counters.own_export),
            (&self.duplicate_packets, counters.duplicate_packets),
            (&self.duplicate_octets, counters.duplicate_octets),
            (&self.duplicates_evicted, counters.duplicates_evicted),
            (&self.wire_length_lost, counters.wire_length_lost),
            (&self.metered_packets, cache.packets),
            (&self.metered_octets, cache.octets),
            (&self.corrected, cache.packets_corrected),
            (&self.fragment_orphans, counters.fragment_orphans),
            (&self.fragments_evicted, counters.fragments_evicted),
            (&self.conversations_started, cache.conversations_started),
            (
                &self.conversations_start_not_observed,
                cache.conversations_start_not_observed,
            ),
            (&self.record_packets, cache.record_packets),
            (&self.record_octets, cache.record_octets),
            (&self.dormant_evicted, cache.dormant_evicted),
            (&self.tcp_retransmitted, cache.tcp_retransmitted_packets),
            (&self.tcp_out_of_order, cache.tcp_out_of_order_packets),
            (&self.tcp_round_trips, cache.tcp_round_trips),
            (&self.queue_lost, queue_lost),
        ] {
            raise(counter, count);
        }
        self.conversations.set(i64::from(counters.conversations));
        self.dormant.set(i64::from(counters.dormant));
        self.translations.set(level(counters.translations_kept));
        self.fragments.set(level(counters.fragments));
    }
}
