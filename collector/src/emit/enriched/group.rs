//! Groups of columns, by how their values differ between records.

use super::EnrichedRecord;
use super::column::Column;
use super::format::RecordFormat;

/// Columns that are written together.
#[derive(Debug)]
pub(super) struct ColumnGroup {
    pub(super) columns: &'static [Column],
    pub(super) variation: Variation,
}

/// Appends a group of columns of a record.
type WriteGroup = fn(RecordFormat, &EnrichedRecord<'_>, &mut Vec<u8>);

/// How the values of a group differ between records. Nothing of it is needed to write them one by
/// one.
#[derive(Debug)]
pub(super) enum Variation {
    /// Every record has values of its own.
    EachRecord(WriteGroup),
    /// Most records have no value in any of the columns: all for which this is false.
    FewRecords(fn(&EnrichedRecord<'_>) -> bool),
    /// All records of an exporter that do not name another one have the same values.
    Origin,
}

impl ColumnGroup {
    pub(super) const fn new(columns: &'static [Column], variation: Variation) -> Self {
        Self { columns, variation }
    }
}

/// A group of columns that every record has, given all positions in its table. As the positions are
/// constants, the compiler reads the table and inlines how each value is read, which takes a
/// fraction of the time of a loop.
macro_rules! each_record {
    ($columns:ident: $($at:literal)*) => {{
        const _: () = {
            let mut positions: &[usize] = &[$($at),*];
            let mut next = 0;
            while let [position, rest @ ..] = positions {
                assert!(*position == next, "the positions are 0, 1, …");
                (positions, next) = (rest, next + 1);
            }
            assert!(next == $columns.len(), "each column of the table has a position");
        };
        #[derive(Clone, Copy)]
        struct Unrolled;
        impl $crate::emit::enriched::column::ColumnList for Unrolled {
            fn write_to(
                self,
                record: &$crate::emit::enriched::EnrichedRecord<'_>,
                writer: &mut impl $crate::emit::enriched::column::ColumnWriter,
            ) {
                $(writer.write(&$columns[$at], record);)*
            }
        }
        $crate::emit::enriched::group::ColumnGroup::new(
            &$columns,
            $crate::emit::enriched::group::Variation::EachRecord(|format, record, out| {
                format.write(Unrolled, record, out);
            }),
        )
    }};
}
pub(super) use each_record;
