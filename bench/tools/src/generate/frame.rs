//! Writes the packets of conversations as Ethernet frames with correct checksums.

use std::net::{IpAddr, Ipv4Addr};

use super::conversation::{ACK, Conversation, ConversationKind, DATA_OPTIONS, DNS_NAME, FIN};
use super::conversation::{SYN, SYN_OPTIONS, Segment};
use super::plan::LOCAL_NODE;
use crate::flows::FlowKey;
use crate::random::mix;

const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP: u8 = 1;

/// Shortest Ethernet frame without its checksum; shorter ones are padded.
const MIN_FRAME: usize = 60;

/// What a packet counts for, seen inside its tunnel.
pub(crate) struct InnerPacket {
    pub(crate) key: FlowKey,
    /// Octets from the IP header on.
    pub(crate) octets: u64,
    pub(crate) tcp_flags: u8,
    /// The same packet as the network between the nodes sees it, if that is different.
    pub(crate) outer: Option<(FlowKey, u64)>,
}

/// Reused buffers.
pub(crate) struct FrameBuilder {
    vxlan_port: u16,
    filler: Vec<u8>,
    transport: Vec<u8>,
    packet: Vec<u8>,
    frame: Vec<u8>,
}

impl FrameBuilder {
    pub(crate) fn new(vxlan_port: u16) -> Self {
        Self {
            vxlan_port,
            filler: (0..2048).map(|at| mix(at ^ 0x77) as u8).collect(),
            transport: Vec::new(),
            packet: Vec::new(),
            frame: Vec::new(),
        }
    }

    /// The last frame that was built.
    pub(crate) fn frame(&self) -> &[u8] {
        &self.frame
    }

    /// Builds the next packet of a conversation and advances it. `time` is in microseconds.
    pub(crate) fn build(
        &mut self,
        number: u32,
        conversation: &mut Conversation,
        time: u64,
        random: u64,
    ) -> InnerPacket {
        let segment = conversation.segment(random);
        let protocol = conversation.protocol();
        let (source, destination) = if segment.is_forward {
            (conversation.client, conversation.server)
        } else {
            (conversation.server, conversation.client)
        };
        let (source_port, destination_port) = self.transport(number, conversation, &segment, time);
        self.put_checksum(protocol, source, destination);
        conversation.written += 1;

        let identification = random as u16;
        self.packet.clear();
        put_ip_header(
            &mut self.packet,
            protocol,
            source,
            destination,
            self.transport.len(),
            identification,
        );
        self.packet.extend_from_slice(&self.transport);
        let key = FlowKey {
            source,
            destination,
            source_port,
            destination_port,
            protocol,
        };
        let (from, to) = if segment.is_forward {
            (LOCAL_NODE, conversation.node)
        } else {
            (conversation.node, LOCAL_NODE)
        };
        self.frame.clear();
        let outer = if conversation.is_vxlan {
            Some(self.encapsulate(conversation, &key, from, to, identification))
        } else {
            put_ethernet_header(&mut self.frame, 0x02, from, to, conversation.is_ipv6);
            None
        };
        self.frame.extend_from_slice(&self.packet);
        if self.frame.len() < MIN_FRAME {
            self.frame.resize(MIN_FRAME, 0);
        }
        InnerPacket {
            key,
            octets: self.packet.len() as u64,
            tcp_flags: segment.tcp_flags,
            outer,
        }
    }

    /// Writes the transport header and payload; returns the ports of the flow key.
    fn transport(
        &mut self,
        number: u32,
        conversation: &mut Conversation,
        segment: &Segment,
        time: u64,
    ) -> (u16, u16) {
        self.transport.clear();
        let (client, server) = (conversation.client_port, conversation.server_port);
        let (source, destination) = if segment.is_forward {
            (client, server)
        } else {
            (server, client)
        };
        match conversation.protocol() {
            TCP => self.tcp(conversation, segment, source, destination, time),
            UDP => self.udp(number, conversation, segment, source, destination),
            protocol => {
                let icmp_type = match (protocol, segment.is_forward) {
                    (ICMP, true) => 8,
                    (ICMP, false) => 0,
                    (_, true) => 128,
                    (_, false) => 129,
                };
                self.transport.extend_from_slice(&[icmp_type, 0, 0, 0]);
                self.put_number(client);
                self.put_number((conversation.written / 2) as u16);
                self.fill(segment.payload);
                // NetFlow puts type and code into the destination port.
                return (0, u16::from(icmp_type) << 8);
            }
        }
        (source, destination)
    }

