//! The Collecting Process: datagrams of IPFIX, NetFlow v9, v7 and v5 → flow records.
//!
//! A datagram is cut into Messages and Sets (`set`); templates, options data and sequence numbers are
//! kept for each Transport Session (`session`, `sequence`); Data Sets without a template wait for it
//! (`held`). Templates are known by exporter address, observation domain and source port; a port that
//! never sent a template borrows those of the same address and domain, because exporters behind a
//! Service or NAT change ports while they live.

mod held;
mod netflow5;
mod sequence;
mod session;
mod set;

use std::net::SocketAddr;

use crate::address::Address;
use crate::plan::Surroundings;
use crate::record::FlowRecord;
use crate::template::{FieldSpecifier, Fields, Span, Template};

use held::{Held, Waiting};
use netflow5::Flows;
use sequence::Verdict;
use session::{Announced, Learned, SessionKey, Sessions};
use set::{Cursor, Definition, Header, SetKind};

/// The protocol a Message came in, by its version number on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum Version {
    /// NetFlow v5.
    V5 = 5,
    /// NetFlow v7.
    V7 = 7,
    /// NetFlow v9 (RFC 3954).
    V9 = 9,
    /// IPFIX (RFC 7011).
    Ipfix = 10,
}

/// What an Observation Domain's options data said of itself.
#[derive(Clone, Debug, Default)]
pub struct Domain {
    /// 300 `observationDomainName`.
    pub observation_domain_name: Option<Box<str>>,
    /// 130 or 131 `exporterIPv4Address`/`exporterIPv6Address`; unspecified where not said.
    pub exporter_address: Address,
    /// Changes whenever one of the above does, so that what was derived from them can be kept.
    pub revision: u32,
}

/// The Message that a record came in.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Where the datagram came from.
    pub exporter: SocketAddr,
    /// Its protocol.
    pub version: Version,
    /// Observation Domain ID (IPFIX), Source ID (v9), engine type × 256 + engine id (v5, v7).
    pub observation_domain_id: u32,
    /// Export time of the Message header, milliseconds since the epoch.
    pub export_time_milliseconds: u64,
    /// Index of the Observation Domain in this Collecting Process: small and stable while the domain
    /// is heard, used anew (with another revision) after it was forgotten.
    pub domain_index: usize,
    /// What the Observation Domain said of itself so far.
    pub domain: &'a Domain,
}

/// What takes the decoded records.
pub trait RecordSink {
    /// Called for every usable Message before its records, also for one that carries none, and again
    /// when options data in the middle of it changed what is known of the domain.
    fn message(&mut self, message: &Message<'_>);
    /// Called for every Data Record (options data excluded). `fields` is the record as it came.
    fn record(&mut self, message: &Message<'_>, record: &FlowRecord, fields: Fields<'_>);
}

/// Bounds of a Collecting Process.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Observation Domains known at once; the one longest silent is forgotten for a new one.
    pub domains: usize,
    /// Templates of one Observation Domain; one more is refused and counted.
    pub templates_per_domain: usize,
    /// Octets of Data Sets that wait for their template, over all domains.
    pub held_octets: usize,
    /// How long a Data Set waits for its template, milliseconds.
    pub held_milliseconds: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            domains: 4096,
            templates_per_domain: 4096,
            held_octets: 16 << 20,
            held_milliseconds: 120_000,
        }
    }
}

/// Why a datagram or a part of it could not be used; a metric's `reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unusable {
    /// Shorter than its header says, or than a header.
    Truncated,
    /// Version number that no decoder here knows.
    UnknownVersion,
    /// A Set whose length is below 4 or beyond the Message.
    SetLength,
    /// A (options) template that its Set cannot hold, or that describes records of no length.
    InvalidTemplate,
    /// A variable-length field beyond the end of its Set.
    FieldLength,
    /// One more template than an Observation Domain may have.
    TooManyTemplates,
    /// A Data Set that waited for its template for too long, or for which there was no room to wait.
    UnknownTemplate,
}

