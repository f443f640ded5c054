//! What can be wrong with a datagram, and the rule that it breaks.

/// Something that is wrong, or worth knowing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Problem {
    /// A version number that is none of 5, 7, 9 and 10.
    UnknownVersion,
    /// The datagram ends within the Message header.
    HeaderTruncated,
    /// The header says more octets than the datagram has.
    MessageTooShort,
    /// The header says fewer octets than the datagram has, and what follows is no Message.
    MessageTooLong,
    /// v9: the header's count is not the number of records.
    RecordCount,
    /// v5, v7: the header's count is not what the datagram holds.
    FlowCount,
    /// v5, v7: more records than a datagram may have.
    TooManyFlows,
    /// Records or Messages are missing, by the sequence numbers.
    SequenceGap,
    /// A sequence number that is older than expected.
    SequenceBack,
    /// The sequence number counts something else than the protocol says.
    SequenceMeaning,
    /// The export time is far from when the datagram was captured.
    ExportTime,
    /// `sysUpTime` went back: the exporter began anew.
    Restart,
    /// A Set of fewer octets than its header has.
    SetTooShort,
    /// A Set that ends behind its Message.
    SetOverrun,
    /// A Set without a record.
    EmptySet,
    /// A Set number that the protocol does not use.
    ReservedSet,
    /// Padding that has room for a record, or goes on beyond the next boundary of eight octets.
    PaddingTooLong,
    /// Padding of other octets than 0.
    PaddingNotZero,
    /// v9: a `FlowSet` that does not end on a boundary of four octets.
    Unaligned,
    /// A template number below 256.
    TemplateId,
    /// A template with more fields than its Set has room for, or with octets left over.
    FieldCount,
    /// A template without fields, or of records without octets.
    EmptyTemplate,
    /// A withdrawal over UDP, or in NetFlow v9, which has none.
    Withdrawal,
    /// A withdrawal of a template that is not there.
    WithdrawalUnknown,
    /// A template number was given another meaning.
    TemplateChanged,
    /// An Options Template without scope, or with more scope fields than fields.
    ScopeCount,
    /// v9: lengths of scope or options that are no whole number of fields.
    OptionsLength,
    /// A field of no octets.
    ZeroLength,
    /// Fewer octets than the type has, where it must not be reduced in size.
    NotReducible,
    /// More octets than the type has.
    TooLong,
    /// v9: a field of variable length, which that version does not have.
    VariableLength,
    /// No registry known here has the element.
    UnknownElement,
    /// More templates than are kept.
    TooManyTemplates,
    /// A Data Set before its template.
    NoTemplate,
    /// A field of variable length that ends behind its Set.
    FieldOverrun,
    /// A truth value that is neither 1 nor 2.
    Boolean,
    /// A string that is no UTF-8.
    NotUtf8,
    /// A flow that ends before it starts.
    EndBeforeStart,
    /// A flow that ends after its record was exported.
    EndAfterExport,
}

impl Problem {
    /// All of them.
    pub const ALL: [Self; 39] = [
        Self::UnknownVersion,
        Self::HeaderTruncated,
        Self::MessageTooShort,
        Self::MessageTooLong,
        Self::RecordCount,
        Self::FlowCount,
        Self::TooManyFlows,
        Self::SequenceGap,
        Self::SequenceBack,
        Self::SequenceMeaning,
        Self::ExportTime,
        Self::Restart,
        Self::SetTooShort,
        Self::SetOverrun,
        Self::EmptySet,
        Self::ReservedSet,
        Self::PaddingTooLong,
        Self::PaddingNotZero,
        Self::Unaligned,
        Self::TemplateId,
        Self::FieldCount,
        Self::EmptyTemplate,
        Self::Withdrawal,
        Self::WithdrawalUnknown,
        Self::TemplateChanged,
        Self::ScopeCount,
        Self::OptionsLength,
        Self::ZeroLength,
        Self::NotReducible,
        Self::TooLong,
        Self::VariableLength,
        Self::UnknownElement,
        Self::TooManyTemplates,
        Self::NoTemplate,
        Self::FieldOverrun,
        Self::Boolean,
        Self::NotUtf8,
        Self::EndBeforeStart,
        Self::EndAfterExport,
    ];