    fn tcp(
        &mut self,
        conversation: &mut Conversation,
        segment: &Segment,
        source: u16,
        destination: u16,
        time: u64,
    ) {
        let flags = segment.tcp_flags;
        let (own, other) = if segment.is_forward {
            (
                &mut conversation.client_sequence,
                conversation.server_sequence,
            )
        } else {
            (
                &mut conversation.server_sequence,
                conversation.client_sequence,
            )
        };
        let sequence = *own;
        let advance = segment.payload as u32 + u32::from(flags & (SYN | FIN) != 0);
        *own = sequence.wrapping_add(advance);
        let acknowledged = if flags & ACK == 0 { 0 } else { other };
        self.put_number(source);
        self.put_number(destination);
        self.transport.extend_from_slice(&sequence.to_be_bytes());
        self.transport
            .extend_from_slice(&acknowledged.to_be_bytes());
        let header_words = ((20 + segment.options) / 4) as u8;
        self.transport
            .extend_from_slice(&[header_words << 4, flags, 0xff, 0xff, 0, 0, 0, 0]);
        let timestamp = ((time / 1000) as u32).to_be_bytes();
        match segment.options {
            SYN_OPTIONS => {
                self.transport.extend_from_slice(&[2, 4]);
                self.put_number(conversation.mss());
                self.transport.extend_from_slice(&[4, 2, 8, 10]);
                self.transport.extend_from_slice(&timestamp);
                self.transport.extend_from_slice(&[0, 0, 0, 0, 1, 3, 3, 7]);
            }
            DATA_OPTIONS => {
                self.transport.extend_from_slice(&[1, 1, 8, 10]);
                self.transport.extend_from_slice(&timestamp);
                self.transport.extend_from_slice(&timestamp);
            }
            _ => {}
        }
        self.fill(segment.payload);
    }

    fn udp(
        &mut self,
        number: u32,
        conversation: &Conversation,
        segment: &Segment,
        source: u16,
        destination: u16,
    ) {
        self.put_number(source);
        self.put_number(destination);
        self.put_number(8 + segment.payload as u16);
        self.put_number(0);
        if conversation.kind != ConversationKind::Dns {
            return self.fill(segment.payload);
        }
        self.put_number(mix(number.into()) as u16);
        self.transport.extend_from_slice(if segment.is_forward {
            &[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]
        } else {
            &[0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]
        });
        let at = self.transport.len();
        self.transport.extend_from_slice(DNS_NAME);
        self.transport[at + 4] = b'0' + (number % 10) as u8;
        self.transport[at + 5] = b'0' + (number / 10 % 10) as u8;
        self.transport.extend_from_slice(&[0, 1, 0, 1]);
        if !segment.is_forward {
            let answer = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 30, 0, 4, 10, 96, 0, 10];
            self.transport.extend_from_slice(&answer);
        }
    }

    fn put_number(&mut self, number: u16) {
        self.transport.extend_from_slice(&number.to_be_bytes());
    }

    fn fill(&mut self, octets: u64) {
        let filler = &self.filler[..octets as usize];
        self.transport.extend_from_slice(filler);
    }

    fn put_checksum(&mut self, protocol: u8, source: IpAddr, destination: IpAddr) {
        let mut sum = 0;
        // ICMP for IPv4 has no pseudo-header.
        if protocol != ICMP {
            sum = add_words(sum, &octets(source));
            sum = add_words(sum, &octets(destination));
            sum += u64::from(protocol) + self.transport.len() as u64;
        }
        let mut checksum = fold(add_words(sum, &self.transport));
        if protocol == UDP && checksum == 0 {
            checksum = 0xffff;
        }
        let at = match protocol {
            TCP => 16,
            UDP => 6,
            _ => 2,
        };
        self.transport[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
    }

    /// Writes the headers in front of the inner packet; returns what the outer packet counts for.
    fn encapsulate(
        &mut self,
        conversation: &Conversation,
        inner: &FlowKey,
        from: u8,
        to: u8,
        identification: u16,
    ) -> (FlowKey, u64) {
        let (source, destination) = (node_address(from), node_address(to));
        let source_port = 49_152 + (flow_hash(inner) % 16_384) as u16;
        let length = 8 + 8 + 14 + self.packet.len();
        put_ethernet_header(&mut self.frame, 0x02, from, to, false);
        let frame = &mut self.frame;
        put_ip_header(frame, UDP, source, destination, length, identification);
        frame.extend_from_slice(&source_port.to_be_bytes());
        frame.extend_from_slice(&self.vxlan_port.to_be_bytes());
        frame.extend_from_slice(&(length as u16).to_be_bytes());
        frame.extend_from_slice(&[0, 0, 8, 0, 0, 0]);
        frame.extend_from_slice(&(conversation.vni << 8).to_be_bytes());
        put_ethernet_header(frame, 0x0a, from, to, conversation.is_ipv6);
        let key = FlowKey {
            source,
            destination,
            source_port,
            destination_port: self.vxlan_port,
            protocol: UDP,
        };
        (key, 20 + length as u64)
    }
}

