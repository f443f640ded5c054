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
    // Start and end are known or unknown independently. Flows may have begun long ago, and clocks
    // may differ.
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
fn times_of_the_reverse_direction_have_every_unit_of_the_forward_ones() {
    /// Octets 0 to 3 of an NTP timestamp count seconds since 1900.
    const NTP_EPOCH: u64 = 2_208_988_800;
    let ntp = |time: u64| (time / 1000 + NTP_EPOCH) << 32 | 1 << 31;
    // A start at the beginning of a second, ten seconds before the export, and an end four seconds
    // later.
    let start = EXPORTED / 1000 * 1000 - 10_000;
    let end = start + 4000;
    let offset = |time: u64| (EXPORTED - time) * 1000;
    for (fields, expected) in [
        ([(152, start, 8), (153, end, 8)], [start, end]),
        ([(150, start / 1000, 4), (151, end / 1000, 4)], [start, end]),
        (
            [(154, ntp(start), 8), (155, ntp(end), 8)],
            [start + 500, end + 500],
        ),
        (
            [(156, ntp(start), 8), (157, ntp(end), 8)],
            [start + 500, end + 500],
        ),
        (
            [(158, offset(start), 4), (159, offset(end), 4)],
            [start, end],
        ),
        // No NTP timestamp has four octets.
        ([(154, 1, 4), (151, end / 1000, 4)], [0, end]),
        // Units are mixed, and the finest one counts.
        ([(150, start / 1000, 4), (153, end, 8)], [start, end]),
        ([(150, 1, 4), (152, start, 8)], [start, 0]),
    ] {
        let mut e = exporter();
        let specifiers = fields.map(|(id, _, length)| (29305, id, u16::try_from(length).unwrap()));
        let values = fields.map(|(_, value, length)| (value, length));
        let data = numbers(&values);
        e.send(&ipfix(
            0,
            &[(2, template_of(300, &specifiers)), (300, data)],
        ));
        let record = &e.taken.records[0];
        let times = [
            record.reverse_flow_start_milliseconds,
            record.reverse_flow_end_milliseconds,
        ];
        assert_eq!(times, expected, "{fields:?}");
    }
    // Up times count from the initialization time of the record.
    let mut e = exporter();
    let template = template_of(300, &[(29305, 22, 4), (29305, 21, 4), (0, 160, 8)]);
    let data = numbers(&[(7000, 4), (9000, 4), (start - 7000, 8)]);
    e.send(&ipfix(0, &[(2, template), (300, data)]));
    let record = &e.taken.records[0];
    assert_eq!(record.reverse_flow_start_milliseconds, start);
    assert_eq!(record.reverse_flow_end_milliseconds, start + 2000);
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
