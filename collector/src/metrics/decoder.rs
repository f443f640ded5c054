//! Self-metrics of the Collecting Process.

use kipfix_service::metric_table::Declarations;

use super::Totals;

pub(super) fn declare(table: &mut Declarations<'_, Totals>) {
    received(table);
    sets_and_templates(table);
    sequence(table);
    options_data(table);
}

fn received(table: &mut Declarations<'_, Totals>) {
    table.counter("datagrams_total", "Datagrams received.", |t| {
        t.pipeline.decoding.datagrams
    });
    table.counter("received_bytes_total", "Octets of those datagrams.", |t| {
        t.pipeline.decoding.octets
    });
    table.counter_by(
        "messages_total",
        "Messages with a usable header, by protocol version (10 is IPFIX).",
        "version",
        |t| &t.pipeline.decoding.messages,
    );
    table.counter(
        "records_total",
        "Data Records decoded (options data excluded).",
        |t| t.pipeline.decoding.records,
    );
    table.counter("options_records_total", "Options Data Records read.", |t| {
        t.pipeline.decoding.options_records
    });
    table.counter_by(
        "unusable_total",
        "Datagrams, Sets and templates that could not be used.",
        "reason",
        |t| t.pipeline.decoding.unusable.by_reason(),
    );
}

fn sets_and_templates(table: &mut Declarations<'_, Totals>) {
    table.counter(
        "sets_held_total",
        "Data Sets that arrived before their template.",
        |t| t.pipeline.decoding.sets_held,
    );
    table.counter(
        "sets_released_total",
        "Of these, Data Sets whose template arrived later.",
        |t| t.pipeline.decoding.sets_released,
    );
    table.counter(
        "sets_of_shared_templates_total",
        "Data Sets that were read with a template from another port of their exporter.",
        |t| t.pipeline.decoding.sets_of_shared_templates,
    );
    table.gauge(
        "sets_pending",
        "Data Sets that wait for their template.",
        |t| t.pipeline.occupancy.pending_sets,
    );
    table.gauge("sets_pending_bytes", "Octets of those Data Sets.", |t| {
        t.pipeline.occupancy.pending_octets
    });
    table.gauge("domains", "Observation Domains with state.", |t| {
        t.pipeline.occupancy.domains
    });
    table.counter_of(
        "domains_forgotten_total",
        "Observation Domains forgotten with their templates, because of max_domains or domain_idle.",
        "reason",
        [
            ("max_domains", |t| t.pipeline.decoding.domains_evicted),
            ("idle", |t| t.pipeline.decoding.domains_idle),
        ],
    );
    table.gauge("templates", "Templates in use.", |t| {
        t.pipeline.occupancy.templates
    });
    table.gauge("template_fields", "Fields of those templates.", |t| {
        t.pipeline.occupancy.template_fields
    });
    table.counter(
        "templates_read_total",
        "Templates and Options Templates read, including repeated ones.",
        |t| t.pipeline.decoding.templates,
    );
    table.counter_of(
        "templates_forgotten_total",
        "Templates withdrawn by their exporter or with their connection, and those neither sent nor used.",
        "reason",
        [
            ("withdrawn", |t| t.pipeline.decoding.templates_withdrawn),
            ("idle", |t| t.pipeline.decoding.templates_idle),
        ],
    );
}

fn sequence(table: &mut Declarations<'_, Totals>) {
    table.counter(
        "sequence_lost_total",
        "Data Records (Messages, if the exporter counts those) that are missing by the sequence numbers.",
        |t| t.pipeline.decoding.sequence.lost,
    );
    table.counter(
        "sequence_gaps_total",
        "Gaps in sequence numbers that no late Message filled.",
        |t| t.pipeline.decoding.sequence.gaps,
    );
    table.counter(
        "messages_late_total",
        "Messages that arrived out of order and filled a gap.",
        |t| t.pipeline.decoding.sequence.late,
    );
    table.counter(
        "messages_old_total",
        "Messages older than any gap: duplicates, very late ones, or the first of a restarted exporter.",
        |t| t.pipeline.decoding.sequence.old,
    );
    table.counter(
        "exporters_restarted_total",
        "Restarts of exporters, by their sequence numbers or uptime.",
        |t| t.pipeline.decoding.sequence.restarts,
    );
}

fn options_data(table: &mut Declarations<'_, Totals>) {
    table.counter(
        "sampling_unknown_total",
        "Data Records that name an unknown sampler, whose samplers contradict each other, or whose interval is above 16777215. They count as if not sampled.",
        |t| t.pipeline.decoding.records_of_unknown_sampling,
    );
    table.counter(
        "sampling_ignored_total",
        "Options records that announce sampling in a way that is not understood.",
        |t| t.pipeline.decoding.announcements_ignored,
    );
    table.gauge(
        "metadata_entries",
        "Interface names, application names and element types learned from options data.",
        |t| t.pipeline.occupancy.metadata_entries,
    );
    table.counter(
        "metadata_refused_total",
        "Names, types and samplers in options data that were not learned: max_metadata was reached, or a type has the name of another element.",
        |t| t.pipeline.decoding.metadata_refused,
    );
    table.gauge(
        "names_bytes",
        "Bytes of the host names that records have.",
        |t| t.pipeline.occupancy.names_octets,
    );
    table.counter_of(
        "names_refused_total",
        "Host names in records that were not used, by reason: invalid (not a host name) or no_room.",
        "reason",
        [
            ("invalid", |t| t.pipeline.decoding.names_invalid),
            ("no_room", |t| t.pipeline.decoding.names_without_room),
        ],
    );
    table.gauge(
        "running_totals",
        "Flows with a running total, of exporters that send no deltas.",
        |t| t.pipeline.occupancy.totals,
    );
    table.counter(
        "running_totals_forgotten_total",
        "Flows whose running total was forgotten because max_running_totals was reached; their next record counts as a whole.",
        |t| t.pipeline.decoding.totals_evicted,
    );
}
