//! Keys of the Initial packets of clients: header protection and decryption (RFC 9001 §5).

use std::ops::Range;

use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey, quic};
use ring::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};

use super::packet::{InitialPacket, Version};

/// Salts of the initial secrets (RFC 9001 §5.2, RFC 9369 §3.3.1).
const SALT_V1: [u8; 20] = [
    0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17, 0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad,
    0xcc, 0xbb, 0x7f, 0x0a,
];
const SALT_V2: [u8; 20] = [
    0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93, 0x81, 0xbe, 0x6e, 0x26, 0x9d, 0xcb,
    0xf9, 0xbd, 0x2e, 0xd9,
];
/// Labels of key, IV and header protection key (RFC 9001 §5.1, RFC 9369 §3.3.2).
const LABELS_V1: [&[u8]; 3] = [b"quic key", b"quic iv", b"quic hp"];
const LABELS_V2: [&[u8]; 3] = [b"quicv2 key", b"quicv2 iv", b"quicv2 hp"];

/// The sample follows the longest packet number (RFC 9001 §5.4.2).
const SAMPLE_OFFSET: usize = 4;
const SAMPLE_OCTETS: usize = 16;

/// Keys of what a client sends in Initial packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ClientKeys {
    key: [u8; 16],
    iv: [u8; 12],
    header_protection: [u8; 16],
}

struct Octets(usize);

impl KeyType for Octets {
    fn len(&self) -> usize {
        self.0
    }
}

/// `HKDF-Expand-Label` without a context (RFC 8446 §7.1).
fn expand(secret: &Prk, label: &[u8], out: &mut [u8]) -> Option<()> {
    let length = u16::try_from(out.len()).ok()?.to_be_bytes();
    let label_length = [u8::try_from(label.len()).ok()?.checked_add(6)?];
    let info = [&length[..], &label_length, b"tls13 ", label, &[0]];
    let expanded = secret.expand(&info, Octets(out.len())).ok()?;
    expanded.fill(out).ok()
}

impl ClientKeys {
    /// Derives the keys from the Destination Connection ID of the first packet of the client.
    pub(super) fn of(version: Version, destination_id: &[u8]) -> Option<Self> {
        let (salt, labels) = match version {
            Version::V1 => (&SALT_V1, LABELS_V1),
            Version::V2 => (&SALT_V2, LABELS_V2),
        };
        let initial = Salt::new(HKDF_SHA256, salt).extract(destination_id);
        let mut secret = [0; 32];
        expand(&initial, b"client in", &mut secret)?;
        let secret = Prk::new_less_safe(HKDF_SHA256, &secret);
        let mut keys = Self::default();
        let [key, iv, header_protection] = labels;
        expand(&secret, key, &mut keys.key)?;
        expand(&secret, iv, &mut keys.iv)?;
        expand(&secret, header_protection, &mut keys.header_protection)?;
        Some(keys)
    }

    /// Decrypts a packet into `room`, and returns where its frames are there. `None` if it is not
    /// authentic.
    pub(super) fn open(
        &self,
        packet: &InitialPacket<'_>,
        room: &mut Vec<u8>,
    ) -> Option<Range<usize>> {
        let at = packet.number_at;
        let sample = packet.octets.get(at.checked_add(SAMPLE_OFFSET)?..)?;
        let protection =
            quic::HeaderProtectionKey::new(&quic::AES_128, &self.header_protection).ok()?;
        let mask = protection.new_mask(sample.get(..SAMPLE_OCTETS)?).ok()?;
        room.clear();
        room.extend_from_slice(packet.octets);
        let first = room.first_mut()?;
        *first ^= mask.first()? & 0x0f;
        let number_octets = usize::from(*first & 3).checked_add(1)?;
        let payload_at = at.checked_add(number_octets)?;
        let (header, payload) = room.split_at_mut_checked(payload_at)?;
        let mut nonce = self.iv;
        // The number is short: the first packets have it in full (RFC 9000 §17.1).
        let number = header.get_mut(at..)?;
        let end = nonce.len().checked_sub(number_octets)?;
        for ((octet, mask), nonce) in number
            .iter_mut()
            .zip(mask.get(1..)?)
            .zip(nonce.get_mut(end..)?)
        {
            *octet ^= mask;
            *nonce ^= *octet;
        }
        let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &self.key).ok()?);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let frames = key.open_in_place(nonce, Aad::from(header), payload).ok()?;
        Some(payload_at..payload_at.checked_add(frames.len())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::quic::packet::InitialPackets;

    fn octets<const N: usize>(text: &str) -> [u8; N] {
        let digits = text.as_bytes().chunks(2);
        let octets =
            digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap());
        octets.collect::<Vec<u8>>().try_into().unwrap()
    }

    const DESTINATION_ID: &str = "8394c8f03e515708";

    #[test]
    fn keys_are_those_of_the_specifications() {
        // RFC 9001 appendix A.1, RFC 9369 appendix A.1.
        for (version, key, iv, header_protection) in [
            (
                Version::V1,
                "1f369613dd76d5467730efcbe3b1a22d",
                "fa044b2f42a3fd3b46fb255c",
                "9f50449e04a0e810283a1e9933adedd2",
            ),
            (
                Version::V2,
                "8b1a0bc121284290a29e0971b5cd045d",
                "91f73e2351d8fa91660e909f",
                "45b95e15235d6f45a6b19cbcb0294ba9",
            ),
        ] {
            let keys = ClientKeys::of(version, &octets::<8>(DESTINATION_ID));
            let wanted = ClientKeys {
                key: octets(key),
                iv: octets(iv),
                header_protection: octets(header_protection),
            };
            assert_eq!(keys, Some(wanted));
        }
    }

    #[test]
    fn an_empty_packet_and_one_without_a_sample_are_not_opened() {
        let keys = ClientKeys::of(Version::V1, &[1; 8]).unwrap();
        for length in [0_u8, 1, 19, 20, 40] {
            let mut packet = vec![0xc0, 0, 0, 0, 1, 0, 0, 0, length];
            packet.extend(vec![7; length.into()]);
            let found = InitialPackets(&packet).next().unwrap();
            assert_eq!(keys.open(&found, &mut Vec::new()), None);
        }
    }
}
