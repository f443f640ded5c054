//! Protobuf: a record as a message of `proto/kipfix/v1/flow.proto`. Fields of value 0 and empty texts are left out, as
//! proto3 does, unless they are optional.

use kipfix_service::exposition::protobuf::write_varint;

use super::{Column, EnrichedRecord, Value};

const VARINT: u32 = 0;
const LENGTH_DELIMITED: u32 = 2;

/// Appends the fields of columns.
pub(super) fn write(columns: &[Column], record: &EnrichedRecord<'_>, out: &mut Vec<u8>) {
    for column in columns {
        match (column.read)(record) {
            Value::Absent => {}
            Value::Number(0) if !column.is_optional => {}
            Value::Number(number) => {
                write_varint((column.number << 3 | VARINT).into(), out);
                write_varint(number, out);
            }
            Value::Address(address) => {
                octets(column.number, &address.bits().to_be_bytes(), out);
            }
            Value::Text("") => {}
            Value::Text(text) => octets(column.number, text.as_bytes(), out),
        }
    }
}

fn octets(number: u32, octets: &[u8], out: &mut Vec<u8>) {
    write_varint((number << 3 | LENGTH_DELIMITED).into(), out);
    write_varint(u64::try_from(octets.len()).unwrap_or_default(), out);
    out.extend_from_slice(octets);
}

#[cfg(test)]
mod tests {
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
