//! The Messages that an Exporting Process sends: when it sends templates, and the octets of a
//! record.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "test code"
)]

use flowproto::exporter::{ExportSession, ExportSettings, OutgoingMessage};
use flowproto::record::{BiflowDirection, FlowEndReason, FlowKey};
use flowproto::{Address, FlowRecord};

const NOW: u64 = 1_700_000_000_000;

fn session() -> ExportSession {
    ExportSession::new(ExportSettings::default())
}

/// The Messages of a record.
fn sent(session: &mut ExportSession, record: &FlowRecord) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    let mut send = |m: OutgoingMessage<'_>| messages.push(m.octets.to_vec());
    session.add(record, NOW, &mut send).unwrap();
    session.flush(NOW, &mut send);
    messages
}

#[test]
fn templates_are_resent_after_a_time_and_after_a_number_of_messages() {
    let mut session = ExportSession::new(ExportSettings {
        template_refresh_messages: 3,
        ..ExportSettings::default()
    });
    // Templates have a Message of their own, and options data the next four.
    let flush = |session: &mut ExportSession, now| {
        let mut templates = Vec::new();
        session.flush(now, &mut |m| templates.push(m.octets[16..18] == [0, 2]));
        templates
    };
    let all = [true, false, false, false, false];
    assert_eq!(flush(&mut session, NOW), all);
    assert_eq!(flush(&mut session, NOW + 59_999), [false; 0]);
    assert_eq!(flush(&mut session, NOW + 60_000), all);
    let mut with_templates = Vec::new();
    for _ in 0..4 {
        let mut send = |m: OutgoingMessage<'_>| with_templates.push(m.octets[16..18] == [0, 2]);
        session
            .add(&FlowRecord::default(), NOW + 60_001, &mut send)
            .unwrap();
        session.flush(NOW + 60_001, &mut send);
    }
    // Three Messages with records, and before the fourth one templates and options data.
    let expected = [false, false, false, true, false, false, false, false, false];
    assert_eq!(with_templates, expected);
}

#[test]
fn a_clock_that_was_set_back_does_not_put_the_templates_off() {
    let mut session = session();
    let mut sent = 0;
    for now in [10_000_000, 10_000_001, 1_000_000] {
        session.flush(now, &mut |_| sent += 1);
    }
    assert_eq!(sent, 10);
}

#[test]
fn an_ipv4_record_is_this_octet_for_octet() {
    let record = FlowRecord {
        key: FlowKey {
            source_address: Address::from_v4_bits(0x0a01_010a),
            destination_address: Address::from_v4_bits(0x0a01_020b),
            source_port: 0xc000,
            destination_port: 443,
            protocol_identifier: 6,
        },
        octet_delta_count: 0x0102,
        packet_delta_count: 3,
        flow_start_milliseconds: 0x11,
        flow_end_milliseconds: 0x12,
        tcp_control_bits: 0x1b,
        ip_class_of_service: 0xb8,
        flow_end_reason: FlowEndReason::EndOfFlowDetected,
        biflow_direction: Some(BiflowDirection::Initiator),
        new_connection_delta_count: Some(1),
        connection_sum_duration_seconds: Some(9),
        ..FlowRecord::default()
    };
    let datagram = sent(&mut session(), &record).pop().unwrap();
    #[rustfmt::skip]
    let expected = [
        4, 0, 0, 65,                     // Set 1024, length 4 + 61
        10, 1, 1, 10, 10, 1, 2, 11,      // sourceIPv4Address, destinationIPv4Address
        0xc0, 0, 1, 187,                 // sourceTransportPort, destinationTransportPort
        6, 0xb8, 0x1b, 3, 1,             // protocol, class of service, flags, end reason, biflowDirection
        0, 0,                            // vlanId
        0, 0, 0, 0, 0, 0, 1, 2,          // octetDeltaCount
        0, 0, 0, 0, 0, 0, 0, 3,          // packetDeltaCount
        0, 0, 0, 0, 0, 0, 0, 0x11,       // flowStartMilliseconds
        0, 0, 0, 0, 0, 0, 0, 0x12,       // flowEndMilliseconds
        0, 0, 0, 1,                      // newConnectionDeltaCount
        0, 0, 0, 9,                      // connectionSumDurationSeconds
        0, 0,                            // icmpTypeCodeIPv4
    ];
    assert_eq!(datagram[datagram.len() - expected.len()..], expected);
    assert_eq!(
        datagram[..4],
        [0, 10, (datagram.len() >> 8) as u8, datagram.len() as u8]
    );
}
