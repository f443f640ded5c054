//! Protobuf: a record as a message of `proto/kipfix/v1/flow.proto`. Fields of value 0 and empty
//! texts are left out, as proto3 does, unless they are optional.

use kipfix_service::exposition::protobuf::write_varint;

use super::column::ColumnWriter;
use super::{Column, EnrichedRecord, Value};

const VARINT: u32 = 0;
const LENGTH_DELIMITED: u32 = 2;

/// Octets that are collected before they are appended.
const STAGED_OCTETS: usize = 128;
/// Room for the longest field that is collected: a tag, a length and an address.
const FIELD_OCTETS: usize = 8 + 8 + 16;

/// Appends the fields of columns. Fields of numbers and addresses are short, so they are collected
/// in an array: a vector checks its room, and updates its length in memory, for every octet.
#[derive(Debug)]
pub(super) struct FieldWriter<'a> {
    staged: [u8; STAGED_OCTETS],
    length: usize,
    out: &'a mut Vec<u8>,
}

impl<'a> FieldWriter<'a> {
    #[inline]
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        Self {
            staged: [0; STAGED_OCTETS],
            length: 0,
            out,
        }
    }

    /// Appends what was collected.
    #[inline]
    pub(super) fn flush(&mut self) {
        let staged = self.staged.get(..self.length);
        self.out.extend_from_slice(staged.unwrap_or_default());
        self.length = 0;
    }

    /// Collects the first `count` octets of an array for which there is room.
    #[inline(always)]
    fn put<const N: usize>(&mut self, octets: [u8; N], count: usize) {
        let room = self.staged.get_mut(self.length..);
        if let Some(place) = room.and_then(<[u8]>::first_chunk_mut) {
            *place = octets;
            self.length = self.length.wrapping_add(count);
        }
    }

    /// Collects a text, if there is room for it.
    #[inline(always)]
    fn text(&mut self, text: &[u8]) {
        let room = self.staged.get_mut(self.length..);
        if let Some(place) = room.and_then(|room| room.get_mut(..text.len())) {
            place.copy_from_slice(text);
            self.length = self.length.wrapping_add(text.len());
        } else {
            self.flush();
            self.out.extend_from_slice(text);
        }
    }

    /// Collects a tag and a number.
    #[inline(always)]
    fn varints(&mut self, tag: u64, number: u64) {
        if number < 1 << SHORT_BITS {
            let ((tag, tag_octets), (number, octets)) = (short_varint(tag), short_varint(number));
            let both = number << (8 * tag_octets) | tag;
            self.put(both.to_le_bytes(), tag_octets.wrapping_add(octets));
        } else {
            self.flush();
            write_varint(tag, self.out);
            write_varint(number, self.out);
        }
    }
}

/// A number of this many bits has six octets as a varint, which leaves two of eight for a tag.
const SHORT_BITS: u32 = 6 * 7;

/// A number below 2^56 as a varint: octets from the lowest one on, and how many of them.
#[inline(always)]
fn short_varint(number: u64) -> (u64, usize) {
    // An octet has seven bits of the number.
    let mut octets = number & 0x0fff_ffff | (number & 0x00ff_ffff_f000_0000) << 4;
    octets = octets & 0x0000_3fff_0000_3fff | (octets & 0x0fff_c000_0fff_c000) << 2;
    octets = octets & 0x007f_007f_007f_007f | (octets & 0x3f80_3f80_3f80_3f80) << 1;
    // Its highest bit is set in all octets but the last one.
    let last = (63_u32 ^ (octets | 1).leading_zeros()) / 8;
    let continued = 0x8080_8080_8080_8080 & (1_u64 << (last * 8)).wrapping_sub(1);
    let count = usize::try_from(last).unwrap_or_default().wrapping_add(1);
    (octets | continued, count)
}

