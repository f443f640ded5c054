//! Long headers of QUIC (RFC 8999 §5.1, RFC 9000 §17.2), and the packets of a datagram.

use crate::inspect::reader::Reader;

/// A datagram with an Initial packet of a client has at least this many octets (RFC 9000 §14.1).
const MIN_DATAGRAM: usize = 1200;
/// Octets of a connection ID at most.
const MAX_CONNECTION_ID: usize = 20;
/// The form bit and the fixed bit.
const LONG_HEADER: u8 = 0xc0;

/// A version whose Initial packets can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// RFC 9000.
    V1,
    /// RFC 9369.
    V2,
}

impl Version {
    const fn of(number: [u8; 4]) -> Option<Self> {
        match number {
            [0, 0, 0, 1] => Some(Self::V1),
            [0x6b, 0x33, 0x43, 0xcf] => Some(Self::V2),
            _ => None,
        }
    }

    /// The type of an Initial packet (RFC 9000 §17.2, RFC 9369 §3.2).
    const fn initial_type(self) -> u8 {
        match self {
            Self::V1 => 0,
            Self::V2 => 1,
        }
    }

    /// The type of a Retry packet, which has no length.
    const fn retry_type(self) -> u8 {
        match self {
            Self::V1 => 3,
            Self::V2 => 0,
        }
    }
}

/// True if a datagram can begin with an Initial packet of a client. False for nearly all others.
#[inline]
#[must_use]
pub fn begins(datagram: &[u8]) -> bool {
    let [first, version @ ..] = datagram else {
        return false;
    };
    first & LONG_HEADER == LONG_HEADER
        && version
            .first_chunk()
            .is_some_and(|number| Version::of(*number).is_some())
        && datagram.len() >= MIN_DATAGRAM
}

/// An Initial packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InitialPacket<'a> {
    pub(super) version: Version,
    pub(super) destination_id: &'a [u8],
    /// The packet, header included.
    pub(super) octets: &'a [u8],
    /// Offset of the packet number, which is protected.
    pub(super) number_at: usize,
}

/// The Initial packets in a datagram, or in several ones that were captured as one.
#[derive(Clone, Copy, Debug)]
pub(super) struct InitialPackets<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for InitialPackets<'a> {
    type Item = InitialPacket<'a>;

    fn next(&mut self) -> Option<InitialPacket<'a>> {
        loop {
            // Some senders fill up the datagram with zeros behind the packets.
            while let [0, rest @ ..] = self.0 {
                self.0 = rest;
            }
            match self.read() {
                Some(Some(initial)) => return Some(initial),
                Some(None) => {}
                None => {
                    self.0 = &[];
                    return None;
                }
            }
        }
    }
}

impl<'a> InitialPackets<'a> {
    /// Reads one packet: `Some(None)` if it is not an Initial. `None` where the packets end.
    fn read(&mut self) -> Option<Option<InitialPacket<'a>>> {
        let datagram = self.0;
        let mut reader = Reader(datagram);
        let first = reader.u8()?;
        if first & LONG_HEADER != LONG_HEADER {
            return None;
        }
        let version = Version::of(*reader.octets(4)?.first_chunk()?)?;
        let kind = first >> 4 & 3;
        if kind == version.retry_type() {
            return None;
        }
        let destination_id = reader.part8()?.0;
        let source_id = reader.part8()?.0;
        if destination_id.len().max(source_id.len()) > MAX_CONNECTION_ID {
            return None;
        }
        let is_initial = kind == version.initial_type();
        if is_initial {
            let token = variable_length(&mut reader)?;
            reader.octets(token)?;
        }
        let length = variable_length(&mut reader)?;
        let number_at = datagram.len().checked_sub(reader.0.len())?;
        let (octets, rest) = datagram.split_at_checked(number_at.checked_add(length)?)?;
        self.0 = rest;
        Some(is_initial.then_some(InitialPacket {
            version,
            destination_id,
            octets,
            number_at,
        }))
    }
}

