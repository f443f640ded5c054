//! The rules that a datagram can break, and where they are written.

use strum::VariantArray;

/// A rule that `--explain` checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, VariantArray)]
pub enum Rule {
    /// The version number is 1, 5, 7, 9 or 10.
    UnknownVersion,
    /// The datagram has a whole Message header.
    HeaderTruncated,
    /// The datagram has the octets that the Message header announces.
    MessageTooShort,
    /// Only another Message follows a Message.
    MessageTooLong,
    /// v9: the header's count is the number of records.
    RecordCount,
    /// v1, v5, v7: the header's count is the number of records.
    FlowCount,
    /// v1, v5, v7: a datagram has a maximum number of records.
    TooManyFlows,
    /// No records or Messages are missing, by the sequence numbers.
    SequenceGap,
    /// Sequence numbers increase.
    SequenceBack,
    /// The sequence number counts what the protocol defines.
    SequenceMeaning,
    /// The export time is close to the time of capture.
    ExportTime,
    /// `sysUpTime` increases: the exporter has not restarted.
    Restart,
    /// The length of a Set includes its header.
    SetTooShort,
    /// A Set ends within its Message.
    SetOverrun,
    /// A Set has records.
    EmptySet,
    /// Set IDs are those of the protocol.
    ReservedSet,
    /// Padding is shorter than a record, and not longer than alignment needs.
    PaddingTooLong,
    /// Padding octets are 0.
    PaddingNotZero,
    /// v9: a `FlowSet` ends on a boundary of four octets.
    Unaligned,
    /// Template IDs are 256 and above.
    TemplateId,
    /// The fields of a template fit into its Set.
    FieldCount,
    /// A template has fields, and its records have octets.
    EmptyTemplate,
    /// Templates are not withdrawn over UDP.
    Withdrawal,
    /// A withdrawn template was defined before.
    WithdrawalUnknown,
    /// A template ID keeps its meaning.
    TemplateChanged,
    /// An Options Template has scope fields.
    ScopeCount,
    /// v9: lengths of scope and options are a whole number of fields.
    OptionsLength,
    /// A field has octets.
    ZeroLength,
    /// Only integers and floats are reduced in size.
    NotReducible,
    /// A value has not more octets than its type.
    TooLong,
    /// v9: there are no fields of variable length.
    VariableLength,
    /// The element is in a public registry.
    UnknownElement,
    /// The collector has room for the template.
    TooManyTemplates,
    /// A template arrives before its Data Sets.
    NoTemplate,
    /// A value ends within its Set.
    FieldOverrun,
    /// A boolean is 1 or 2.
    Boolean,
    /// A string is UTF-8.
    NotUtf8,
    /// A flow ends after its start.
    EndBeforeStart,
    /// A flow ends before the export time of its record.
    EndAfterExport,
}

/// The text of a [`Rule`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// Document and section.
    pub reference: &'static str,
    /// Summary of the requirement.
    pub text: &'static str,
}

/// Sections of IPFIX (of v1, v5 and v7 for rules that only they have), and of NetFlow v9.
type References = (&'static str, &'static str);

const MESSAGE: References = ("RFC 7011 §3.1", "RFC 3954 §5.1");
const NETFLOW9: References = ("RFC 3954 §5.1", "RFC 3954 §5.1");
const FIXED: References = (
    "NetFlow v1, v5 and v7 formats",
    "NetFlow v1, v5 and v7 formats",
);
const SET: References = ("RFC 7011 §3.3.2", "RFC 3954 §5.2");
const PADDING: References = ("RFC 7011 §3.3.1", "RFC 3954 §5.3");
const TEMPLATE: References = ("RFC 7011 §3.4.1", "RFC 3954 §5.2");

