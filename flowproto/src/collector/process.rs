//! One datagram after the other: Messages → Sets → records.
#![allow(
    clippy::arithmetic_side_effects,
    reason = "only counters are added to here, and 64 bits last; lengths are cut in `set`"
)]

use std::net::SocketAddr;
use std::sync::Arc;

use super::held::{Held, Waiting};
use super::netflow5::{self, Flows};
use super::options::Announced;
use super::report::DomainReport;
use super::sequence::Heard;
use super::session::{Found, Learned, Origin, Scope, SessionKey, Sessions};
use super::set::{self, Cursor, Definition, Header, SetKind};
use super::totals::Totals;
use super::{Counters, Limits, Occupancy, RecordSink, Unusable, Version};
use crate::plan::{Surroundings, Values};
use crate::record::FlowRecord;
use crate::template::{FieldSpecifier, Fields, Span, Template};

/// Templates, held records and sequence state of all exporters that one worker hears.
#[derive(Debug)]
pub struct CollectingProcess {
    sessions: Sessions,
    held: Held,
    totals: Totals,
    counters: Counters,
    /// When what is received was received, milliseconds since the epoch.
    now_milliseconds: u64,
    scratch: Scratch,
}

/// Buffers that every datagram uses anew.
#[derive(Debug, Default)]
struct Scratch {
    fields: Vec<FieldSpecifier>,
    /// Templates that this Message brought.
    learned: Vec<u16>,
    spans: Vec<Span>,
    values: Values,
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
            sessions: Sessions::new(limits),
            held: Held::new(limits.held_octets, limits.held_milliseconds),
            totals: Totals::new(limits.totals),
            counters: Counters::default(),
            now_milliseconds: 0,
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
        self.take(
            Origin {
                exporter,
                connection: 0,
            },
            datagram,
            now_milliseconds,
            sink,
        );
    }

    /// Decodes one IPFIX Message, cut out of the octets of a connection by its length (RFC 7011 §10.4).
    /// `connection` is its number, never 0 and never used again after [`Self::close`].
    ///
    /// # Errors
    /// The Message is malformed (it is counted too), after which the connection is of no use (RFC 7011
    /// §10.4: its Transport Session is shut down).
    pub fn receive_over(
        &mut self,
        connection: u64,
        exporter: SocketAddr,
        message: &[u8],
        now_milliseconds: u64,
        sink: &mut impl RecordSink,
    ) -> Result<(), Unusable> {
        let before = self.counters.unusable;
        let origin = Origin {
            exporter,
            connection,
        };
        self.take(origin, message, now_milliseconds, sink);
        let mut counts = Unusable::ALL.iter().zip(before).zip(self.counters.unusable);
        match counts.find(|((reason, before), now)| reason.is_malformed() && now > before) {
            Some(((reason, _), _)) => Err(*reason),
            None => Ok(()),
        }
    }

    /// Forgets a connection, and with it its templates and what waits for one (RFC 7011 §8).
    pub fn close(&mut self, connection: u64) {
        while let Some(session) = self.sessions.of_connection(connection) {
            let templates = self.forget(session);
            self.counters.templates_withdrawn += templates;
        }
    }

    fn take(
        &mut self,
        origin: Origin,
        octets: &[u8],
        now_milliseconds: u64,
        sink: &mut impl RecordSink,
    ) {
        self.counters.octets += u64::try_from(octets.len()).unwrap_or(u64::MAX);
        self.now_milliseconds = now_milliseconds;
        let mut rest = octets;
        // Several IPFIX Messages may share a datagram or stand in one file.
        loop {
            match self.message(origin, rest, sink) {
                Ok(after) => rest = after,
                Err(reason) => {
                    self.count(reason);
                    break;
                }
            }
            if rest.is_empty() {
                break;
            }
        }
    }

    /// Gives up on Data Sets that waited too long, on gaps that nothing filled, and on who fell silent. To
    /// be called about once a second.
    pub fn expire(&mut self, now_milliseconds: u64) {
        let given_up = self.held.expire(now_milliseconds);
        for _ in 0..given_up {
            self.count(Unusable::UnknownTemplate);
        }
        let told = self.sessions.expire_gaps(now_milliseconds);
        self.counters.sequence.add(told);
        // At the end of all, nothing has to be forgotten.
        if now_milliseconds == u64::MAX {
            return;
        }
        while let Some(session) = self.sessions.idle(now_milliseconds) {
            let templates = self.forget(session);
            self.counters.templates_idle += templates;
            self.counters.domains_idle += 1;
        }
        let templates = self.sessions.sweep(now_milliseconds);
        self.counters.templates_idle += u64::try_from(templates).unwrap_or(u64::MAX);
    }

    /// What is known of each Observation Domain.
    pub fn domains(&self) -> impl Iterator<Item = DomainReport<'_>> {
        self.sessions.reports()
    }

    /// The fields of a record that was kept: its template and octets ([`Fields::octets`]) and the domain that it came
    /// from ([`super::Message::domain_index`] and its revision). Where that domain is forgotten, names that only its
    /// options data had are left out.
    #[must_use]
    pub fn fields<'a>(
        &'a self,
        (domain_index, revision): (usize, u32),
        template: &'a Arc<Template>,
        octets: &'a [u8],
    ) -> Fields<'a> {
        let vocabulary = self.sessions.vocabulary(domain_index, revision);
        Fields::of_template(template, octets, vocabulary)
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
            words: self.sessions.words(),
            totals: self.totals.len(),
        }
    }

    fn count(&mut self, reason: Unusable) {
        count(&mut self.counters, reason);
    }

    /// One Message; what follows it in the datagram. Data Sets that waited for templates in it are read
    /// behind its own.
    fn message<'d>(
        &mut self,
        origin: Origin,
        octets: &'d [u8],
        sink: &mut impl RecordSink,
    ) -> Result<&'d [u8], Unusable> {
        let exporter = origin.exporter;
        if let [0, 5 | 7, ..] = octets {
            let (header, flows) = netflow5::read(octets)?;
            self.fixed(origin, &header, flows, sink);
            return Ok(&[]);
        }
        let (header, sets, after) = set::split_message(octets)?;
        let session = self.begin(origin, &header);
        let mut tally = Tally::default();
        self.scratch.learned.clear();
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
                SetKind::Templates => self.learn(session, header.version, false, content),
                SetKind::OptionsTemplates => self.learn(session, header.version, true, content),
                SetKind::Data(id) if self.sessions.template(session, id).is_some() => {
                    if !self
                        .sessions
                        .template(session, id)
                        .is_some_and(Template::is_options)
                    {
                        self.tell(&mut told, session, exporter, &header, sink);
                    }
                    self.records(session, exporter, &header, id, content, &mut tally, sink);
                }
                SetKind::Data(id) => {
                    tally.unread = true;
                    if self.held.has_room(content.len()) {
                        self.counters.sets_held += 1;
                        let waiting = Waiting {
                            exporter,
                            header,
                            content: content.into(),
                        };
                        let scope = self.sessions.scope(session);
                        self.held.keep(scope, id, waiting, self.now_milliseconds);
                    } else {
                        self.count(Unusable::UnknownTemplate);
                    }
                }
                SetKind::Reserved => {}
            }
        }
        self.tell(&mut told, session, exporter, &header, sink);
        let records = (!tally.unread).then_some((tally.data, tally.options));
        self.sequence(session, &header, records);
        self.release(session, sink);
        Ok(after)
    }

    /// v5 and v7.
    fn fixed(
        &mut self,
        origin: Origin,
        header: &Header,
        flows: Flows<'_>,
        sink: &mut impl RecordSink,
    ) {
        let session = self.begin(origin, header);
        let message = self.sessions.describe(session, origin.exporter, header);
        sink.message(&message);
        let records = flows.for_each(header, &mut self.scratch.record, |record| {
            sink.record(&message, record, Fields::of_record(record));
        });
        self.counters.records += u64::from(records);
        self.sessions.brought(session, records);
        let is_cut = flows.is_cut();
        if is_cut {
            self.count(Unusable::Truncated);
        }
        self.sequence(session, header, (!is_cut).then_some((records, 0)));
    }

    /// The session of a Message.
    fn begin(&mut self, origin: Origin, header: &Header) -> usize {
        let at = match header.version {
            Version::V5 => 0,
            Version::V7 => 1,
            Version::V9 => 2,
            Version::Ipfix => 3,
        };
        if let Some(messages) = self.counters.messages.get_mut(at) {
            *messages += 1;
        }
        let key = SessionKey::new(origin, header);
        loop {
            match self.sessions.find(key, self.now_milliseconds) {
                Found::Known(session) => return session,
                Found::Full(oldest) => {
                    self.forget(oldest);
                    self.counters.domains_crowded_out += 1;
                }
            }
        }
    }

    /// Forgets a session and what waits for its templates; how many of those there were.
    fn forget(&mut self, session: usize) -> u64 {
        let given_up = self.held.forget(Scope::Session(session));
        for _ in 0..given_up {
            self.count(Unusable::UnknownTemplate);
        }
        let Some((templates, told)) = self.sessions.forget(session) else {
            return 0;
        };
        self.counters.sequence.add(told);
        u64::try_from(templates).unwrap_or(u64::MAX)
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
        let heard = Heard {
            sequence: header.sequence,
            sys_up_time: header.sys_up_time,
            records,
        };
        let told = self.sessions.heard(session, heard, self.now_milliseconds);
        self.counters.sequence.add(told);
    }

    /// A Template Set or Options Template Set. Notes which templates are new or others than before.
    fn learn(&mut self, session: usize, version: Version, options: bool, content: &[u8]) {
        let mut cursor = Cursor(content);
        let mut fields = std::mem::take(&mut self.scratch.fields);
        while let Some(next) = set::next_template(&mut cursor, version, options, &mut fields) {
            let outcome = next.and_then(|definition| match definition {
                Definition::Withdrawal { id } => {
                    let templates = self.sessions.withdraw(session, id, options);
                    self.counters.templates_withdrawn +=
                        u64::try_from(templates).unwrap_or(u64::MAX);
                    Ok(())
                }
                Definition::Template { id, kind } => {
                    self.counters.templates += 1;
                    let now = self.now_milliseconds;
                    let outcome = self.sessions.define(session, id, kind, &fields, now)?;
                    if outcome == Learned::New {
                        self.scratch.learned.push(id);
                    }
                    Ok(())
                }
            });
            if let Err(reason) = outcome {
                self.count(reason);
            }
        }
        self.scratch.fields = fields;
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
        let Some((template, vocabulary)) = self.sessions.template_in(session, id) else {
            return;
        };
        template.touch(self.now_milliseconds);
        // Running totals are looked at record by record; exporters that send deltas pay nothing for it.
        let are_totals = template.plan().totals();
        let totals_of = match are_totals {
            (false, false) => None,
            _ => self.sessions.domain_key(session),
        };
        let mut announced: Option<Announced> = None;
        let mut data = 0_u32;
        let message = self.sessions.describe(session, exporter, header);
        let around = Surroundings {
            export_time_milliseconds: header.export_time_milliseconds,
            sys_up_time: header.sys_up_time,
            system_init_milliseconds: self.sessions.system_init(session),
            samplers: self.sessions.samplers(session),
        };
        let Scratch {
            spans,
            values,
            record,
            ..
        } = &mut self.scratch;
        spans.clear();
        template.plan().begin(values, record);
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
                let announced = announced.get_or_insert_default();
                announced.read(template, octets, header.observation_domain_id);
            } else {
                data += 1;
                self.counters.records += 1;
                template.plan().read(octets, spans, &around, values, record);
                if let Some(domain) = totals_of {
                    let forgotten = self.totals.difference(domain, are_totals, record);
                    self.counters.totals_forgotten += u64::from(forgotten);
                }
                let fields = Fields::of_template(template, octets, vocabulary);
                sink.record(&message, record, fields);
            }
        }
        tally.data += data;
        self.sessions.brought(session, data);
        if let Some(announced) = announced {
            let refused = self.sessions.announced(session, announced);
            self.counters.words_refused += u64::try_from(refused).unwrap_or(u64::MAX);
        }
    }

    /// Reads the Sets that waited for the templates that this session has just sent.
    fn release(&mut self, session: usize, sink: &mut impl RecordSink) {
        while let Some(id) = self.scratch.learned.pop() {
            for scope in self.sessions.scopes(session) {
                // Withdrawn or replaced by what cannot be used in the same Message: they wait on.
                while self.sessions.template(session, id).is_some()
                    && let Some(waiting) = self.held.take(scope, id)
                {
                    self.counters.sets_released += 1;
                    let Waiting {
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