impl Unusable {
    /// All reasons, in the order of [`Counters::unusable`].
    pub const ALL: [Self; 7] = [
        Self::Truncated,
        Self::UnknownVersion,
        Self::SetLength,
        Self::InvalidTemplate,
        Self::FieldLength,
        Self::TooManyTemplates,
        Self::UnknownTemplate,
    ];

    /// The reason as a metric's label value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::UnknownVersion => "unknown_version",
            Self::SetLength => "set_length",
            Self::InvalidTemplate => "invalid_template",
            Self::FieldLength => "field_length",
            Self::TooManyTemplates => "too_many_templates",
            Self::UnknownTemplate => "unknown_template",
        }
    }
}

/// What a Collecting Process has counted since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Datagrams given to [`CollectingProcess::receive`].
    pub datagrams: u64,
    /// Their octets.
    pub octets: u64,
    /// Messages with a usable header, by version: v5, v7, v9, IPFIX.
    pub messages: [u64; 4],
    /// Data Records handed to the sink.
    pub records: u64,
    /// Options Data Records read.
    pub options_records: u64,
    /// Templates and Options Templates read, repeated ones too.
    pub templates: u64,
    /// Data Sets that had to wait for their template.
    pub sets_held: u64,
    /// Data Sets that waited and whose template came.
    pub sets_released: u64,
    /// Data Records (v9: Messages) that never came, by the sequence numbers.
    pub sequence_lost: u64,
    /// Gaps and steps back in the sequence numbers.
    pub sequence_gaps: u64,
    /// Datagrams, Sets or templates that could not be used, by [`Unusable`] as in [`Unusable::ALL`].
    pub unusable: [u64; 7],
}

/// How full a Collecting Process is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Occupancy {
    /// Observation Domains known.
    pub domains: usize,
    /// Templates known, over all domains.
    pub templates: usize,
    /// Data Sets waiting for their template.
    pub held_sets: usize,
    /// Octets of those.
    pub held_octets: usize,
}

/// Templates, held records and sequence state of all exporters that one worker hears.
#[derive(Debug)]
pub struct CollectingProcess {
    sessions: Sessions,
    held: Held,
    counters: Counters,
    scratch: Scratch,
}

/// Buffers that every datagram uses anew.
#[derive(Debug, Default)]
struct Scratch {
    fields: Vec<FieldSpecifier>,
    spans: Vec<Span>,
    record: FlowRecord,
}

/// Records of one Message, for the sequence numbers.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    data: u32,
    options: u32,
    /// A Set could not be read, so its records were not counted.
    unread: bool,
}