impl Rule {
    /// All rules.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// A short name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.entry().0
    }

    /// The rule's text for this protocol version.
    #[must_use]
    pub const fn requirement(self, version: u16) -> Requirement {
        let (_, (ipfix, netflow9), text) = self.entry();
        Requirement {
            reference: if version == 9 { netflow9 } else { ipfix },
            text,
        }
    }

    /// Whether the protocol requires it. Other rules are advice: what breaks them is worth knowing.
    #[must_use]
    pub const fn is_error(self) -> bool {
        !matches!(
            self,
            Self::SequenceGap
                | Self::SequenceBack
                | Self::ExportTime
                | Self::Restart
                | Self::Unaligned
                | Self::UnknownElement
                | Self::TooManyTemplates
                | Self::NoTemplate
                | Self::EndAfterExport
        )
    }

    /// Name, references, text.
    const fn entry(self) -> (&'static str, References, &'static str) {
        match self {
            Self::UnknownVersion => (
                "unknown-version",
                MESSAGE,
                "the first two octets are the version: 10 for IPFIX, 9, 7, 5 or 1 for NetFlow",
            ),
            Self::HeaderTruncated => (
                "header-truncated",
                MESSAGE,
                "a Message begins with a whole header: 16 octets in IPFIX and v1, 20 in v9, \
                 24 in v5 and v7",
            ),
            Self::MessageTooShort => (
                "message-cut-off",
                MESSAGE,
                "Length is the length of the whole Message, header and Sets included",
            ),
            Self::MessageTooLong => (
                "message-length",
                MESSAGE,
                "Length is the length of the whole Message, header and Sets included",
            ),
            Self::RecordCount => (
                "record-count",
                NETFLOW9,
                "Count is the number of records of all FlowSets, templates and options \
                 among them",
            ),
            Self::FlowCount => (
                "flow-count",
                FIXED,
                "count is the number of records that follow the header",
            ),
            Self::TooManyFlows => (
                "too-many-flows",
                FIXED,
                "a datagram has at most 30 records in v5, 28 in v7, 24 in v1",
            ),
            Self::SequenceGap => (
                "sequence-gap",
                MESSAGE,
                "the sequence number counts the Data Records (v9: the Messages) sent \
                 before, in this session and domain",
            ),
            Self::SequenceBack => (
                "sequence-back",
                MESSAGE,
                "the sequence number counts the Data Records (v9: the Messages) sent \
                 before, in this session and domain",
            ),
            Self::SequenceMeaning => (
                "sequence-meaning",
                MESSAGE,
                "the sequence number counts the Data Records (v9: the Messages) sent \
                 before, in this session and domain",
            ),
            Self::ExportTime => (
                "export-time",
                MESSAGE,
                "the export time is the time at which the Message leaves the exporter",
            ),
            Self::Restart => (
                "restart",
                ("NetFlow v1, v5 and v7 formats", "RFC 3954 §5.1"),
                "sysUpTime is the time since the exporter started",
            ),
            Self::SetTooShort => (
                "set-length",
                SET,
                "the length of a Set includes its own header of 4 octets",
            ),
            Self::SetOverrun => (
                "set-overrun",
                SET,
                "the length of a Set gives the begin of the next one, within the Message",
            ),
            Self::EmptySet => (
                "empty-set",
                ("RFC 7011 §3.3.1", "RFC 3954 §5.2"),
                "a Set consists of a header and one or more records",
            ),
            Self::ReservedSet => (
                "reserved-set",
                SET,
                "Set IDs below 256 other than those of templates are reserved",
            ),
            Self::PaddingTooLong => (
                "padding-length",
                PADDING,
                "padding is shorter than any record of its Set and serves alignment to \
                 4 or 8 octets",
            ),
            Self::PaddingNotZero => (
                "padding-not-zero",
                PADDING,
                "padding consists of octets of value 0",
            ),
            Self::Unaligned => (
                "unaligned",
                PADDING,
                "padding should make the next FlowSet start at a boundary of 4 octets",
            ),
            Self::TemplateId => ("template-id", TEMPLATE, "template IDs are 256 to 65535"),
            Self::FieldCount => (
                "field-count",
                TEMPLATE,
                "Field Count is the number of fields of this template",
            ),
            Self::EmptyTemplate => (
                "empty-template",
                TEMPLATE,
                "a template has fields, and its records have octets",
            ),
            Self::Withdrawal => (
                "withdrawal",
                ("RFC 7011 §8.4", "RFC 3954 §5.2"),
                "templates are not withdrawn over UDP: they expire",
            ),
            Self::WithdrawalUnknown => (
                "withdrawal-unknown",
                ("RFC 7011 §8.1", "RFC 3954 §5.2"),
                "only a template that was sent before can be withdrawn",
            ),
            Self::TemplateChanged => (
                "template-changed",
                ("RFC 7011 §8", "RFC 3954 §9"),
                "a template ID keeps its meaning until it is withdrawn or has expired",
            ),
            Self::ScopeCount => (
                "scope-count",
                ("RFC 7011 §3.4.2", "RFC 3954 §6.1"),
                "an Options Template has at least one scope field, and no more scope \
                 fields than fields",
            ),
            Self::OptionsLength => (
                "options-length",
                ("RFC 3954 §6.1", "RFC 3954 §6.1"),
                "scope length and option length are the octets of their fields, 4 for each",
            ),
            Self::ZeroLength => (
                "zero-length",
                ("RFC 7011 §3.2", "RFC 3954 §5.2"),
                "Field Length is the number of octets of the value",
            ),
            Self::NotReducible => (
                "not-reducible",
                ("RFC 7011 §6.2", "RFC 3954 §8"),
                "only integers and float64 may be sent in fewer octets than their type has",
            ),
            Self::TooLong => (
                "too-long",
                ("RFC 7011 §6.2", "RFC 3954 §8"),
                "a value has at most the octets of its type",
            ),
            Self::VariableLength => (
                "variable-length",
                ("RFC 7011 §7", "RFC 3954 §5.2"),
                "only IPFIX has fields of variable length",
            ),
            Self::UnknownElement => (
                "unknown-element",
                ("RFC 7011 §9", "RFC 3954 §8"),
                "elements are those of the IANA registry or of the enterprise named",
            ),
            Self::TooManyTemplates => (
                "too-many-templates",
                ("RFC 7011 §8.4", "RFC 3954 §9"),
                "a collector may bound the number of templates",
            ),
            Self::NoTemplate => (
                "no-template",
                ("RFC 7011 §8", "RFC 3954 §9"),
                "a template is sent before the records that it describes, and repeated \
                 while it is used",
            ),
            Self::FieldOverrun => (
                "field-overrun",
                ("RFC 7011 §7", "RFC 3954 §5.3"),
                "the octets of a value are within its Set",
            ),
            Self::Boolean => (
                "boolean",
                ("RFC 7011 §6.1.5", "RFC 7011 §6.1.5"),
                "1 is true, 2 is false",
            ),
            Self::NotUtf8 => (
                "not-utf8",
                ("RFC 7011 §6.1.6", "RFC 7011 §6.1.6"),
                "a string is UTF-8",
            ),
            Self::EndBeforeStart => (
                "end-before-start",
                ("RFC 7011 §3.1", "RFC 3954 §8"),
                "a flow starts before it ends, and ends before its record is exported",
            ),
            Self::EndAfterExport => (
                "end-after-export",
                ("RFC 7011 §3.1", "RFC 3954 §8"),
                "a flow starts before it ends, and ends before its record is exported",
            ),
        }
    }
}
