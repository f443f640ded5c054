//! Writer of the Messages of IPFIX (RFC 7011 §3.1, §3.3) and of NetFlow v9 (RFC 3954 §5): Sets with
//! their lengths, behind the [`Header`] of the protocol version.

use super::{OutgoingMessage, Send, Weight, count, message_octets, patch, put};
use crate::field::FieldSpecifier;
use crate::record::FlowRecord;

const SET_HEADER: usize = 4;
/// Octets of the longest record without its texts and the list of gRPC responses.
pub(super) const LONGEST_WITHOUT_NAME: usize = 400;
/// Set ID of Template Sets of IPFIX.
pub const TEMPLATE_SET: u16 = 2;
/// Set ID of Options Template Sets of IPFIX.
pub const OPTIONS_TEMPLATE_SET: u16 = 3;

/// The Message header of a protocol version.
pub trait Header {
    /// Octets of the header.
    const OCTETS: usize;
    /// Sets are padded to a multiple of this, octets.
    const ALIGNMENT: usize;
    /// Set ID of Template Sets.
    const TEMPLATE_SET: u16;

    /// Writes the header of a finished Message, whose first [`Self::OCTETS`] octets are left for
    /// it.
    fn write(&mut self, message: &mut [u8], records: RecordCounts, now_milliseconds: u64);
}

/// Number of records in a Message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordCounts {
    /// Data Records, those of options data included.
    pub data: u32,
    /// Templates and Options Templates.
    pub templates: u32,
}

/// The Message header of IPFIX (RFC 7011 §3.1).
#[derive(Clone, Copy, Debug)]
pub struct IpfixHeader {
    observation_domain_id: u32,
    /// Data Records sent in all Messages before this one, modulo 2^32.
    sequence: u32,
}

impl IpfixHeader {
    /// Creates the header of the first Message.
    #[must_use]
    pub const fn new(observation_domain_id: u32) -> Self {
        Self {
            observation_domain_id,
            sequence: 0,
        }
    }
}

impl Header for IpfixHeader {
    const OCTETS: usize = 16;
    const ALIGNMENT: usize = 1;
    const TEMPLATE_SET: u16 = TEMPLATE_SET;

    fn write(&mut self, message: &mut [u8], records: RecordCounts, now_milliseconds: u64) {
        let length = count(message.len());
        let seconds = u32::try_from(now_milliseconds / 1000).unwrap_or(u32::MAX);
        patch(message, 0, 10_u16.to_be_bytes());
        patch(message, 2, length.to_be_bytes());
        patch(message, 4, seconds.to_be_bytes());
        patch(message, 8, self.sequence.to_be_bytes());
        patch(message, 12, self.observation_domain_id.to_be_bytes());
        self.sequence = self.sequence.wrapping_add(records.data);
    }
}

/// The current Message.
#[derive(Debug)]
pub struct MessageWriter<H = IpfixHeader> {
    /// The header of the version.
    pub(super) header: H,
    max_octets: usize,
    /// With room for the header, which is written when the Message is sent.
    pub(super) octets: Vec<u8>,
    /// The current Set: its ID and offset.
    set: Option<(u16, usize)>,
    weight: Weight,
    records: RecordCounts,
    messages_sent: u64,
    octets_sent: u64,
}

impl<H: Header> MessageWriter<H> {
    /// Creates an empty Message of at most `max_octets`.
    #[must_use]
    pub fn new(header: H, max_octets: usize) -> Self {
        let max_octets = message_octets(max_octets);
        let mut octets = Vec::with_capacity(max_octets);
        octets.resize(H::OCTETS, 0);
        Self {
            header,
            max_octets,
            octets,
            set: None,
            weight: Weight::default(),
            records: RecordCounts::default(),
            messages_sent: 0,
            octets_sent: 0,
        }
    }

    /// Sets the maximum length of a Message, octets, from the next record on.
    pub fn limit(&mut self, max_octets: usize) {
        self.max_octets = message_octets(max_octets);
    }

    /// Octets that are left for the name of the responder in the longest record.
    #[must_use]
    pub(super) const fn max_name_octets(&self) -> usize {
        let others = const { H::OCTETS + SET_HEADER + LONGEST_WITHOUT_NAME };
        self.max_octets.saturating_sub(others)
    }

    /// Number of Messages sent, and their octets.
    #[must_use]
    pub const fn sent(&self) -> (u64, u64) {
        (self.messages_sent, self.octets_sent)
    }

