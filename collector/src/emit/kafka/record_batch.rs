//! Record batches, version 2: the form in which brokers store messages.

use super::requests::ProducerId;
use super::wire::{Writer, zigzag, zigzag_octets};
use crate::emit::delivery::{Compression, Compressor};

/// Octets of a batch before its messages.
const HEADER_OCTETS: usize = 61;
/// The length of a key that is null.
const NULL: i64 = -1;
/// Octets of base offset and length, which the length does not count.
const UNCOUNTED_OCTETS: usize = 12;
/// Octets of base offset, length, leader epoch, version and checksum, which the checksum does not
/// cover.
const UNCHECKED_OCTETS: usize = 21;
/// Maximum octets of a message besides its records, and of a record in a message besides its
/// encoding.
pub(super) const MAX_MESSAGE_OVERHEAD: usize = 32;

/// The compression in the attributes of a batch.
const fn attribute(compression: Compression) -> i16 {
    match compression {
        Compression::None => 0,
        Compression::Gzip => 1,
        Compression::Lz4 => 3,
    }
}

/// Appends a message. `offset` is its position in the batch. `value` appends its value, which has
/// `octets`.
pub(super) fn message(
    offset: usize,
    key: Option<u64>,
    (octets, value): (usize, impl FnOnce(&mut Vec<u8>)),
    out: &mut Vec<u8>,
) {
    let number = |size: usize| i64::try_from(size).unwrap_or_default();
    let key = key.map(u64::to_be_bytes);
    let key = key.as_ref().map(<[u8; 8]>::as_slice);
    let key_octets = key.map_or(NULL, |key| number(key.len()));
    let key = key.unwrap_or_default();
    let (offset, value_octets) = (number(offset), number(octets));
    // The attributes, the difference of its time to that of the batch, and the number of headers
    // take an octet each.
    let length = [
        3,
        zigzag_octets(offset),
        zigzag_octets(key_octets),
        key.len(),
        zigzag_octets(value_octets),
        octets,
    ];
    zigzag(
        number(length.into_iter().fold(0, usize::saturating_add)),
        out,
    );
    out.extend_from_slice(&[0, 0]);
    zigzag(offset, out);
    zigzag(key_octets, out);
    out.extend_from_slice(key);
    zigzag(value_octets, out);
    value(out);
    out.push(0);
}

/// What a batch has besides its messages.
#[derive(Clone, Copy, Debug)]
pub(super) struct BatchHeader {
    pub(super) producer: ProducerId,
    /// Sequence number of the first message.
    pub(super) sequence: i32,
    pub(super) messages: i32,
    /// Time of all messages, milliseconds since the epoch.
    pub(super) timestamp: i64,
}

/// Appends a batch of messages. Those that do not become smaller are not compressed.
pub(super) fn batch(
    header: &BatchHeader,
    messages: &[u8],
    compressor: &mut Compressor,
    out: &mut Vec<u8>,
) {
    let begin = out.len();
    out.extend_from_slice(&[0; HEADER_OCTETS]);
    let body = out.len();
    let mut compression = compressor.compression();
    let is_smaller = compression != Compression::None
        && compressor.compress(messages, out).is_ok()
        && out.len() < messages.len().saturating_add(body);
    if !is_smaller {
        compression = Compression::None;
        out.truncate(body);
        out.extend_from_slice(messages);
    }
    let out = out.get_mut(begin..).unwrap_or_default();
    let length = out.len().saturating_sub(UNCOUNTED_OCTETS);
    let mut head = Vec::with_capacity(HEADER_OCTETS);
    let mut writer = Writer(&mut head);
    writer.int64(0);
    writer.length(length);
    writer.int32(-1);
    writer.0.push(2);
    writer.int32(0);
    writer.int16(attribute(compression));
    writer.int32(header.messages.saturating_sub(1));
    writer.int64(header.timestamp);
    writer.int64(header.timestamp);
    writer.int64(header.producer.id);
    writer.int16(header.producer.epoch);
    writer.int32(header.sequence);
    writer.int32(header.messages);
    for (place, octet) in out.iter_mut().zip(&head) {
        *place = *octet;
    }
    let checksum = crc32c::crc32c(out.get(UNCHECKED_OCTETS..).unwrap_or_default());
    let begin = UNCHECKED_OCTETS.saturating_sub(size_of::<u32>());
    if let Some(place) = out.get_mut(begin..UNCHECKED_OCTETS) {
        place.copy_from_slice(&checksum.to_be_bytes());
    }
}

