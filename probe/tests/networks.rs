//! Equal addresses in two virtual networks are different hosts.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod packets;

use flowproto::record::BiflowDirection::{Initiator, ReverseInitiator};
use flowproto::record::FlowEndReason::{EndOfFlowDetected, ForcedEnd};
use flowproto::{FlowRecord, record::TunnelType};
use packets::meter::*;
use packets::*;

const IP: u16 = 0x0800;
const NODE_A: [u8; 4] = [192, 0, 2, 1];
const NODE_B: [u8; 4] = [192, 0, 2, 2];

/// An IPv4 packet of the conversation.
fn packet(forward: bool, protocol: u8, transport: &[u8]) -> Vec<u8> {
    if forward {
        ipv4(protocol, CLIENT, SERVER, transport)
    } else {
        ipv4(protocol, SERVER, CLIENT, transport)
    }
}

fn tunneled(port: u16, header: impl Fn(&[u8]) -> Vec<u8>, inner: &[u8]) -> Vec<u8> {
    let payload = udp(40000, port, &header(inner));
    ethernet(IP, &ipv4(17, NODE_A, NODE_B, &payload))
}

fn in_vxlan(network: u32, inner: &[u8]) -> Vec<u8> {
    tunneled(4789, |inner| vxlan(network, inner), &ethernet(IP, inner))
}

fn in_geneve(network: u32, inner: &[u8]) -> Vec<u8> {
    tunneled(6081, |inner| geneve(network, IP, &[], inner), inner)
}

fn in_gre(key: Option<u32>, inner: &[u8]) -> Vec<u8> {
    ethernet(IP, &ipv4(47, NODE_A, NODE_B, &gre(key, IP, inner)))
}

fn in_vlan(id: u16, inner: &[u8]) -> Vec<u8> {
    ethernet(0x8100, &tag(id, IP, inner))
}

/// Source port, packets, and tunnel key.
fn flows(records: &[FlowRecord]) -> Vec<(u16, u64, Option<u32>)> {
    let flow = |record: &FlowRecord| {
        let key = record.tunnel.map(|tunnel| tunnel.tunnel_key);
        (record.key.source_port, record.packet_delta_count, key)
    };
    records.iter().map(flow).collect()
}

#[test]
fn equal_addresses_in_two_networks_are_two_conversations() {
    type Encapsulate = fn(u32, &[u8]) -> Vec<u8>;
    let networks: [Encapsulate; 4] = [
        in_vxlan,
        in_geneve,
        |id, inner| in_gre(Some(id), inner),
        |id, inner| in_vlan(u16::try_from(id).unwrap(), inner),
    ];
    for encapsulate in networks {
        let mut meter = Meter::new(cache_settings());
        for round in 0..10 {
            for (network, packets) in [(5, 1), (6, 2)] {
                for _ in 0..packets {
                    let forward = packet(FORWARD, 17, &datagram(FORWARD));
                    meter.frame(round * 10, &encapsulate(network, &forward));
                }
                let reverse = packet(REVERSE, 17, &datagram(REVERSE));
                meter.frame(round * 10 + 1, &encapsulate(network, &reverse));
            }
        }
        let records = meter.finish();
        let packets: Vec<_> = flows(&records).iter().map(|flow| flow.1).collect();
        assert_eq!(packets, [10, 10, 20, 10]);
        let networks: Vec<_> = records
            .iter()
            .map(|r| u32::from(r.vlan_id) + r.tunnel.map_or(0, |tunnel| tunnel.tunnel_key))
            .collect();
        assert_eq!(networks, [5, 5, 6, 6]);
    }
}