    /// Makes room for `octets` in a Set with this ID, and returns the buffer to append them to.
    /// Sends the Message first if it is full.
    pub fn open(
        &mut self,
        set: u16,
        octets: usize,
        now_milliseconds: u64,
        send: &mut Send<'_>,
    ) -> &mut Vec<u8> {
        // Both this Set and the one before it may need padding.
        let padding = const { 2 * (H::ALIGNMENT - 1) };
        let continues = self.set.is_some_and(|(number, _)| number == set);
        let header = if continues { 0 } else { SET_HEADER };
        let needed = octets.saturating_add(header).saturating_add(padding);
        let full = self.octets.len().saturating_add(needed) > self.max_octets;
        if full {
            self.send(now_milliseconds, send);
        }
        if full || !continues {
            self.close_set();
            self.set = Some((set, self.octets.len()));
            put(&mut self.octets, set.to_be_bytes());
            put(&mut self.octets, [0; 2]);
        }
        &mut self.octets
    }

    /// Counts an appended Data Record of a flow.
    #[inline]
    pub const fn count_record(&mut self, record: &FlowRecord) {
        self.weight.add(record);
        self.records.data = self.records.data.saturating_add(1);
    }

    /// Counts an appended Data Record that is followed by another one of the same flow record.
    pub const fn count_part(&mut self) {
        self.weight.split = self.weight.split.saturating_add(1);
        self.records.data = self.records.data.saturating_add(1);
    }

    /// Counts an appended record of options data.
    pub const fn count_options_record(&mut self) {
        self.records.data = self.records.data.saturating_add(1);
    }

    /// Sends the Message unless it is empty.
    pub fn send(&mut self, now_milliseconds: u64, send: &mut Send<'_>) {
        if self.octets.len() <= H::OCTETS {
            return;
        }
        self.close_set();
        self.header
            .write(&mut self.octets, self.records, now_milliseconds);
        send(OutgoingMessage {
            octets: &self.octets,
            weight: self.weight,
        });
        self.messages_sent = self.messages_sent.saturating_add(1);
        let octets = count(self.octets.len()).into();
        self.octets_sent = self.octets_sent.saturating_add(octets);
        self.octets.truncate(H::OCTETS);
        self.weight = Weight::default();
        self.records = RecordCounts::default();
    }

    /// Ends the current Set: pads it, and writes its length.
    pub(super) fn close_set(&mut self) {
        let Some((_, start)) = self.set.take() else {
            return;
        };
        let length = self.octets.len().next_multiple_of(H::ALIGNMENT);
        self.octets.resize(length, 0);
        let length = count(length.saturating_sub(start));
        patch(
            &mut self.octets,
            start.saturating_add(2),
            length.to_be_bytes(),
        );
    }

    /// Appends a template (RFC 7011 §3.4.1, RFC 3954 §5.2).
    pub fn template(
        &mut self,
        id: u16,
        fields: &[FieldSpecifier],
        now_milliseconds: u64,
        send: &mut Send<'_>,
    ) {
        let octets = specifiers_octets(fields).saturating_add(4);
        let out = self.open(H::TEMPLATE_SET, octets, now_milliseconds, send);
        put(out, id.to_be_bytes());
        put(out, count(fields.len()).to_be_bytes());
        write_specifiers(out, fields);
        self.count_template();
    }

    /// Counts an appended template.
    pub(super) const fn count_template(&mut self) {
        self.records.templates = self.records.templates.saturating_add(1);
    }
}

impl MessageWriter {
    /// Appends an options template (RFC 7011 §3.4.2.2) whose first `scope_fields` are scope.
    pub fn options_template(
        &mut self,
        id: u16,
        scope_fields: u16,
        fields: &[FieldSpecifier],
        now_milliseconds: u64,
        send: &mut Send<'_>,
    ) {
        let octets = specifiers_octets(fields).saturating_add(6);
        let out = self.open(OPTIONS_TEMPLATE_SET, octets, now_milliseconds, send);
        put(out, id.to_be_bytes());
        put(out, count(fields.len()).to_be_bytes());
        put(out, scope_fields.to_be_bytes());
        write_specifiers(out, fields);
        self.count_template();
    }

    /// Appends the withdrawal of one template, or of all templates of a kind by the ID of its Set
    /// (RFC 7011 §8.1).
    pub fn withdrawal(&mut self, set: u16, id: u16, now_milliseconds: u64, send: &mut Send<'_>) {
        // Withdrawals have a Set of their own.
        self.close_set();
        let out = self.open(set, 4, now_milliseconds, send);
        put(out, id.to_be_bytes());
        put(out, [0; 2]);
        self.close_set();
    }
}

fn specifiers_octets(fields: &[FieldSpecifier]) -> usize {
    let octets = |field: &FieldSpecifier| if field.enterprise == 0 { 4 } else { 8 };
    fields.iter().map(octets).sum()
}

/// Appends Field Specifiers (RFC 7011 §3.2).
pub(super) fn write_specifiers(out: &mut Vec<u8>, fields: &[FieldSpecifier]) {
    for field in fields {
        let enterprise_bit = if field.enterprise == 0 { 0 } else { 0x8000 };
        put(out, (field.id | enterprise_bit).to_be_bytes());
        put(out, field.length.to_be_bytes());
        if field.enterprise != 0 {
            put(out, field.enterprise.to_be_bytes());
        }
    }
}
