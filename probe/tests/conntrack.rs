//! Translations that the kernel reports: conversations that begin before and after the report, both
//! sides captured, relayed connections, and the end of a connection.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod packets;

use flowproto::record::BiflowDirection;
use flowproto::{FlowKey, FlowRecord};
use kipfix_probe::cache::CacheSettings;
use kipfix_probe::capture::conntrack::{ConntrackEvent, EventTime, TranslatedConnection, event};
use kipfix_probe::capture::frame::{CopyDetection, ObservationPoint};
use kipfix_probe::pipeline::Pipeline;
use kipfix_probe::translation::TranslationSource;
use packets::passages::{self, Ring, tcp_passages, udp_passages};
use packets::*;
use proptest::prelude::*;

const UPLINK: u32 = 2;
const TUNNEL: u32 = 4;
const BRIDGE: u32 = 5;
const START: u64 = 1_700_000_000 * SECOND;

/// Addresses and ports of a packet: a pod, the node, a remote server, a Service.
type Ends = ([u8; 4], u16, [u8; 4], u16);
const POD: Ends = ([10, 1, 1, 10], 4000, [203, 0, 113, 80], 443);
const MASQUERADED: Ends = ([198, 51, 100, 1], 61_000, [203, 0, 113, 80], 443);

fn key(ends: Ends, protocol: u8) -> FlowKey {
    FlowKey {
        source_address: v4(ends.0),
        destination_address: v4(ends.2),
        source_port: ends.1,
        destination_port: ends.3,
        protocol_identifier: protocol,
    }
}

fn connection(protocol: u8) -> TranslatedConnection {
    TranslatedConnection {
        original: key(POD, protocol),
        translated: key(MASQUERADED, protocol),
    }
}

struct Node {
    pipeline: Pipeline,
    records: Records,
    now: u64,
    /// The reports before this time were read.
    reported_ns: u64,
}

impl Node {
    fn new() -> Self {
        let mut pipeline = Pipeline::new(pipeline_settings(CacheSettings {
            translations: TranslationSource::Conntrack,
            ..cache_settings()
        }));
        let mut records = Records::default();
        pipeline.set_outside(&[UPLINK, TUNNEL]);
        pipeline.tick(START - 100 * SECOND, &mut records);
        Self {
            pipeline,
            records,
            now: START,
            reported_ns: START,
        }
    }

    fn report(&mut self, event: ConntrackEvent) {
        let time = EventTime {
            read_ns: self.now,
            after_ns: self.reported_ns,
        };
        self.pipeline.conntrack(event, time);
    }

    fn segment(&mut self, interface: u32, ends: Ends, numbers: (u32, u32), flags: u8) {
        let segment = tcp((ends.1, ends.3), numbers, flags, &[]);
        self.meter(
            interface,
            &ethernet(0x800, &ipv4(6, ends.0, ends.2, &segment)),
        );
    }

    fn datagram(&mut self, interface: u32, ends: Ends) {
        let datagram = udp(ends.1, ends.3, &[7; 20]);
        self.meter(
            interface,
            &ethernet(0x800, &ipv4(17, ends.0, ends.2, &datagram)),
        );
    }

    fn meter(&mut self, interface: u32, packet: &[u8]) {
        self.now += 10_000;
        let point = ObservationPoint {
            interface,
            copies: CopyDetection::ByInterface,
            ..ObservationPoint::default()
        };
        let frame = frame(packet, self.now);
        self.pipeline.frame(&frame, point, &mut self.records);
    }

    fn finish(mut self) -> Vec<FlowRecord> {
        self.pipeline.finish(&mut self.records);
        let cache = self.pipeline.counters().cache;
        let metered = cache.packets + cache.packets_corrected;
        assert_eq!(metered, cache.record_packets + cache.withdrawn_packets);
        self.records.0
    }
}

const fn reversed(ends: Ends) -> Ends {
    (ends.2, ends.3, ends.0, ends.1)
}

/// The addresses before translation, and the source after it, of each record.
fn sides(records: &[FlowRecord]) -> Vec<(FlowKey, Option<u16>)> {
    let translated = |record: &FlowRecord| record.translation.map(|t| t.post_napt_source_port);
    records
        .iter()
        .map(|record| (record.key, translated(record)))
        .collect()
}

