//! Writer of IPFIX Messages (RFC 7011 §3.1, §3.3): header, Sets with their lengths, sequence
//! number.

use super::{OutgoingMessage, Send, Weight, count, message_octets, patch, put};
use crate::field::FieldSpecifier;
use crate::record::FlowRecord;

const MESSAGE_HEADER: usize = 16;
/// Octets of the longest record without its texts and the list of gRPC responses.
pub(super) const LONGEST_WITHOUT_NAME: usize = 384;
const SET_HEADER: usize = 4;
/// Set ID of Template Sets.
pub const TEMPLATE_SET: u16 = 2;
/// Set ID of Options Template Sets.
pub const OPTIONS_TEMPLATE_SET: u16 = 3;

/// The current Message.
#[derive(Debug)]
pub struct MessageWriter {
    observation_domain_id: u32,
    max_octets: usize,
    /// With room for the header, which is written when the Message is sent.
    octets: Vec<u8>,
    /// The current Set: its ID and offset.
    set: Option<(u16, usize)>,
    weight: Weight,
    /// Data Records in the Message, options records included: what the sequence number counts.
    data_records: u32,
    /// Data Records sent in all Messages before this one, modulo 2^32 (RFC 7011 §3.1).
    sequence: u32,
    messages_sent: u64,
    octets_sent: u64,
}

impl MessageWriter {
    /// Creates an empty Message of at most `max_octets`.
    #[must_use]
    pub fn new(observation_domain_id: u32, max_octets: usize) -> Self {
        let max_octets = message_octets(max_octets);
        let mut octets = Vec::with_capacity(max_octets);
        octets.resize(MESSAGE_HEADER, 0);
        Self {
            observation_domain_id,
            max_octets,
            octets,
            set: None,
            weight: Weight::default(),
            data_records: 0,
            sequence: 0,
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
        const OTHERS: usize = MESSAGE_HEADER + SET_HEADER + LONGEST_WITHOUT_NAME;
        self.max_octets.saturating_sub(OTHERS)
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
        let continues = self.set.is_some_and(|(number, _)| number == set);
        let needed = if continues {
            octets
        } else {
            octets.saturating_add(SET_HEADER)
        };
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
        self.data_records = self.data_records.saturating_add(1);
    }

    /// Counts an appended Data Record that is followed by another one of the same flow record.
    pub const fn count_part(&mut self) {
        self.weight.split = self.weight.split.saturating_add(1);
        self.data_records = self.data_records.saturating_add(1);
    }

    /// Counts an appended record of options data.
    pub const fn count_options_record(&mut self) {
        self.data_records = self.data_records.saturating_add(1);
    }

    /// Sends the Message unless it is empty.
    pub fn send(&mut self, now_milliseconds: u64, send: &mut Send<'_>) {
        if self.octets.len() <= MESSAGE_HEADER {
            return;
        }
        self.close_set();
        let length = count(self.octets.len());
        let seconds = u32::try_from(now_milliseconds / 1000).unwrap_or(u32::MAX);
        patch(&mut self.octets, 0, 10_u16.to_be_bytes());
        patch(&mut self.octets, 2, length.to_be_bytes());
        patch(&mut self.octets, 4, seconds.to_be_bytes());
        patch(&mut self.octets, 8, self.sequence.to_be_bytes());
        patch(
            &mut self.octets,
            12,
            self.observation_domain_id.to_be_bytes(),
        );
        send(OutgoingMessage {
            octets: &self.octets,
            weight: self.weight,
        });
        self.sequence = self.sequence.wrapping_add(self.data_records);
        self.messages_sent = self.messages_sent.saturating_add(1);
        self.octets_sent = self.octets_sent.saturating_add(length.into());
        self.octets.truncate(MESSAGE_HEADER);
        self.weight = Weight::default();
        self.data_records = 0;
    }

    /// Ends the current Set: writes its length.
    fn close_set(&mut self) {
        let Some((_, start)) = self.set.take() else {
            return;
        };
        let length = count(self.octets.len().saturating_sub(start));
        patch(
            &mut self.octets,
            start.saturating_add(2),
            length.to_be_bytes(),
        );
    }

    /// Appends a template (RFC 7011 §3.4.1).
    pub fn template(
        &mut self,
        id: u16,
        fields: impl Iterator<Item = FieldSpecifier> + Clone,
        now_milliseconds: u64,
        send: &mut Send<'_>,
    ) {
        let octets = specifiers_octets(fields.clone()).saturating_add(4);
        let out = self.open(TEMPLATE_SET, octets, now_milliseconds, send);
        put(out, id.to_be_bytes());
        put(out, count(fields.clone().count()).to_be_bytes());
        fields.for_each(|field| write_specifier(out, field));
    }

    /// Appends an options template (RFC 7011 §3.4.2.2) whose first `scope_fields` are scope.
    pub fn options_template(
        &mut self,
        id: u16,
        scope_fields: u16,
        fields: impl Iterator<Item = FieldSpecifier> + Clone,
        now_milliseconds: u64,
        send: &mut Send<'_>,
    ) {
        let octets = specifiers_octets(fields.clone()).saturating_add(6);
        let out = self.open(OPTIONS_TEMPLATE_SET, octets, now_milliseconds, send);
        put(out, id.to_be_bytes());
        put(out, count(fields.clone().count()).to_be_bytes());
        put(out, scope_fields.to_be_bytes());
        fields.for_each(|field| write_specifier(out, field));
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

fn specifiers_octets(fields: impl Iterator<Item = FieldSpecifier>) -> usize {
    fields.map(|f| if f.enterprise == 0 { 4 } else { 8 }).sum()
}

fn write_specifier(out: &mut Vec<u8>, field: FieldSpecifier) {
    let enterprise_bit = if field.enterprise == 0 { 0 } else { 0x8000 };
    put(out, (field.id | enterprise_bit).to_be_bytes());
    put(out, field.length.to_be_bytes());
    if field.enterprise != 0 {
        put(out, field.enterprise.to_be_bytes());
    }
}

/// Appends a value of variable length, cut at 254 octets (RFC 7011 §7).
pub fn write_text(out: &mut Vec<u8>, text: &str) {
    let text = super::prefix(text, 254);
    put(out, [u8::try_from(text.len()).unwrap_or_default()]);
    out.extend_from_slice(text.as_bytes());
}
