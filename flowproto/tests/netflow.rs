//! NetFlow v9 and v5 as they go out: octet for octet, and read back by the Collecting Process and a
//! foreign decoder.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "test code"
)]

use std::net::SocketAddr;

use flowproto::collector::Fields;
use flowproto::collector::{CollectingProcess, Limits, Message, RecordSink};
use flowproto::exporter::{
    ExportSession, ExportSettings, Facts, InterfaceName, Unsupported, Version, Weight,
};
use flowproto::record::{BiflowDirection, FlowKey, Interfaces, Sampling};
use flowproto::{Address, FlowRecord};
use proptest::prelude::*;

const NOW: u64 = 1_700_000_000_250;
const HOUR: u64 = 3_600_000;

fn session(version: Version) -> ExportSession {
    ExportSession::new(ExportSettings {
        version,
        observation_domain_id: 0x0001_0203,
        ..ExportSettings::default()
    })
}

/// Every datagram that records become, and what they weigh.
fn send_all(session: &mut ExportSession, records: &[FlowRecord]) -> (Vec<Vec<u8>>, Vec<Weight>) {
    let (mut datagrams, mut weights) = (Vec::new(), Vec::new());
    let mut send = |message: flowproto::exporter::OutgoingMessage<'_>| {
        datagrams.push(message.octets.to_vec());
        weights.push(message.weight);
    };
    for record in records {
        session.add(record, NOW, &mut send).unwrap();
    }
    session.flush(NOW, &mut send);
    (datagrams, weights)
}

#[derive(Default)]
struct Taken(Vec<FlowRecord>);

