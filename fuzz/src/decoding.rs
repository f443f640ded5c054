//! Datagrams through a Collecting Process, and what must hold of its counts at any time.

use flowproto::FlowRecord;
use flowproto::collector::{
    CollectingProcess, Counters, Limits, Message, Occupancy, RecordSink, Unusable, Version,
};
use flowproto::exporter::{ExportSession, ExportSettings};
use flowproto::template::Fields;

use crate::input::BEGAN;
use crate::json;

/// Records as they came, and as JSON.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) records: Vec<FlowRecord>,
    pub(crate) lines: Vec<Vec<u8>>,
}

impl RecordSink for Taken {
    fn message(&mut self, message: &Message<'_>) {
        assert!(message.exporter.ip() == message.exporter.ip().to_canonical());
    }

    fn record(&mut self, message: &Message<'_>, record: &FlowRecord, fields: Fields<'_>) {
        if matches!(message.version, Version::V5 | Version::V7) {
            assert!(record.key.source_address.is_ipv4());
        }
        let mut line = vec![b'{'];
        fields.write_json(&mut line);
        line.push(b'}');
        json::check(&line);
        self.records.push(record.clone());
        self.lines.push(line);
    }
}

/// Takes records and forgets them.
pub(crate) struct Nobody;

impl RecordSink for Nobody {
    fn message(&mut self, _: &Message<'_>) {}
    fn record(&mut self, _: &Message<'_>, _: &FlowRecord, _: Fields<'_>) {}
}

/// Bounds that an input reaches at once.
pub(crate) const NARROW: Limits = Limits {
    domains: 2,
    templates_per_domain: 3,
    held_octets: 1024,
    held_milliseconds: 5000,
    words: 4,
    totals: 3,
    idle_milliseconds: 120_000,
};

/// What was not used for a reason.
pub(crate) fn unusable(counters: &Counters, reason: Unusable) -> u64 {
    let at = Unusable::ALL.iter().position(|r| *r == reason).unwrap();
    counters.unusable[at]
}

/// What holds of every Collecting Process after every datagram. `roomy`: its bounds are not reached.
pub(crate) fn check(process: &CollectingProcess, limits: &Limits, roomy: bool) {
    let (counters, sizes) = (process.counters(), process.occupancy());
    assert!(sizes.domains <= limits.domains, "{sizes:?}");
    assert!(sizes.templates <= sizes.domains * limits.templates_per_domain);
    assert!(sizes.held_octets <= limits.held_octets, "{sizes:?}");
    assert_eq!(sizes.held_sets == 0, sizes.held_octets == 0);
    assert!(sizes.words <= limits.words, "{sizes:?}");
    assert!(sizes.totals <= limits.totals, "{sizes:?}");
    // Held = released + given up + still there.
    let held = number(sizes.held_sets);
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
    let mut records = 0;
    let mut domains = 0;
    for domain in process.domains() {
        records += domain.records;
        domains += 1;
    }
    assert_eq!(domains, sizes.domains);
    assert!(records <= counters.records);
    let forgotten = counters.domains_crowded_out + counters.domains_idle;
    // Records of closed connections are not part of the sums.
    if forgotten == 0 && domains > 0 {
        assert_eq!(records, counters.records);
    }
    // Each datagram was a Message, or has a reason.
    let messages: u64 = counters.messages.iter().sum();
    let not_even_one =
        unusable(counters, Unusable::Truncated) + unusable(counters, Unusable::UnknownVersion);
    assert!(messages + not_even_one >= counters.datagrams);
}

/// Nothing of a connection is left when it is closed.
pub(crate) fn check_empty(sizes: Occupancy) {
    let left = Occupancy { totals: 0, ..sizes };
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
    assert_eq!(process.counters().unusable, [0; Unusable::ALL.len()]);
    taken.records
}

pub(crate) fn number(size: usize) -> u64 {
    size.try_into().unwrap()
}
