//! The key of a conversation: addresses and ports in ascending order, packed in words. A key of
//! octets takes two to three times as long to hash and compare.

use std::hash::{Hash, Hasher};
use std::hint::select_unpredictable;

use flowproto::protocol::{ICMP, ICMPV6};
use flowproto::{Address, FlowKey};

use super::bob::bob;
use crate::connection::Side;
use crate::decode::PacketInfo;

/// The key of a conversation, the same for both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConversationKey {
    low: [u64; 2],
    high: [u64; 2],
    /// Port of the lower end, port of the higher end, protocol. For ICMP, the type of the request
    /// twice.
    ports: u64,
}

impl ConversationKey {
    /// The key of a slot without a conversation. No packet has it: ports have 16 bits.
    pub(super) const UNUSED: Self = Self {
        low: [0; 2],
        high: [0; 2],
        ports: u64::MAX,
    };

    /// The hash by which conversations are selected: BOB (RFC 5475 appendix A.2) with the initial value
    /// 0, of both addresses, both ports and the protocol.
    #[must_use]
    pub fn selection_hash(&self) -> u32 {
        let words = [
            self.low[0],
            self.low[1],
            self.high[0],
            self.high[1],
            self.ports,
        ];
        let mut octets = [0; 40];
        for (place, word) in octets.as_chunks_mut::<8>().0.iter_mut().zip(words) {
            *place = word.to_be_bytes();
        }
        bob(&octets)
    }

    /// The key of the conversation of a packet, and the side that sent it.
    #[inline(always)]
    #[must_use]
    pub fn of(packet: &PacketInfo) -> (Self, Side) {
        let key = &packet.key;
        let (source_port, destination_port) = match key.protocol_identifier {
            ICMP | ICMPV6 => {
                let kind = u16::from(request_type(key.protocol_identifier, packet.icmp_type_code));
                (kind, kind)
            }
            _ => (key.source_port, key.destination_port),
        };
        let (source, destination) = (key.source_address.bits(), key.destination_address.bits());
        // No lazy operators: which end is the lower one cannot be predicted.
        let is_low =
            (source < destination) | ((source == destination) & (source_port <= destination_port));
        let (low, high) = in_order(is_low, source, destination);
        let (low_port, high_port) = in_order(is_low, source_port, destination_port);
        let conversation = Self {
            low: words(low),
            high: words(high),
            ports: u64::from(low_port) << 32
                | u64::from(high_port) << 16
                | u64::from(key.protocol_identifier),
        };
        let side = select_unpredictable(is_low, Side::Low, Side::High);
        (conversation, side)
    }

    /// The key of the conversation of a flow with ports, and the side that sends it.
    #[must_use]
    pub fn of_flow(key: &FlowKey) -> (Self, Side) {
        Self::of(&PacketInfo {
            key: *key,
            ..PacketInfo::default()
        })
    }

    /// 4 `protocolIdentifier`.
    #[must_use]
    pub const fn protocol(&self) -> u8 {
        let [.., protocol] = self.ports.to_be_bytes();
        protocol
    }

    /// The flow key of the direction whose source is `source`.
    #[must_use]
    pub fn flow_key(&self, source: Side) -> FlowKey {
        let [_, _, low_high, low_low, high_high, high_low, _, protocol] = self.ports.to_be_bytes();
        let has_ports = !matches!(protocol, ICMP | ICMPV6);
        let port = |octets: [u8; 2]| {
            if has_ports {
                u16::from_be_bytes(octets)
            } else {
                0
            }
        };
        let forward = FlowKey {
            source_address: address(self.low),
            destination_address: address(self.high),
            source_port: port([low_high, low_low]),
            destination_port: port([high_high, high_low]),
            protocol_identifier: protocol,
        };
        match source {
            Side::Low => forward,
            Side::High => forward.reversed(),
        }
    }
}

