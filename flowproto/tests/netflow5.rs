//! NetFlow v5 and v7 are read as `netflow_parser` reads them, and v1 as v5.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

mod exporter;

use exporter::exporter;
use flowproto::FlowRecord;
use flowproto::collector::{SequenceCounts, Unusable};
use flowproto::record::Sampling;
use netflow_parser::static_versions::{v5::V5, v7::V7};
use proptest::prelude::*;

const UP_TIME: u32 = 3_600_000;
const SECONDS: u32 = 1_700_000_000;

/// A datagram of these records' octets, with a header that makes sense.
fn datagram(version: u16, records: &[Vec<u8>]) -> Vec<u8> {
    let mut out = version.to_be_bytes().to_vec();
    out.extend(u16::try_from(records.len()).unwrap().to_be_bytes());
    for word in [UP_TIME, SECONDS, 250_000_000] {
        out.extend(word.to_be_bytes());
    }
    if version != 1 {
        out.extend(77_u32.to_be_bytes());
        // Engine 1 and 2, sampling mode 1, one in 100.
        out.extend([1, 2, 0x40, 100]);
    }
    out.extend(records.concat());
    out
}

fn taken(datagram: &[u8]) -> Vec<FlowRecord> {
    let mut e = exporter();
    e.send(datagram);
    e.taken.records
}

/// What both versions have, as `netflow_parser` names it.
macro_rules! assert_same {
    ($ours:expr, $theirs:expr) => {
        let (ours, theirs) = ($ours, $theirs);
        let key = &ours.key;
        assert_eq!(
            key.source_address.to_ip(),
            std::net::IpAddr::from(theirs.src_addr)
        );
        assert_eq!(
            key.destination_address.to_ip(),
            std::net::IpAddr::from(theirs.dst_addr)
        );
        assert_eq!(
            ours.ip_next_hop_address.to_ip(),
            std::net::IpAddr::from(theirs.next_hop)
        );
        assert_eq!(
            (key.source_port, key.destination_port),
            (theirs.src_port, theirs.dst_port)
        );
        assert_eq!(key.protocol_identifier, theirs.protocol_number);
        assert_eq!(ours.octet_delta_count, u64::from(theirs.d_octets));
        assert_eq!(ours.packet_delta_count, u64::from(theirs.d_pkts));
        assert_eq!(ours.tcp_control_bits, u16::from(theirs.tcp_flags));
        assert_eq!(ours.ip_class_of_service, theirs.tos);
        let interfaces = ours.interfaces.unwrap();
        assert_eq!(interfaces.ingress_interface, u32::from(theirs.input));
        assert_eq!(interfaces.egress_interface, u32::from(theirs.output));
        assert_eq!(ours.bgp_source_as_number, u32::from(theirs.src_as));
        assert_eq!(ours.bgp_destination_as_number, u32::from(theirs.dst_as));
        // No prefix of IPv4 is longer.
        let known = |length: u8| if length > 32 { 0 } else { length };
        assert_eq!(ours.source_prefix_length, known(theirs.src_mask));
        assert_eq!(ours.destination_prefix_length, known(theirs.dst_mask));
    };
}

