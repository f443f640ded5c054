//! Packets of which the payload is captured, too: those that can have the name of a peer.
//!
//! The kernel captures as many octets as its filter returns. So the beginning of most packets is
//! enough, and a few have the whole.

use std::io;

use pcap::{Active, Capture};
use socket2::SockRef;

use super::bpf::Program;
use super::libpcap::error_message;

/// Octets captured of a packet that can have a name.
const NAME_SNAPLEN: u32 = 4096;
/// Octets captured of a packet that can have messages of HTTP: all, also of segments that the NIC
/// or the kernel has joined, up to the length that an IP header can have.
const HTTP_SNAPLEN: u32 = 65_536 + 128;
/// Shorter packets are captured as a whole by any snap length, or have no name. In longer ones, all
/// octets that the expression reads are there: 14 of Ethernet, 60 of IP, 60 of TCP, 6 of payload.
const MINIMUM: u32 = 140;

/// The beginnings of requests (GET, POST, HEAD, PUT, DELETE, OPTIONS, PATCH, TRACE), and of the
/// PROXY protocol before them (version 1, version 2).
const BEGINNINGS: [u32; 10] = [
    0x4745_5420,
    0x504f_5354,
    0x4845_4144,
    0x5055_5420,
    0x4445_4c45,
    0x4f50_5449,
    0x5041_5443,
    0x5452_4143,
    0x5052_4f58,
    0x0d0a_0d0a,
];

/// Which payloads are captured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Payloads {
    /// Those that can have the name of a peer.
    pub names: bool,
    /// Those that can have messages of HTTP: all of TCP, except TLS at its usual port.
    pub http: bool,
}

impl Payloads {
    /// Octets captured of the packets with such payloads.
    pub(super) const fn snaplen(self) -> u32 {
        if self.http {
            HTTP_SNAPLEN
        } else {
            NAME_SNAPLEN
        }
    }

    /// None.
    pub(super) fn is_empty(self) -> bool {
        self == Self::default()
    }
}

/// Captures up to [`Payloads::snaplen`] octets of packets with such payloads, and `snaplen` of the
/// others. The capture was opened with the former, and `expression` is its filter.
///
/// # Errors
/// The kernel or libpcap refuses the filter.
pub(super) fn attach(
    capture: &Capture<Active>,
    expression: &str,
    payloads: Payloads,
    snaplen: u32,
) -> io::Result<()> {
    let compile = |expression: &str| {
        let compiled = capture.compile(expression, true);
        let compiled = compiled.map_err(|error| error_message(&error));
        Program::of(&compiled.map_err(io::Error::other)?).map_err(io::Error::other)
    };
    let program = compile(expression)?.with_lengths(
        compile(&payload_expression(payloads, snaplen))?,
        payloads.snaplen(),
        snaplen,
    );
    SockRef::from(capture).attach_filter(&program.for_kernel())
}

/// Packets longer than `snaplen` with payloads to capture.
fn payload_expression(payloads: Payloads, snaplen: u32) -> String {
    let length = snaplen.saturating_add(1).max(MINIMUM);
    let mut parts = Vec::new();
    if payloads.names {
        parts.push(name_expression());
    }
    if payloads.http {
        parts.push("(tcp and not port 443)".to_owned());
    }
    format!("greater {length} and ({})", parts.join(" or "))
}

/// Packets that can have a name: from a DNS server, to an HTTPS server, and the beginning of TLS,
/// HTTP and QUIC at any port.
fn name_expression() -> String {
    let v4 = begins("tcp", "((tcp[12] & 0xf0) >> 2)");
    let v6 = begins("ip6", "(40 + ((ip6[52] & 0xf0) >> 2))");
    let (quic_v4, quic_v6) = (initial("udp", 8), initial("ip6", 48));
    format!(
        "src port 53 or src port 5353 or tcp dst port 443 or {v4} or (ip6[6] = 6 and {v6}) or {quic_v4} \
         or (ip6[6] = 17 and {quic_v6})"
    )
}