#[test]
fn a_connection_from_before_the_probe_has_its_pod() {
    let mut node = Node::new();
    node.report(ConntrackEvent::Present(connection(6)));
    node.segment(UPLINK, MASQUERADED, (50, 70), ACK);
    node.segment(UPLINK, reversed(MASQUERADED), (70, 51), ACK);
    let records = node.finish();
    let mut found = sides(&records);
    found.sort_by_key(|(key, _)| key.source_port);
    assert_eq!(
        found,
        [
            (key(reversed(POD), 6), Some(443)),
            (key(POD, 6), Some(61_000)),
        ]
    );
}

#[test]
fn a_report_after_the_first_packet_translates_its_conversation() {
    let mut node = Node::new();
    node.segment(UPLINK, MASQUERADED, (50, 0), SYN);
    node.report(ConntrackEvent::Present(connection(6)));
    let records = node.finish();
    assert_eq!(sides(&records), [(key(POD, 6), Some(61_000))]);
}

#[test]
fn the_initiator_of_datagrams_is_that_of_the_kernel() {
    let mut node = Node::new();
    node.report(ConntrackEvent::Present(connection(17)));
    // The answer is read first.
    node.datagram(UPLINK, reversed(MASQUERADED));
    node.datagram(UPLINK, MASQUERADED);
    let records = node.finish();
    let request = records.iter().find(|r| r.key == key(POD, 17)).unwrap();
    assert_eq!(request.biflow_direction, Some(BiflowDirection::Initiator));
    assert_eq!(request.new_connection_delta_count, Some(1));
}

#[test]
fn one_of_two_captured_sides_is_metered() {
    for protocol in [6, 17] {
        let mut node = Node::new();
        node.report(ConntrackEvent::Present(connection(protocol)));
        for (interface, ends) in [(BRIDGE, POD), (UPLINK, MASQUERADED)] {
            if protocol == 6 {
                node.segment(interface, ends, (50, 0), SYN);
            } else {
                node.datagram(interface, ends);
            }
        }
        let records = node.finish();
        assert_eq!(sides(&records), [(key(POD, protocol), Some(61_000))]);
        assert_eq!(records[0].packet_delta_count, 1);
    }
}

#[test]
fn a_report_that_is_read_after_a_short_connection_has_ended_translates_it() {
    for (is_own, pod) in [(true, POD), (false, MASQUERADED)] {
        let mut node = Node::new();
        for (ends, numbers, flags) in [
            (MASQUERADED, (50, 0), SYN),
            (reversed(MASQUERADED), (70, 51), SYN | ACK),
            (MASQUERADED, (51, 71), FIN | ACK),
            (reversed(MASQUERADED), (71, 52), FIN | ACK),
        ] {
            node.segment(UPLINK, ends, numbers, flags);
        }
        // The report of a later connection with the same addresses and ports.
        node.reported_ns = if is_own { START } else { START + SECOND };
        node.report(ConntrackEvent::Present(connection(6)));
        let keys: Vec<FlowKey> = node.finish().iter().map(|record| record.key).collect();
        assert_eq!(keys, [key(pod, 6), key(reversed(pod), 6)]);
    }
}

#[test]
fn requests_between_two_translations_are_copies() {
    // A bridge with a filter of its own shows them, and the answers before all translations.
    let service = ([10, 1, 1, 10], 4000, [10, 96, 0, 10], 80);
    let (between, wire) = (POD, MASQUERADED);
    for is_reported_late in [false, true] {
        let report = ConntrackEvent::Present(TranslatedConnection {
            original: key(service, 6),
            translated: key(wire, 6),
        });
        let mut node = Node::new();
        if !is_reported_late {
            node.report(report);
        }
        node.segment(BRIDGE, between, (50, 0), SYN);
        node.segment(UPLINK, wire, (50, 0), SYN);
        node.segment(UPLINK, reversed(wire), (70, 51), SYN | ACK);
        node.segment(BRIDGE, reversed(service), (70, 51), SYN | ACK);
        if is_reported_late {
            node.report(report);
        }
        let records = node.finish();
        let keys = |key: FlowKey| records.iter().filter(move |record| record.key == key);
        assert_eq!(records.len(), 2, "{records:?}");
        assert_eq!(keys(key(service, 6)).count(), 1, "{records:?}");
        assert_eq!(keys(key(reversed(service), 6)).count(), 1, "{records:?}");
    }
}

#[test]
fn a_reset_after_the_end_of_a_connection_is_metered_on_one_side() {
    let mut node = Node::new();
    node.report(ConntrackEvent::Present(connection(6)));
    node.segment(UPLINK, MASQUERADED, (50, 70), RST);
    node.segment(BRIDGE, POD, (50, 70), RST);
    let records = node.finish();
    assert_eq!(sides(&records), [(key(POD, 6), Some(61_000))]);
}

