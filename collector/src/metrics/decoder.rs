//! Self-metrics of the Collecting Process.

use enum_map::EnumMap;
use flowproto::collector::{Counters, Occupancy, Unusable};
use kipfix_service::metric_maker::{MetricMaker, level, raise, raise_each};
use prometheus::{IntCounter, IntGauge};

#[derive(Debug)]
pub(super) struct Decoder {
    datagrams: IntCounter,
    received_bytes: IntCounter,
    messages: Vec<IntCounter>,
    records: IntCounter,
    options_records: IntCounter,
    templates_read: IntCounter,
    unusable: EnumMap<Unusable, IntCounter>,
    sets_held: IntCounter,
    sets_released: IntCounter,
    sets_of_shared_templates: IntCounter,
    sets_pending: IntGauge,
    sets_pending_bytes: IntGauge,
    domains: IntGauge,
    domains_displaced: IntCounter,
    domains_idle: IntCounter,
    templates: IntGauge,
    template_fields: IntGauge,
    templates_withdrawn: IntCounter,
    templates_idle: IntCounter,
    sampling_unknown: IntCounter,
    sampling_ignored: IntCounter,
    sequence_lost: IntCounter,
    sequence_gaps: IntCounter,
    late: IntCounter,
    old: IntCounter,
    restarts: IntCounter,
    metadata_entries: IntGauge,
    metadata_refused: IntCounter,
    names_bytes: IntGauge,
    names_refused: Vec<IntCounter>,
    running_totals: IntGauge,
    running_totals_forgotten: IntCounter,
}

impl Decoder {
    pub(super) fn new(make: &MetricMaker) -> prometheus::Result<Self> {
        let messages = make.counters(
            "messages_total",
            "Messages with a usable header, by protocol version (10 is IPFIX).",
            &["version"],
        )?;
        let forgotten = make.counters(
            "domains_forgotten_total",
            "Observation Domains forgotten with their templates, because of max_domains or domain_idle.",
            &["reason"],
        )?;
        let templates = make.counters(
            "templates_forgotten_total",
            "Templates withdrawn by their exporter or with their connection, and those neither sent nor used.",
            &["reason"],
        )?;
        Ok(Self {
            datagrams: make.counter("datagrams_total", "Datagrams received.")?,
            received_bytes: make.counter("received_bytes_total", "Octets of those datagrams.")?,
            messages: ["5", "7", "9", "10"]
                .iter()
                .map(|version| messages.with_label_values(&[version]))
                .collect(),
            records: make.counter(
                "records_total",
                "Data Records decoded (options data excluded).",
            )?,
            options_records: make.counter("options_records_total", "Options Data Records read.")?,
            templates_read: make.counter(
                "templates_read_total",
                "Templates and Options Templates read, including repeated ones.",
            )?,
            unusable: make.by_reason(
                "unusable_total",
                "Datagrams, Sets and templates that could not be used.",
            )?,
            sets_held: make.counter(
                "sets_held_total",
                "Data Sets that arrived before their template.",
            )?,
            sets_released: make.counter(
                "sets_released_total",
                "Of these, Data Sets whose template arrived later.",
            )?,
            sets_of_shared_templates: make.counter(
                "sets_of_shared_templates_total",
                "Data Sets that were read with a template from another port of their exporter.",
            )?,
            sets_pending: make.gauge("sets_pending", "Data Sets that wait for their template.")?,
            sets_pending_bytes: make.gauge("sets_pending_bytes", "Octets of those Data Sets.")?,
            domains: make.gauge("domains", "Observation Domains with state.")?,
            domains_displaced: forgotten.with_label_values(&["max_domains"]),
            domains_idle: forgotten.with_label_values(&["idle"]),
            templates: make.gauge("templates", "Templates in use.")?,
            template_fields: make.gauge("template_fields", "Fields of those templates.")?,
            templates_withdrawn: templates.with_label_values(&["withdrawn"]),
            templates_idle: templates.with_label_values(&["idle"]),
            sampling_unknown: make.counter(
                "sampling_unknown_total",
                "Data Records that name an unknown sampler, or whose samplers contradict each other. They count as if not sampled.",
            )?,
            sampling_ignored: make.counter(
                "sampling_ignored_total",
                "Options records that announce sampling in a way that is not understood.",
            )?,
            sequence_lost: make.counter(
                "sequence_lost_total",
                "Data Records (Messages, if the exporter counts those) that are missing by the sequence numbers.",
            )?,
            sequence_gaps: make.counter(
                "sequence_gaps_total",
                "Gaps in sequence numbers that no late Message filled.",
            )?,
            late: make.counter(
                "messages_late_total",
                "Messages that arrived out of order and filled a gap.",
            )?,
            old: make.counter(
                "messages_old_total",
                "Messages older than any gap: duplicates, very late ones, or the first of a restarted exporter.",
            )?,
            restarts: make.counter(
                "exporters_restarted_total",
                "Restarts of exporters, by their sequence numbers or uptime.",
            )?,
            metadata_entries: make.gauge(
                "metadata_entries",
                "Interface names, application names and element types learned from options data.",
            )?,
            metadata_refused: make.counter(
                "metadata_refused_total",
                "Names, types and samplers in options data that were not learned: max_metadata was reached, or a type has the name of another element.",
            )?,
            names_bytes: make.gauge(
                "names_bytes",
                "Bytes of the host names that records have.",
            )?,
            names_refused: make.by_reasons(
                "names_refused_total",
                "Host names in records that were not used, by reason: invalid (not a host name) or no_room.",
                ["invalid", "no_room"],
            )?,
            running_totals: make.gauge(
                "running_totals",
                "Flows with a running total, of exporters that send no deltas.",
            )?,
            running_totals_forgotten: make.counter(
                "running_totals_forgotten_total",
                "Flows whose running total was forgotten because max_running_totals was reached; their next record counts as a whole.",
            )?,
        })
    }