impl ColumnWriter for FieldWriter<'_> {
    #[inline(always)]
    fn write(&mut self, column: &Column, record: &EnrichedRecord<'_>) {
        let value = (column.read)(record);
        match value {
            Value::Absent | Value::Text("") => return,
            Value::Number(0) if !column.is_optional => return,
            _ => {}
        }
        if self.length > STAGED_OCTETS - FIELD_OCTETS {
            self.flush();
        }
        let tag = |kind: u32| u64::from(column.number << 3 | kind);
        match value {
            Value::Absent => {}
            Value::Number(number) => {
                self.varints(tag(VARINT), number);
            }
            Value::Address(address) => {
                self.varints(tag(LENGTH_DELIMITED), 16);
                self.put(address.bits().to_be_bytes(), 16);
            }
            Value::Text(text) => {
                let length = u64::try_from(text.len()).unwrap_or_default();
                self.varints(tag(LENGTH_DELIMITED), length);
                self.text(text.as_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emit::enriched::{Encoder, RecordFormat, columns, test_record};

    /// Number, wire type, value and octets of each field.
    fn fields(mut octets: &[u8]) -> Vec<(u64, u64, u64, Vec<u8>)> {
        let varint = |octets: &mut &[u8]| {
            let mut number = 0;
            for shift in (0..).step_by(7) {
                let octet = octets[0];
                *octets = &octets[1..];
                number |= u64::from(octet & 0x7f) << shift;
                if octet < 0x80 {
                    break;
                }
            }
            number
        };
        let mut fields = Vec::new();
        while !octets.is_empty() {
            let tag = varint(&mut octets);
            let value = varint(&mut octets);
            let mut text = Vec::new();
            if tag & 7 == 2 {
                let length = usize::try_from(value).unwrap();
                text = octets[..length].to_vec();
                octets = &octets[length..];
            }
            fields.push((tag >> 3, tag & 7, value, text));
        }
        fields
    }

    #[test]
    fn a_short_varint_is_one_of_the_usual_encoding() {
        let edges = (0..64).map(|bit| 1_u64 << bit);
        for number in edges
            .flat_map(|edge| [edge - 1, edge, edge + 1])
            .chain([u64::MAX])
        {
            let mut expected = Vec::new();
            write_varint(number, &mut expected);
            if number < 1 << 56 {
                let (octets, count) = short_varint(number);
                assert_eq!(octets.to_le_bytes()[..count], expected, "{number}");
            }
            let mut out = Vec::new();
            let mut writer = FieldWriter::new(&mut out);
            writer.varints(763, number);
            writer.flush();
            assert_eq!(out, [&[0xfb, 5], &*expected].concat(), "{number}");
        }
    }

    #[test]
    fn a_tag_has_two_octets_at_most() {
        assert!(columns().all(|column| column.number << 3 < 1 << 14));
    }

    #[test]
    fn a_text_follows_what_was_collected_whether_there_is_room_or_not() {
        for length in [0, 1, STAGED_OCTETS - 2, STAGED_OCTETS - 1, 1000] {
            let text = vec![b'x'; length];
            let mut out = Vec::new();
            let mut writer = FieldWriter::new(&mut out);
            writer.varints(8, 7);
            writer.text(&text);
            writer.flush();
            assert_eq!(out, [&[8, 7], &*text].concat());
        }
    }

    #[test]
    fn zero_is_left_out_unless_it_differs_from_absent() {
        let snapshots = test_record::snapshots();
        let record = test_record::record(&snapshots);
        let mut out = Vec::new();
        Encoder::new(RecordFormat::Protobuf).encode(&record.enriched(&snapshots), &mut out);
        let fields = fields(&out);
        let find = |name: &str| {
            let column = columns().find(|column| column.name == name).unwrap();
            let mut all = fields.iter();
            all.find(|field| field.0 == u64::from(column.number))
        };
        assert_eq!(find("octets").unwrap().2, 150_000);
        assert_eq!(
            find("sourceAddress").unwrap().3[10..],
            [255, 255, 10, 1, 1, 1]
        );
        assert_eq!(find("sourceWorkloadName").unwrap().3, b"web");
        assert_eq!(find("clusterId").unwrap().3, b"prod");
        assert_eq!(find("samplingPacketSpace").unwrap().2, 99);
        assert_eq!(find("counted").unwrap().2, 1);
        // Optional, and 0.
        assert_eq!(find("newConnectionDeltaCount").unwrap().2, 0);
        assert_eq!(find("biflowDirection").unwrap().2, 0);
        for absent in [
            "flowDirection",
            "connections",
            "flowStartMilliseconds",
            "ipNextHopAddress",
            "destinationPodName",
        ] {
            assert_eq!(find(absent), None, "{absent}");
        }
        assert!(fields.is_sorted_by_key(|field| field.0));
    }
}