#[test]
fn both_sides_of_a_relayed_connection_are_traffic_of_their_own() {
    // A NodePort whose pod is on another node.
    let (before, after) = (
        ([203, 0, 113, 80], 5000, [198, 51, 100, 1], 30_080),
        ([198, 51, 100, 1], 62_000, [10, 1, 2, 10], 8080),
    );
    let relayed = TranslatedConnection {
        original: key(before, 6),
        translated: key(after, 6),
    };
    for is_report_first in [true, false] {
        let mut node = Node::new();
        if is_report_first {
            node.report(ConntrackEvent::Present(relayed));
        }
        node.segment(UPLINK, before, (50, 0), SYN);
        node.segment(TUNNEL, after, (50, 0), SYN);
        node.report(ConntrackEvent::Present(relayed));
        let records = node.finish();
        let mut found = sides(&records);
        found.sort_by_key(|(key, _)| key.source_port);
        assert_eq!(found, [(key(before, 6), None), (key(after, 6), None)]);
    }
}

#[test]
fn a_connection_that_has_ended_does_not_translate_the_next_one() {
    let mut node = Node::new();
    node.report(ConntrackEvent::Present(connection(6)));
    node.segment(UPLINK, MASQUERADED, (50, 0), SYN);
    node.report(ConntrackEvent::Ended(connection(6)));
    node.segment(UPLINK, MASQUERADED, (900, 0), SYN);
    let records = node.finish();
    let expected = [(key(POD, 6), Some(61_000)), (key(MASQUERADED, 6), None)];
    assert_eq!(sides(&records), expected);
}

#[test]
fn a_connection_whose_end_was_lost_is_removed_by_the_next_reading_of_the_table() {
    let mut node = Node::new();
    let other = TranslatedConnection {
        original: key(([10, 1, 1, 11], 4000, [203, 0, 113, 80], 443), 6),
        translated: key(([198, 51, 100, 1], 61_001, [203, 0, 113, 80], 443), 6),
    };
    node.report(ConntrackEvent::Present(connection(6)));
    node.report(ConntrackEvent::Present(other));
    assert_eq!(node.pipeline.counters().translations_kept, 2);
    // Much longer than what is learned from packets is kept.
    node.now += 3600 * SECOND;
    node.pipeline.tick(node.now, &mut node.records);
    let began_ns = node.now;
    node.now += SECOND;
    node.report(ConntrackEvent::Present(other));
    node.report(ConntrackEvent::Complete { began_ns });
    let counters = node.pipeline.counters();
    assert_eq!(counters.translations_kept, 1);
    assert_eq!(
        (counters.translations.learned, counters.translations.expired),
        (2, 1)
    );
}

/// An attribute with its header.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len() + 4).unwrap();
    let mut octets = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    octets.extend(value);
    octets.resize(octets.len().next_multiple_of(4), 0);
    octets
}

const NESTED: u16 = 0x8000;

fn tuple(kind: u16, key: &FlowKey) -> Vec<u8> {
    let octets = |address: flowproto::Address| match address.to_ip() {
        std::net::IpAddr::V4(address) => address.octets().to_vec(),
        std::net::IpAddr::V6(address) => address.octets().to_vec(),
    };
    let first = if key.is_ipv4() { 1 } else { 3 };
    let addresses = [
        attribute(first, &octets(key.source_address)),
        attribute(first + 1, &octets(key.destination_address)),
    ];
    let protocol = [
        attribute(1, &[key.protocol_identifier]),
        attribute(2, &key.source_port.to_be_bytes()),
        attribute(3, &key.destination_port.to_be_bytes()),
    ];
    let parts = [
        attribute(1 | NESTED, &addresses.concat()),
        attribute(2 | NESTED, &protocol.concat()),
    ];
    attribute(kind | NESTED, &parts.concat())
}

/// The body of a message about a connection.
fn body(connection: &TranslatedConnection) -> Vec<u8> {
    let parts = [
        vec![2, 0, 0, 0],
        tuple(1, &connection.original),
        tuple(2, &connection.translated.reversed()),
        attribute(3, &[0; 4]),
    ];
    parts.concat()
}

