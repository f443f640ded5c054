//! Generated captures with known flows. The generator counts what it writes and shares no code with
//! the probe.
//!
//! Conversations of TCP (handshake to FIN), UDP and ICMP echo, IPv4 and IPv6, some in VXLAN,
//! VLAN-tagged or fragmented. Short frames have the padding of Ethernet.

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::Duration;

use etherparse::{
    EtherType, IpFragOffset, IpNumber, Ipv4Header, PacketBuilder, PacketBuilderStep, VlanId,
};
use pcap_file::pcap::{PcapPacket, PcapWriter};

use crate::flows::Flows;

/// The content of a capture.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    /// Packets and octets of every flow, by the innermost IP header.
    pub flows: Flows,
    /// Frames.
    pub packets: u64,
    /// TCP connections with a SYN, and UDP conversations.
    pub connections: u64,
    /// Frames without IP.
    pub not_ip: u64,
}

/// The encapsulation of a conversation.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Carriage {
    Plain,
    Vlan,
    Vxlan,
}

struct Conversation {
    client: IpAddr,
    server: IpAddr,
    ports: (u16, u16),
    protocol: u8,
    carriage: Carriage,
}

/// Deterministic pseudo-random numbers.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// Writes a capture with a number of conversations.
pub fn write(path: &Path, conversations: u16) -> Truth {
    let file = File::create(path).expect("a capture can be made");
    let mut writer = Writer {
        pcap: PcapWriter::new(std::io::BufWriter::new(file)).expect("a pcap header"),
        truth: Truth::default(),
        microseconds: 1_700_000_000_000_000,
    };
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    writer.lead_in();
    for number in 0..conversations {
        let conversation = Conversation::throw(number, &mut dice);
        match conversation.protocol {
            6 => conversation.tcp(&mut writer, &mut dice),
            17 => conversation.udp(&mut writer, &mut dice),
            _ => conversation.echo(&mut writer, &mut dice),
        }
    }
    writer.fragments();
    writer.not_ip();
    writer.truth
}

impl Conversation {
    fn throw(number: u16, dice: &mut Dice) -> Self {
        let ipv6 = dice.roll(5) == 0;
        let host = |net: u8, n: u64| -> IpAddr {
            if ipv6 {
                Ipv6Addr::new(0xfd00, 0, 0, net.into(), 0, 0, 0, n as u16 + 1).into()
            } else {
                Ipv4Addr::new(10, 1, net, n as u8 + 1).into()
            }
        };
        let protocol = [6, 6, 6, 17, 17, 1][dice.roll(6) as usize];
        Self {
            client: host(1, dice.roll(40)),
            server: host(2, dice.roll(20)),
            // One port per conversation: every 5-tuple is unique.
            ports: (20_000 + number, [80, 443, 53, 8080][dice.roll(4) as usize]),
            protocol: if protocol == 1 && ipv6 { 58 } else { protocol },
            carriage: [
                Carriage::Plain,
                Carriage::Plain,
                Carriage::Vlan,
                Carriage::Vxlan,
            ][dice.roll(4) as usize],
        }
    }

    fn tcp(&self, writer: &mut Writer, dice: &mut Dice) {
        let (mut up, mut down) = (1000, 5000);
        writer.truth.connections += 1;
        self.segment(writer, true, up, None, |s| s.syn());
        self.segment(writer, false, down, None, |s| s.syn().ack(up + 1));
        (up, down) = (up + 1, down + 1);
        self.segment(writer, true, up, None, |s| s.ack(down));
        for _ in 0..dice.roll(12) {
            let from_client = dice.roll(2) == 0;
            let payload = vec![7; dice.roll(1200) as usize];
            let (sequence, acknowledged) = if from_client {
                (&mut up, down)
            } else {
                (&mut down, up)
            };
            let at = *sequence;
            *sequence += payload.len() as u32;
            self.segment(writer, from_client, at, Some(&payload), |s| {
                s.ack(acknowledged).psh()
            });
        }
        self.segment(writer, true, up, None, |s| s.fin().ack(down));
        self.segment(writer, false, down, None, |s| s.fin().ack(up + 1));
        self.segment(writer, true, up + 1, None, |s| s.ack(down + 1));
    }

    fn segment(
        &self,
        writer: &mut Writer,
        from_client: bool,
        sequence: u32,
        payload: Option<&[u8]>,
        flags: impl FnOnce(
            PacketBuilderStep<etherparse::TcpHeader>,
        ) -> PacketBuilderStep<etherparse::TcpHeader>,
    ) {
        let (sport, dport) = self.ports_from(from_client);
        let step = flags(self.ip(from_client).tcp(sport, dport, sequence, 64_000));
        let mut packet = Vec::new();
        step.write(&mut packet, payload.unwrap_or_default())
            .expect("a segment");
        writer.packet(self, from_client, packet);
    }

    fn udp(&self, writer: &mut Writer, dice: &mut Dice) {
        writer.truth.connections += 1;
        for at in 0..=dice.roll(6) {
            let from_client = at % 2 == 0;
            let (sport, dport) = self.ports_from(from_client);
            let mut packet = Vec::new();
            let payload = vec![9; dice.roll(1100) as usize];
            self.ip(from_client)
                .udp(sport, dport)
                .write(&mut packet, &payload)
                .expect("a datagram");
            writer.packet(self, from_client, packet);
        }
    }

