//! What a sequence number counts.

use enum_map::Enum;
use strum::{IntoStaticStr, VariantArray};

use crate::wire::Version;

/// What the sequence numbers of an exporter count. RFC 7011 §3.1 and RFC 3954 §5.1 define it;
/// exporters differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Enum, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Convention {
    /// Data Records before the Message, options records included: RFC 7011 §3.1, v5, v7.
    Records,
    /// Data Records before the Message, without options records.
    DataRecords,
    /// Data Records and Template Records before the Message.
    AllRecords,
    /// Data Records up to the end of the Message.
    RecordsInclusive,
    /// Data Records up to the end of the Message, without options records.
    DataRecordsInclusive,
    /// Data Records and Template Records up to the end of the Message.
    AllRecordsInclusive,
    /// Messages: RFC 3954 §5.1.
    Messages,
}

/// Records of one Message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RecordNumbers {
    /// Data Records without options records.
    pub(crate) data: u32,
    pub(crate) options: u32,
    pub(crate) templates: u32,
}

/// Sequence number of a Message, and the records in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MessageSequence {
    pub(crate) sequence: u32,
    /// `None` if a part could not be read, so that the number of records is not known.
    pub(crate) records: Option<RecordNumbers>,
}

impl Convention {
    /// The convention of the protocol.
    pub(crate) const fn of(version: Version) -> Self {
        match version {
            Version::V9 => Self::Messages,
            _ => Self::Records,
        }
    }

    const fn is_inclusive(self) -> bool {
        matches!(
            self,
            Self::RecordsInclusive | Self::DataRecordsInclusive | Self::AllRecordsInclusive
        )
    }

    /// By how much a Message of these records advances the number.
    pub(super) const fn advance(self, records: RecordNumbers) -> u32 {
        let RecordNumbers {
            data,
            options,
            templates,
        } = records;
        match self {
            Self::DataRecords | Self::DataRecordsInclusive => data,
            Self::Records | Self::RecordsInclusive => data.saturating_add(options),
            Self::AllRecords | Self::AllRecordsInclusive => {
                data.saturating_add(options).saturating_add(templates)
            }
            Self::Messages => 1,
        }
    }
}

impl MessageSequence {
    /// First number of the Message, and that of the Message after it. Without the number of
    /// records, the Message has none.
    pub(super) fn span(self, convention: Convention) -> (u32, u32) {
        let advance = convention.advance(self.records.unwrap_or_default());
        if convention.is_inclusive() {
            (self.sequence.wrapping_sub(advance), self.sequence)
        } else {
            (self.sequence, self.sequence.wrapping_add(advance))
        }
    }

    /// Whether it advances the number by nothing, such as a Message of templates.
    pub(super) fn is_neutral(self, convention: Convention) -> bool {
        let is_counted = matches!(convention, Convention::Records | Convention::DataRecords);
        let advance = self.records.map(|records| convention.advance(records));
        is_counted && advance == Some(0)
    }

    /// Number of the next Message, if it is known.
    pub(super) fn end(self, convention: Convention) -> Option<u32> {
        let is_known = self.records.is_some()
            || convention.is_inclusive()
            || convention == Convention::Messages;
        is_known.then(|| self.span(convention).1)
    }
}
