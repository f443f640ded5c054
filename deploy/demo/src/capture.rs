//! The scenario as a capture of one node's eth0 (pcap, Ethernet), for machines without network
//! namespaces.

use std::io::Write;
use std::net::Ipv4Addr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

use crate::scenario::{CONVERSATIONS, Conversation, Host, Transport};

/// Time between two connections of a conversation.
const PAUSE: Duration = Duration::from_millis(50);
/// Time between two packets of a connection.
const STEP: Duration = Duration::from_micros(200);
/// Time since the start of the traffic.
const AGO: Duration = Duration::from_secs(30);
/// Time between the first frame and the traffic: longer than the idle timeout of the probe, so that
/// it observes the start of all conversations.
const LEAD_IN: Duration = Duration::from_secs(20);
/// Octets of the first frame, which is not an IP packet.
const LEAD_IN_OCTETS: usize = 60;
/// TCP payload per packet, in octets.
const SEGMENT_OCTETS: usize = 1448;

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;

/// Writes the traffic on eth0 of `node` to `out`, with current timestamps.
pub(crate) fn write(node: &str, out: &mut impl Write) -> Result<()> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the capture has current timestamps"
    )]
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .context("the clock is before 1970")?;
    let start = now.saturating_sub(AGO);
    let mut packets = vec![(start.saturating_sub(LEAD_IN), lead_in())];
    for (conversation, number) in CONVERSATIONS.iter().zip(0..) {
        if passes(node, conversation) {
            for connection in 0..conversation.count {
                let time = start + PAUSE * u32::from(connection) + STEP / 8 * number;
                let source_port = 40_000 + connection + 1000 * u16::try_from(number)?;
                let mut wire = Wire {
                    conversation,
                    source_port,
                    time,
                    packets: &mut packets,
                };
                match conversation.transport {
                    Transport::Tcp => wire.connection()?,
                    Transport::Udp => wire.datagrams()?,
                }
            }
        }
    }
    packets.sort_by_key(|(time, _)| *time);

    // Magic number (microseconds), version 2.4, zone, accuracy, longest packet, link type Ethernet.
    for field in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1] {
        out.write_all(&field.to_le_bytes())?;
    }
    for (time, packet) in &packets {
        let length = u32::try_from(packet.len())?;
        for field in [
            u32::try_from(time.as_secs())?,
            time.subsec_micros(),
            length,
            length,
        ] {
            out.write_all(&field.to_le_bytes())?;
        }
        out.write_all(packet)?;
    }
    out.flush()?;
    Ok(())
}

/// An Ethernet frame with a request of ARP, all zero.
fn lead_in() -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend([2, 0, 0, 0, 0, 1, 0x08, 0x06]);
    frame.resize(LEAD_IN_OCTETS, 0);
    frame
}

/// Traffic inside one node does not reach its eth0.
fn passes(node: &str, conversation: &Conversation) -> bool {
    let here = |host: &Host| host.node == Some(node);
    here(&conversation.source) != here(&conversation.destination)
}

/// The packets of one connection.
struct Wire<'a> {
    conversation: &'a Conversation,
    source_port: u16,
    time: Duration,
    packets: &'a mut Vec<(Duration, Vec<u8>)>,
}

/// Sequence numbers of both sides, source first.
#[derive(Default)]
struct Sequence([u32; 2]);