    fn echo(&self, writer: &mut Writer, dice: &mut Dice) {
        for at in 0..=dice.roll(4) {
            let from_client = at % 2 == 0;
            let mut packet = Vec::new();
            let ip = self.ip(from_client);
            let written = match (self.client.is_ipv4(), from_client) {
                (true, true) => ip
                    .icmpv4_echo_request(self.ports.0, 1)
                    .write(&mut packet, &[1; 56]),
                (true, false) => ip
                    .icmpv4_echo_reply(self.ports.0, 1)
                    .write(&mut packet, &[1; 56]),
                (false, true) => ip
                    .icmpv6_echo_request(self.ports.0, 1)
                    .write(&mut packet, &[1; 56]),
                (false, false) => ip
                    .icmpv6_echo_reply(self.ports.0, 1)
                    .write(&mut packet, &[1; 56]),
            };
            written.expect("an echo");
            writer.packet(self, from_client, packet);
        }
    }

    fn ports_from(&self, client: bool) -> (u16, u16) {
        if client {
            self.ports
        } else {
            (self.ports.1, self.ports.0)
        }
    }

    /// An IP packet without a link header.
    fn ip(&self, from_client: bool) -> PacketBuilderStep<etherparse::IpHeaders> {
        let (from, to) = if from_client {
            (self.client, self.server)
        } else {
            (self.server, self.client)
        };
        match (from, to) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                PacketBuilder::ipv4(from.octets(), to.octets(), 64)
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                PacketBuilder::ipv6(from.octets(), to.octets(), 64)
            }
            _ => unreachable!("one family a conversation"),
        }
    }
}

struct Writer {
    pcap: PcapWriter<std::io::BufWriter<File>>,
    truth: Truth,
    microseconds: u64,
}

impl Writer {
    /// Counts an IP packet of a conversation and writes it with its encapsulation.
    fn packet(&mut self, conversation: &Conversation, from_client: bool, ip: Vec<u8>) {
        let (sport, dport) = conversation.ports_from(from_client);
        let (from, to) = if from_client {
            (conversation.client, conversation.server)
        } else {
            (conversation.server, conversation.client)
        };
        self.truth.flows.add(
            (from, to, conversation.protocol, sport, dport),
            1,
            ip.len() as u64,
        );
        let ether_type = if from.is_ipv4() {
            EtherType::IPV4
        } else {
            EtherType::IPV6
        };
        let frame = match conversation.carriage {
            Carriage::Plain => ethernet(&[], ether_type, &ip),
            Carriage::Vlan => {
                let tag = VlanId::try_new(42).expect("a VLAN").value().to_be_bytes();
                ethernet(&[[0x81, 0], tag].concat(), ether_type, &ip)
            }
            Carriage::Vxlan => {
                let inner = [
                    &[8, 0, 0, 0, 0, 0, 7, 0][..],
                    &ethernet(&[], ether_type, &ip),
                ]
                .concat();
                let nodes = if from_client { (1, 2) } else { (2, 1) };
                let mut outer = Vec::new();
                PacketBuilder::ipv4([192, 0, 2, nodes.0], [192, 0, 2, nodes.1], 64)
                    .udp(50_000, 4789)
                    .write(&mut outer, &inner)
                    .expect("an outer packet");
                ethernet(&[], EtherType::IPV4, &outer)
            }
        };
        self.frame(&frame);
    }

    fn frame(&mut self, frame: &[u8]) {
        self.microseconds += 137;
        self.truth.packets += 1;
        let time = Duration::from_micros(self.microseconds);
        let packet = PcapPacket::new(time, frame.len() as u32, frame);
        self.pcap
            .write_packet(&packet)
            .expect("a packet is written");
    }

    /// Writes a frame without IP, an idle timeout before all flows, so that their start is
    /// observed.
    fn lead_in(&mut self) {
        self.truth.not_ip += 1;
        self.frame(&ethernet(&[], EtherType::ARP, &[0; 28]));
        self.microseconds += 60_000_000;
    }

    /// Writes frames without IP, late enough that all flows have expired.
    fn not_ip(&mut self) {
        self.microseconds += 7_200_000_000;
        for _ in 0..3 {
            self.truth.not_ip += 1;
            self.frame(&ethernet(&[], EtherType::ARP, &[0; 28]));
        }
    }

    /// Writes one UDP datagram in three fragments, all of the flow of the first.
    fn fragments(&mut self) {
        let (from, to) = ([10, 1, 1, 250], [10, 1, 2, 250]);
        let mut whole = Vec::new();
        PacketBuilder::ipv4(from, to, 64)
            .udp(4000, 5000)
            .write(&mut whole, &[3; 3000])
            .expect("udp");
        let datagram = whole.split_off(20);
        self.truth.connections += 1;
        for (at, part) in datagram.chunks(1200).enumerate() {
            let mut header =
                Ipv4Header::new(part.len() as u16, 64, IpNumber::UDP, from, to).expect("a header");
            header.identification = 77;
            header.dont_fragment = false;
            header.more_fragments = at < 2;
            header.fragment_offset = IpFragOffset::try_new(at as u16 * 150).expect("an offset");
            header.header_checksum = header.calc_header_checksum();
            let packet = [&header.to_bytes()[..], part].concat();
            let key = (IpAddr::from(from), IpAddr::from(to), 17, 4000, 5000);
            self.truth.flows.add(key, 1, packet.len() as u64);
            self.frame(&ethernet(&[], EtherType::IPV4, &packet));
        }
    }
}

/// An Ethernet frame, padded to the minimum of 60 octets.
fn ethernet(tags: &[u8], ether_type: EtherType, content: &[u8]) -> Vec<u8> {
    let mut frame = [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]].concat();
    frame.extend_from_slice(tags);
    frame.extend_from_slice(&ether_type.0.to_be_bytes());
    frame.extend_from_slice(content);
    frame.resize(frame.len().max(60), 0);
    frame
}
