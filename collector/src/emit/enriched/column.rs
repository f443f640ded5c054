//! A column of an enriched record: its number in the protobuf message, its name, its type, and how
//! it is read.

use flowproto::Address;

use super::EnrichedRecord;

/// The value of a column in one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// The record does not have it.
    Absent,
    /// A number.
    Number(u64),
    /// An address.
    Address(Address),
    /// A text.
    Text(&'a str),
}

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// True or false.
    Bool,
    /// An integer of 8 bits.
    Unsigned8,
    /// An integer of 16 bits.
    Unsigned16,
    /// An integer of 32 bits.
    Unsigned32,
    /// An integer of 64 bits.
    Unsigned64,
    /// Milliseconds since the epoch; 0 if unknown.
    Milliseconds,
    /// An IPv4 or IPv6 address.
    Address,
    /// A text with few distinct values.
    Name,
    /// A text with many distinct values.
    Text,
}

/// A column.
#[derive(Debug)]
pub struct Column {
    /// Its number in the protobuf message.
    pub number: u32,
    /// Its name: that of the Information Element where there is one.
    pub name: &'static str,
    /// Its type.
    pub kind: ColumnType,
    /// An absent value differs from 0.
    pub is_optional: bool,
    /// Its meaning, as a sentence.
    pub meaning: &'static str,
    /// Reads its value.
    pub(super) read: for<'a, 'b> fn(&'a EnrichedRecord<'b>) -> Value<'a>,
}

/// Writes values in one encoding.
pub(super) trait ColumnWriter {
    /// Writes the value of a column.
    fn write(&mut self, column: &Column, record: &EnrichedRecord<'_>);
}

/// Columns that are written one after the other.
pub(super) trait ColumnList: Copy {
    /// Writes the values of all of them.
    fn write_to(self, record: &EnrichedRecord<'_>, writer: &mut impl ColumnWriter);
}

impl ColumnList for &[Column] {
    fn write_to(self, record: &EnrichedRecord<'_>, writer: &mut impl ColumnWriter) {
        for column in self {
            writer.write(column, record);
        }
    }
}

pub(super) const fn column(
    number: u32,
    (name, kind): (&'static str, ColumnType),
    meaning: &'static str,
    read: for<'a, 'b> fn(&'a EnrichedRecord<'b>) -> Value<'a>,
) -> Column {
    Column {
        number,
        name,
        kind,
        is_optional: false,
        meaning,
        read,
    }
}

pub(super) const fn optional(column: Column) -> Column {
    Column {
        is_optional: true,
        ..column
    }
}

pub(super) fn number(value: impl Into<u64>) -> Value<'static> {
    Value::Number(value.into())
}