    /// A short name, to be searched for.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownVersion => "unknown-version",
            Self::HeaderTruncated => "header-truncated",
            Self::MessageTooShort => "message-cut-off",
            Self::MessageTooLong => "message-length",
            Self::RecordCount => "record-count",
            Self::FlowCount => "flow-count",
            Self::TooManyFlows => "too-many-flows",
            Self::SequenceGap => "sequence-gap",
            Self::SequenceBack => "sequence-back",
            Self::SequenceMeaning => "sequence-meaning",
            Self::ExportTime => "export-time",
            Self::Restart => "restart",
            Self::SetTooShort => "set-length",
            Self::SetOverrun => "set-overrun",
            Self::EmptySet => "empty-set",
            Self::ReservedSet => "reserved-set",
            Self::PaddingTooLong => "padding-length",
            Self::PaddingNotZero => "padding-not-zero",
            Self::Unaligned => "unaligned",
            Self::TemplateId => "template-id",
            Self::FieldCount => "field-count",
            Self::EmptyTemplate => "empty-template",
            Self::Withdrawal => "withdrawal",
            Self::WithdrawalUnknown => "withdrawal-unknown",
            Self::TemplateChanged => "template-changed",
            Self::ScopeCount => "scope-count",
            Self::OptionsLength => "options-length",
            Self::ZeroLength => "zero-length",
            Self::NotReducible => "not-reducible",
            Self::TooLong => "too-long",
            Self::VariableLength => "variable-length",
            Self::UnknownElement => "unknown-element",
            Self::TooManyTemplates => "too-many-templates",
            Self::NoTemplate => "no-template",
            Self::FieldOverrun => "field-overrun",
            Self::Boolean => "boolean",
            Self::NotUtf8 => "not-utf8",
            Self::EndBeforeStart => "end-before-start",
            Self::EndAfterExport => "end-after-export",
        }
    }

    /// Where the rule stands for this protocol version, and what it asks for.
    #[must_use]
    pub const fn rule(self, version: u16) -> Rule {
        let (ipfix, netflow9, asks) = self.rules();
        Rule {
            reference: if version == 9 { netflow9 } else { ipfix },
            asks,
        }
    }

    /// True where a rule is broken; false where it is only worth knowing.
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

    /// The rule of IPFIX (or of v5 and v7 where only they have it), that of v9, and what they ask for.
    const fn rules(self) -> (&'static str, &'static str, &'static str) {
        const FIXED: &str = "NetFlow v5 and v7 formats";
        match self {
            Self::UnknownVersion => (
                "RFC 7011 §3.1",
                "RFC 3954 §5.1",
                "the first two octets are the version: 10 for IPFIX, 9, 7 or 5 for NetFlow",
            ),
            Self::HeaderTruncated => (
                "RFC 7011 §3.1",
                "RFC 3954 §5.1",
                "a Message begins with a whole header: 16 octets in IPFIX, 20 in v9, 24 in v5 and v7",
            ),
            Self::MessageTooShort | Self::MessageTooLong => (
                "RFC 7011 §3.1",
                "RFC 3954 §5.1",
                "Length is the length of the whole Message, header and Sets included",
            ),
            Self::RecordCount => (
                "RFC 3954 §5.1",
                "RFC 3954 §5.1",
                "Count is the number of records of all FlowSets, templates and options among them",
            ),
            Self::FlowCount => (
                FIXED,
                FIXED,
                "count is the number of records that follow the header",
            ),
            Self::TooManyFlows => (
                FIXED,
                FIXED,
                "a datagram has at most 30 records in v5, 28 in v7",
            ),
            Self::SequenceGap | Self::SequenceBack | Self::SequenceMeaning => (
                "RFC 7011 §3.1",
                "RFC 3954 §5.1",
                "the sequence number counts the Data Records (v9: the Messages) sent before, in this session and domain",
            ),
            Self::ExportTime => (
                "RFC 7011 §3.1",
                "RFC 3954 §5.1",
                "the export time is when the header leaves the exporter",
            ),
            Self::Restart => (
                "NetFlow v5 and v7 formats",
                "RFC 3954 §5.1",
                "sysUpTime is the time since the exporter was started",
            ),
            Self::SetTooShort => (
                "RFC 7011 §3.3.2",
                "RFC 3954 §5.2",
                "the length of a Set includes its own header of 4 octets",
            ),
            Self::SetOverrun => (
                "RFC 7011 §3.3.2",
                "RFC 3954 §5.2",
                "the length of a Set says where the next one begins, within the Message",
            ),
            Self::EmptySet => (
                "RFC 7011 §3.3.1",
                "RFC 3954 §5.2",
                "a Set consists of a header and one or more records",
            ),
            Self::ReservedSet => (
                "RFC 7011 §3.3.2",
                "RFC 3954 §5.2",
                "numbers below 256 other than those of templates are reserved",
            ),
            Self::PaddingTooLong => (
                "RFC 7011 §3.3.1",
                "RFC 3954 §5.3",
                "padding is shorter than any record of its Set and serves alignment to 4 or 8 octets",
            ),
            Self::PaddingNotZero => (
                "RFC 7011 §3.3.1",
                "RFC 3954 §5.3",
                "padding consists of octets of value 0",
            ),
            Self::Unaligned => (
                "RFC 7011 §3.3.1",
                "RFC 3954 §5.3",
                "padding should make the next FlowSet start at a boundary of 4 octets",
            ),
            Self::TemplateId => (
                "RFC 7011 §3.4.1",
                "RFC 3954 §5.2",
                "template numbers are 256 to 65535",
            ),
            Self::FieldCount => (
                "RFC 7011 §3.4.1",
                "RFC 3954 §5.2",
                "Field Count is the number of fields of this template",
            ),
            Self::EmptyTemplate => (
                "RFC 7011 §3.4.1",
                "RFC 3954 §5.2",
                "a template has fields, and its records have octets",
            ),
            Self::Withdrawal => (
                "RFC 7011 §8.4",
                "RFC 3954 §5.2",
                "templates are not withdrawn over UDP: they expire",
            ),
            Self::WithdrawalUnknown => (
                "RFC 7011 §8.1",
                "RFC 3954 §5.2",
                "only a template that was sent before can be withdrawn",
            ),
            Self::TemplateChanged => (
                "RFC 7011 §8",
                "RFC 3954 §9",
                "a template number keeps its meaning until it was withdrawn or has expired",
            ),
            Self::ScopeCount => (
                "RFC 7011 §3.4.2",
                "RFC 3954 §6.1",
                "an Options Template has at least one scope field, and not more of them than fields",
            ),
            Self::OptionsLength => (
                "RFC 3954 §6.1",
                "RFC 3954 §6.1",
                "scope length and option length are the octets of their fields, 4 for each",
            ),
            Self::ZeroLength => (
                "RFC 7011 §3.2",
                "RFC 3954 §5.2",
                "Field Length is the number of octets of the value",
            ),
            Self::NotReducible => (
                "RFC 7011 §6.2",
                "RFC 3954 §8",
                "only integers and float64 may be sent in fewer octets than their type has",
            ),
            Self::TooLong => (
                "RFC 7011 §6.2",
                "RFC 3954 §8",
                "a value has at most the octets of its type",
            ),
            Self::VariableLength => (
                "RFC 7011 §7",
                "RFC 3954 §5.2",
                "fields of variable length are of IPFIX; v9 has lengths only",
            ),
            Self::UnknownElement => (
                "RFC 7011 §9",
                "RFC 3954 §8",
                "elements are those of the IANA registry or of the enterprise named; others cannot be understood",
            ),
            Self::TooManyTemplates => (
                "RFC 7011 §8.4",
                "RFC 3954 §9",
                "a collector need not keep any number of templates",
            ),
            Self::NoTemplate => (
                "RFC 7011 §8",
                "RFC 3954 §9",
                "a template is sent before the records that it describes, and again while it is used",
            ),
            Self::FieldOverrun => (
                "RFC 7011 §7",
                "RFC 3954 §5.3",
                "the octets of a value are within its Set",
            ),
            Self::Boolean => (
                "RFC 7011 §6.1.5",
                "RFC 7011 §6.1.5",
                "1 is true, 2 is false",
            ),
            Self::NotUtf8 => ("RFC 7011 §6.1.6", "RFC 7011 §6.1.6", "a string is UTF-8"),
            Self::EndBeforeStart | Self::EndAfterExport => (
                "RFC 7011 §3.1",
                "RFC 3954 §8",
                "a flow starts before it ends, and ends before its record is exported",
            ),
        }
    }
}

/// A rule of a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Document and section.
    pub reference: &'static str,
    /// What it asks for, in our words.
    pub asks: &'static str,
}