/// As many as fit into a datagram of Ethernet: `netflow_parser` reads neither more nor none.
fn records(octets: usize) -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(
        prop::collection::vec(any::<u8>(), octets),
        1..(1480 - 24) / octets,
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn v5_is_read_as_netflow_parser_reads_it(records in records(48)) {
        let datagram = datagram(5, &records);
        let ours = taken(&datagram);
        let (_, theirs) = V5::parse_direct(&datagram[2..]).unwrap();
        prop_assert_eq!(ours.len(), theirs.flowsets.len());
        for (ours, theirs) in ours.iter().zip(&theirs.flowsets) {
            assert_same!(ours, theirs);
            prop_assert_eq!(ours.sampling, Sampling::one_in(100));
        }
    }

    #[test]
    fn v7_is_read_as_netflow_parser_reads_it(records in records(52)) {
        let datagram = datagram(7, &records);
        let ours = taken(&datagram);
        let (_, theirs) = V7::parse_direct(&datagram[2..]).unwrap();
        prop_assert_eq!(ours.len(), theirs.flowsets.len());
        for (ours, theirs) in ours.iter().zip(&theirs.flowsets) {
            assert_same!(ours, theirs);
            prop_assert_eq!(ours.sampling, Sampling::NONE);
        }
    }

    /// v1 has the TCP flags behind the type of service, and neither autonomous systems nor masks.
    /// There are exporters with four octets more of padding.
    #[test]
    fn v1_is_read_as_v5_without_what_it_does_not_have(
        records in records(52), padding in any::<[u8; 4]>(), is_long in any::<bool>(),
    ) {
        let v5: Vec<_> = records.iter().map(|record| record[..48].to_vec()).collect();
        let v1: Vec<_> = v5
            .iter()
            .map(|record| {
                let mut record = record.clone();
                record[40] = record[37];
                record[36..38].copy_from_slice(&padding[..2]);
                record.extend(&padding[..if is_long { 4 } else { 0 }]);
                record
            })
            .collect();
        let mut expected = taken(&datagram(5, &v5));
        for record in &mut expected {
            record.sampling = Sampling::NONE;
            (record.bgp_source_as_number, record.bgp_destination_as_number) = (0, 0);
            (record.source_prefix_length, record.destination_prefix_length) = (0, 0);
        }
        prop_assert_eq!(taken(&datagram(1, &v1)), expected);
    }
}

/// A v5 record whose flow ran between these up times.
fn ran(first: u32, last: u32) -> Vec<u8> {
    let mut record = vec![0; 48];
    record[24..28].copy_from_slice(&first.to_be_bytes());
    record[28..32].copy_from_slice(&last.to_be_bytes());
    record
}

#[test]
fn times_count_from_the_header_also_across_a_wrap() {
    let export = u64::from(SECONDS) * 1000 + 250;
    let records = [
        ran(UP_TIME - 60_000, UP_TIME - 1),
        ran(u32::MAX - 9, UP_TIME),
    ];
    let taken = taken(&datagram(5, &records));
    let times = |r: &FlowRecord| (r.flow_start_milliseconds, r.flow_end_milliseconds);
    assert_eq!(times(&taken[0]), (export - 60_000, export - 1));
    assert_eq!(times(&taken[1]), (export - u64::from(UP_TIME) - 10, export));
}

#[test]
fn a_datagram_with_fewer_records_than_its_count_is_read_and_counted() {
    let mut whole = datagram(5, &[ran(1, 2), ran(3, 4), ran(5, 6)]);
    whole.truncate(24 + 2 * 48 + 30);
    let mut e = exporter();
    e.send(&whole);
    assert_eq!(e.taken.records.len(), 2);
    assert_eq!(e.unusable(Unusable::Truncated), 1);
}

#[test]
fn octets_behind_the_records_of_the_count_are_not_read_but_counted() {
    for (count, records) in [(1_u16, 1), (2, 2), (0, 0)] {
        for version in [1, 5, 7] {
            let mut more = datagram(version, &[]);
            more[2..4].copy_from_slice(&count.to_be_bytes());
            let octets = if version == 7 { 52 } else { 48 };
            let header = more.len();
            more.extend(vec![9; 3 * octets]);
            let mut e = exporter();
            e.send(&more);
            // Only a v1 datagram that fits is certain to be one.
            let read = if version == 1 { 0 } else { records };
            assert_eq!(e.taken.records.len(), read);
            assert_eq!(e.unusable(Unusable::SetLength), 1);
            // Zeros fill up a datagram.
            more.truncate(header + records * octets);
            more.extend([0; 60]);
            e.send(&more);
            assert_eq!(e.taken.records.len(), read + records);
            assert_eq!(e.process.counters().unusable.total(), 1);
        }
    }
}

#[test]
fn the_sequence_counts_flows_and_an_up_time_that_is_less_is_a_restart() {
    let mut e = exporter();
    let send = |e: &mut exporter::Exporter, up_time: u32, sequence: u32| {
        let mut datagram = datagram(5, &[ran(1, 2), ran(3, 4)]);
        datagram[4..8].copy_from_slice(&up_time.to_be_bytes());
        datagram[16..20].copy_from_slice(&sequence.to_be_bytes());
        e.send(&datagram);
    };
    send(&mut e, 100_000, 10);
    send(&mut e, 101_000, 12);
    send(&mut e, 102_000, 20);
    send(&mut e, 5000, 0);
    send(&mut e, 6000, 2);
    e.process.expire(u64::MAX);
    let sequence = e.process.counters().sequence;
    assert_eq!((sequence.lost, sequence.gaps, sequence.restarts), (6, 1, 1));
}

