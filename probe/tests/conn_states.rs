//! The states, initiators, durations and octets of TCP connections, in the order of the values of
//! `conn_state` that Zeek documents.
#![allow(clippy::unwrap_used, reason = "test code")]

mod packets;

use flowproto::FlowRecord;
use flowproto::record::BiflowDirection;
use flowproto::tcp::ConnectionState::{self, *};
use packets::meter::*;
use packets::*;

/// A segment without payload: time in milliseconds, direction, sequence number, flags.
type Segment = (u64, bool, u32, u8);

const OPEN: Segment = (0, FORWARD, 1, SYN);
const ACCEPT: Segment = (10, REVERSE, 9, SYN | ACK);
const CONFIRM: Segment = (20, FORWARD, 2, ACK);
const CLIENT_FIN: Segment = (30, FORWARD, 2, FIN | ACK);
const SERVER_FIN: Segment = (40, REVERSE, 10, FIN | ACK);
const LAST: Segment = (50, FORWARD, 3, ACK);
const CLIENT_RST: Segment = (30, FORWARD, 2, RST | ACK);
const SERVER_RST: Segment = (40, REVERSE, 10, RST | ACK);

/// Octets of a segment, with the IP header.
const SEGMENT_OCTETS: u64 = 40;

/// The state, whether the client is known to be the initiator, and the duration in milliseconds.
type Reported = (ConnectionState, bool, u64);

fn records(segments: &[Segment]) -> Vec<FlowRecord> {
    let mut meter = Meter::new(cache_settings());
    for (ms, forward, sequence, flags) in segments {
        meter.tcp(*ms, *forward, *sequence, *flags);
    }
    meter.finish()
}

fn reported(records: &[FlowRecord]) -> Reported {
    let states = records.iter().map(|record| record.tcp_connection_state);
    let is_by_client = |record: &FlowRecord| {
        let of_initiator = if record.key.source_port == PORTS.0 {
            BiflowDirection::Initiator
        } else {
            BiflowDirection::ReverseInitiator
        };
        record.biflow_direction == Some(of_initiator)
    };
    let durations = records
        .iter()
        .map(|record| record.connection_sum_duration_milliseconds);
    (
        states.fold(
            Unknown,
            |found, state| {
                if state == Unknown { found } else { state }
            },
        ),
        records.iter().all(is_by_client),
        durations.sum(),
    )
}

#[test]
fn every_conn_state_has_the_state_of_the_table_in_the_documentation() {
    let rows: [(&str, &[Segment], Reported); 15] = [
        (
            "S0",
            &[OPEN, (3000, FORWARD, 1, SYN)],
            (Unanswered, true, 3000),
        ),
        ("S1", &[OPEN, ACCEPT, CONFIRM], (Open, true, 20)),
        (
            "SF",
            &[OPEN, ACCEPT, CONFIRM, CLIENT_FIN, SERVER_FIN, LAST],
            (Closed, true, 50),
        ),
        (
            "REJ",
            &[OPEN, (5, REVERSE, 0, RST | ACK)],
            (Refused, true, 5),
        ),
        ("S2", &[OPEN, ACCEPT, CONFIRM, CLIENT_FIN], (Open, true, 30)),
        ("S3", &[OPEN, ACCEPT, CONFIRM, SERVER_FIN], (Open, true, 40)),
        (
            "RSTO",
            &[OPEN, ACCEPT, CONFIRM, CLIENT_RST],
            (ResetByInitiator, true, 30),
        ),
        (
            "RSTR",
            &[OPEN, ACCEPT, CONFIRM, SERVER_RST],
            (ResetByResponder, true, 40),
        ),
        (
            "RSTOS0",
            &[OPEN, (30, FORWARD, 2, RST)],
            (ResetByInitiator, true, 30),
        ),
        ("RSTRH", &[ACCEPT, SERVER_RST], (ResetByResponder, true, 30)),
        // The responder still has an earlier connection, which the initiator resets before it
        // repeats the SYN (RFC 9293 §3.5.1, figure 9).
        (
            "S1 after a half-open connection",
            &[
                OPEN,
                (5, REVERSE, 0xf000_0000, ACK),
                (6, FORWARD, 0xe000_0000, RST),
                (1000, FORWARD, 1, SYN),
                (1010, REVERSE, 9, SYN | ACK),
                (1020, FORWARD, 2, ACK),
            ],
            (Open, true, 1020),
        ),
        ("SH", &[OPEN, (30, FORWARD, 2, FIN)], (Unanswered, true, 30)),
        (
            "SH with an acknowledgment",
            &[OPEN, (30, FORWARD, 2, FIN | ACK)],
            (Open, true, 30),
        ),
        ("SHR", &[ACCEPT, SERVER_FIN], (Open, true, 30)),
        ("OTH", &[CONFIRM, SERVER_RST], (Unknown, false, 0)),
    ];
    for (conn_state, segments, expected) in rows {
        let records = records(segments);
        assert_eq!(reported(&records), expected, "{conn_state}");
        // All octets of both directions, and of nothing else.
        for forward in [true, false] {
            let sent = segments.iter().filter(|segment| segment.1 == forward);
            let port = if forward { PORTS.0 } else { PORTS.1 };
            let own = records.iter().filter(|r| r.key.source_port == port);
            let octets: u64 = own.map(|record| record.octet_delta_count).sum();
            let expected = u64::try_from(sent.count()).unwrap() * SEGMENT_OCTETS;
            assert_eq!(octets, expected, "{conn_state}");
        }
    }
}
