//! The pull parser: a datagram as a sequence of events.

use super::cursor::Cursor;
use super::definition::{self, DefinedFields, Definition};
use super::fixed;
use super::header::MessageHeader;
use super::records::padding_violations;
use super::version::Version;
use super::violation::Violation;

/// Octets of a Set header (RFC 7011 §3.3.2).
const SET_HEADER: usize = 4;
/// Octets of the shortest thing in a Template Set, a withdrawal. Less is padding.
const WITHDRAWAL: usize = 4;

/// True if a datagram begins as one of the versions does. Other protocols begin as v1 does, so its
/// records must be those that its header counts.
#[must_use]
pub fn is_flow_export(datagram: &[u8]) -> bool {
    let version = datagram.first_chunk().copied().map(u16::from_be_bytes);
    match version.and_then(Version::from_repr) {
        Some(Version::V1) => {
            let content = datagram.get(MessageHeader::octets(Version::V1)..);
            let header = MessageHeader::read(Version::V1, datagram);
            let records = header.zip(content);
            records
                .is_some_and(|(header, content)| fixed::record_octets(&header, content).is_some())
        }
        version => version.is_some(),
    }
}

/// A part of a datagram, or a broken rule.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event<'a> {
    /// A Message begins. Its header is [`Parser::header`].
    Message,
    /// A Set begins.
    Set { id: u16, length: u16, kind: SetKind },
    /// A Template Record. Its fields are in [`Parser::fields`].
    Template(Definition),
    /// A Template Withdrawal, of all templates of a kind if `id` is 2 or 3 (RFC 7011 §8.1).
    Withdrawal { id: u16 },
    /// The content of a Data Set.
    Records { id: u16, content: &'a [u8] },
    /// The records of a datagram without templates (v1, v5, v7).
    FixedRecords {
        content: &'a [u8],
        /// Octets of each.
        record_octets: usize,
    },
    /// Octets between records or Sets, or behind a Message.
    Padding(&'a [u8]),
    /// Octets that cannot be read.
    Unreadable(&'a [u8]),
    /// A broken rule.
    Violation(Violation),
    /// A Message of this number of octets ends.
    EndOfMessage { octets: u32 },
}

/// Content of a Set, by its ID (RFC 7011 §3.3.2, RFC 3954 §5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SetKind {
    Templates,
    OptionsTemplates,
    Data,
    /// IDs that the protocol does not use.
    Reserved,
}

impl SetKind {
    const fn of(id: u16, version: Version) -> Self {
        match (id, version) {
            (0, Version::V9) | (2, Version::Ipfix) => Self::Templates,
            (1, Version::V9) | (3, Version::Ipfix) => Self::OptionsTemplates,
            (256.., _) => Self::Data,
            _ => Self::Reserved,
        }
    }
}

/// An event at its octet offset in the datagram.
type Item<'a> = (usize, Event<'a>);

/// Parses one datagram: Messages of IPFIX, or one of NetFlow.
#[derive(Debug)]
pub(crate) struct Parser<'a> {
    datagram: &'a [u8],
    state: State,
    header: MessageHeader,
    /// Octets behind the current Message; before the first one, all of them.
    after: &'a [u8],
    /// The current Message.
    message: &'a [u8],
    /// What is left of the Sets of the Message.
    sets: Cursor<'a>,
    /// What is left of the current Template Set.
    set: Cursor<'a>,
    fields: DefinedFields,
    queue: Queue<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    BetweenMessages,
    Sets,
    Templates { is_options: bool },
    End,
}

impl<'a> Parser<'a> {
    /// A parser at the begin of `datagram`. `fields` is a buffer, returned by
    /// [`Self::into_fields`].
    pub(crate) const fn new(datagram: &'a [u8], fields: DefinedFields) -> Self {
        Self {
            datagram,
            state: State::BetweenMessages,
            header: MessageHeader::EMPTY,
            after: datagram,
            message: &[],
            sets: Cursor(&[]),
            set: Cursor(&[]),
            fields,
            queue: Queue::new(),
        }
    }