impl CollectingProcess {
    /// An empty one.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            sessions: Sessions::new(limits.domains, limits.templates_per_domain),
            held: Held::new(limits.held_octets, limits.held_milliseconds),
            counters: Counters::default(),
            scratch: Scratch::default(),
        }
    }

    /// Decodes one datagram that came from `exporter` at `now_milliseconds` (since the epoch) and hands
    /// its records to `sink`. What cannot be used is counted, never an error.
    pub fn receive(
        &mut self,
        exporter: SocketAddr,
        datagram: &[u8],
        now_milliseconds: u64,
        sink: &mut impl RecordSink,
    ) {
        self.counters.datagrams += 1;
        self.counters.octets += u64::try_from(datagram.len()).unwrap_or(u64::MAX);
        let mut rest = datagram;
        let mut learned = false;
        // Several IPFIX Messages may share a datagram or stand in one file.
        loop {
            match self.message(exporter, rest, now_milliseconds, sink) {
                Ok((after, learned_here)) => {
                    learned |= learned_here;
                    rest = after;
                }
                Err(reason) => {
                    self.count(reason);
                    break;
                }
            }
            if rest.is_empty() {
                break;
            }
        }
        if learned {
            self.release(sink);
        }
    }

    /// Gives up on Data Sets that waited too long. To be called about once a second.
    pub fn expire(&mut self, now_milliseconds: u64) {
        let given_up = self.held.expire(now_milliseconds);
        for _ in 0..given_up {
            self.count(Unusable::UnknownTemplate);
        }
    }

    /// Counts so far.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Sizes now.
    #[must_use]
    pub fn occupancy(&self) -> Occupancy {
        Occupancy {
            domains: self.sessions.len(),
            templates: self.sessions.templates(),
            held_sets: self.held.len(),
            held_octets: self.held.octets(),
        }
    }

    fn count(&mut self, reason: Unusable) {
        count(&mut self.counters, reason);
    }

    /// One Message; what follows it in the datagram, and whether a new template was learned.
    fn message<'d>(
        &mut self,
        exporter: SocketAddr,
        octets: &'d [u8],
        now: u64,
        sink: &mut impl RecordSink,
    ) -> Result<(&'d [u8], bool), Unusable> {
        match octets {
            [0, 5, ..] => {
                let (header, flows) = netflow5::read_v5(octets)?;
                self.fixed(exporter, &header, &flows, sink);
                return Ok((&[], false));
            }
            [0, 7, ..] => {
                let (header, flows) = netflow5::read_v7(octets)?;
                self.fixed(exporter, &header, &flows, sink);
                return Ok((&[], false));
            }
            _ => {}
        }
        let (header, sets, after) = set::split_message(octets)?;
        let session = self.begin(exporter, &header);
        let mut tally = Tally::default();
        let mut learned = false;
        let mut told = None;
        let mut cursor = Cursor(sets);
        while let Some(next) = set::next_set(&mut cursor, header.version) {
            let (kind, content) = match next {
                Ok(set) => set,
                Err(reason) => {
                    tally.unread = true;
                    self.count(reason);
                    break;
                }
            };
            match kind {
                SetKind::Templates => {
                    learned |= self.learn(session, header.version, false, content)
                }
                SetKind::OptionsTemplates => {
                    learned |= self.learn(session, header.version, true, content);
                }
                SetKind::Data(id) if self.sessions.template(session, id).is_some() => {
                    if !self.sessions.template(session, id).is_some_and(Template::is_options) {
                        self.tell(&mut told, session, exporter, &header, sink);
                    }
                    self.records(session, exporter, &header, id, content, &mut tally, sink);
                }
                SetKind::Data(id) => {
                    tally.unread = true;
                    let waiting = Waiting {
                        session,
                        id,
                        exporter,
                        header,
                        content: content.into(),
                    };
                    self.counters.sets_held += 1;
                    if !self.held.keep(waiting, now) {
                        self.counters.sets_held -= 1;
                        self.count(Unusable::UnknownTemplate);
                    }
                }
                SetKind::Reserved => {}
            }
        }
        self.tell(&mut told, session, exporter, &header, sink);
        let records = (!tally.unread).then_some((tally.data, tally.options));
        self.sequence(session, &header, records);
        Ok((after, learned))
    }

    /// v5 and v7.
    fn fixed(
        &mut self,
        exporter: SocketAddr,
        header: &Header,
        flows: &Flows,
        sink: &mut impl RecordSink,
    ) {
        let session = self.begin(exporter, header);
        let message = self.sessions.describe(session, exporter, header);
        sink.message(&message);
        let records = flows.for_each(header, |record| {
            sink.record(&message, record, Fields::of_record(record));
        });
        self.counters.records += u64::from(records);
        self.sequence(session, header, Some((records, 0)));
    }

    fn begin(&mut self, exporter: SocketAddr, header: &Header) -> usize {
        let at = match header.version {
            Version::V5 => 0,
            Version::V7 => 1,
            Version::V9 => 2,
            Version::Ipfix => 3,
        };
        if let Some(messages) = self.counters.messages.get_mut(at) {
            *messages += 1;
        }
        let (session, forgotten) = self.sessions.find(SessionKey::new(exporter, header));
        if forgotten {
            let given_up = self.held.forget(session);
            for _ in 0..given_up {
                self.count(Unusable::UnknownTemplate);
            }
        }
        session
    }

    /// Tells the sink of the Message, unless it knows and nothing changed since.
    fn tell(
        &self,
        told: &mut Option<u32>,
        session: usize,
        exporter: SocketAddr,
        header: &Header,
        sink: &mut impl RecordSink,
    ) {
        let message = self.sessions.describe(session, exporter, header);
        if *told != Some(message.domain.revision) {
            *told = Some(message.domain.revision);
            sink.message(&message);
        }
    }

    fn sequence(&mut self, session: usize, header: &Header, records: Option<(u32, u32)>) {
        match self.sessions.sequence(session, header, records) {
            Verdict::InOrder => {}
            Verdict::Lost(missing) => {
                self.counters.sequence_gaps += 1;
                self.counters.sequence_lost += u64::from(missing);
            }
            Verdict::Back => self.counters.sequence_gaps += 1,
        }
    }

    /// A Template Set or Options Template Set. True where a template is new or another than before.
    fn learn(&mut self, session: usize, version: Version, options: bool, content: &[u8]) -> bool {
        let mut cursor = Cursor(content);
        let mut learned = false;
        let mut fields = std::mem::take(&mut self.scratch.fields);
        while let Some(next) = set::next_template(&mut cursor, version, options, &mut fields) {
            let outcome = next.and_then(|definition| match definition {
                Definition::Withdrawal { id } => {
                    self.sessions.withdraw(session, id, options);
                    Ok(())
                }
                Definition::Template { id, kind } => {
                    self.counters.templates += 1;
                    let outcome = self.sessions.define(session, id, kind, &fields)?;
                    learned |= outcome == Learned::New;
                    Ok(())
                }
            });
            if let Err(reason) = outcome {
                self.count(reason);
            }
        }
        self.scratch.fields = fields;
        learned
    }

    /// A Data Set whose template is known.
    #[expect(
        clippy::too_many_arguments,
        reason = "all of them are what a record's Message is"
    )]
    fn records(
        &mut self,
        session: usize,
        exporter: SocketAddr,
        header: &Header,
        id: u16,
        content: &[u8],
        tally: &mut Tally,
        sink: &mut impl RecordSink,
    ) {
        let Some(template) = self.sessions.template(session, id) else {
            return;
        };
        let mut announced = Announced::default();
        let message = self.sessions.describe(session, exporter, header);
        let around = Surroundings {
            export_time_milliseconds: header.export_time_milliseconds,
            sys_up_time: header.sys_up_time,
            system_init_milliseconds: self.sessions.system_init(session),
            samplers: self.sessions.samplers(session),
        };
        let Scratch { spans, record, .. } = &mut self.scratch;
        spans.clear();
        let mut rest = content;
        // What is shorter than a record is padding (RFC 7011 §3.3.1).
        while rest.len() >= template.minimum_length() {
            let Some((octets, after)) = template.split(rest, spans) else {
                tally.unread = true;
                count(&mut self.counters, Unusable::FieldLength);
                break;
            };
            rest = after;
            if template.is_options() {
                tally.options += 1;
                self.counters.options_records += 1;
                announced.read(template, octets, header.observation_domain_id);
            } else {
                tally.data += 1;
                self.counters.records += 1;
                template.plan().read(octets, spans, &around, record);
                sink.record(&message, record, Fields::of_template(template, octets));
            }
        }
        self.sessions.announced(session, announced);
    }

    /// Reads the Sets that waited for a template that is known now.
    fn release(&mut self, sink: &mut impl RecordSink) {
        while let Some(waiting) = self
            .held
            .take(|w| self.sessions.template(w.session, w.id).is_some())
        {
            self.counters.sets_released += 1;
            let Waiting {
                session,
                id,
                exporter,
                header,
                content,
            } = waiting;
            self.tell(&mut None, session, exporter, &header, sink);
            let mut tally = Tally::default();
            self.records(session, exporter, &header, id, &content, &mut tally, sink);
        }
    }
}

fn count(counters: &mut Counters, reason: Unusable) {
    let at = Unusable::ALL
        .iter()
        .position(|r| *r == reason)
        .unwrap_or_default();
    if let Some(counter) = counters.unusable.get_mut(at) {
        *counter += 1;
    }
}
