//! Datagrams through a Collecting Process, and what must hold of its counts at any time.

use flowproto::collector::{
    CollectingProcess, Counters, Fields, Limits, Message, Occupancy, RecordSink, Unusable, Version,
};
use flowproto::exporter::{ExportSession, ExportSettings};
use flowproto::{FlowRecord, TrafficRecord};

use crate::input::BEGAN;
use crate::json;

/// Records as they came, and as JSON.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) records: Vec<FlowRecord>,
    pub(crate) lines: Vec<Vec<u8>>,
    /// The traffic of the next record.
    traffic: Option<TrafficRecord>,
}

impl RecordSink for Taken {
    fn message(&mut self, message: &Message<'_>) {
        assert!(message.exporter.ip() == message.exporter.ip().to_canonical());
    }

    fn record(&mut self, message: &Message<'_>, record: &FlowRecord, fields: Fields<'_>) {
        if matches!(message.version, Version::V1 | Version::V5 | Version::V7) {
            assert!(record.key.source_address.is_ipv4());
        }
        let mut line = vec![b'{'];
        fields.write_json(usize::MAX, &mut line);
        line.push(b'}');
        json::check(&line);
        if let Some(traffic) = self.traffic.take() {
            assert_eq!(traffic, traffic_of(record));
        }
        self.records.push(record.clone());
        self.lines.push(line);
    }

    fn takes_traffic(&self, _: bool) -> bool {
        true
    }

    fn traffic(&mut self, record: &TrafficRecord) -> bool {
        assert_eq!(self.traffic, None);
        self.traffic = Some(*record);
        false
    }
}

/// The traffic of a record that can be counted by it alone.
fn traffic_of(record: &FlowRecord) -> TrafficRecord {
    assert!(!record.is_biflow() && !record.is_continuation);
    assert_eq!((record.tunnel, record.translation), (None, None));
    assert_eq!(record.responder_name, None);
    assert!(record.exporter_address.is_unspecified());
    TrafficRecord {
        source_address: record.key.source_address,
        destination_address: record.key.destination_address,
        octet_delta_count: record.octet_delta_count,
        packet_delta_count: record.packet_delta_count,
        flow_start_milliseconds: record.flow_start_milliseconds,
        flow_end_milliseconds: record.flow_end_milliseconds,
        new_connection_delta_count: record.new_connection_delta_count,
        flow_direction: record
            .interfaces
            .and_then(|interfaces| interfaces.flow_direction),
        protocol_identifier: record.key.protocol_identifier,
        flow_end_reason: record.flow_end_reason,
        biflow_direction: record.biflow_direction,
        connection_sum_duration_seconds: record.connection_sum_duration_seconds,
        sampling: record.sampling,
        flow_sampling: record.flow_sampling,
    }
}

/// Takes records and forgets them.
pub(crate) struct NoSink;