impl Wire<'_> {
    fn put(&mut self, answering: bool, protocol: u8, payload: &[u8]) -> Result<()> {
        let ends = (
            self.conversation.source.address,
            self.conversation.destination.address,
        );
        let (from, to) = if answering { (ends.1, ends.0) } else { ends };
        self.packets
            .push((self.time, ethernet(from, to, protocol, payload)?));
        self.time += STEP;
        Ok(())
    }

    fn datagrams(&mut self) -> Result<()> {
        let Conversation {
            port,
            request_octets,
            answer_octets,
            ..
        } = *self.conversation;
        self.put(
            false,
            17,
            &udp(self.source_port, port, &vec![b'q'; request_octets])?,
        )?;
        self.put(
            true,
            17,
            &udp(port, self.source_port, &vec![b'a'; answer_octets])?,
        )
    }

    fn connection(&mut self) -> Result<()> {
        let mut sequence = Sequence::default();
        self.segment(&mut sequence, false, SYN, 0)?;
        self.segment(&mut sequence, true, SYN | ACK, 0)?;
        self.segment(&mut sequence, false, ACK, 0)?;
        self.data(&mut sequence, false, self.conversation.request_octets)?;
        self.data(&mut sequence, true, self.conversation.answer_octets)?;
        self.segment(&mut sequence, true, FIN | ACK, 0)?;
        self.segment(&mut sequence, false, FIN | ACK, 0)?;
        self.segment(&mut sequence, true, ACK, 0)
    }

    /// Every second segment is acknowledged, and the last.
    fn data(&mut self, sequence: &mut Sequence, answering: bool, octets: usize) -> Result<()> {
        let mut left = octets;
        let mut unacknowledged = 0;
        while left > 0 {
            let segment = left.min(SEGMENT_OCTETS);
            left -= segment;
            let flags = if left == 0 { PSH | ACK } else { ACK };
            self.segment(sequence, answering, flags, segment)?;
            unacknowledged += 1;
            if unacknowledged == 2 || left == 0 {
                self.segment(sequence, !answering, ACK, 0)?;
                unacknowledged = 0;
            }
        }
        Ok(())
    }

    fn segment(
        &mut self,
        sequence: &mut Sequence,
        answering: bool,
        flags: u8,
        octets: usize,
    ) -> Result<()> {
        let [source, destination] = &mut sequence.0;
        let ports = (self.source_port, self.conversation.port);
        let (mine, theirs, (from, to)) = if answering {
            (destination, source, (ports.1, ports.0))
        } else {
            (source, destination, ports)
        };
        let mut segment = Vec::with_capacity(20 + octets);
        segment.extend_from_slice(&from.to_be_bytes());
        segment.extend_from_slice(&to.to_be_bytes());
        segment.extend_from_slice(&mine.to_be_bytes());
        segment.extend_from_slice(&(if flags & ACK == 0 { 0 } else { *theirs }).to_be_bytes());
        // Header length, flags, window. The checksum is 0, as with checksum offload.
        segment.extend_from_slice(&[5 << 4, flags, 0xff, 0xff, 0, 0, 0, 0]);
        segment.resize(20 + octets, b'x');
        let phantom = u32::from(flags & (SYN | FIN) != 0);
        *mine = mine
            .wrapping_add(u32::try_from(octets)?)
            .wrapping_add(phantom);
        self.put(answering, 6, &segment)
    }
}

fn udp(from: u16, to: u16, payload: &[u8]) -> Result<Vec<u8>> {
    let mut datagram = Vec::with_capacity(8 + payload.len());
    datagram.extend_from_slice(&from.to_be_bytes());
    datagram.extend_from_slice(&to.to_be_bytes());
    datagram.extend_from_slice(&u16::try_from(8 + payload.len())?.to_be_bytes());
    // No checksum (RFC 768).
    datagram.extend_from_slice(&[0, 0]);
    datagram.extend_from_slice(payload);
    Ok(datagram)
}

fn ethernet(from: Ipv4Addr, to: Ipv4Addr, protocol: u8, payload: &[u8]) -> Result<Vec<u8>> {
    let mut header = [0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, protocol, 0, 0].to_vec();
    header.extend_from_slice(&from.octets());
    header.extend_from_slice(&to.octets());
    header.splice(2..4, u16::try_from(20 + payload.len())?.to_be_bytes());
    let checksum = checksum(&header);
    header.splice(10..12, checksum.to_be_bytes());

    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
    frame.extend_from_slice(&header);
    frame.extend_from_slice(payload);
    Ok(frame)
}

/// RFC 1071.
fn checksum(header: &[u8]) -> u16 {
    let words = header.chunks(2).map(|word| match word {
        [high, low] => u32::from(u16::from_be_bytes([*high, *low])),
        _ => 0,
    });
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !u16::try_from((folded & 0xffff) + (folded >> 16)).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_with_its_checksum_sums_to_zero() {
        let frame = ethernet([10, 0, 0, 1].into(), [10, 0, 0, 2].into(), 17, &[1, 2, 3]).unwrap();
        assert_eq!(checksum(&frame[14..34]), 0);
    }

    #[test]
    fn a_node_observes_only_traffic_with_other_nodes() {
        let seen = |node| CONVERSATIONS.iter().filter(|c| passes(node, c)).count();
        assert_eq!((seen("node-a"), seen("node-b")), (6, 6));
    }

    #[test]
    fn a_capture_has_complete_packets_only() {
        let mut capture = Vec::new();
        write("node-a", &mut capture).unwrap();
        let (mut rest, mut packets) = (&capture[24..], 0);
        while let Some((header, after)) = rest.split_at_checked(16) {
            let length = u32::from_le_bytes(header[8..12].try_into().unwrap());
            let length = usize::try_from(length).unwrap();
            rest = &after[length..];
            packets += 1;
        }
        assert!(rest.is_empty() && packets > 1000, "{packets}");
    }
}
