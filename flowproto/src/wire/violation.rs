//! Violations of the wire grammar.

use std::fmt;

use crate::rule::Rule;

/// A broken rule, with the numbers that show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Violation {
    /// The datagram begins with this version number.
    UnknownVersion { version: u16 },
    /// `octets` are left for a header of `header` octets.
    HeaderCutOff { octets: u32, header: u32 },
    /// The Message is longer than the datagram.
    MessageCutOff { length: u32, octets: u32 },
    /// The Sets end at `end`, which is not the length of the Message; `left` octets follow that are
    /// not a Message.
    MessageLength { length: u32, end: u32, left: u32 },
    /// v1, v5, v7: the header's count is not the number of records.
    FlowCount {
        count: u16,
        record_octets: u32,
        octets: u32,
    },
    /// v1, v5, v7: more records than a datagram may have.
    TooManyFlows { count: u16 },
    /// Fewer octets than a Set header.
    SetHeaderCutOff { octets: u32 },
    /// A length below that of a Set header.
    SetTooShort { length: u16 },
    /// The Set is longer than what is left of the Message.
    SetOverrun { length: u16, left: u32 },
    /// A Set without records.
    EmptySet,
    /// A Set ID that the protocol does not use.
    ReservedSet { id: u16 },
    /// v9: a length that is not a multiple of 4.
    Unaligned { length: u16 },
    /// Padding with octets other than 0.
    PaddingNotZero { octets: u32 },
    /// Padding as long as a record, or longer than alignment needs.
    PaddingTooLong { octets: u32, shortest: u32 },
    /// The last record may be padding.
    RecordOfZeros { octets: u32 },
    /// A template ID below 256.
    TemplateId { id: u16 },
    /// More fields than the Set has room for.
    FieldCount { id: u16, wanted: u32, room: u32 },
    /// v9: lengths of scope and options that are not a multiple of 4.
    OptionsLength { scope: u16, options: u16 },
    /// Scope fields: none, or more than fields.
    ScopeCount { scope: u32, fields: u32 },
    /// A field that runs past the end of its Set.
    FieldOverrun { left: u32 },
}

impl Violation {
    /// The rule that is broken.
    pub(crate) const fn rule(self) -> Rule {
        match self {
            Self::UnknownVersion { .. } => Rule::UnknownVersion,
            Self::HeaderCutOff { .. } => Rule::HeaderTruncated,
            Self::MessageCutOff { .. } => Rule::MessageTooShort,
            Self::MessageLength { .. } => Rule::MessageTooLong,
            Self::FlowCount { .. } => Rule::FlowCount,
            Self::TooManyFlows { .. } => Rule::TooManyFlows,
            Self::SetHeaderCutOff { .. } | Self::SetOverrun { .. } => Rule::SetOverrun,
            Self::SetTooShort { .. } => Rule::SetTooShort,
            Self::EmptySet => Rule::EmptySet,
            Self::ReservedSet { .. } => Rule::ReservedSet,
            Self::Unaligned { .. } => Rule::Unaligned,
            Self::PaddingNotZero { .. } => Rule::PaddingNotZero,
            Self::PaddingTooLong { .. } | Self::RecordOfZeros { .. } => Rule::PaddingTooLong,
            Self::TemplateId { .. } => Rule::TemplateId,
            Self::FieldCount { .. } => Rule::FieldCount,
            Self::OptionsLength { .. } => Rule::OptionsLength,
            Self::ScopeCount { .. } => Rule::ScopeCount,
            Self::FieldOverrun { .. } => Rule::FieldOverrun,
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::UnknownVersion { version } => write!(f, "the version is {version}"),
            Self::HeaderCutOff { octets, header } => {
                write!(f, "{octets} octets of a header of {header}")
            }
            Self::MessageCutOff { length, octets } => {
                write!(
                    f,
                    "the length in the header is {length} octets, there are {octets}"
                )
            }
            Self::MessageLength { length, end, left } => write!(
                f,
                "the length in the header is {length} octets, the Sets end at {end}, {left} octets follow"
            ),
            Self::FlowCount {
                count,
                record_octets,
                octets,
            } => {
                let whole = octets.checked_div(record_octets).unwrap_or_default();
                let left = octets.checked_rem(record_octets).unwrap_or_default();
                write!(
                    f,
                    "the header counts {count} records of {record_octets} octets, there are \
                     {octets} octets: {whole} records and {left} octets"
                )
            }
            Self::TooManyFlows { count } => write!(f, "the header counts {count}"),
            Self::SetHeaderCutOff { octets } => {
                write!(f, "{octets} octets are left, fewer than a Set header")
            }
            Self::SetTooShort { length } => write!(
                f,
                "the length is {length} octets; nothing behind it can be read"
            ),
            Self::SetOverrun { length, left } => {
                write!(f, "the length is {length} octets, {left} are left")
            }
            Self::EmptySet => write!(f, "it has a header only"),
            Self::ReservedSet { id } => write!(f, "{id} is reserved"),
            Self::Unaligned { length } => write!(f, "the length is {length} octets"),
            Self::PaddingNotZero { octets } => {
                write!(f, "{octets} octets are left that are not all 0")
            }
            Self::PaddingTooLong { octets, shortest } => {
                write!(f, "{octets} octets; a record has at least {shortest}")
            }
            Self::RecordOfZeros { octets } => {
                write!(f, "the last record, {octets} octets of 0, may be padding")
            }
            Self::TemplateId { id } => write!(
                f,
                "{id}, or the template before it has more fields than its Field Count"
            ),
            Self::FieldCount { id, wanted, room } => write!(
                f,
                "template {id} has {wanted} fields by its header, its Set has room for {room}"
            ),
            Self::OptionsLength { scope, options } => {
                write!(f, "{scope} octets of scope and {options} of options")
            }
            Self::ScopeCount { scope, fields } => write!(f, "{scope} scope fields of {fields}"),
            Self::FieldOverrun { left } => {
                write!(f, "the next field is longer than the {left} octets left")
            }
        }
    }
}
