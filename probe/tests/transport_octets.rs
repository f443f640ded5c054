//! Octets behind the transport header (401): those of TCP, however its stream is cut.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod packets;

use flowproto::FlowRecord;
use flowproto::protocol::{ICMP, TCP};
use kipfix_probe::cache::CacheSettings;
use kipfix_probe::capture::frame::ObservationPoint;
use kipfix_probe::pipeline::Pipeline;
use packets::meter::*;
use packets::*;

const MSS: u16 = 1460;
/// Octets of data that the client sends.
const SENT: u32 = 150_000;

/// The records of a connection whose client sends [`SENT`] octets in captured packets of this size,
/// and whose server acknowledges each of them.
fn records(settings: CacheSettings, size: u32) -> Vec<FlowRecord> {
    let mut meter = Meter::new(settings);
    let back = (PORTS.1, PORTS.0);
    meter.packet(0, FORWARD, TCP, &tcp_syn(PORTS, (100, 0), SYN, MSS));
    meter.packet(1, REVERSE, TCP, &tcp_syn(back, (900, 101), SYN | ACK, MSS));
    meter.packet(2, FORWARD, TCP, &tcp(PORTS, (101, 901), ACK, &[]));
    let mut sent = 0;
    while sent < SENT {
        let octets = size.min(SENT - sent);
        let data = vec![7; usize::try_from(octets).unwrap()];
        meter.packet(3, FORWARD, TCP, &tcp(PORTS, (101 + sent, 901), ACK, &data));
        sent += octets;
        meter.packet(4, REVERSE, TCP, &tcp(back, (901, 101 + sent), ACK, &[]));
    }
    meter.finish()
}

#[test]
fn super_packets_have_the_same_octets_as_their_segments_but_other_headers() {
    let of = |size| records(cache_settings(), size);
    let [joined, split] = [43 * u32::from(MSS), u32::from(MSS)].map(of);
    for records in [&joined, &split] {
        assert_eq!(
            records[0].transport_octet_delta_count,
            Some(u64::from(SENT))
        );
        // Acknowledgments without data.
        assert_eq!(records[1].transport_octet_delta_count, Some(0));
    }
    assert_ne!(joined[0].octet_delta_count, split[0].octet_delta_count);
}

#[test]
fn the_octets_depend_neither_on_tcp_health_nor_on_biflow() {
    let without_health = CacheSettings {
        tcp_health: false,
        ..cache_settings()
    };
    let octets = records(without_health, 1000)[0].transport_octet_delta_count;
    assert_eq!(octets, Some(u64::from(SENT)));
    let biflow = CacheSettings {
        biflow: true,
        ..cache_settings()
    };
    let records = records(biflow, 1000);
    let [record] = records.as_slice() else {
        panic!("{records:?}");
    };
    assert_eq!(record.transport_octet_delta_count, Some(u64::from(SENT)));
    assert_eq!(record.reverse_transport_octet_delta_count, Some(0));
}

#[test]
fn octets_that_are_sent_again_count_again_and_a_record_begins_at_0() {
    let mut meter = Meter::new(cache_settings());
    let segment = tcp(PORTS, (101, 1), ACK, &[1; 300]);
    meter.packet(0, FORWARD, TCP, &segment);
    meter.packet(400, FORWARD, TCP, &segment);
    meter.tick(20_000);
    meter.packet(30_000, FORWARD, TCP, &tcp(PORTS, (401, 1), ACK, &[1; 20]));
    let records = meter.finish();
    let octets = records.iter().map(|r| r.transport_octet_delta_count);
    assert_eq!(octets.collect::<Vec<_>>(), [Some(600), Some(20)]);
}

#[test]
fn other_protocols_have_none() {
    let mut meter = Meter::new(cache_settings());
    meter.udp(0, FORWARD);
    meter.packet(1, FORWARD, ICMP, &[8, 0, 0, 0, 0, 1, 0, 1]);
    let records = meter.finish();
    assert_eq!(records.len(), 2);
    let has_none = |record: &FlowRecord| record.transport_octet_delta_count.is_none();
    assert!(records.iter().all(has_none));
}

#[test]
fn fragments_have_the_octets_of_their_packet() {
    let segment = tcp(PORTS, (101, 1), ACK, &[9; 1000]);
    let fragment = |flags_offset: u16, payload: &[u8]| {
        ethernet(
            0x0800,
            &ipv4_fragment(TCP, CLIENT, SERVER, 5, flags_offset, payload),
        )
    };
    // Offsets in units of 8 octets. The last two fragments arrive in reverse order.
    let frames = [
        fragment(0x2000, &segment[..512]),
        fragment(96, &segment[768..]),
        fragment(0x2000 | 64, &segment[512..768]),
    ];
    let mut pipeline = Pipeline::new(pipeline_settings(cache_settings()));
    let mut records = Records::default();
    for captured in &frames {
        let frame = frame(captured, BASE * 1_000_000);
        pipeline.frame(&frame, ObservationPoint::default(), &mut records);
    }
    pipeline.finish(&mut records);
    let [record] = records.0.as_slice() else {
        panic!("{:?}", records.0);
    };
    assert_eq!(record.transport_octet_delta_count, Some(1000));
    assert_eq!(record.octet_delta_count, 3 * 20 + 1020);
}

#[test]
fn a_header_that_was_not_captured_has_no_octets() {
    let captured = ethernet(
        0x0800,
        &ipv4(TCP, CLIENT, SERVER, &tcp(PORTS, (1, 1), ACK, &[0; 100])),
    );
    let mut frame = frame(&captured, SECOND);
    let octets = |cut: usize| {
        frame.captured = &captured[..cut];
        decoder().decode(&frame, false).unwrap().transport_octets()
    };
    assert_eq!([38, 48, 154].map(octets), [0, 100, 100]);
}
