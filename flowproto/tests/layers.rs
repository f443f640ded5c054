//! Records with the headers of a tunnel packet, the outer one first (RFC 7011 §8).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod exporter;

use exporter::{exporter, ipfix, template, template_of};
use flowproto::{Address, FlowRecord};

const V4: [[u8; 4]; 4] = [[192, 0, 2, 1], [192, 0, 2, 2], [10, 0, 0, 1], [10, 0, 0, 2]];

fn v4(index: usize) -> Address {
    Address::from_v4_bits(u32::from_be_bytes(V4[index]))
}

fn v6(last: u8) -> [u8; 16] {
    let mut octets = [0; 16];
    (octets[0], octets[1], octets[15]) = (0xfd, 0, last);
    octets
}

fn address(octets: [u8; 16]) -> Address {
    Address::from_v6_bits(u128::from_be_bytes(octets))
}

/// The record of these fields: element and octets.
fn record(fields: &[(u16, &[u8])]) -> FlowRecord {
    let specifiers: Vec<(u16, u16)> = fields
        .iter()
        .map(|(id, octets)| (*id, u16::try_from(octets.len()).unwrap()))
        .collect();
    let data: Vec<u8> = fields
        .iter()
        .flat_map(|(_, octets)| *octets)
        .copied()
        .collect();
    let mut e = exporter();
    e.send(&ipfix(0, &[(2, template(300, &specifiers)), (300, data)]));
    e.taken.records.remove(0)
}

/// Source, destination, source port, destination port, protocol and flags of the flow.
type Flow = (Address, Address, u16, u16, u8, u16);

fn flow(record: &FlowRecord) -> Flow {
    let key = record.key;
    (
        key.source_address,
        key.destination_address,
        key.source_port,
        key.destination_port,
        key.protocol_identifier,
        record.tcp_control_bits,
    )
}

/// Source, destination and protocol of the tunnel.
fn tunnel(record: &FlowRecord) -> Option<(Address, Address, u8)> {
    record.tunnel.map(|tunnel| {
        (
            tunnel.tunnel_source_address,
            tunnel.tunnel_destination_address,
            tunnel.tunnel_protocol_identifier,
        )
    })
}

#[test]
fn the_second_header_is_the_flow_and_the_first_one_its_tunnel() {
    let fields: &[(u16, &[u8])] = &[
        (8, &V4[0]),
        (12, &V4[1]),
        (4, &[4]),
        (1, &[0, 100]),
        (7, &[0, 0]),
        (11, &[0, 0]),
        (6, &[0]),
        (8, &V4[2]),
        (12, &V4[3]),
        (4, &[6]),
        (7, &[0x9c, 0x40]),
        (11, &[0, 80]),
        (6, &[0x12]),
    ];
    let record = record(fields);
    assert_eq!(flow(&record), (v4(2), v4(3), 40_000, 80, 6, 0x12));
    assert_eq!(tunnel(&record), Some((v4(0), v4(1), 4)));
    assert_eq!(record.octet_delta_count, 100);
}

#[test]
fn the_headers_can_be_of_different_address_families() {
    let [outer_source, outer_destination] = [v6(1), v6(2)];
    // All fields of a kind next to each other.
    let record = record(&[
        (27, &outer_source),
        (28, &outer_destination),
        (7, &[0, 0]),
        (7, &[0, 9]),
        (4, &[4]),
        (4, &[17]),
        (8, &V4[2]),
        (12, &V4[3]),
    ]);
    assert_eq!(flow(&record), (v4(2), v4(3), 9, 0, 17, 0));
    let ends = (address(outer_source), address(outer_destination));
    assert_eq!(tunnel(&record), Some((ends.0, ends.1, 4)));
}

#[test]
fn ipv6_in_ipv4_has_the_ports_of_the_inner_header() {
    let [source, destination] = [v6(1), v6(2)];
    let record = record(&[
        (8, &V4[0]),
        (12, &V4[1]),
        (4, &[41]),
        (27, &source),
        (28, &destination),
        (4, &[6]),
        (7, &[0, 5]),
        (11, &[0, 6]),
    ]);
    let expected = (address(source), address(destination), 5, 6, 6, 0);
    assert_eq!(flow(&record), expected);
    assert_eq!(tunnel(&record), Some((v4(0), v4(1), 41)));
}

#[test]
fn a_record_without_an_inner_header_is_of_the_outer_one() {
    let record = record(&[
        (27, &v6(1)),
        (28, &v6(2)),
        (7, &[0, 5]),
        (11, &[0, 6]),
        (4, &[6]),
        (8, &[0; 4]),
        (12, &[0; 4]),
        (4, &[0]),
        (7, &[0, 0]),
        (11, &[0, 0]),
    ]);
    assert_eq!(flow(&record), (address(v6(1)), address(v6(2)), 5, 6, 6, 0));
    assert_eq!(tunnel(&record), None);
}

#[test]
fn a_record_without_addresses_keeps_the_ports_that_it_has_and_its_virtual_network() {
    let mut e = exporter();
    // `tenantKey` of VMware.
    let template = template_of(300, &[(6876, 892, 4), (0, 7, 2), (0, 4, 1)]);
    e.send(&ipfix(
        0,
        &[(2, template), (300, vec![0, 0, 0, 7, 0, 5, 17])],
    ));
    let record = &e.taken.records[0];
    let none = Address::UNSPECIFIED;
    assert_eq!(flow(record), (none, none, 5, 0, 17, 0));
    assert_eq!(record.tunnel.map(|tunnel| tunnel.tunnel_key), Some(7));
}

#[test]
fn a_template_for_both_address_families_has_one_header() {
    for (fields, expected) in [
        ([&V4[0][..], &V4[1], &[0; 16], &[0; 16]], (v4(0), v4(1))),
        (
            [&[0; 4], &[0; 4], &v6(1), &v6(2)],
            (address(v6(1)), address(v6(2))),
        ),
    ] {
        let [a, b, c, d] = fields;
        let record = record(&[(8, a), (12, b), (27, c), (28, d), (4, &[6]), (7, &[0, 5])]);
        assert_eq!(flow(&record), (expected.0, expected.1, 5, 0, 6, 0));
        assert_eq!(tunnel(&record), None);
    }
    // An element that is repeated without a second header: the first one counts.
    let record = record(&[(8, &V4[0]), (12, &V4[1]), (4, &[6]), (4, &[17])]);
    assert_eq!(flow(&record), (v4(0), v4(1), 0, 0, 6, 0));
}