impl RecordSink for Taken {
    fn message(&mut self, _: &Message<'_>) {}
    fn record(&mut self, _: &Message<'_>, record: &FlowRecord, _: Fields<'_>) {
        self.0.push(record.clone());
    }
}

fn receive_all(datagrams: &[Vec<u8>]) -> (Vec<FlowRecord>, CollectingProcess) {
    let exporter: SocketAddr = "192.0.2.1:40000".parse().unwrap();
    let mut process = CollectingProcess::new(Limits::default());
    let mut taken = Taken::default();
    for datagram in datagrams {
        process.receive(exporter, datagram, NOW, &mut taken);
    }
    assert_eq!(process.counters().unusable.total(), 0);
    process.expire(u64::MAX);
    assert_eq!(process.counters().sequence.gaps, 0);
    (taken.0, process)
}

/// Records that a foreign decoder finds in datagrams.
fn read_by_netflow_parser(datagrams: &[Vec<u8>]) -> usize {
    use netflow_parser::variable_versions::v9::FlowSetBody;
    use netflow_parser::{NetflowPacket, NetflowParser};
    let mut parser = NetflowParser::default();
    let mut read = 0;
    for datagram in datagrams {
        let result = parser.parse_bytes(datagram);
        assert!(result.error.is_none(), "{:?}", result.error);
        for packet in result.packets {
            match packet {
                NetflowPacket::V5(packet) => read += packet.flowsets.len(),
                NetflowPacket::V9(packet) => {
                    for set in packet.flowsets {
                        if let FlowSetBody::Data(data) = set.body {
                            read += data.fields.len();
                        }
                    }
                }
                _ => panic!("neither v5 nor v9"),
            }
        }
    }
    read
}

fn record() -> FlowRecord {
    FlowRecord {
        key: FlowKey {
            source_address: Address::from_v4_bits(0x0a01_010a),
            destination_address: Address::from_v4_bits(0x0a01_020b),
            source_port: 0xc000,
            destination_port: 443,
            protocol_identifier: 6,
        },
        octet_delta_count: 0x0102,
        packet_delta_count: 3,
        flow_start_milliseconds: NOW - 5000,
        flow_end_milliseconds: NOW - 1000,
        tcp_control_bits: 0x1b,
        ip_class_of_service: 0xb8,
        vlan_id: 7,
        interfaces: Some(Interfaces {
            ingress_interface: 2,
            egress_interface: 0,
            flow_direction: Some(0),
        }),
        ..FlowRecord::default()
    }
}

/// The uptime begins an hour before the first flow.
const UP: u32 = (HOUR + 5000) as u32;

#[test]
fn a_v5_packet_is_this_octet_for_octet() {
    let mut session = session(Version::Netflow5);
    session.renew(Facts {
        sampling: Sampling::one_in(100),
        ..Facts::default()
    });
    let (datagrams, weights) = send_all(&mut session, &[record()]);
    let seconds = 1_700_000_000_u32.to_be_bytes();
    let up = |milliseconds: u32| milliseconds.to_be_bytes();
    #[rustfmt::skip]
    let expected = [
        &[0, 5, 0, 1][..],                     // version, records
        &up(UP), &seconds,                     // sysUptime, seconds of the calendar
        &250_000_000_u32.to_be_bytes(),        // nanoseconds
        &[0, 0, 0, 0],                         // records before this packet
        &[2, 3],                               // engine: the lower half of the observation domain
        &[0x40, 100],                          // sampling: mode 1, one packet of 100
        &[10, 1, 1, 10, 10, 1, 2, 11],         // source, destination
        &[0, 0, 0, 0],                         // next hop
        &[0, 2, 0, 0],                         // input and output interface
        &[0, 0, 0, 3, 0, 0, 1, 2],             // packets, octets
        &up(UP - 5000), &up(UP - 1000),        // first, last
        &[0xc0, 0, 1, 187],                    // ports
        &[0, 0x1b, 6, 0xb8],                   // padding, flags, protocol, class of service
        &[0, 0, 0, 0, 0, 0, 0, 0],             // AS numbers, masks, padding
    ].concat();
    assert_eq!(datagrams, [expected]);
    assert_eq!(
        weights,
        [Weight {
            records: 1,
            split: 0,
            packets: 3,
            octets: 0x0102
        }]
    );
    // The second packet has the number of records before it.
    let (datagrams, _) = send_all(&mut session, &[record(), record()]);
    assert_eq!(datagrams[0][16..20], [0, 0, 0, 1]);
    assert_eq!(datagrams[0][2..4], [0, 2]);
}

#[test]
fn a_v9_packet_is_this_octet_for_octet() {
    let (datagrams, _) = send_all(&mut session(Version::Netflow9), &[record()]);
    let up = |milliseconds: u32| milliseconds.to_be_bytes();
    // The header's whole second is rounded up, and the uptime with it.
    let header_up = up(UP + 750);
    #[rustfmt::skip]
    let flow: &[u8] = &[
        0, 7, 0, 2,  0, 11, 0, 2,              // L4_SRC_PORT, L4_DST_PORT
        0, 4, 0, 1,  0, 5, 0, 1,  0, 6, 0, 1,  // PROTOCOL, SRC_TOS, TCP_FLAGS
        0, 61, 0, 1,  0, 58, 0, 2,             // DIRECTION, SRC_VLAN
        0, 32, 0, 2,                           // ICMP_TYPE
        0, 1, 0, 8,  0, 2, 0, 8,               // IN_BYTES, IN_PKTS
        0, 22, 0, 4,  0, 21, 0, 4,             // FIRST_SWITCHED, LAST_SWITCHED
        0, 10, 0, 4,  0, 14, 0, 4,             // INPUT_SNMP, OUTPUT_SNMP
        0, 60, 0, 1,                           // IP_PROTOCOL_VERSION
    ];
    #[rustfmt::skip]
    let expected = [
        &[0, 9, 0, 5][..],                     // version, records: 3 templates, 1 of options data, 1 flow
        &header_up,                            // sysUptime
        &1_700_000_001_u32.to_be_bytes(),      // seconds of the calendar
        &[0, 0, 0, 0],                         // packets before this one
        &[0, 1, 2, 3],                         // source id
        &[0, 0, 0, 148],                       // Template FlowSet: 2 templates of 4 + 17 × 4 octets
        &[1, 0, 0, 17],                        // template 256, 17 fields
        &[0, 8, 0, 4, 0, 12, 0, 4],            // IPV4_SRC_ADDR, IPV4_DST_ADDR
        flow,
        &[1, 1, 0, 17],                        // template 257, 17 fields
        &[0, 27, 0, 16, 0, 28, 0, 16],         // IPV6_SRC_ADDR, IPV6_DST_ADDR
        flow,
        &[0, 1, 0, 28],                        // Options Template FlowSet
        &[1, 4, 0, 4, 0, 12],                  // template 260, 4 octets of scope, 12 of options
        &[0, 1, 0, 4],                         // scope System
        &[0, 40, 0, 8, 0, 41, 0, 8, 0, 42, 0, 8], // TOTAL_BYTES_EXP, TOTAL_PKTS_EXP, TOTAL_FLOWS_EXP
        &[0, 0],                               // padding
        &[1, 4, 0, 32],                        // FlowSet 260
        &[0, 1, 2, 3], &[0; 24],               // this system has sent nothing so far
        &[1, 0, 0, 60],                        // FlowSet 256
        &[10, 1, 1, 10, 10, 1, 2, 11],         // source, destination
        &[0xc0, 0, 1, 187],                    // ports
        &[6, 0xb8, 0x1b, 0],                   // protocol, class of service, flags, ingress
        &[0, 7, 0, 0],                         // VLAN, ICMP type and code
        &[0, 0, 0, 0, 0, 0, 1, 2],             // octets
        &[0, 0, 0, 0, 0, 0, 0, 3],             // packets
        &up(UP - 5000), &up(UP - 1000),        // first, last
        &[0, 0, 0, 2, 0, 0, 0, 0],             // input, output
        &[4],                                  // IP version
        &[0, 0, 0],                            // padding
    ].concat();
    assert_eq!(datagrams, [expected]);
}

#[test]
fn v9_announces_sampling_and_interfaces() {
    let mut session = session(Version::Netflow9);
    session.renew(Facts {
        sampling: Sampling::one_in(100),
        interfaces: [InterfaceName {
            index: 2,
            name: "eth0".to_owned(),
            description: "device".to_owned(),
        }]
        .into(),
        ..Facts::default()
    });
    let (datagrams, _) = send_all(&mut session, &[record()]);
    #[rustfmt::skip]
    let sampling = [
        &[0, 1, 0, 24, 1, 5, 0, 4, 0, 8][..],  // Options Template FlowSet, template 261
        &[0, 1, 0, 4, 0, 34, 0, 4, 0, 35, 0, 1], // scope System, SAMPLING_INTERVAL, SAMPLING_ALGORITHM
        &[0, 0],                               // padding
        &[1, 5, 0, 16, 0, 1, 2, 3],            // FlowSet 261: this system
        &[0, 0, 0, 100, 1, 0, 0, 0],           // one packet of 100, by count; padding
    ].concat();
    #[rustfmt::skip]
    let interface = [
        &[0, 1, 0, 24, 1, 6, 0, 4, 0, 8][..],  // Options Template FlowSet, template 262
        &[0, 2, 0, 4, 0, 82, 0, 16, 0, 83, 0, 32], // scope Interface, IF_NAME, IF_DESC
        &[0, 0],                               // padding
        &[1, 6, 0, 56, 0, 0, 0, 2],            // FlowSet 262: interface 2
        b"eth0", &[0; 12], b"device", &[0; 26],
    ].concat();
    for part in [sampling, interface] {
        let found = datagrams[0]
            .windows(part.len())
            .any(|octets| octets == part);
        assert!(found, "{part:?} in {:?}", datagrams[0]);
    }
    let (records, _) = receive_all(&datagrams);
    assert_eq!(records[0].sampling, Sampling::one_in(100));
}

#[test]
fn a_record_beyond_32_bits_is_split_in_v5_and_adds_up() {
    let record = FlowRecord {
        octet_delta_count: 3 * u64::from(u32::MAX) + 5,
        packet_delta_count: 9_000_001,
        ..record()
    };
    let (datagrams, weights) = send_all(
        &mut session(Version::Netflow5),
        std::slice::from_ref(&record),
    );
    let (records, _) = receive_all(&datagrams);
    assert_eq!(records.len(), 4);
    let octets: u64 = records.iter().map(|r| r.octet_delta_count).sum();
    let packets: u64 = records.iter().map(|r| r.packet_delta_count).sum();
    assert_eq!(
        (octets, packets),
        (record.octet_delta_count, record.packet_delta_count)
    );
    let weight = weights[0];
    assert_eq!((weight.records, weight.split), (1, 3));
    assert_eq!((weight.packets, weight.octets), (packets, octets));
}

#[test]
fn only_v5_refuses_ipv6() {
    let record = FlowRecord {
        key: FlowKey {
            source_address: Address::from_v6_bits(1 << 127 | 1),
            destination_address: Address::from_v6_bits(1 << 127 | 2),
            ..record().key
        },
        ..record()
    };
    for (version, outcome) in [
        (Version::Netflow5, Err(Unsupported::Ipv6)),
        (Version::Netflow9, Ok(())),
        (Version::Ipfix, Ok(())),
    ] {
        assert_eq!(session(version).add(&record, NOW, &mut |_| {}), outcome);
    }
}

#[test]
fn a_biflow_goes_out_as_its_two_directions() {
    let record = FlowRecord {
        reverse_octet_delta_count: 900,
        reverse_packet_delta_count: 9,
        reverse_flow_start_milliseconds: NOW - 4000,
        reverse_flow_end_milliseconds: NOW - 900,
        reverse_tcp_control_bits: 0x12,
        biflow_direction: Some(BiflowDirection::Initiator),
        ..record()
    };
    for version in [Version::Netflow5, Version::Netflow9] {
        let (datagrams, weights) = send_all(&mut session(version), std::slice::from_ref(&record));
        let (records, _) = receive_all(&datagrams);
        assert_eq!(records.len(), 2);
        assert_eq!(records[1].key, record.key.reversed());
        assert_eq!(
            (records[0].octet_delta_count, records[1].octet_delta_count),
            (0x0102, 900)
        );
        assert_eq!(records[1].flow_end_milliseconds, NOW - 900);
        assert_eq!(records[1].tcp_control_bits, 0x12);
        assert_eq!((weights[0].records, weights[0].split), (1, 1));
        assert_eq!(weights[0].octets, 0x0102 + 900);
    }
}

#[test]
fn v9_templates_are_resent_after_a_time_and_after_a_number_of_packets() {
    let mut session = ExportSession::new(ExportSettings {
        version: Version::Netflow9,
        template_refresh_messages: 3,
        ..ExportSettings::default()
    });
    let mut sent = Vec::new();
    for now in [
        NOW,
        NOW + 59_999,
        NOW + 60_000,
        NOW + 60_001,
        NOW + 60_002,
        NOW + 60_003,
    ] {
        session.add(&record(), now, &mut |_| {}).unwrap();
        // A packet with templates begins with a Template FlowSet, number 0.
        session.flush(now, &mut |m| sent.push(m.octets[20..22] == [0, 0]));
    }
    assert_eq!(sent, [true, false, true, false, false, true]);
}

fn fields_of_both(record: &FlowRecord) -> FlowRecord {
    FlowRecord {
        key: record.key,
        octet_delta_count: record.octet_delta_count,
        packet_delta_count: record.packet_delta_count,
        flow_start_milliseconds: record.flow_start_milliseconds,
        flow_end_milliseconds: record.flow_end_milliseconds,
        tcp_control_bits: record.tcp_control_bits,
        ip_class_of_service: record.ip_class_of_service,
        ..FlowRecord::default()
    }
}

prop_compose! {
    fn a_record()(
        ipv6: bool, bits: [u64; 2], ports: [u16; 2], octets: u64, packets: u64, flags: u8, tos: u8,
        ago in 0_u64..100_000_000_000, lasted in 0_u64..80_000_000, interfaces: Option<(u16, u16, bool)>,
    ) -> FlowRecord {
        let address = |bits: u64| if ipv6 {
            Address::from_v6_bits(u128::from(bits) | 1 << 127)
        } else {
            Address::from_v4_bits(bits as u32 | 1)
        };
        FlowRecord {
            key: FlowKey {
                source_address: address(bits[0]),
                destination_address: address(bits[1]),
                source_port: ports[0],
                destination_port: ports[1],
                protocol_identifier: 17,
            },
            octet_delta_count: octets,
            packet_delta_count: packets,
            flow_start_milliseconds: NOW - ago - lasted,
            flow_end_milliseconds: NOW - ago,
            tcp_control_bits: flags.into(),
            ip_class_of_service: tos,
            interfaces: interfaces.map(|(ingress, egress, direction)| Interfaces {
                ingress_interface: ingress.into(),
                egress_interface: egress.into(),
                flow_direction: Some(direction.into()),
            }),
            ..FlowRecord::default()
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn v9_comes_back_with_every_count_and_millisecond(
        records in prop::collection::vec(a_record(), 1..150),
    ) {
        let (datagrams, weights) = send_all(&mut session(Version::Netflow9), &records);
        prop_assert!(datagrams.iter().all(|d| d.len() <= 1400 && d.len() % 4 == 0));
        let (taken, _) = receive_all(&datagrams);
        prop_assert_eq!(taken.len(), records.len());
        for (taken, record) in taken.iter().zip(&records) {
            prop_assert_eq!(fields_of_both(taken), fields_of_both(record));
            let interfaces = record.interfaces.unwrap_or(Interfaces {
                flow_direction: Some(0),
                ..Interfaces::default()
            });
            prop_assert_eq!(taken.interfaces, Some(interfaces));
        }
        prop_assert_eq!(weights.iter().map(|w| w.records).sum::<u64>(), records.len() as u64);
        // netflow_parser counts the one record of options data apart.
        prop_assert_eq!(read_by_netflow_parser(&datagrams), records.len());
    }

    #[test]
    fn v5_comes_back_with_every_count_and_millisecond(
        mut records in prop::collection::vec(a_record(), 1..150),
    ) {
        records.retain(|record| record.key.source_address.is_ipv4());
        records.iter_mut().for_each(|record| {
            record.octet_delta_count %= 1 << 32;
            record.packet_delta_count %= 1 << 32;
        });
        let (datagrams, _) = send_all(&mut session(Version::Netflow5), &records);
        let (taken, _) = receive_all(&datagrams);
        let taken: Vec<_> = taken.iter().map(fields_of_both).collect();
        let expected: Vec<_> = records.iter().map(fields_of_both).collect();
        prop_assert_eq!(taken, expected);
        prop_assert_eq!(read_by_netflow_parser(&datagrams), records.len());
    }

    #[test]
    fn any_v5_record_adds_up_however_large(octets: u64, packets: u64) {
        // 2^64 octets would be four thousand million parts.
        let (octets, packets) = (octets >> 26, packets >> 26);
        let record = FlowRecord { octet_delta_count: octets, packet_delta_count: packets, ..record() };
        let (datagrams, _) = send_all(&mut session(Version::Netflow5), &[record]);
        let (taken, _) = receive_all(&datagrams);
        prop_assert_eq!(taken.iter().map(|r| r.octet_delta_count).sum::<u64>(), octets);
        prop_assert_eq!(taken.iter().map(|r| r.packet_delta_count).sum::<u64>(), packets);
    }
}

#[test]
fn a_v9_record_of_long_ago_keeps_its_times_however_full_its_packet_was() {
    let day = 24 * HOUR;
    let mut old = record();
    old.flow_start_milliseconds = NOW - 40 * day;
    old.flow_end_milliseconds = NOW - 40 * day + 5000;
    for interfaces in 0..30 {
        let mut session = session(Version::Netflow9);
        let interface = |index| InterfaceName {
            index,
            name: "eth0".to_owned(),
            description: String::new(),
        };
        session.renew(Facts {
            interfaces: (0..interfaces).map(interface).collect(),
            ..Facts::default()
        });
        let (datagrams, _) = send_all(&mut session, std::slice::from_ref(&old));
        let (records, _) = receive_all(&datagrams);
        let [read] = &records[..] else {
            panic!("{} records", records.len());
        };
        let times = |r: &FlowRecord| (r.flow_start_milliseconds, r.flow_end_milliseconds);
        assert_eq!(times(read), times(&old), "{interfaces} interfaces");
    }
}