/// `count` v1 records of `octets`, each with another source, protocol and port.
fn v1_records(octets: usize, count: u8) -> Vec<Vec<u8>> {
    let record = |number| {
        let mut record = vec![0; octets];
        record[..4].copy_from_slice(&[10, 0, 0, number]);
        record[32..36].copy_from_slice(&[0, 53, 200, number]);
        record[38] = 17;
        record
    };
    (1..=count).map(record).collect()
}

#[test]
fn v1_records_have_48_or_52_octets_and_zeros_may_follow() {
    for octets in [48, 52] {
        for count in [1, 2, 3, 4, 12, 13, 24, 30] {
            let records = v1_records(octets, count);
            let exact = datagram(1, &records);
            assert!(flowproto::is_flow_export(&exact));
            // The second padding makes short records as long as long ones.
            for zeros in [0, 4, 4 * usize::from(count), 48, 52, 700] {
                let taken = taken(&[&exact[..], &vec![0; zeros]].concat());
                let sources: Vec<_> = taken.iter().map(|r| r.key.source_address).collect();
                let expected: Vec<_> = (1..=count)
                    .map(|number| std::net::IpAddr::from([10, 0, 0, number]).into())
                    .collect();
                assert_eq!(sources, expected, "{count} of {octets}, {zeros} zeros");
            }
        }
    }
}

#[test]
fn a_v1_datagram_without_the_records_that_it_counts_is_not_read() {
    let counting = |count: u8, mut datagram: Vec<u8>| {
        datagram[3] = count;
        datagram
    };
    let of = |octets, count| datagram(1, &v1_records(octets, count));
    let mut stun = vec![0, 1, 0, 8, 0x21, 0x12, 0xa4, 0x42];
    stun.extend([7; 12]);
    stun.extend([0x80, 0x22, 0, 4, b't', b'e', b's', b't']);
    let tftp = b"\0\x01boot/pxelinux.0\0octet\0".to_vec();
    for (name, octets, reason) in [
        ("cut, 48", of(48, 3)[..150].to_vec(), Unusable::Truncated),
        ("cut, 52", of(52, 20)[..1000].to_vec(), Unusable::SetLength),
        ("one less", counting(2, of(48, 3)), Unusable::SetLength),
        ("one less, 52", counting(4, of(52, 5)), Unusable::SetLength),
        ("one more", counting(4, of(52, 3)), Unusable::Truncated),
        ("none", counting(0, of(48, 3)), Unusable::SetLength),
        ("too many", of(48, 31), Unusable::SetLength),
        (
            "padded with other",
            [of(48, 3), vec![0, 1]].concat(),
            Unusable::SetLength,
        ),
        ("STUN", stun.clone(), Unusable::Truncated),
        (
            "STUN without attributes",
            counting(0, stun[..20].to_vec()),
            Unusable::SetLength,
        ),
        ("TFTP", tftp, Unusable::Truncated),
    ] {
        assert!(!flowproto::is_flow_export(&octets), "{name}");
        let mut e = exporter();
        e.send(&octets);
        assert_eq!(e.taken.records.len(), 0, "{name}");
        let unusable = &e.process.counters().unusable;
        assert_eq!((unusable.get(reason), unusable.total()), (1, 1), "{name}");
    }
}

#[test]
fn v1_has_no_sequence_and_shows_a_restart_by_its_up_time() {
    let mut e = exporter();
    let mut send = |up_time: u32, count: u8| {
        let mut datagram = datagram(1, &vec![ran(1, 2); count.into()]);
        datagram[4..8].copy_from_slice(&up_time.to_be_bytes());
        e.send(&datagram);
    };
    for (up_time, count) in [
        (100_000, 1),
        (101_000, 24),
        (101_000, 2),
        (99_000, 7),
        (5000, 3),
    ] {
        send(up_time, count);
    }
    e.process.expire(u64::MAX);
    assert_eq!(e.taken.records.len(), 37);
    let sequence = e.process.counters().sequence;
    let expected = SequenceCounts {
        restarts: 1,
        ..SequenceCounts::default()
    };
    assert_eq!(sequence, expected);
    assert_eq!(e.process.counters().unusable.total(), 0);
}
