//! The transport header: ports, TCP flags, numbers and maximum segment size, SCTP chunks, ICMP type
//! and code. Fields that were not captured stay 0, and the packet is metered all the same.

use flowproto::protocol::{DCCP, ESP, ICMP, ICMPV6, SCTP, TCP, UDP, UDP_LITE};

use super::ip::Header;
use super::packet::{PacketInfo, Signal, TcpOptions};

/// Octets of the header of UDP, and of the common header of SCTP.
const UDP_HEADER: u32 = 8;
const SCTP_HEADER: u32 = 12;

const FIN: u16 = 0x01;
const SYN: u16 = 0x02;
const RST: u16 = 0x04;
const ACK: u16 = 0x10;

/// Reads the transport header of an unfragmented packet or a first fragment.
#[inline(always)]
pub(super) fn read(header: &Header<'_>, info: &mut PacketInfo) {
    match header.protocol {
        TCP => {
            ports(header.payload, info);
            tcp(header, info);
        }
        UDP => {
            ports(header.payload, info);
            info.signal = datagram(header.payload, info.key.source_port);
            segmentable(header, UDP_HEADER, info);
        }
        UDP_LITE | DCCP => ports(header.payload, info),
        SCTP => {
            sctp(header.payload, info);
            segmentable(header, SCTP_HEADER, info);
        }
        ICMP | ICMPV6 => {
            if let Some([kind, code]) = header.payload.first_chunk::<2>() {
                info.icmp_type_code = u16::from_be_bytes([*kind, *code]);
                info.signal = icmp(header.protocol, *kind);
            }
        }
        // Segments of ESP are merged with their headers.
        ESP => segmentable(header, 0, info),
        _ => {}
    }
}

/// Sets the payload that an offload may have merged from several segments.
#[inline(always)]
fn segmentable(header: &Header<'_>, transport_header: u32, info: &mut PacketInfo) {
    info.header_octets = header.header_octets.saturating_add(transport_header);
    info.payload_octets = header.octets.saturating_sub(info.header_octets);
}

/// The meaning of a UDP datagram from a port whose protocol marks answers: the bit QR of DNS
/// (RFC 1035 §4.1.1), the operation of DHCP (RFC 2131 §2), the mode of NTP (RFC 5905 §7.3).
#[inline(always)]
fn datagram(octets: &[u8], source_port: u16) -> Signal {
    let is_answer = match (source_port, octets) {
        (53, [_, _, _, _, _, _, _, _, _, _, flags, ..]) => flags & 0x80 != 0,
        (67, [_, _, _, _, _, _, _, _, operation, ..]) => *operation == 2,
        (123, [_, _, _, _, _, _, _, _, flags, ..]) => flags & 7 == 4,
        _ => false,
    };
    if is_answer {
        Signal::Answer
    } else {
        Signal::None
    }
}

/// The meaning of an ICMP message by its type (IANA registries of ICMP and ICMPv6 types).
fn icmp(protocol: u8, kind: u8) -> Signal {
    match (protocol, kind) {
        // Echo, router solicitation, timestamp, information, mask, extended echo.
        (ICMP, 8 | 10 | 13 | 15 | 17 | 42) => Signal::Query,
        // Echo, router and neighbor solicitation, node information, extended echo.
        (ICMPV6, 128 | 133 | 135 | 139 | 160) => Signal::Query,
        // Answers, advertisements and errors.
        (ICMP, 0 | 3 | 4 | 5 | 9 | 11 | 12 | 14 | 16 | 18 | 43) => Signal::Continuation,
        (ICMPV6, 0..=127 | 129 | 134 | 136 | 137 | 140 | 161) => Signal::Continuation,
        _ => Signal::None,
    }
}

#[inline(always)]
fn ports(payload: &[u8], info: &mut PacketInfo) {
    if let Some(ports) = payload.first_chunk::<4>() {
        info.key.source_port = u16::from_be_bytes([ports[0], ports[1]]);
        info.key.destination_port = u16::from_be_bytes([ports[2], ports[3]]);
    }
}

