//! Decoding of packets: this decoder, and the `etherparse` crate, which reads the outer headers.
#![allow(missing_docs, clippy::unwrap_used, reason = "benchmark")]

use std::hint::black_box;
use std::num::NonZeroUsize;

use criterion::{Criterion, criterion_group, criterion_main};
use etherparse::{PacketBuilder, SlicedPacket};
use kipfix_probe::capture::frame::{Frame, LinkType};
use kipfix_probe::decode::tunnel_ports::TunnelPorts;
use kipfix_probe::decode::{Decoder, DecoderSettings, PacketInfo};

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const V4: [u8; 4] = [192, 0, 2, 1];
const V6: [u8; 16] = [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
const PAYLOAD: [u8; 100] = [0; 100];
const VXLAN_PORT: u16 = 4789;

fn frames() -> [(&'static str, Vec<u8>); 4] {
    let ethernet = || PacketBuilder::ethernet2(MAC, MAC);
    let mut frames = [
        ("tcp_ipv4", Vec::new()),
        ("tcp_ipv6", Vec::new()),
        ("udp_vlan", Vec::new()),
        ("vxlan", Vec::new()),
    ];
    let [(_, tcp_v4), (_, tcp_v6), (_, tagged), (_, vxlan)] = &mut frames;
    let tcp = ethernet().ipv4(V4, V4, 64).tcp(1000, 443, 1, 65_535);
    tcp.write(tcp_v4, &PAYLOAD).unwrap();
    let tcp = ethernet().ipv6(V6, V6, 64).tcp(1000, 443, 1, 65_535);
    tcp.write(tcp_v6, &PAYLOAD).unwrap();
    let vlan = ethernet().single_vlan(7.try_into().unwrap());
    let udp = vlan.ipv4(V4, V4, 64).udp(1000, 53);
    udp.write(tagged, &PAYLOAD).unwrap();
    let inner = [&[8, 0, 0, 0, 0, 0, 1, 0][..], tcp_v4].concat();
    let udp = ethernet().ipv4(V4, V4, 64).udp(1000, VXLAN_PORT);
    udp.write(vxlan, &inner).unwrap();
    frames
}

fn decode(c: &mut Criterion) {
    let mut decoder = Decoder::new(DecoderSettings {
        max_fragments: NonZeroUsize::MIN,
        tunnel_ports: TunnelPorts::default(),
        is_before_offload: false,
    });
    let mut group = c.benchmark_group("decode_packet");
    for (name, octets) in &frames() {
        let frame = Frame {
            captured: octets,
            wire_octets: octets.len().try_into().unwrap(),
            is_wire_length_lost: false,
            link_type: LinkType::Ethernet,
            time_ns: 0,
        };
        let mut info = PacketInfo::default();
        group.bench_function(format!("{name}/kipfix"), |b| {
            b.iter(|| {
                let read = decoder.decode_into(black_box(&frame), false, &mut info);
                black_box((read.is_ok(), &info));
            })
        });
        assert_eq!(info.tunnel.is_some(), *name == "vxlan");
        group.bench_function(format!("{name}/etherparse"), |b| {
            b.iter(|| black_box(SlicedPacket::from_ethernet(black_box(octets))))
        });
    }
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
