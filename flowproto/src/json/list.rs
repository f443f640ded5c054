//! Structured data (RFC 6313) as JSON: lists of values, and lists of records, inside a record.
//!
//! A list is a field like any other and carries its length, so that nothing behind it depends on
//! its content. Lists that cannot be read are written as their octets: unknown templates, lengths
//! that do not fit, lists nested deeper than [`MAX_DEPTH`].

use super::key::write_key;
use super::output::Output;
use super::scalar;
use crate::element::{self, DataType};
use crate::field::FieldSpecifier;
use crate::options::Metadata;
use crate::wire::cursor::Cursor;

/// Maximum nesting of lists.
const MAX_DEPTH: usize = 4;

/// Reads and writes the records inside a list.
pub(super) trait RecordWriter {
    type Metadata: Metadata;

    /// Types of elements.
    fn metadata(&self) -> &Self::Metadata;
    /// Number of octets of the record at the front of `octets`. `None` for unknown templates, and
    /// where the record runs past the end.
    fn record_length(&self, template: u16, octets: &[u8]) -> Option<usize>;
    /// Appends the fields of a record as members. `depth`: number of enclosing lists.
    fn write_record(&self, template: u16, record: &[u8], depth: usize, out: &mut Output<'_>);
}

/// Appends a value by its data type. `depth`: number of enclosing lists.
pub(super) fn write_value<W: RecordWriter>(
    data_type: Option<DataType>,
    value: &[u8],
    records: &W,
    depth: usize,
    out: &mut Output<'_>,
) {
    use DataType::{BasicList, SubTemplateList, SubTemplateMultiList};
    let before = out.octets.len();
    let list = List {
        records,
        depth: depth.saturating_add(1),
    };
    let written = match data_type {
        Some(BasicList | SubTemplateList | SubTemplateMultiList) if depth >= MAX_DEPTH => None,
        Some(BasicList) => list.write_basic(value, out),
        Some(SubTemplateList) => list.write_records(value, out),
        Some(SubTemplateMultiList) => list.write_records_of_many(value, out),
        _ => return scalar::write_value(data_type, value, out.octets),
    };
    if written.is_none() {
        out.undo(before);
        scalar::write_hex(value, out.octets);
    }
}

struct List<'a, W> {
    records: &'a W,
    depth: usize,
}

impl<W: RecordWriter> List<'_, W> {
    /// `{"semantic":"allOf","sourceIPv4Address":["10.0.0.1"]}` (RFC 6313 §4.5.1).
    fn write_basic(&self, value: &[u8], out: &mut Output<'_>) -> Option<()> {
        let mut cursor = Cursor(value);
        let semantic = cursor.u8()?;
        let field = cursor.u16()?;
        let length = cursor.u16()?;
        let mut enterprise = 0;
        if field & 0x8000 != 0 {
            enterprise = cursor.u32()?;
        }
        let field = FieldSpecifier {
            enterprise,
            id: field & 0x7fff,
            length,
        };
        write_semantic(semantic, out.octets);
        let element = element::find(enterprise, field.id);
        let data_type = write_key(
            field.element(),
            element,
            self.records.metadata(),
            out.octets,
        );
        out.octets.push(b'[');
        let mut rest = cursor.0;
        let mut separator: &[u8] = b"";
        while !rest.is_empty() {
            // Values without octets have no number.
            let (value, after) = field.split_value(rest).filter(|_| length != 0)?;
            rest = after;
            let before = out.octets.len();
            out.octets.extend_from_slice(separator);
            separator = b",";
            write_value(data_type, value, self.records, self.depth, out);
            if out.is_full(before) {
                break;
            }
        }
        out.octets.extend_from_slice(b"]}");
        Some(())
    }

    /// `{"semantic":"ordered","records":[{…},{…}]}` (RFC 6313 §4.5.2).
    fn write_records(&self, value: &[u8], out: &mut Output<'_>) -> Option<()> {
        let mut cursor = Cursor(value);
        let semantic = cursor.u8()?;
        let template = cursor.u16()?;
        write_semantic(semantic, out.octets);
        out.octets.extend_from_slice(b"\"records\":[");
        self.write_each(template, cursor.0, &mut true, out)?;
        out.octets.extend_from_slice(b"]}");
        Some(())
    }

    /// The same with records of several templates (RFC 6313 §4.5.3).
    fn write_records_of_many(&self, value: &[u8], out: &mut Output<'_>) -> Option<()> {
        let mut cursor = Cursor(value);
        write_semantic(cursor.u8()?, out.octets);
        out.octets.extend_from_slice(b"\"records\":[");
        let mut is_first = true;
        while !cursor.0.is_empty() && !out.is_truncated() {
            let template = cursor.u16()?;
            let length = cursor.u16()?;
            let records = cursor.take(usize::from(length).checked_sub(4)?)?;
            self.write_each(template, records, &mut is_first, out)?;
        }
        out.octets.extend_from_slice(b"]}");
        Some(())
    }

    fn write_each(
        &self,
        template: u16,
        mut records: &[u8],
        is_first: &mut bool,
        out: &mut Output<'_>,
    ) -> Option<()> {
        while !records.is_empty() {
            let length = self.records.record_length(template, records)?;
            let (record, after) = records.split_at_checked(length)?;
            records = after;
            let before = out.octets.len();
            let begin: &[u8] = if *is_first { b"{" } else { b",{" };
            out.octets.extend_from_slice(begin);
            *is_first = false;
            self.records.write_record(template, record, self.depth, out);
            out.octets.push(b'}');
            if out.is_full(before) {
                break;
            }
        }
        Some(())
    }
}

/// `{"semantic":"…",` (RFC 6313 §4.4).
fn write_semantic(semantic: u8, out: &mut Vec<u8>) {
    let name = match semantic {
        0 => "noneOf",
        1 => "exactlyOneOf",
        2 => "oneOrMoreOf",
        3 => "allOf",
        4 => "ordered",
        _ => "undefined",
    };
    out.extend_from_slice(b"{\"semantic\":");
    scalar::write_string(name, out);
    out.push(b',');
}
