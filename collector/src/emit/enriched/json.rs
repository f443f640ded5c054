//! JSON: a record as an object in one line. Values of 0 and empty texts are left out, unless they
//! are optional.

use std::sync::LazyLock;

use flowproto::json;

use super::column::ColumnWriter;
use super::{Column, ColumnType, EnrichedRecord, Value, columns};

/// What precedes the value of a column, by its number: a comma, its name and a colon.
static NAMES: LazyLock<Vec<Box<[u8]>>> = LazyLock::new(|| {
    let mut names = Vec::new();
    for column in columns() {
        let at = index(column);
        names.resize(at.saturating_add(1), Box::default());
        if let Some(name) = names.get_mut(at) {
            *name = format!(",\"{}\":", column.name).into_bytes().into();
        }
    }
    names
});

fn index(column: &Column) -> usize {
    usize::try_from(column.number).unwrap_or(usize::MAX)
}

/// Appends the members of columns, each after a comma.
#[derive(Debug)]
pub(super) struct MemberWriter<'a> {
    names: &'static [Box<[u8]>],
    out: &'a mut Vec<u8>,
}

impl<'a> MemberWriter<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        let names = &*NAMES;
        Self { names, out }
    }
}

impl ColumnWriter for MemberWriter<'_> {
    #[inline(always)]
    fn write(&mut self, column: &Column, record: &EnrichedRecord<'_>) {
        let value = (column.read)(record);
        let is_absent = match value {
            Value::Absent | Value::Text("") => true,
            Value::Number(number) => number == 0 && !column.is_optional,
            Value::Address(_) | Value::Text(_) => false,
        };
        if is_absent {
            return;
        }
        let name = self.names.get(index(column));
        self.out.extend_from_slice(name.map_or(b"", |name| name));
        match value {
            Value::Absent => {}
            Value::Number(_) if column.kind == ColumnType::Bool => {
                self.out.extend_from_slice(b"true");
            }
            Value::Number(number) => json::write_number(number, self.out),
            Value::Address(address) => json::write_address(address, self.out),
            Value::Text(text) => json::write_string(text, self.out),
        }
    }
}

/// Makes an object, without a line break, of the members that were appended since `begin`.
pub(super) fn enclose(begin: usize, out: &mut Vec<u8>) {
    match out.get_mut(begin) {
        Some(comma) => *comma = b'{',
        None => out.push(b'{'),
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use crate::emit::enriched::{Encoder, RecordFormat, test_record};

    #[test]
    fn a_record_is_one_object() {
        let snapshots = test_record::snapshots();
        let record = test_record::record(&snapshots);
        let mut out = Vec::new();
        Encoder::new(RecordFormat::Json).encode(&record.enriched(&snapshots), &mut out);
        let object: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(object["sourceAddress"], "10.1.1.1");
        assert_eq!(object["flowEndMilliseconds"], test_record::NOW);
        assert_eq!(object["octets"], 150_000);
        assert_eq!(object["counted"], true);
        assert_eq!(object["newConnectionDeltaCount"], 0);
        assert_eq!(object["sourceNodeName"], "node-a");
        assert_eq!(object["trafficClass"], "pod_to_external");
        assert_eq!(object.get("flowDirection"), None);
        assert_eq!(object.get("vlanId"), None);
    }
}
