//! Datagrams of some exporters, while time passes.

use flowproto::FlowRecord;
use flowproto::collector::{CollectingProcess, Counters, Limits, State};

use crate::decoding::{self, NARROW, Taken, number};
use crate::input::{BEGAN, chunks};
use crate::records::{canonical, same_flow};

/// Datagrams into a Collecting Process: octets and datagrams are accounted for, sizes are within
/// their limits at every step, the result is deterministic, every record is valid JSON, and a
/// record does not change after its first export. The first octet selects the limits.
pub(crate) fn messages(data: &[u8]) {
    let Some((bounds, data)) = data.split_first() else {
        return;
    };
    let is_roomy = bounds & 1 == 0;
    let limits = if is_roomy { Limits::default() } else { NARROW };
    let once = receive(&limits, is_roomy, data);
    let again = receive(&limits, is_roomy, data);
    assert_eq!(once, again);
    survives_export(&once.1.records);
}

fn receive(limits: &Limits, is_roomy: bool, data: &[u8]) -> (Counters, Taken) {
    let mut process = CollectingProcess::new(*limits);
    let mut taken = Taken::default();
    let (mut now, mut datagrams, mut octets) = (BEGAN, 0, 0);
    for chunk in chunks(data) {
        now += chunk.step();
        process.receive(chunk.exporter(), chunk.octets, now, &mut taken);
        datagrams += 1;
        octets += number(chunk.octets.len());
        let counters = process.counters();
        assert_eq!((counters.datagrams, counters.octets), (datagrams, octets));
        assert_eq!(counters.records, number(taken.records.len()));
        decoding::check(&process, limits, is_roomy);
        if chunk.ticks() {
            process.expire(now);
            decoding::check(&process, limits, is_roomy);
        }
    }
    process.expire(now);
    survives_a_restart(&process, limits, is_roomy, now);
    assert!(State::from_octets(data, now, u64::MAX).is_err());
    process.expire(u64::MAX);
    assert_eq!(process.occupancy().pending_sets, 0);
    decoding::check(&process, limits, is_roomy);
    (*process.counters(), taken)
}

/// The state is restored as it was saved, as far as there is room.
fn survives_a_restart(process: &CollectingProcess, limits: &Limits, is_roomy: bool, now: u64) {
    let octets = process.state(now).to_octets(BEGAN);
    let state = State::from_octets(&octets, BEGAN, 0).expect("it was written by us");
    let mut restored = CollectingProcess::new(*limits);
    restored.restore(&state, now);
    decoding::check_sizes(&restored.occupancy(), limits);
    let (before, after) = (process.occupancy(), restored.occupancy());
    if is_roomy {
        assert_eq!(
            (after.domains, after.templates),
            (before.domains, before.templates)
        );
    }
    assert!(
        after.metadata_entries <= before.metadata_entries,
        "{after:?} {before:?}"
    );
    // Once more changes nothing.
    let again = restored.state(now).to_octets(BEGAN);
    let again = State::from_octets(&again, BEGAN, 0).expect("it was written by us");
    assert_eq!(again.sessions(), after.domains);
}

/// Export is a projection: further exports do not change a record, and the first one keeps flow
/// key, counters and times.
fn survives_export(records: &[FlowRecord]) {
    let once = decoding::decoded(&decoding::exported(records));
    assert_eq!(once.len(), records.len());
    for (before, after) in records.iter().zip(&once) {
        same_flow(before, after);
    }
    let twice = decoding::decoded(&decoding::exported(&once));
    for (once, twice) in once.iter().zip(&twice) {
        assert_eq!(canonical(once), canonical(twice));
    }
    assert_eq!(once, twice);
}