    /// The header of the latest [`Event::Message`].
    pub(crate) const fn header(&self) -> &MessageHeader {
        &self.header
    }

    /// The fields of the latest [`Event::Template`].
    pub(crate) const fn fields(&self) -> &DefinedFields {
        &self.fields
    }

    pub(crate) fn into_fields(self) -> DefinedFields {
        self.fields
    }

    /// The next event. `None` at the end.
    #[inline]
    pub(crate) fn next(&mut self) -> Option<Item<'a>> {
        if let Some(item) = self.queue.pop() {
            return Some(item);
        }
        loop {
            let item = match self.state {
                State::BetweenMessages => self.begin_message(),
                State::Sets => self.next_set(),
                State::Templates { is_options } => self.next_template(is_options),
                State::End => return None,
            };
            if item.is_some() {
                return item;
            }
        }
    }

    /// The octet offset of a part of the datagram.
    fn offset(&self, part: &[u8]) -> usize {
        let begin = self.datagram.as_ptr().addr();
        part.as_ptr().addr().saturating_sub(begin)
    }

    fn item(&self, at: &[u8], event: Event<'a>) -> Option<Item<'a>> {
        Some((self.offset(at), event))
    }

    /// Queues an event behind the one that a step returns.
    fn push(&mut self, at: &[u8], event: Event<'a>) {
        self.queue.push((self.offset(at), event));
    }

    fn violation(&mut self, at: &[u8], violation: Violation) {
        self.push(at, Event::Violation(violation));
    }

    // ------------ Messages ----------------------------------------------------------------------

    fn begin_message(&mut self) -> Option<Item<'a>> {
        let octets = self.after;
        let is_first = octets.len() == self.datagram.len();
        self.state = State::End;
        if !is_first && octets.iter().all(|octet| *octet == 0) {
            // Exporters exist that fill up datagrams to a fixed size.
            return self
                .item(octets, Event::Padding(octets))
                .filter(|_| !octets.is_empty());
        }
        let version = match octets {
            [high, low, ..] => u16::from_be_bytes([*high, *low]),
            _ => return self.header_cut_off(octets, MessageHeader::octets(Version::Ipfix)),
        };
        let Some(version) = Version::from_repr(version) else {
            self.push(octets, Event::Unreadable(octets));
            let violation = Violation::UnknownVersion { version };
            return self.item(octets, Event::Violation(violation));
        };
        let length = MessageHeader::octets(version);
        let Some(header) = MessageHeader::read(version, octets) else {
            return self.header_cut_off(octets, length);
        };
        self.header = header;
        match version {
            Version::V1 | Version::V5 | Version::V7 => self.fixed(octets, &header),
            Version::V9 => self.begin_sets(octets, &[], length),
            Version::Ipfix => {
                let (message, after) = self.delimit(octets, header.length_or_count.into());
                self.begin_sets(message, after, length);
            }
        }
        self.item(octets, Event::Message)
    }

    fn header_cut_off(&mut self, octets: &'a [u8], header: usize) -> Option<Item<'a>> {
        self.push(octets, Event::Unreadable(octets));
        let violation = Violation::HeaderCutOff {
            octets: count(octets),
            header: to_u32(header),
        };
        self.item(octets, Event::Violation(violation))
    }

    fn begin_sets(&mut self, message: &'a [u8], after: &'a [u8], header: usize) {
        self.message = message;
        self.after = after;
        self.sets = Cursor(message.get(header..).unwrap_or_default());
        self.state = State::Sets;
    }

    /// An IPFIX Message of `length` octets by its header, and the octets behind it.
    fn delimit(&mut self, octets: &'a [u8], length: usize) -> (&'a [u8], &'a [u8]) {
        let at = octets.get(2..).unwrap_or_default();
        if length > octets.len() {
            let violation = Violation::MessageCutOff {
                length: to_u32(length),
                octets: count(octets),
            };
            self.violation(at, violation);
            return (octets, &[]);
        }
        let end = end_of_sets(octets, length).max(MessageHeader::octets(Version::Ipfix));
        let (message, after) = octets.split_at_checked(end).unwrap_or((octets, &[]));
        let is_message = matches!(after, [0, 10, ..]) || after.iter().all(|octet| *octet == 0);
        if end == length && is_message {
            return (message, after);
        }
        let left = if is_message { 0 } else { count(after) };
        let violation = Violation::MessageLength {
            length: to_u32(length),
            end: to_u32(end),
            left,
        };
        self.violation(at, violation);
        (message, if is_message { after } else { &[] })
    }

    /// Ends the Message.
    fn end_message(&mut self) -> Option<Item<'a>> {
        self.state = if self.after.is_empty() {
            State::End
        } else {
            State::BetweenMessages
        };
        let octets = count(self.message);
        self.item(self.message, Event::EndOfMessage { octets })
    }

    /// Ends the Message behind the events that are queued.
    fn queue_end_of_message(&mut self) {
        if let Some(item) = self.end_message() {
            self.queue.push(item);
        }
    }

    /// A datagram without templates (v1, v5, v7).
    fn fixed(&mut self, octets: &'a [u8], header: &MessageHeader) {
        let at = octets.get(2..).unwrap_or_default();
        let content = octets.get(MessageHeader::octets(self.header.version)..);
        let content = content.unwrap_or_default();
        let fitting = fixed::record_octets(header, content);
        let record_octets = fitting.unwrap_or(fixed::V5_OCTETS);
        let claimed = usize::from(header.length_or_count).saturating_mul(record_octets);
        let whole = content
            .len()
            .checked_div(record_octets)
            .unwrap_or_default()
            .saturating_mul(record_octets);
        let read = fitting.map_or(0, |_| claimed.min(whole));
        let (records, rest) = content.split_at_checked(read).unwrap_or((content, &[]));
        let is_padding = rest.iter().all(|octet| *octet == 0);
        if fitting.is_none() || claimed > whole || !is_padding {
            let violation = Violation::FlowCount {
                count: header.length_or_count,
                record_octets: to_u32(record_octets),
                octets: count(content),
            };
            self.violation(at, violation);
        }
        let records_claimed = header.length_or_count;
        if records_claimed > fixed::max_records(self.header.version) {
            let violation = Violation::TooManyFlows {
                count: records_claimed,
            };
            self.violation(at, violation);
        }
        let event = Event::FixedRecords {
            content: records,
            record_octets,
        };
        self.push(records, event);
        if !rest.is_empty() {
            let event = if is_padding {
                Event::Padding(rest)
            } else {
                Event::Unreadable(rest)
            };
            self.push(rest, event);
        }
        self.message = octets;
        self.after = &[];
        self.queue_end_of_message();
    }

    // ------------ Sets --------------------------------------------------------------------------

    fn next_set(&mut self) -> Option<Item<'a>> {
        let here = self.sets.0;
        if here.iter().all(|octet| *octet == 0) {
            if here.is_empty() {
                return self.end_message();
            }
            self.queue_end_of_message();
            return self.item(here, Event::Padding(here));
        }
        let (Some(id), Some(length)) = (self.sets.u16(), self.sets.u16()) else {
            let octets = count(here);
            self.push(here, Event::Unreadable(here));
            self.queue_end_of_message();
            return self.item(
                here,
                Event::Violation(Violation::SetHeaderCutOff { octets }),
            );
        };
        let kind = SetKind::of(id, self.header.version);
        let at = here.get(2..).unwrap_or_default();
        let content = usize::from(length)
            .checked_sub(SET_HEADER)
            .and_then(|octets| self.sets.take(octets));
        match (content, kind) {
            (None, _) => {
                let violation = if usize::from(length) < SET_HEADER {
                    Violation::SetTooShort { length }
                } else {
                    let left = count(here);
                    Violation::SetOverrun { length, left }
                };
                self.violation(at, violation);
                // Nothing behind a Set of the wrong length can be found.
                let rest = self.sets.0;
                if !rest.is_empty() {
                    self.push(rest, Event::Unreadable(rest));
                }
                self.queue_end_of_message();
            }
            (Some([]), _) => self.violation(here, Violation::EmptySet),
            (Some(content), SetKind::Templates | SetKind::OptionsTemplates) => {
                self.set = Cursor(content);
                let is_options = kind == SetKind::OptionsTemplates;
                self.state = State::Templates { is_options };
            }
            (Some(content), SetKind::Data) => {
                self.push(content, Event::Records { id, content });
                if self.header.version == Version::V9 && length % 4 != 0 {
                    self.violation(at, Violation::Unaligned { length });
                }
            }
            (Some(content), SetKind::Reserved) => {
                self.violation(here, Violation::ReservedSet { id });
                self.push(content, Event::Unreadable(content));
            }
        }
        self.item(here, Event::Set { id, length, kind })
    }

    // ------------ Template Sets -----------------------------------------------------------------

    fn next_template(&mut self, is_options: bool) -> Option<Item<'a>> {
        let here = self.set.0;
        let is_padding = here.len() < WITHDRAWAL || here.starts_with(&[0; WITHDRAWAL]);
        let (Some(id), Some(fields), false) = (self.set.u16(), self.set.u16(), is_padding) else {
            self.state = State::Sets;
            if here.is_empty() {
                return None;
            }
            for violation in padding_violations(here, WITHDRAWAL) {
                self.violation(here, violation);
            }
            return self.item(here, Event::Padding(here));
        };
        if fields == 0 && self.header.version == Version::Ipfix {
            return self.item(here, Event::Withdrawal { id });
        }
        if id < 256 {
            self.push(here, Event::Unreadable(here));
            self.state = State::Sets;
            return self.item(here, Event::Violation(Violation::TemplateId { id }));
        }
        let definition = definition::read(
            &mut self.set,
            self.header.version,
            is_options,
            (id, fields),
            &mut self.fields,
        );
        if let Some(fault) = definition.fault {
            self.violation(here, fault);
            self.state = State::Sets;
        }
        self.item(here, Event::Template(definition))
    }
}