    pub(super) fn publish(&self, counters: &Counters, occupancy: &Occupancy) {
        for (counter, total) in [
            (&self.datagrams, counters.datagrams),
            (&self.received_bytes, counters.octets),
            (&self.records, counters.records),
            (&self.options_records, counters.options_records),
            (&self.templates_read, counters.templates),
            (&self.sets_held, counters.sets_held),
            (&self.sets_released, counters.sets_released),
            (&self.domains_displaced, counters.domains_evicted),
            (&self.domains_idle, counters.domains_idle),
            (&self.templates_withdrawn, counters.templates_withdrawn),
            (&self.templates_idle, counters.templates_idle),
            (
                &self.sets_of_shared_templates,
                counters.sets_of_shared_templates,
            ),
            (&self.sampling_unknown, counters.records_of_unknown_sampling),
            (&self.sampling_ignored, counters.announcements_ignored),
            (&self.sequence_lost, counters.sequence.lost),
            (&self.sequence_gaps, counters.sequence.gaps),
            (&self.late, counters.sequence.late),
            (&self.old, counters.sequence.old),
            (&self.restarts, counters.sequence.restarts),
            (&self.metadata_refused, counters.metadata_refused),
            (&self.running_totals_forgotten, counters.totals_evicted),
        ] {
            raise(counter, total);
        }
        raise_each(&self.messages, counters.messages.as_slice());
        raise_each(
            &self.names_refused,
            &[counters.names_invalid, counters.names_without_room],
        );
        for (reason, total) in counters.unusable.iter() {
            raise(&self.unusable[reason], total);
        }
        for (gauge, value) in [
            (&self.sets_pending, occupancy.pending_sets),
            (&self.sets_pending_bytes, occupancy.pending_octets),
            (&self.domains, occupancy.domains),
            (&self.templates, occupancy.templates),
            (&self.template_fields, occupancy.template_fields),
            (&self.metadata_entries, occupancy.metadata_entries),
            (&self.names_bytes, occupancy.names_octets),
            (&self.running_totals, occupancy.totals),
        ] {
            gauge.set(level(value));
        }
    }
}
