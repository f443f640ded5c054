//! Times of flows that no flow of an export can have.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod exporter;

use exporter::{EXPORTED, Header, exporter, ipfix, numbers, record, template, template_of};
use flowproto::FlowRecord;

#[test]
fn times_that_flows_of_an_export_cannot_have_are_not_known() {
    const DAY: u64 = 86_400_000;
    let times = |record: FlowRecord| (record.flow_start_milliseconds, record.flow_end_milliseconds);
    let ones = u64::MAX;
    let seconds = u64::from(u32::MAX);
    for (version, fields) in [
        (10, [(152, ones, 8), (153, ones, 8)]),
        (9, [(150, seconds, 4), (151, seconds, 4)]),
        (10, [(154, ones, 8), (155, ones, 8)]),
        (10, [(156, ones, 8), (157, ones, 8)]),
        // Seconds in place of milliseconds, and the uptime of the exporter in place of a time.
        (
            10,
            [(152, EXPORTED / 1000 - 9, 8), (153, EXPORTED / 1000, 8)],
        ),
        (9, [(150, 3600, 4), (151, 3605, 4)]),
        // A clock ahead of that of the header.
        (
            10,
            [(152, EXPORTED + 2 * DAY, 8), (153, EXPORTED + 2 * DAY, 8)],
        ),
    ] {
        assert_eq!(
            times(record(version, &fields)),
            (0, 0),
            "{version} {fields:?}"
        );
    }
    // Start and end are known or unknown independently. Flows may have begun long ago, and clocks may differ.
    for (start, end) in [
        (EXPORTED - 400 * DAY, EXPORTED),
        (EXPORTED - 1000, EXPORTED + DAY / 2),
    ] {
        let fields = [(152, start, 8), (153, end, 8)];
        assert_eq!(times(record(10, &fields)), (start, end));
    }
    assert_eq!(
        times(record(10, &[(152, 5000, 8), (153, EXPORTED, 8)])),
        (0, EXPORTED)
    );
    // The reverse direction.
    let mut e = exporter();
    let template = template_of(300, &[(29305, 152, 8), (29305, 153, 8)]);
    let data = numbers(&[(EXPORTED, 8), (ones, 8)]);
    e.send(&ipfix(0, &[(2, template), (300, data)]));
    let reverse = e.taken.records.remove(0);
    assert_eq!(reverse.reverse_flow_start_milliseconds, EXPORTED);
    assert_eq!(reverse.reverse_flow_end_milliseconds, 0);
}

#[test]
fn times_of_an_exporter_whose_clock_is_not_set_are_those_of_its_clock() {
    let mut message = ipfix(
        0,
        &[
            (2, template(300, &[(152, 8), (153, 8)])),
            (300, numbers(&[(3_600_000, 8), (3_605_000, 8)])),
        ],
    );
    message[4..8].copy_from_slice(&3610_u32.to_be_bytes());
    let mut e = exporter();
    e.send(&message);
    let record = &e.taken.records[0];
    assert_eq!(
        (record.flow_start_milliseconds, record.flow_end_milliseconds),
        (3_600_000, 3_605_000)
    );
}

#[test]
fn an_uptime_of_0_is_not_filled_in_if_the_exporter_has_been_up_for_longer_than_a_day() {
    for (up_time, is_known) in [(100_000, true), (86_400_000, true), (86_400_001, false)] {
        let mut e = exporter();
        let header = Header {
            up_time,
            ..Header::netflow9(1)
        };
        let sets = [
            (0, template(300, &[(22, 4), (21, 4)])),
            (300, numbers(&[(0, 4), (0, 4)])),
        ];
        e.send(&header.with(&sets));
        let expected = if is_known {
            EXPORTED - u64::from(up_time)
        } else {
            0
        };
        let record = e.taken.records.remove(0);
        let times = [record.flow_start_milliseconds, record.flow_end_milliseconds];
        assert_eq!(times, [expected; 2], "{up_time}");
        // IPFIX has the time of the start.
        let init = EXPORTED - u64::from(up_time);
        let fields = [(160, init, 8), (22, 0, 4), (21, 0, 4)];
        assert_eq!(times_of(&fields), [expected; 2], "{up_time}");
    }
}

/// Start and end of a record of IPFIX.
fn times_of(fields: &[(u16, u64, u16)]) -> [u64; 2] {
    let record = record(10, fields);
    [record.flow_start_milliseconds, record.flow_end_milliseconds]
}