/// A payload at an offset that begins with a long header of QUIC version 1 or 2.
fn initial(header: &str, offset: usize) -> String {
    let version = format!("{header}[{}:4]", offset.saturating_add(1));
    format!("({header}[{offset}] & 0xc0 = 0xc0 and ({version} = 1 or {version} = 0x6b3343cf))")
}

/// A payload at an offset that begins with a `ClientHello`, a request, or a header of the PROXY
/// protocol.
fn begins(header: &str, offset: &str) -> String {
    let beginnings = BEGINNINGS.map(|octets| format!("{header}[{offset}:4] = {octets:#x}"));
    let hello = format!("({header}[{offset}:2] = 0x1603 and {header}[{offset} + 5] = 1)");
    format!("({hello} or {})", beginnings.join(" or "))
}

#[cfg(test)]
mod tests {
    use pcap::Linktype;

    use super::*;
    use crate::capture::filter;
    use crate::capture::frame::LinkType;
    use crate::capture::share::Share;
    use flowproto::protocol::{TCP, UDP};

    /// An Ethernet frame with a TCP segment of this payload.
    fn frame(is_v6: bool, ports: (u16, u16), payload: &[u8]) -> Vec<u8> {
        let mut transport = [ports.0.to_be_bytes(), ports.1.to_be_bytes()].concat();
        transport.extend([0; 8]);
        // A header of 32 octets.
        transport.extend([0x80, 0x18]);
        transport.extend([0; 18]);
        transport.extend(payload);
        frame_of(is_v6, TCP, &transport)
    }

    /// An Ethernet frame with a transport header and its payload.
    fn frame_of(is_v6: bool, protocol: u8, transport: &[u8]) -> Vec<u8> {
        let mut frame = vec![0; 12];
        let mut header = vec![0; if is_v6 { 40 } else { 20 }];
        if is_v6 {
            frame.extend([0x86, 0xdd]);
            header[0] = 0x60;
            header[6] = protocol;
        } else {
            frame.extend([8, 0]);
            header[0] = 0x45;
            header[9] = protocol;
        }
        frame.extend(header);
        frame.extend(transport);
        frame
    }

    fn captured(program: &Program, frame: &[u8]) -> u32 {
        let octets = u32::try_from(frame.len()).unwrap();
        program.run(frame, octets).unwrap_or(0)
    }

    fn program(dlt: i32, expression: &str) -> Program {
        let payloads = Payloads {
            names: true,
            http: false,
        };
        program_for(payloads, dlt, expression)
    }

    fn program_for(payloads: Payloads, dlt: i32, expression: &str) -> Program {
        let compiled = Program::compile(expression, dlt).unwrap();
        let payload = Program::compile(&payload_expression(payloads, 256), dlt).unwrap();
        compiled.with_lengths(payload, payloads.snaplen(), 256)
    }

    fn payload(beginning: &[u8], octets: usize) -> Vec<u8> {
        let mut payload = beginning.to_vec();
        payload.resize(octets, b'x');
        payload
    }

    #[test]
    fn packets_that_can_have_a_name_are_captured_whole() {
        let expression = filter::expression(LinkType::Ethernet, None, &[], Share::ALL);
        let program = program(Linktype::ETHERNET.0, &expression);
        let hello = payload(&[22, 3, 1, 2, 0, 1], 517);
        for (ports, beginning, wanted) in [
            ((40_000, 8443), &hello[..], NAME_SNAPLEN),
            ((40_000, 8443), &payload(&[22, 3, 3, 2, 0, 2], 517), 256),
            (
                (40_000, 8080),
                &payload(b"POST /a HTTP/1.1", 400),
                NAME_SNAPLEN,
            ),
            ((40_000, 8080), &payload(b"PROXY TCP4 ", 400), NAME_SNAPLEN),
            (
                (40_000, 8443),
                &payload(b"\r\n\r\n\0\r\nQUIT\n", 400),
                NAME_SNAPLEN,
            ),
            ((40_000, 8080), &payload(b"HTTP/1.1 200 OK", 400), 256),
            ((40_000, 443), &payload(b"", 400), NAME_SNAPLEN),
            ((443, 40_000), &payload(b"", 1448), 256),
            ((53, 40_000), &payload(b"", 400), NAME_SNAPLEN),
            ((5353, 40_000), &payload(b"", 400), NAME_SNAPLEN),
            ((40_000, 80), b"", 256),
            ((40_000, 80), b"G", 256),
        ] {
            for is_v6 in [false, true] {
                let frame = frame(is_v6, ports, beginning);
                assert_eq!(captured(&program, &frame), wanted, "{ports:?} {frame:02x?}");
            }
        }
    }