/// A variable-length integer (RFC 9000 §16).
pub(super) fn variable_length(reader: &mut Reader<'_>) -> Option<usize> {
    let first = reader.u8()?;
    let more = (1_usize << (first >> 6)).checked_sub(1)?;
    let mut value = u64::from(first & 0x3f);
    for octet in reader.octets(more)? {
        value = value << 8 | u64::from(*octet);
    }
    usize::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet of this type with a source ID of two octets.
    fn packet(first: u8, version: [u8; 4], destination_id: &[u8], payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![first];
        packet.extend(version);
        packet.push(u8::try_from(destination_id.len()).unwrap());
        packet.extend(destination_id);
        packet.extend([2, 8, 8]);
        let is_initial = first >> 4 & 3 == u8::from(version[0] != 0);
        if is_initial {
            packet.extend([3, 7, 7, 7]);
        }
        let length = u16::try_from(payload.len()).unwrap() | 0x4000;
        packet.extend(length.to_be_bytes());
        packet.extend(payload);
        packet
    }

    const V1: [u8; 4] = [0, 0, 0, 1];
    const V2: [u8; 4] = [0x6b, 0x33, 0x43, 0xcf];

    #[test]
    fn integers_have_one_two_four_or_eight_octets() {
        for (octets, value) in [
            (&[0x25][..], 37),
            (&[0x40, 0x25], 37),
            (&[0x7b, 0xbd], 15_293),
            (&[0x9d, 0x7f, 0x3e, 0x7d], 494_878_333),
            (
                &[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c],
                151_288_809_941_952_652,
            ),
        ] {
            let mut reader = Reader(octets);
            assert_eq!(variable_length(&mut reader), Some(value));
            assert!(reader.is_empty());
            let cut = &octets[..octets.len() - 1];
            assert_eq!(variable_length(&mut Reader(cut)), None);
        }
    }

    #[test]
    fn initials_are_found_among_the_packets_of_a_datagram() {
        for (version, initial, handshake) in [(V1, 0xc0, 0xe0), (V2, 0xd0, 0xf0)] {
            let one = packet(initial, version, &[1; 8], &[9; 600]);
            let other = packet(handshake, version, &[1; 8], &[9; 100]);
            let two = packet(initial, version, &[2; 20], &[9; 600]);
            let datagram = [&one[..], &other, &[0; 40], &two, &[0; 5]].concat();
            assert!(begins(&datagram));
            let found: Vec<_> = InitialPackets(&datagram).collect();
            assert_eq!(found.len(), 2);
            assert_eq!((found[0].octets, found[1].octets), (&one[..], &two[..]));
            assert_eq!(found[1].destination_id, [2; 20]);
            assert_eq!(found[0].number_at, one.len() - 600);
        }
    }

    #[test]
    fn other_datagrams_do_not_begin_with_an_initial() {
        let initial = packet(0xc0, V1, &[1; 8], &[9; 1200]);
        assert!(begins(&initial));
        for change in [(0, 0x40), (0, 0x80), (1, 1), (4, 2)] {
            let mut other = initial.clone();
            other[change.0] = change.1;
            assert!(!begins(&other), "{change:?}");
        }
        assert!(!begins(&initial[..1199]));
        assert!(!begins(&[]));
    }

    #[test]
    fn packets_that_are_cut_or_invalid_end_the_datagram() {
        let initial = packet(0xc0, V1, &[1; 8], &[9; 1200]);
        for end in 0..initial.len() {
            assert_eq!(InitialPackets(&initial[..end]).next(), None, "{end}");
        }
        let long_id = packet(0xc0, V1, &[1; 21], &[9; 1200]);
        let retry = packet(0xf0, V1, &[1; 8], &[9; 1200]);
        for datagram in [long_id, retry] {
            assert_eq!(InitialPackets(&datagram).next(), None);
        }
    }
}