/// The partition of a key, as the producers of Kafka select it.
pub(super) fn partition_of(key: u64, partitions: usize) -> usize {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    let [a, b, c, d, e, f, g, h] = key.to_be_bytes();
    let mut hash = SEED ^ 8;
    for word in [[a, b, c, d], [e, f, g, h]] {
        let mut k = u32::from_le_bytes(word).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^= hash >> 15;
    let positive = usize::try_from(hash & 0x7fff_ffff).unwrap_or_default();
    positive.checked_rem(partitions).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: BatchHeader = BatchHeader {
        producer: ProducerId { id: 7, epoch: 1 },
        sequence: 9,
        messages: 1,
        timestamp: 1_700_000_000_000,
    };

    #[test]
    fn a_message_has_a_key_a_value_and_no_headers() {
        let mut out = Vec::new();
        let value = |out: &mut Vec<u8>| out.extend_from_slice(b"value");
        message(3, Some(0x0102_0304_0506_0708), (5, value), &mut out);
        let expected = [
            40, 0, 0, 6, 16, 1, 2, 3, 4, 5, 6, 7, 8, 10, b'v', b'a', b'l', b'u', b'e', 0,
        ];
        assert_eq!(out.len(), 1 + 19);
        assert_eq!(out[0], 38);
        assert_eq!(out[1..], expected[1..]);
        out.clear();
        message(3, None, (5, value), &mut out);
        assert_eq!(out, [22, 0, 0, 6, 1, 10, b'v', b'a', b'l', b'u', b'e', 0]);
    }

    #[test]
    fn a_batch_has_the_length_and_the_checksum_of_its_octets() {
        let messages = [7; 300];
        for (compression, attribute) in [
            (Compression::None, 0),
            (Compression::Gzip, 1),
            (Compression::Lz4, 3),
        ] {
            let mut out = b"before".to_vec();
            batch(
                &HEADER,
                &messages,
                &mut Compressor::new(compression),
                &mut out,
            );
            let out = out.split_off(b"before".len());
            let length = i32::from_be_bytes(out[8..12].try_into().unwrap());
            assert_eq!(usize::try_from(length).unwrap(), out.len() - 12);
            let checksum = u32::from_be_bytes(out[17..21].try_into().unwrap());
            assert_eq!(checksum, crc32c::crc32c(&out[21..]));
            assert_eq!(out[21..23], [0, attribute]);
            assert_eq!(out[53..57], 9_i32.to_be_bytes());
        }
    }

    #[test]
    fn messages_that_do_not_become_smaller_are_not_compressed() {
        let mut out = Vec::new();
        let mut lz4 = Compressor::new(Compression::Lz4);
        batch(&HEADER, b"x", &mut lz4, &mut out);
        assert_eq!(out.len(), HEADER_OCTETS + 1);
        assert_eq!(out[21..23], [0, 0]);
    }

    #[test]
    fn keys_are_spread_over_all_partitions() {
        let mut counts = [0; 12];
        for key in 0..12_000_u64 {
            counts[partition_of(key.wrapping_mul(0x9e37_79b9_7f4a_7c15), 12)] += 1;
        }
        assert!(
            counts.iter().all(|count| (800..1200).contains(count)),
            "{counts:?}"
        );
    }
}