    #[test]
    fn segments_that_can_have_http_messages_are_captured_whole() {
        let expression = filter::expression(LinkType::Ethernet, None, &[], Share::ALL);
        for names in [false, true] {
            let payloads = Payloads { names, http: true };
            let program = program_for(payloads, Linktype::ETHERNET.0, &expression);
            for is_v6 in [false, true] {
                let segment = |ports| frame(is_v6, ports, &payload(b"x", 1448));
                assert_eq!(captured(&program, &segment((80, 5000))), HTTP_SNAPLEN);
                assert_eq!(captured(&program, &segment((5000, 8080))), HTTP_SNAPLEN);
                assert_eq!(captured(&program, &segment((443, 5000))), 256);
                let datagram = frame_of(is_v6, UDP, &payload(b"", 1400));
                assert_eq!(captured(&program, &datagram), 256);
            }
        }
    }

    #[test]
    fn packets_of_quic_with_a_long_header_are_captured_whole() {
        let expression = filter::expression(LinkType::Ethernet, None, &[], Share::ALL);
        let program = program(Linktype::ETHERNET.0, &expression);
        for (beginning, wanted) in [
            (&[0xc3, 0, 0, 0, 1][..], NAME_SNAPLEN),
            (&[0xdf, 0x6b, 0x33, 0x43, 0xcf], NAME_SNAPLEN),
            (&[0x43, 0, 0, 0, 1], 256),
            (&[0xc3, 0, 0, 0, 2], 256),
            (&[0xc3, 0xff, 0, 0, 1], 256),
        ] {
            for is_v6 in [false, true] {
                let datagram = [&[0; 8][..], &payload(beginning, 1200)].concat();
                let datagram = frame_of(is_v6, UDP, &datagram);
                assert_eq!(captured(&program, &datagram), wanted, "{beginning:02x?}");
                let segment = frame(is_v6, (1, 2), &payload(beginning, 1200));
                assert_eq!(captured(&program, &segment), 256, "{beginning:02x?}");
            }
        }
    }

    #[test]
    fn a_packet_is_captured_if_and_only_if_the_filter_passes_it() {
        for (dlt, link_type) in [(1, LinkType::Ethernet), (12, LinkType::Raw)] {
            for given in [None, Some("tcp port 80"), Some("udp or icmp"), Some("ip6")] {
                let expression = filter::expression(link_type, given, &[], Share::ALL);
                let plain = Program::compile(&expression, dlt).unwrap();
                let program = program(dlt, &expression);
                let hello = payload(&[22, 3, 1, 2, 0, 1], 517);
                for is_v6 in [false, true] {
                    for ports in [(1, 80), (53, 2)] {
                        let whole = frame(is_v6, ports, &hello);
                        for end in 0..whole.len() {
                            let mut frame = whole.get(..end).unwrap();
                            if dlt == 12 {
                                frame = frame.get(14..).unwrap_or_default();
                            }
                            let octets = u32::try_from(frame.len()).unwrap();
                            let is_captured = captured(&program, frame) > 0;
                            assert_eq!(is_captured, plain.accepts(frame, octets), "{end}");
                        }
                    }
                }
            }
        }
    }
}