impl Hash for ConversationKey {
    /// Hashes two words if both addresses are IPv4, the most frequent case.
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        const V4_PREFIX: u64 = 0xffff_0000_0000;
        let is_v4 = |words: [u64; 2]| words[0] == 0 && words[1] & !0xffff_ffff == V4_PREFIX;
        if is_v4(self.low) && is_v4(self.high) {
            state.write_u64(self.low[1] << 32 | self.high[1] & 0xffff_ffff);
        } else {
            state.write_u64(self.low[0]);
            state.write_u64(self.low[1]);
            state.write_u64(self.high[0]);
            state.write_u64(self.high[1]);
        }
        state.write_u64(self.ports);
    }
}

/// Both values, the lower one first.
#[inline]
fn in_order<T: Copy>(is_low: bool, a: T, b: T) -> (T, T) {
    (
        select_unpredictable(is_low, a, b),
        select_unpredictable(is_low, b, a),
    )
}

#[inline]
#[allow(clippy::as_conversions, reason = "both halves of a number")]
const fn words(bits: u128) -> [u64; 2] {
    [(bits >> 64) as u64, bits as u64]
}

fn address(words: [u64; 2]) -> Address {
    Address::from_v6_bits(u128::from(words[0]) << 64 | u128::from(words[1]))
}

/// The type of the request that an ICMP message answers, or its own type. Covers echo (RFC 792,
/// RFC 4443), router and neighbor discovery (RFC 1256, RFC 4861), timestamp, information and mask
/// (RFC 792, RFC 950), and node information (RFC 4620).
#[inline]
fn request_type(protocol: u8, type_code: u16) -> u8 {
    let [kind, _] = type_code.to_be_bytes();
    match (protocol, kind) {
        (ICMP, 0) => 8,
        (ICMP, 9) => 10,
        (ICMP, 14 | 16 | 18) | (ICMPV6, 134 | 136 | 140) => kind - 1,
        (ICMPV6, 129) => 128,
        _ => kind,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(source: &str, destination: &str, ports: (u16, u16), protocol: u8) -> PacketInfo {
        let address = |text: &str| Address::from(text.parse::<std::net::IpAddr>().unwrap());
        PacketInfo {
            key: FlowKey {
                source_address: address(source),
                destination_address: address(destination),
                source_port: ports.0,
                destination_port: ports.1,
                protocol_identifier: protocol,
            },
            ..PacketInfo::default()
        }
    }

    #[test]
    fn both_directions_have_one_key_and_opposite_sides() {
        for (a, b, ports) in [
            ("10.0.0.1", "10.0.0.2", (80, 5000)),
            ("10.0.0.2", "10.0.0.1", (80, 5000)),
            ("2001:db8::1", "fd00::1", (1, 2)),
            ("10.0.0.1", "10.0.0.1", (2, 1)),
        ] {
            let forward = packet(a, b, ports, 6);
            let mut reverse = forward;
            reverse.key = forward.key.reversed();
            let (key, side) = ConversationKey::of(&forward);
            assert_eq!(ConversationKey::of(&reverse), (key, side.opposite()));
            assert_eq!(key.flow_key(side), forward.key);
            assert_eq!(key.flow_key(side.opposite()), reverse.key);
        }
    }

    #[test]
    fn an_icmp_reply_has_the_key_of_its_request_and_no_ports() {
        let mut request = packet("10.0.0.1", "10.0.0.2", (0, 0), 1);
        request.icmp_type_code = 0x0800;
        let mut reply = packet("10.0.0.2", "10.0.0.1", (0, 0), 1);
        reply.icmp_type_code = 0;
        let (key, _) = ConversationKey::of(&request);
        assert_eq!(ConversationKey::of(&reply).0, key);
        assert_eq!(key.flow_key(Side::Low), request.key);
        let mut unreachable = reply;
        unreachable.icmp_type_code = 0x0301;
        assert_ne!(ConversationKey::of(&unreachable).0, key);
    }
}
