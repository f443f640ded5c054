//! Structured data (RFC 6313): lists of values and of records inside a record, as JSON.
//!
//! A list is a field like any other and says its length, so nothing behind it depends on what is in it.
//! What cannot be read is shown as its octets: a template that is not known, a length that does not fit,
//! lists in lists beyond [`DEEPEST`].

use crate::element::{self, DataType};
use crate::json;
use crate::template::{VARIABLE_LENGTH, write_element_key};
use crate::vocabulary::Vocabulary;

/// Lists in lists that are read.
const DEEPEST: usize = 4;

/// Appends a value as its data type asks; `depth`: how many lists it is in.
pub(crate) fn write_value(
    data_type: Option<DataType>,
    value: &[u8],
    vocabulary: &Vocabulary,
    depth: usize,
    out: &mut Vec<u8>,
) {
    let before = out.len();
    let list = List {
        vocabulary,
        depth: depth.saturating_add(1),
    };
    let written =
        match data_type {
            Some(
                DataType::BasicList | DataType::SubTemplateList | DataType::SubTemplateMultiList,
            ) if depth >= DEEPEST => None,
            Some(DataType::BasicList) => list.write_basic(value, out),
            Some(DataType::SubTemplateList) => list.write_records(value, out),
            Some(DataType::SubTemplateMultiList) => list.write_records_of_many(value, out),
            _ => return json::write_value(data_type, value, out),
        };
    if written.is_none() {
        out.truncate(before);
        json::write_hex(value, out);
    }
}

struct List<'a> {
    vocabulary: &'a Vocabulary,
    depth: usize,
}

impl List<'_> {
    /// `{"semantic":"allOf","sourceIPv4Address":["10.0.0.1"]}` (RFC 6313 §4.5.1).
    fn write_basic(&self, value: &[u8], out: &mut Vec<u8>) -> Option<()> {
        let (semantic, rest) = value.split_first()?;
        let (field, rest) = split_short(rest)?;
        let (length, mut rest) = split_short(rest)?;
        let mut enterprise = 0;
        if field & 0x8000 != 0 {
            let (number, after) = rest.split_first_chunk()?;
            (enterprise, rest) = (u32::from_be_bytes(*number), after);
        }
        let id = field & 0x7fff;
        write_semantic(*semantic, out);
        let told = self.vocabulary.type_of(enterprise, id);
        let data_type = match (element::find(enterprise, id), told) {
            (None, Some(told)) => {
                json::write_string(&told.name, out);
                out.push(b':');
                Some(told.data_type)
            }
            (element, _) => {
                write_element_key(enterprise, id, out);
                element.map(|element| element.data_type)
            }
        };
        out.push(b'[');
        let mut separator: &[u8] = b"";
        while !rest.is_empty() {
            let (value, after) = split_value(rest, length)?;
            rest = after;
            out.extend_from_slice(separator);
            separator = b",";
            write_value(data_type, value, self.vocabulary, self.depth, out);
        }
        out.extend_from_slice(b"]}");
        Some(())
    }

    /// `{"semantic":"ordered","records":[{…},{…}]}` (RFC 6313 §4.5.2).
    fn write_records(&self, value: &[u8], out: &mut Vec<u8>) -> Option<()> {
        let (semantic, rest) = value.split_first()?;
        let (template, rest) = split_short(rest)?;
        write_semantic(*semantic, out);
        out.extend_from_slice(b"\"records\":[");
        self.write_each(template, rest, &mut true, out)?;
        out.extend_from_slice(b"]}");
        Some(())
    }

    /// The same of several templates (RFC 6313 §4.5.3).
    fn write_records_of_many(&self, value: &[u8], out: &mut Vec<u8>) -> Option<()> {
        let (semantic, mut rest) = value.split_first()?;
        write_semantic(*semantic, out);
        out.extend_from_slice(b"\"records\":[");
        let mut first = true;
        while !rest.is_empty() {
            let (template, after) = split_short(rest)?;
            let (length, after) = split_short(after)?;
            let (records, after) = after.split_at_checked(usize::from(length).checked_sub(4)?)?;
            self.write_each(template, records, &mut first, out)?;
            rest = after;
        }
        out.extend_from_slice(b"]}");
        Some(())
    }

    fn write_each(
        &self,
        template: u16,
        mut records: &[u8],
        first: &mut bool,
        out: &mut Vec<u8>,
    ) -> Option<()> {
        if records.is_empty() {
            return Some(());
        }
        let template = self.vocabulary.templates.get(&template)?;
        while !records.is_empty() {
            let length = template.record_length(records)?;
            let (record, after) = records.split_at_checked(length)?;
            records = after;
            out.extend_from_slice(if *first { b"{" } else { b",{" });
            *first = false;
            template.write_members(record, self.vocabulary, self.depth, out);
            out.push(b'}');
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
    json::write_string(name, out);
    out.push(b',');
}

fn split_short(octets: &[u8]) -> Option<(u16, &[u8])> {
    let (head, tail) = octets.split_first_chunk()?;
    Some((u16::from_be_bytes(*head), tail))
}

/// One value of a basicList. `None` where it runs past the end, or has no octets and so no end.
fn split_value(octets: &[u8], length: u16) -> Option<(&[u8], &[u8])> {
    let (length, rest) = match (length, octets) {
        (0, _) => return None,
        (VARIABLE_LENGTH, [255, high, low, rest @ ..]) => (u16::from_be_bytes([*high, *low]), rest),
        (VARIABLE_LENGTH, [255, ..]) => return None,
        (VARIABLE_LENGTH, [length, rest @ ..]) => (u16::from(*length), rest),
        (length, rest) => (length, rest),
    };
    rest.split_at_checked(length.into())
}
