//! RowBinary: a record as a row of a ClickHouse table with the columns of
//! [`schema::table_columns`](super::schema::table_columns), in that order.

use kipfix_service::exposition::protobuf::write_varint;

use super::column::ColumnWriter;
use super::{Column, ColumnType, EnrichedRecord, Value};

/// Appends the values of columns.
#[derive(Debug)]
pub(super) struct ValueWriter<'a>(pub(super) &'a mut Vec<u8>);

impl ColumnWriter for ValueWriter<'_> {
    #[inline(always)]
    fn write(&mut self, column: &Column, record: &EnrichedRecord<'_>) {
        let out = &mut *self.0;
        let value = (column.read)(record);
        match column.kind {
            ColumnType::Name | ColumnType::Text => {
                let text = match value {
                    Value::Text(text) => text,
                    _ => "",
                };
                write_varint(u64::try_from(text.len()).unwrap_or_default(), out);
                out.extend_from_slice(text.as_bytes());
            }
            ColumnType::Address => {
                let bits = match value {
                    Value::Address(address) => address.bits(),
                    _ => 0,
                };
                out.extend_from_slice(&bits.to_be_bytes());
            }
            kind => {
                let number = match value {
                    Value::Number(number) => Some(number),
                    _ => None,
                };
                if column.is_optional {
                    // Nullable: 1 stands for NULL, which has no value.
                    out.push(number.is_none().into());
                    if number.is_none() {
                        return;
                    }
                }
                let number = number.unwrap_or_default();
                let width = width(kind);
                let octets = number.to_le_bytes();
                out.extend_from_slice(octets.get(..width).unwrap_or(&octets));
            }
        }
    }
}

/// Octets of an integer.
const fn width(kind: ColumnType) -> usize {
    match kind {
        ColumnType::Bool | ColumnType::Unsigned8 => 1,
        ColumnType::Unsigned16 => 2,
        ColumnType::Unsigned32 => 4,
        _ => 8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emit::enriched::{Encoder, RecordFormat, columns, test_record};

    #[test]
    fn every_column_has_its_width_and_absent_is_null_where_it_differs_from_0() {
        let snapshots = test_record::snapshots();
        let record = test_record::record(&snapshots);
        let mut out = Vec::new();
        Encoder::new(RecordFormat::RowBinary).encode(&record.enriched(&snapshots), &mut out);
        let mut rest = &out[..];
        let mut values = std::collections::BTreeMap::new();
        for column in columns() {
            let is_null = column.is_optional && rest[0] == 1;
            rest = &rest[usize::from(column.is_optional)..];
            let width = match column.kind {
                // All texts here are shorter than 128 octets.
                ColumnType::Name | ColumnType::Text => 1 + usize::from(rest[0]),
                ColumnType::Address => 16,
                _ if is_null => 0,
                kind => width(kind),
            };
            values.insert(column.name, (is_null, &rest[..width]));
            rest = &rest[width..];
        }
        assert_eq!(rest, [0_u8; 0]);
        assert_eq!(values["octets"].1, 150_000_u64.to_le_bytes());
        assert_eq!(
            values["flowEndMilliseconds"].1,
            test_record::NOW.to_le_bytes()
        );
        assert_eq!(values["destinationAddress"].1[12..], [198, 51, 100, 7]);
        assert_eq!(values["ipNextHopAddress"].1, [0; 16]);
        assert_eq!(values["sourceWorkloadName"].1, b"\x03web");
        assert_eq!(values["destinationPodName"].1, b"\0");
        assert_eq!(values["newConnectionDeltaCount"], (false, &[0; 4][..]));
        assert_eq!(values["flowDirection"], (true, &[][..]));
    }
}