/// Reads a TCP header (RFC 9293 §3.1), which may be truncated after its flags.
#[inline(always)]
fn tcp(header: &Header<'_>, info: &mut PacketInfo) {
    let Some(fixed) = header.payload.first_chunk::<14>() else {
        return;
    };
    info.sequence_number = u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]);
    info.acknowledgment_number = u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]);
    let control_bits = u16::from_be_bytes([fixed[12], fixed[13]]) & 0x0fff;
    info.tcp_control_bits = control_bits;
    info.signal = match control_bits & (RST | SYN | FIN | ACK) {
        bits if bits & RST != 0 => Signal::Abort,
        bits if bits & (SYN | ACK) == SYN => Signal::Open,
        bits if bits & SYN != 0 => Signal::Accept,
        bits if bits & FIN != 0 => Signal::Finish,
        _ => Signal::None,
    };
    let tcp_header = u32::from(fixed[12] >> 4).wrapping_mul(4);
    let Some(option_octets) = tcp_header.checked_sub(20) else {
        return;
    };
    info.tcp_option_octets = option_octets;
    info.header_octets = header.header_octets.saturating_add(tcp_header);
    info.payload_octets = header.octets.saturating_sub(info.header_octets);
    if let Some(&[high, low]) = header.payload.get(14..16) {
        info.tcp_window = u16::from_be_bytes([high, low]);
        info.tcp_options = TcpOptions::NONE;
        let options = header.payload.get(20..).unwrap_or_default();
        // Most segments have timestamps only.
        if option_octets > 0 && !(option_octets == 12 && options.starts_with(&[1, 1, 8, 10])) {
            tcp_options(options, option_octets, info);
        }
    }
}

/// Reads the options in the first `length` octets of `options`: maximum segment size (kind 2), SACK
/// permitted (4), SACK (5).
fn tcp_options(options: &[u8], length: u32, info: &mut PacketInfo) {
    let end = usize::try_from(length).unwrap_or(usize::MAX);
    let mut options = options.get(..end).unwrap_or(options);
    loop {
        let length = match *options {
            [1, ..] => 1,
            [kind, length, ref rest @ ..] if kind > 1 && length >= 2 => {
                let value = rest
                    .get(..usize::from(length).saturating_sub(2))
                    .unwrap_or(rest);
                tcp_option(kind, value, info);
                usize::from(length)
            }
            _ => return,
        };
        options = options.get(length..).unwrap_or_default();
    }
}

fn tcp_option(kind: u8, value: &[u8], info: &mut PacketInfo) {
    let is_synchronize = info.tcp_control_bits & SYN != 0;
    match (kind, value) {
        (2, &[high, low]) if is_synchronize => {
            info.maximum_segment_octets = u16::from_be_bytes([high, low]);
        }
        (4, []) if is_synchronize => info.tcp_options.permit_sack(),
        (5, value) => {
            let (blocks, _) = value.as_chunks::<8>();
            let edge = |octets: [u8; 4]| u32::from_be_bytes(octets);
            let blocks = blocks
                .iter()
                .map(|[a, b, c, d, e, f, g, h]| [edge([*a, *b, *c, *d]), edge([*e, *f, *g, *h])]);
            info.tcp_options.sack(info.acknowledgment_number, blocks);
        }
        _ => {}
    }
}

/// Reads an SCTP packet (RFC 9260 §3): twelve octets of common header, then chunks. A chunk that
/// opens or ends an association is the only one or the first: INIT, INIT ACK and SHUTDOWN COMPLETE
/// must not be bundled.
fn sctp(payload: &[u8], info: &mut PacketInfo) {
    let Some((header, chunks)) = payload.split_first_chunk::<12>() else {
        return;
    };
    ports(header, info);
    let Some((&[kind, ..], chunk)) = chunks.split_first_chunk::<4>() else {
        return;
    };
    let initiate_tag = chunk
        .first_chunk::<4>()
        .copied()
        .map_or(0, u32::from_be_bytes);
    match kind {
        1 => {
            info.signal = Signal::Open;
            info.sequence_number = initiate_tag;
        }
        2 => {
            info.signal = Signal::Accept;
            info.sequence_number = initiate_tag;
        }
        6 | 14 => info.signal = Signal::Abort,
        _ => {}
    }
}