#[test]
fn connections_of_two_networks_begin_and_end_on_their_own() {
    let mut meter = Meter::new(cache_settings());
    let segment = |network, forward, numbers, flags| {
        let ports = if forward { PORTS } else { (PORTS.1, PORTS.0) };
        in_vxlan(
            network,
            &packet(forward, 6, &tcp(ports, numbers, flags, &[])),
        )
    };
    for network in [1, 2] {
        meter.frame(0, &segment(network, FORWARD, (100 * network, 0), SYN));
        let accept = (9000, 100 * network + 1);
        meter.frame(1, &segment(network, REVERSE, accept, SYN | ACK));
    }
    // The connection of network 2 is reset, that of network 1 continues.
    meter.frame(2000, &segment(2, REVERSE, (9001, 201), RST));
    meter.frame(3000, &segment(1, FORWARD, (101, 9001), ACK));
    meter.tick(8000);
    assert_eq!(
        meter.take(),
        [
            (40000, 1, EndOfFlowDetected, Initiator, 1, 2),
            (80, 2, EndOfFlowDetected, ReverseInitiator, 0, 0)
        ]
    );
    let last: Vec<_> = meter.finish().iter().map(summary).collect();
    assert_eq!(
        last,
        [
            (40000, 2, ForcedEnd, Initiator, 1, 3),
            (80, 1, ForcedEnd, ReverseInitiator, 0, 0)
        ]
    );
}

#[test]
fn the_directions_of_a_conversation_may_have_different_networks() {
    // Each sender has a network identifier of its own.
    let mut meter = Meter::new(cache_settings());
    for round in 0..5 {
        let forward = packet(FORWARD, 17, &datagram(FORWARD));
        meter.frame(round * 10, &in_geneve(1001, &forward));
        let reverse = packet(REVERSE, 17, &datagram(REVERSE));
        meter.frame(round * 10 + 1, &in_geneve(2002, &reverse));
    }
    assert_eq!(meter.cache.conversations(), 1);
    assert_eq!(
        flows(&meter.finish()),
        [(40000, 5, Some(1001)), (80, 5, Some(2002))]
    );
}

#[test]
fn a_direction_keeps_its_network_after_a_record() {
    let mut meter = Meter::new(cache_settings());
    for (minute, network) in [(0, 5), (0, 6), (2, 5), (2, 6), (4, 6), (4, 5)] {
        let forward = packet(FORWARD, 17, &datagram(FORWARD));
        meter.frame(minute * 60_000, &in_vxlan(network, &forward));
    }
    let counters = *meter.cache.counters();
    assert_eq!(counters.conversations_started, 2);
    let mut flows = flows(&meter.finish());
    flows.sort_unstable();
    let each = |network| std::iter::repeat_n((40000, 1, Some(network)), 3);
    assert_eq!(flows, each(5).chain(each(6)).collect::<Vec<_>>());
}

#[test]
fn an_interface_above_the_tunnel_observes_the_same_conversation() {
    // The answer is observed on the interface of a pod, without the tunnel of the request.
    let mut meter = Meter::new(cache_settings());
    for round in 0..3 {
        meter.point.interface = 2;
        let forward = packet(FORWARD, 17, &datagram(FORWARD));
        meter.frame(round * 10, &in_vxlan(5, &forward));
        meter.point.interface = 7;
        let reverse = packet(REVERSE, 17, &datagram(REVERSE));
        meter.frame(round * 10 + 1, &ethernet(IP, &reverse));
        // Requests that go to another node leave by the tunnel, or arrive at the pod.
        meter.frame(round * 10 + 2, &ethernet(IP, &forward));
    }
    assert_eq!(meter.cache.conversations(), 1);
    assert_eq!(flows(&meter.finish()), [(40000, 6, Some(5)), (80, 3, None)]);
}

#[test]
fn a_tunnel_without_a_network_id_does_not_split_a_conversation() {
    let mut meter = Meter::new(cache_settings());
    let forward = packet(FORWARD, 17, &datagram(FORWARD));
    let reverse = packet(REVERSE, 17, &datagram(REVERSE));
    meter.frame(0, &in_gre(None, &forward));
    meter.frame(1, &ethernet(IP, &ipv4(4, NODE_B, NODE_A, &reverse)));
    meter.frame(2, &ethernet(IP, &forward));
    assert_eq!(meter.cache.conversations(), 1);
    let records = meter.finish();
    assert_eq!(records[0].tunnel.unwrap().tunnel_type, TunnelType::Gre);
    assert_eq!(flows(&records), [(40000, 2, Some(0)), (80, 1, Some(0))]);
}