/// The length of an IPFIX Message: that of its header, unless its last Set ends later and still
/// within the datagram. Exporters exist whose length is a few octets too small.
fn end_of_sets(octets: &[u8], length: usize) -> usize {
    let mut end = MessageHeader::octets(Version::Ipfix);
    while end < length
        && let Some([_, _, high, low, ..]) = octets.get(end..)
    {
        let set = usize::from(u16::from_be_bytes([*high, *low]));
        if set < SET_HEADER {
            return length;
        }
        end = end.saturating_add(set);
    }
    if end <= octets.len() {
        end.max(length)
    } else {
        length
    }
}

/// Number of octets. Datagrams are shorter than 64 KiB, and Messages of files too.
fn count(octets: &[u8]) -> u32 {
    to_u32(octets.len())
}

fn to_u32(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Further events of a step.
#[derive(Debug)]
struct Queue<'a> {
    items: [Option<Item<'a>>; 6],
    first: usize,
    end: usize,
}

impl<'a> Queue<'a> {
    const fn new() -> Self {
        Self {
            items: [None; 6],
            first: 0,
            end: 0,
        }
    }

    fn push(&mut self, item: Item<'a>) {
        if let Some(place) = self.items.get_mut(self.end) {
            *place = Some(item);
            self.end = self.end.saturating_add(1);
        }
    }

    #[inline]
    fn pop(&mut self) -> Option<Item<'a>> {
        if self.first == self.end {
            (self.first, self.end) = (0, 0);
            return None;
        }
        let item = self.items.get_mut(self.first)?.take();
        self.first = self.first.saturating_add(1);
        item
    }
}
