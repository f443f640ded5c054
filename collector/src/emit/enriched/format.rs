//! The encodings of a record.

use super::EnrichedRecord;
use super::column::ColumnList;
use super::json::MemberWriter;
use super::protobuf::FieldWriter;
use super::row_binary::ValueWriter;

/// How records are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordFormat {
    /// Protobuf messages.
    Protobuf,
    /// JSON objects.
    Json,
    /// Rows of a ClickHouse table.
    RowBinary,
}

impl RecordFormat {
    /// Appends columns of a record.
    #[inline]
    pub(super) fn write(
        self,
        columns: impl ColumnList,
        record: &EnrichedRecord<'_>,
        out: &mut Vec<u8>,
    ) {
        match self {
            Self::Protobuf => {
                let mut writer = FieldWriter::new(out);
                columns.write_to(record, &mut writer);
                writer.flush();
            }
            Self::Json => columns.write_to(record, &mut MemberWriter::new(out)),
            Self::RowBinary => columns.write_to(record, &mut ValueWriter(out)),
        }
    }
}