impl RecordSink for NoSink {
    fn message(&mut self, _: &Message<'_>) {}
    fn record(&mut self, _: &Message<'_>, _: &FlowRecord, _: Fields<'_>) {}
}

/// Bounds that an input reaches at once.
pub(crate) const NARROW: Limits = Limits {
    domains: 2,
    templates_per_domain: 3,
    template_fields: 40,
    pending_octets: 1024,
    pending_milliseconds: 5000,
    metadata_entries: 4,
    totals: 3,
    exporters: 3,
    idle_milliseconds: 120_000,
    address_share: 50,
    template_sharing: true,
};

/// What was not used for a reason.
pub(crate) fn unusable(counters: &Counters, reason: Unusable) -> u64 {
    counters.unusable.get(reason)
}

/// Sizes are within their limits.
pub(crate) fn check_sizes(sizes: &Occupancy, limits: &Limits) {
    assert!(sizes.domains <= limits.domains, "{sizes:?}");
    assert!(sizes.templates <= sizes.domains * limits.templates_per_domain);
    assert!(sizes.templates <= sizes.template_fields, "{sizes:?}");
    assert!(sizes.template_fields <= limits.template_fields, "{sizes:?}");
    assert!(sizes.pending_octets <= limits.pending_octets, "{sizes:?}");
    assert_eq!(sizes.pending_sets == 0, sizes.pending_octets == 0);
    assert!(
        sizes.metadata_entries <= limits.metadata_entries,
        "{sizes:?}"
    );
    assert!(sizes.totals <= limits.totals, "{sizes:?}");
}

/// What holds of every Collecting Process after every datagram. `roomy`: its bounds are not
/// reached.
pub(crate) fn check(process: &CollectingProcess, limits: &Limits, roomy: bool) {
    let (counters, sizes) = (process.counters(), process.occupancy());
    check_sizes(&sizes, limits);
    // Held = released + given up + still there.
    let held = number(sizes.pending_sets);
    let given_up = counters.sets_held - counters.sets_released - held;
    let unknown = unusable(counters, Unusable::UnknownTemplate);
    if roomy {
        assert_eq!(given_up, unknown, "{counters:?} {sizes:?}");
    } else {
        assert!(given_up <= unknown, "{counters:?} {sizes:?}");
    }
    // Every template that is known was read, and not yet withdrawn or forgotten.
    let gone = counters.templates_withdrawn + counters.templates_idle;
    assert!(counters.templates >= number(sizes.templates) + gone);
    let mut sum = Counters::default();
    let mut domains = 0;
    for domain in process.domains() {
        sum.records += domain.records;
        sum.records_of_unknown_sampling += domain.records_of_unknown_sampling;
        sum.announcements_ignored += domain.announcements_ignored;
        sum.sets_of_shared_templates += domain.sets_of_shared_templates;
        sum.sequence.add(domain.sequence);
        domains += 1;
    }
    assert!(domains <= limits.exporters);
    assert!(sum.records <= counters.records);
    // What those count that have counts of their own is all there is.
    if domains < limits.exporters {
        let expected = Counters {
            records: counters.records,
            records_of_unknown_sampling: counters.records_of_unknown_sampling,
            announcements_ignored: counters.announcements_ignored,
            sets_of_shared_templates: counters.sets_of_shared_templates,
            sequence: counters.sequence,
            ..Counters::default()
        };
        assert_eq!(sum, expected);
    }
    let traced: u64 = process
        .unusable_by_exporter()
        .map(|(.., count)| count)
        .sum();
    assert_eq!(traced, counters.unusable.total());
    // Each datagram was a Message, or has a reason.
    let messages: u64 = counters.messages.values().sum();
    let not_even_one =
        unusable(counters, Unusable::Truncated) + unusable(counters, Unusable::UnknownVersion);
    assert!(messages + not_even_one >= counters.datagrams);
}

/// Nothing of a connection is left when it is closed. Names are removed when their room is needed.
pub(crate) fn check_empty(sizes: Occupancy) {
    let left = Occupancy {
        totals: 0,
        names_octets: 0,
        ..sizes
    };
    assert_eq!(left, Occupancy::default());
}

/// The Messages of one session for these records.
pub(crate) fn exported(records: &[FlowRecord]) -> Vec<Vec<u8>> {
    let mut session = ExportSession::new(ExportSettings::default());
    let mut messages = Vec::new();
    for record in records {
        let added = session.add(record, BEGAN, &mut |m| messages.push(m.octets.to_vec()));
        added.expect("IPFIX carries every record");
    }
    session.flush(BEGAN, &mut |m| messages.push(m.octets.to_vec()));
    messages
}

/// The records of datagrams that nothing is wrong with.
pub(crate) fn decoded(datagrams: &[Vec<u8>]) -> Vec<FlowRecord> {
    let mut process = CollectingProcess::new(Limits::default());
    let mut taken = Taken::default();
    for datagram in datagrams {
        let exporter = "192.0.2.1:4000".parse().unwrap();
        process.receive(exporter, datagram, BEGAN, &mut taken);
    }
    assert_eq!(process.counters().unusable.total(), 0);
    taken.records
}

pub(crate) fn number(size: usize) -> u64 {
    size.try_into().unwrap()
}
