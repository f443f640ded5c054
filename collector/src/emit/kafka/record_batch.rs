//! Record batches, version 2: the form in which brokers store messages.

use std::io::{self, Write};

use flate2::write::GzEncoder;
use lz4_flex::frame::FrameEncoder;

use super::requests::ProducerId;
use super::wire::{Writer, zigzag};

/// Octets of a batch before its records.
const HEADER_OCTETS: usize = 61;
/// Octets of base offset and length, which the length does not count.
const UNCOUNTED_OCTETS: usize = 12;
/// Octets of base offset, length, leader epoch, version and checksum, which the checksum does not cover.
const UNCHECKED_OCTETS: usize = 21;
/// Maximum octets of a record besides its value.
pub(super) const MAX_RECORD_OVERHEAD: usize = 32;

/// How the records of a batch are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Gzip,
    Lz4,
}

impl Compression {
    const fn attribute(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Lz4 => 3,
        }
    }

    fn compress(self, octets: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Self::None => out.extend_from_slice(octets),
            Self::Gzip => {
                let mut encoder = GzEncoder::new(out, flate2::Compression::fast());
                encoder.write_all(octets)?;
                encoder.finish()?;
            }
            Self::Lz4 => {
                let mut encoder = FrameEncoder::new(out);
                encoder.write_all(octets)?;
                encoder.finish().map_err(io::Error::other)?;
            }
        }
        Ok(())
    }
}

/// Appends a record. `offset` is its position in the batch.
pub(super) fn record(offset: usize, key: u64, value: &[u8], out: &mut Vec<u8>) {
    let key = key.to_be_bytes();
    let mut head = Head::default();
    // Attributes, and the difference of its time to that of the batch.
    head.push(0);
    head.push(0);
    head.zigzag(offset);
    head.zigzag(key.len());
    let mut value_length = Head::default();
    value_length.zigzag(value.len());
    let length = [head.len, key.len(), value_length.len, value.len(), 1];
    let length = length.into_iter().fold(0, usize::saturating_add);
    zigzag(i64::try_from(length).unwrap_or_default(), out);
    out.extend_from_slice(head.octets());
    out.extend_from_slice(&key);
    out.extend_from_slice(value_length.octets());
    out.extend_from_slice(value);
    // Number of headers.
    out.push(0);
}

/// A few octets.
#[derive(Default)]
struct Head {
    octets: [u8; 24],
    len: usize,
}

impl Head {
    fn push(&mut self, octet: u8) {
        if let Some(place) = self.octets.get_mut(self.len) {
            *place = octet;
            self.len = self.len.saturating_add(1);
        }
    }

    /// A number ≥ 0 in zigzag encoding.
    fn zigzag(&mut self, number: usize) {
        let mut number = u64::try_from(number).unwrap_or_default() << 1;
        while number >= 0x80 {
            let [low, ..] = number.to_le_bytes();
            self.push(low | 0x80);
            number >>= 7;
        }
        let [low, ..] = number.to_le_bytes();
        self.push(low);
    }

    fn octets(&self) -> &[u8] {
        self.octets.get(..self.len).unwrap_or_default()
    }
}

/// What a batch has besides its records.
#[derive(Clone, Copy, Debug)]
pub(super) struct BatchHeader {
    pub(super) producer: ProducerId,
    /// Sequence number of the first record.
    pub(super) sequence: i32,
    pub(super) records: i32,
    /// Time of all records, milliseconds since the epoch.
    pub(super) timestamp: i64,
}

/// Writes a batch of encoded records to `out`, which is cleared. Records that do not become smaller are not compressed.
pub(super) fn batch(
    header: &BatchHeader,
    records: &[u8],
    compression: Compression,
    out: &mut Vec<u8>,
) {
    out.clear();
    out.resize(HEADER_OCTETS, 0);
    let is_compressed = compression != Compression::None
        && compression.compress(records, out).is_ok()
        && out.len() < records.len().saturating_add(HEADER_OCTETS);
    let attribute = if is_compressed {
        compression.attribute()
    } else {
        out.truncate(HEADER_OCTETS);
        out.extend_from_slice(records);
        Compression::None.attribute()
    };
    let length = out.len().saturating_sub(UNCOUNTED_OCTETS);
    let mut head = Vec::with_capacity(HEADER_OCTETS);
    let mut writer = Writer(&mut head);
    writer.int64(0);
    writer.length(length);
    writer.int32(-1);
    writer.0.push(2);
    writer.int32(0);
    writer.int16(attribute);
    writer.int32(header.records.saturating_sub(1));
    writer.int64(header.timestamp);
    writer.int64(header.timestamp);
    writer.int64(header.producer.id);
    writer.int16(header.producer.epoch);
    writer.int32(header.sequence);
    writer.int32(header.records);
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
        records: 1,
        timestamp: 1_700_000_000_000,
    };

    #[test]
    fn a_record_has_a_key_a_value_and_no_headers() {
        let mut out = Vec::new();
        record(3, 0x0102_0304_0506_0708, b"value", &mut out);
        let expected = [
            40, 0, 0, 6, 16, 1, 2, 3, 4, 5, 6, 7, 8, 10, b'v', b'a', b'l', b'u', b'e', 0,
        ];
        assert_eq!(out.len(), 1 + 19);
        assert_eq!(out[0], 38);
        assert_eq!(out[1..], expected[1..]);
    }

    #[test]
    fn a_batch_has_the_length_and_the_checksum_of_its_octets() {
        let records = [7; 300];
        for (compression, attribute) in [
            (Compression::None, 0),
            (Compression::Gzip, 1),
            (Compression::Lz4, 3),
        ] {
            let mut out = Vec::new();
            batch(&HEADER, &records, compression, &mut out);
            let length = i32::from_be_bytes(out[8..12].try_into().unwrap());
            assert_eq!(usize::try_from(length).unwrap(), out.len() - 12);
            let checksum = u32::from_be_bytes(out[17..21].try_into().unwrap());
            assert_eq!(checksum, crc32c::crc32c(&out[21..]));
            assert_eq!(out[21..23], [0, attribute]);
            assert_eq!(out[53..57], 9_i32.to_be_bytes());
        }
    }

    #[test]
    fn records_that_do_not_become_smaller_are_not_compressed() {
        let mut out = Vec::new();
        batch(&HEADER, b"x", Compression::Lz4, &mut out);
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
