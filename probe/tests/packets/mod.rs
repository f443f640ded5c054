//! Builders of packets, layer by layer: each puts its header before a payload.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "test code, of which each test uses a part"
)]

use std::net::{Ipv4Addr, Ipv6Addr};

use flowproto::{Address, FlowRecord};
use kipfix_probe::cache::{CacheSettings, RecordSink};
use kipfix_probe::capture::frame::{Frame, LinkType};
use kipfix_probe::decode::tunnel_ports::TunnelPorts;
use kipfix_probe::decode::{Decoder, DecoderSettings, PacketInfo, Undecodable};
use kipfix_probe::inspect::InspectorSettings;
use kipfix_probe::pipeline::PipelineSettings;
use kipfix_probe::sampling::SamplingRatio;
use kipfix_probe::translation::TranslationSource;

pub(crate) mod files;
pub(crate) mod http2;
pub(crate) mod http_probe;
pub(crate) mod meter;
pub(crate) mod passages;
pub(crate) mod payloads;
pub(crate) mod quic;

pub(crate) const SECOND: u64 = 1_000_000_000;

pub(crate) const FIN: u8 = 0x01;
pub(crate) const SYN: u8 = 0x02;
pub(crate) const RST: u8 = 0x04;
pub(crate) const ACK: u8 = 0x10;

fn len16(octets: usize) -> [u8; 2] {
    u16::try_from(octets).unwrap().to_be_bytes()
}

pub(crate) fn ethernet(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    frame.extend(ethertype.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A tag control field and the EtherType after it.
pub(crate) fn tag(id: u16, ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [&id.to_be_bytes(), &ethertype.to_be_bytes(), payload].concat()
}

pub(crate) fn mpls(labels: &[u32], payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for (at, label) in labels.iter().enumerate() {
        let bottom = u32::from(at + 1 == labels.len());
        out.extend((label << 12 | bottom << 8 | 64).to_be_bytes());
    }
    out.extend(payload);
    out
}

pub(crate) fn ipv4(protocol: u8, source: [u8; 4], destination: [u8; 4], payload: &[u8]) -> Vec<u8> {
    ipv4_fragment(protocol, source, destination, 0, 0, payload)
}

/// `flags_offset` as in the header: 0x2000 more fragments, offset in units of 8 octets.
pub(crate) fn ipv4_fragment(
    protocol: u8,
    source: [u8; 4],
    destination: [u8; 4],
    identification: u16,
    flags_offset: u16,
    payload: &[u8],
) -> Vec<u8> {
    let mut packet = vec![0x45, 0xb8];
    packet.extend(len16(20 + payload.len()));
    packet.extend(identification.to_be_bytes());
    packet.extend(flags_offset.to_be_bytes());
    packet.extend([64, protocol, 0, 0]);
    packet.extend(source);
    packet.extend(destination);
    packet.extend(payload);
    packet
}

pub(crate) fn ipv6(next_header: u8, source: &str, destination: &str, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend(len16(payload.len()));
    packet.extend([next_header, 64]);
    packet.extend(source.parse::<Ipv6Addr>().unwrap().octets());
    packet.extend(destination.parse::<Ipv6Addr>().unwrap().octets());
    packet.extend(payload);
    packet
}

pub(crate) fn udp(source_port: u16, destination_port: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    packet.extend(source_port.to_be_bytes());
    packet.extend(destination_port.to_be_bytes());
    packet.extend(len16(8 + payload.len()));
    packet.extend([0, 0]);
    packet.extend(payload);
    packet
}

pub(crate) fn tcp(ports: (u16, u16), numbers: (u32, u32), flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    packet.extend(ports.0.to_be_bytes());
    packet.extend(ports.1.to_be_bytes());
    packet.extend(numbers.0.to_be_bytes());
    packet.extend(numbers.1.to_be_bytes());
    packet.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    packet.extend(payload);
    packet
}

/// A SYN or SYN ACK with a maximum segment size.
pub(crate) fn tcp_syn(ports: (u16, u16), numbers: (u32, u32), flags: u8, mss: u16) -> Vec<u8> {
    let mut packet = tcp(ports, numbers, flags, &[]);
    packet[12] = 0x70;
    packet.extend([1, 1, 2, 4]);
    packet.extend(mss.to_be_bytes());
    packet.extend([1, 0]);
    packet
}

pub(crate) fn vxlan(vni: u32, frame: &[u8]) -> Vec<u8> {
    [&[8, 0, 0, 0][..], &(vni << 8).to_be_bytes(), frame].concat()
}

pub(crate) fn geneve(vni: u32, protocol: u16, options: &[u8], payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(options.len() / 4).unwrap();
    let mut out = vec![length, 0];
    out.extend(protocol.to_be_bytes());
    out.extend((vni << 8).to_be_bytes());
    out.extend(options);
    out.extend(payload);
    out
}

pub(crate) fn gre(key: Option<u32>, protocol: u16, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![if key.is_some() { 0x20 } else { 0 }, 0];
    out.extend(protocol.to_be_bytes());
    if let Some(key) = key {
        out.extend(key.to_be_bytes());
    }
    out.extend(payload);
    out
}

pub(crate) fn v4(octets: [u8; 4]) -> Address {
    Ipv4Addr::from(octets).into()
}

pub(crate) fn v6(text: &str) -> Address {
    text.parse::<Ipv6Addr>().unwrap().into()
}

pub(crate) fn frame(captured: &[u8], time_ns: u64) -> Frame<'_> {
    Frame {
        captured,
        wire_octets: u32::try_from(captured.len()).unwrap(),
        is_wire_length_lost: false,
        link_type: LinkType::Ethernet,
        time_ns,
    }
}

pub(crate) fn decoder_settings() -> DecoderSettings {
    DecoderSettings {
        max_fragments: 16.try_into().unwrap(),
        tunnel_ports: TunnelPorts::default(),
        is_before_offload: false,
    }
}

/// A decoder that keeps 16 fragmented packets.
pub(crate) fn decoder() -> Decoder {
    Decoder::new(decoder_settings())
}

pub(crate) fn decoded(captured: &[u8]) -> Result<PacketInfo, Undecodable> {
    decoder().decode(&frame(captured, SECOND), false)
}

pub(crate) fn cache_settings() -> CacheSettings {
    CacheSettings {
        max_conversations: 1000,
        idle_timeout_ns: 15 * SECOND,
        active_timeout_ns: 60 * SECOND,
        connection_timeout_ns: 3600 * SECOND,
        longest_gap_ns: 86_400_000_000_000,
        packet_correction: true,
        tcp_health: true,
        has_interfaces: true,
        biflow: false,
        sampling: SamplingRatio::ALL,
        translations: TranslationSource::Off,
        max_names: None,
    }
}

/// Parameters of a pipeline that inspects no messages.
pub(crate) fn pipeline_settings(cache: CacheSettings) -> PipelineSettings {
    PipelineSettings {
        decoder: decoder_settings(),
        inspector: InspectorSettings::default(),
        cache,
    }
}

/// Collects records.
#[derive(Default)]
pub(crate) struct Records(pub(crate) Vec<FlowRecord>);

impl RecordSink for Records {
    fn record(&mut self, record: &mut Option<FlowRecord>) {
        self.0.extend(record.take());
    }
}