#[test]
fn messages_of_the_kernel_are_read_and_untranslated_connections_are_skipped() {
    let v6 = |last: u16, port: u16| {
        let address: std::net::IpAddr = format!("2001:db8::{last}").parse().unwrap();
        (flowproto::Address::from(address), port)
    };
    let (source, destination) = (v6(1, 4000), v6(2, 53));
    let original = FlowKey {
        source_address: source.0,
        destination_address: destination.0,
        source_port: source.1,
        destination_port: destination.1,
        protocol_identifier: 17,
    };
    let over_ipv6 = TranslatedConnection {
        original,
        translated: FlowKey {
            source_address: v6(9, 0).0,
            source_port: 1024,
            ..original
        },
    };
    for connection in [connection(6), over_ipv6] {
        let body = body(&connection);
        let expected = ConntrackEvent::Present(connection);
        assert_eq!(event(0x100, &body), Some(expected));
        assert_eq!(event(0x102, &body), Some(ConntrackEvent::Ended(connection)));
        assert_eq!(event(0x101, &body), None);
        assert_eq!(event(16, &body), None);
    }
    let untranslated = TranslatedConnection {
        translated: original,
        original,
    };
    assert_eq!(event(0x100, &body(&untranslated)), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// The rings are read one after the other, so both sides of a short connection may be metered
    /// before its report is read.
    #[test]
    fn a_conversation_on_both_sides_is_counted_once_whenever_its_report_is_read(
        is_udp in any::<bool>(),
        gaps_us in prop::array::uniform8(0..12_000_u64),
        // Until the first ring is read, until the second one is, and until the next round.
        rounds in prop::collection::vec((0..30_000_u64, 0..30_000_u64, 100..60_000_u64), 1..12),
        is_uplink_first in any::<bool>(),
        delay_us in 0..20_000_u64,
    ) {
        let protocol = if is_udp { 17 } else { 6 };
        let mut rings = <[Ring; 2]>::default();
        let passages = if is_udp { udp_passages() } else { tcp_passages() };
        let mut time = START;
        let mut report_ns = None;
        for (packet, gap_us) in passages.iter().zip(gaps_us) {
            time += gap_us * 1000 + 60_000;
            report_ns.get_or_insert(time + delay_us * 1000);
            let frame = |(source, source_port, destination, port): Ends| {
                let ends = passages::Ends(source, source_port, destination, port);
                (packet.frame)(if packet.is_answer { ends.reversed() } else { ends })
            };
            let later = |is_later: bool| time + if is_later { 20_000 } else { 0 };
            let on_bridge = (later(packet.is_answer), BRIDGE, false, frame(POD));
            let on_uplink = (later(!packet.is_answer), UPLINK, false, frame(MASQUERADED));
            rings[0].0.push_back(on_bridge);
            rings[1].0.push_back(on_uplink);
        }
        rings.rotate_left(usize::from(is_uplink_first));
        let mut node = Node::new();
        let mut now = START;
        for (after_us, between_us, pause_us) in rounds.into_iter().chain([(0, 0, 10_000_000)]) {
            now += pause_us * 1000;
            if report_ns.take_if(|report_ns| *report_ns <= now).is_some() {
                node.now = now;
                node.report(ConntrackEvent::Present(connection(protocol)));
            }
            node.reported_ns = now;
            now += after_us * 1000;
            for ring in &mut rings {
                ring.read(now, |time, interface, _, packet| {
                    node.now = time - 10_000;
                    node.meter(interface, packet);
                });
                now += between_us * 1000;
            }
        }
        let records = node.finish();
        let sum = |key: FlowKey, of: fn(&FlowRecord) -> u64| -> u64 {
            records.iter().filter(|record| record.key == key).map(of).sum()
        };
        let packets = |key: FlowKey| sum(key, |record| record.packet_delta_count);
        let (request, answer) = (key(POD, protocol), key(reversed(POD), protocol));
        prop_assert_eq!((packets(request), packets(answer)), (4, 4), "{:?}", records);
        let others = records.iter().filter(|record| ![request, answer].contains(&record.key));
        prop_assert_eq!(others.count(), 0, "{:?}", records);
        let connections = |record: &FlowRecord| {
            u64::from(record.new_connection_delta_count.unwrap_or(0))
        };
        prop_assert_eq!((sum(request, connections), sum(answer, connections)), (1, 0));
    }

    #[test]
    fn damaged_messages_are_skipped(
        position in 0..200_usize,
        octet: u8,
        length in 0..200_usize,
    ) {
        let mut body = body(&connection(6));
        if let Some(place) = body.get_mut(position) {
            *place = octet;
        }
        body.truncate(length);
        if let Some(ConntrackEvent::Present(found)) = event(0x100, &body) {
            prop_assert_ne!(found.original, found.translated);
        }
    }
}