fn node_address(node: u8) -> IpAddr {
    Ipv4Addr::new(192, 168, 0, node).into()
}

/// Hash of the inner flow, from which the outer source port is chosen.
fn flow_hash(key: &FlowKey) -> u64 {
    let at = |address: IpAddr, at: usize| {
        let octets = octets(address);
        u64::from(octets.get(at).copied().unwrap_or(0))
    };
    let addresses = at(key.source, 12)
        ^ (at(key.source, 3) << 8)
        ^ (at(key.source, 15) << 16)
        ^ (at(key.destination, 3) << 24)
        ^ (at(key.destination, 15) << 32);
    mix(mix(addresses) ^ (u64::from(key.source_port) << 16) ^ u64::from(key.destination_port))
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn put_ethernet_header(frame: &mut Vec<u8>, prefix: u8, from: u8, to: u8, is_ipv6: bool) {
    frame.extend_from_slice(&[prefix, 0, 0, 0, 0, to, prefix, 0, 0, 0, 0, from]);
    frame.extend_from_slice(if is_ipv6 { &[0x86, 0xdd] } else { &[8, 0] });
}

fn put_ip_header(
    packet: &mut Vec<u8>,
    protocol: u8,
    source: IpAddr,
    destination: IpAddr,
    payload: usize,
    identification: u16,
) {
    if source.is_ipv6() {
        packet.extend_from_slice(&[0x60, 0, 0, 0]);
        packet.extend_from_slice(&(payload as u16).to_be_bytes());
        packet.extend_from_slice(&[protocol, 64]);
        packet.extend_from_slice(&octets(source));
        packet.extend_from_slice(&octets(destination));
        return;
    }
    let at = packet.len();
    packet.extend_from_slice(&[0x45, 0]);
    packet.extend_from_slice(&(20 + payload as u16).to_be_bytes());
    packet.extend_from_slice(&identification.to_be_bytes());
    packet.extend_from_slice(&[0x40, 0, 64, protocol, 0, 0]);
    packet.extend_from_slice(&octets(source));
    packet.extend_from_slice(&octets(destination));
    let checksum = fold(add_words(0, &packet[at..]));
    packet[at + 10..at + 12].copy_from_slice(&checksum.to_be_bytes());
}

/// Adds octets to an Internet checksum (RFC 1071).
fn add_words(mut sum: u64, octets: &[u8]) -> u64 {
    for word in octets.chunks(2) {
        let [high, low] = [word[0], word.get(1).copied().unwrap_or(0)];
        sum += u64::from(u16::from_be_bytes([high, low]));
    }
    sum
}

fn fold(mut sum: u64) -> u16 {
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
