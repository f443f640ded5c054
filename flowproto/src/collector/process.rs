//! The Collecting Process: follows the events of the parser, and passes records to the sink.
#![allow(
    clippy::arithmetic_side_effects,
    reason = "counters of 64 bits do not overflow; lengths are checked in `wire`"
)]

use std::net::SocketAddr;
use std::sync::Arc;

use super::counters::{Counters, Occupancy, Unusable};
use super::observer::{MessageTally, NoObserver, Observer};
use super::pending::{PendingSet, PendingSets};
use super::sink::{Fields, Message, RecordSink};
use super::totals::Totals;
use crate::field::FieldSpan;
use crate::plan::{MessageContext, Values};
use crate::record::FlowRecord;
use crate::sessions::{
    Announcements, DomainReport, Limits, MessageSequence, Origin, Place, SessionKey, Sessions,
    TemplateOutcome, TemplateScope,
};
use crate::template::{Template, TemplateKind};
use crate::wire::{
    DefinedFields, Definition, Event, MessageHeader, Parser, Records, Violation, fixed,
};

/// Templates, pending Data Sets and sequence state of all exporters of one worker.
#[derive(Debug)]
pub struct CollectingProcess {
    sessions: Sessions,
    pending: PendingSets,
    totals: Totals,
    counters: Counters,
    /// Time of reception of the current datagram, milliseconds since the epoch.
    now_milliseconds: u64,
    scratch: Scratch,
}

/// Buffers that are reused for every datagram.
#[derive(Debug, Default)]
struct Scratch {
    fields: DefinedFields,
    /// Templates that the current Message has defined or changed.
    defined: Vec<u16>,
    spans: Vec<FieldSpan>,
    values: Values,
    record: FlowRecord,
}

/// The Message being read.
#[derive(Clone, Copy, Debug)]
struct OpenMessage {
    exporter: SocketAddr,
    header: MessageHeader,
    session: Place,
    tally: MessageTally,
    /// Revision of the domain of which the sink was notified.
    notified: Option<u32>,
}

impl OpenMessage {
    fn describe<'a>(&self, sessions: &'a Sessions) -> Message<'a> {
        let source = sessions.source(self.session);
        let exporter = self.exporter;
        Message {
            exporter: SocketAddr::new(exporter.ip().to_canonical(), exporter.port()),
            version: self.header.version,
            observation_domain_id: self.header.observation_domain_id,
            export_time_milliseconds: self.header.export_time_milliseconds,
            domain_index: source,
            domain: sessions.domain(source),
        }
    }
}

impl CollectingProcess {
    /// Creates a process without any state.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            sessions: Sessions::new(limits),
            pending: PendingSets::new(limits.pending_octets, limits.pending_milliseconds),
            totals: Totals::new(limits.totals),
            counters: Counters::default(),
            now_milliseconds: 0,
            scratch: Scratch::default(),
        }
    }

    /// Decodes one datagram received from `exporter` at `now_milliseconds` (since the epoch) and
    /// passes its records to `sink`. What cannot be used is counted.
    pub fn receive(
        &mut self,
        exporter: SocketAddr,
        datagram: &[u8],
        now_milliseconds: u64,
        sink: &mut impl RecordSink,
    ) {
        self.observe(exporter, datagram, now_milliseconds, sink, &mut NoObserver);
    }

    /// The same as [`Self::receive`], with an observer.
    pub(crate) fn observe(
        &mut self,
        exporter: SocketAddr,
        datagram: &[u8],
        now_milliseconds: u64,
        sink: &mut impl RecordSink,
        observer: &mut impl Observer,
    ) {
        self.counters.datagrams += 1;
        self.now_milliseconds = now_milliseconds;
        let origin = Origin {
            exporter,
            connection: 0,
        };
        self.read(origin, datagram, sink, observer);
    }

    /// Decodes one IPFIX Message of a connection, delimited by its length (RFC 7011 §10.4).
    /// `connection`: its number, not 0, and not reused after [`Self::close`].
    ///
    /// # Errors
    /// The Message is malformed; it is counted too. The connection is of no further use: RFC 7011
    /// §10.4 requires to shut it down.
    pub fn receive_over(
        &mut self,
        connection: u64,
        exporter: SocketAddr,
        message: &[u8],
        now_milliseconds: u64,
        sink: &mut impl RecordSink,
    ) -> Result<(), Unusable> {
        let before = self.counters.unusable;
        self.now_milliseconds = now_milliseconds;
        let origin = Origin {
            exporter,
            connection,
        };
        self.read(origin, message, sink, &mut NoObserver);
        let mut counts = Unusable::ALL.iter().zip(before).zip(self.counters.unusable);
        match counts.find(|((reason, before), now)| reason.is_malformed() && now > before) {
            Some(((reason, _), _)) => Err(*reason),
            None => Ok(()),
        }
    }

    /// Forgets a connection with its templates and pending Data Sets (RFC 7011 §8).
    pub fn close(&mut self, connection: u64) {
        while let Some(session) = self.sessions.of_connection(connection) {
            let templates = self.forget(session);
            self.counters.templates_withdrawn += templates;
        }
    }

    /// Drops Data Sets that have waited for too long, counts gaps that were not filled as losses,
    /// and forgets idle domains. To be called about once a second. `u64::MAX` at the end: all waits
    /// are over.
    pub fn expire(&mut self, now_milliseconds: u64) {
        for _ in 0..self.pending.expire(now_milliseconds) {
            self.counters.count(Unusable::UnknownTemplate);
        }
        let counts = self.sessions.expire_gaps(now_milliseconds);
        self.counters.sequence.add(counts);
        if now_milliseconds == u64::MAX {
            return;
        }
        while let Some(session) = self.sessions.idle(now_milliseconds) {
            let templates = self.forget(session);
            self.counters.templates_idle += templates;
            self.counters.domains_idle += 1;
        }
        let templates = self.sessions.sweep(now_milliseconds);
        self.counters.templates_idle += to_u64(templates);
    }

    /// A report of each Observation Domain.
    pub fn domains(&self) -> impl Iterator<Item = DomainReport<'_>> {
        self.sessions.reports()
    }

    /// The fields of a record that was kept, from its template and octets ([`Fields::octets`]) and
    /// its domain ([`Message::domain_index`] and any of the revisions since the domain is known).
    /// If the domain was forgotten, names from its options data are left out.
    #[must_use]
    pub fn fields<'a>(
        &'a self,
        (domain_index, revision): (usize, u32),
        template: &'a Arc<Template>,
        octets: &'a [u8],
    ) -> Fields<'a> {
        let session = self.sessions.view_of_revision(domain_index, revision);
        Fields::of_template(template, octets, session)
    }

    /// Counts so far.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Current sizes.
    #[must_use]
    pub fn occupancy(&self) -> Occupancy {
        Occupancy {
            domains: self.sessions.len(),
            templates: self.sessions.templates(),
            pending_sets: self.pending.len(),
            pending_octets: self.pending.octets(),
            metadata_entries: self.sessions.metadata_entries(),
            totals: self.totals.len(),
        }
    }

    // ------------ Messages ----------------------------------------------------------------------

    fn read(
        &mut self,
        origin: Origin,
        octets: &[u8],
        sink: &mut impl RecordSink,
        observer: &mut impl Observer,
    ) {
        self.counters.octets += to_u64(octets.len());
        let mut parser = Parser::new(octets, std::mem::take(&mut self.scratch.fields));
        let mut open: Option<OpenMessage> = None;
        while let Some((offset, event)) = parser.next() {
            observer.event(offset, &event, parser.header());
            match (event, &mut open) {
                (Event::Message, _) => open = Some(self.begin(origin, *parser.header())),
                (Event::Violation(violation), open) => {
                    self.violation(violation, open.as_mut());
                }
                (Event::Template(definition), Some(message)) => {
                    let fields = parser.fields();
                    let outcome = self.define(message, &definition, fields);
                    observer.template(offset, &definition, fields, outcome);
                }
                (Event::Withdrawal { id }, Some(message)) => {
                    let templates = self.sessions.withdraw(message.session, id);
                    self.counters.templates_withdrawn += to_u64(templates);
                    observer.withdrawal(offset, id, templates);
                }
                (Event::Records { id, content }, Some(message)) => {
                    self.data_set(message, id, content, sink, observer);
                }
                (Event::FixedRecords { content }, Some(message)) => {
                    self.fixed_records(message, content, sink, observer);
                }
                (Event::EndOfMessage { octets }, Some(message)) => {
                    self.end(message, octets, sink, observer);
                }
                _ => {}
            }
        }
        self.scratch.fields = parser.into_fields();
    }

    /// Begins a Message: finds its session.
    fn begin(&mut self, origin: Origin, header: MessageHeader) -> OpenMessage {
        if let Some(messages) = self.counters.messages.get_mut(header.version.index()) {
            *messages += 1;
        }
        self.scratch.defined.clear();
        let key = SessionKey::new(origin, &header);
        let session = loop {
            match self.sessions.find(key, self.now_milliseconds) {
                Ok(session) => break session,
                Err(silent_for_longest) => {
                    self.forget(silent_for_longest);
                    self.counters.domains_evicted += 1;
                }
            }
        };
        OpenMessage {
            exporter: origin.exporter,
            header,
            session,
            tally: MessageTally::default(),
            notified: None,
        }
    }

    fn violation(&mut self, violation: Violation, message: Option<&mut OpenMessage>) {
        if let Some(reason) = Unusable::of(violation) {
            self.counters.count(reason);
            if let Some(message) = message {
                message.tally.has_unread = true;
            }
        }
    }

    /// Ends a Message: takes its sequence number, and reads pending Data Sets whose templates it
    /// has brought.
    fn end(
        &mut self,
        message: &mut OpenMessage,
        octets: u32,
        sink: &mut impl RecordSink,
        observer: &mut impl Observer,
    ) {
        self.notify(message, sink);
        let tally = message.tally;
        let sequence = MessageSequence {
            sequence: message.header.sequence,
            sys_up_time: message.header.sys_up_time,
            records: (!tally.has_unread).then_some((tally.records, tally.options_records)),
        };
        let now = self.now_milliseconds;
        let (counts, outcome) = self.sessions.on_message(message.session, sequence, now);
        self.counters.sequence.add(counts);
        observer.end_of_message(&message.header, octets, &tally, outcome);
        self.release(message.session, sink, observer);
    }

    /// Notifies the sink of the Message, unless it has been notified and nothing has changed since.
    fn notify(&self, message: &mut OpenMessage, sink: &mut impl RecordSink) {
        let source = self.sessions.source(message.session);
        let revision = self.sessions.domain(source).revision;
        if message.notified != Some(revision) {
            message.notified = Some(revision);
            sink.message(&message.describe(&self.sessions));
        }
    }

    /// Forgets a session and its pending Sets. Returns the number of its templates.
    fn forget(&mut self, session: Place) -> u64 {
        for _ in 0..self.pending.drop_scope(TemplateScope::Session(session)) {
            self.counters.count(Unusable::UnknownTemplate);
        }
        let Some((templates, counts)) = self.sessions.remove(session) else {
            return 0;
        };
        self.counters.sequence.add(counts);
        to_u64(templates)
    }

    // ------------ Templates ---------------------------------------------------------------------

    fn define(
        &mut self,
        message: &mut OpenMessage,
        definition: &Definition,
        fields: &DefinedFields,
    ) -> TemplateOutcome {
        message.tally.templates = message.tally.templates.saturating_add(1);
        if definition.fault.is_some() {
            self.counters.count(Unusable::InvalidTemplate);
            return TemplateOutcome::Invalid;
        }
        self.counters.templates += 1;
        let outcome = self.sessions.define(
            message.session,
            (definition.id, definition.kind),
            &fields.specifiers,
            (self.counters.datagrams, self.now_milliseconds),
        );
        match outcome {
            TemplateOutcome::New | TemplateOutcome::Changed { .. } => {
                self.scratch.defined.push(definition.id);
            }
            TemplateOutcome::Refreshed => {}
            TemplateOutcome::Invalid => self.counters.count(Unusable::InvalidTemplate),
            TemplateOutcome::NoRoom => self.counters.count(Unusable::TooManyTemplates),
        }
        outcome
    }

    /// Reads the Sets that waited for the templates that the current Message has brought.
    fn release(
        &mut self,
        session: Place,
        sink: &mut impl RecordSink,
        observer: &mut impl Observer,
    ) {
        while let Some(id) = self.scratch.defined.pop() {
            for scope in self.sessions.scopes(session) {
                // A template may have been withdrawn or replaced in the same Message.
                let source = self.sessions.source(session);
                while self.sessions.template(source, id).is_some()
                    && let Some(set) = self.pending.pop(scope, id)
                {
                    self.counters.sets_released += 1;
                    let mut message = OpenMessage {
                        exporter: set.exporter,
                        header: set.header,
                        session,
                        tally: MessageTally::default(),
                        notified: None,
                    };
                    self.notify(&mut message, sink);
                    self.data_set(&mut message, id, &set.content, sink, observer);
                }
            }
        }
    }

    // ------------ Records -----------------------------------------------------------------------

    /// The records of a v5 or v7 datagram.
    fn fixed_records(
        &mut self,
        message: &mut OpenMessage,
        content: &[u8],
        sink: &mut impl RecordSink,
        observer: &mut impl Observer,
    ) {
        self.notify(message, sink);
        let described = message.describe(&self.sessions);
        // All records fill the same fields; the other fields are cleared once.
        let mut record = FlowRecord {
            sampling: fixed::sampling(&message.header),
            ..FlowRecord::default()
        };
        let mut records = 0_u32;
        for octets in fixed::records(&message.header, content) {
            fixed::fill(&mut record, octets, &message.header);
            observer.fixed_record(octets, &record);
            sink.record(&described, &record, Fields::of_record(&record));
            records = records.saturating_add(1);
        }
        self.counters.records += u64::from(records);
        message.tally.records = records;
        self.sessions.add_records(message.session, records);
    }

    /// A Data Set: its records, or, without its template, a pending Set.
    fn data_set(
        &mut self,
        message: &mut OpenMessage,
        id: u16,
        content: &[u8],
        sink: &mut impl RecordSink,
        observer: &mut impl Observer,
    ) {
        let source = self.sessions.source(message.session);
        match self
            .sessions
            .use_template(source, id, self.now_milliseconds)
        {
            None => {
                message.tally.has_unread = true;
                observer.unknown_template(id, content);
                self.keep(message, id, content);
            }
            Some(TemplateKind::Options { .. }) => {
                self.options_records(message, source, id, content, observer);
            }
            Some(TemplateKind::Data) => {
                self.notify(message, sink);
                self.flow_records(message, source, id, content, sink, observer);
            }
        }
    }

    fn keep(&mut self, message: &OpenMessage, id: u16, content: &[u8]) {
        if !self.pending.has_room(content.len()) {
            return self.counters.count(Unusable::UnknownTemplate);
        }
        self.counters.sets_held += 1;
        let set = PendingSet {
            exporter: message.exporter,
            header: message.header,
            content: content.into(),
        };
        let scope = self.sessions.scope(message.session);
        self.pending.push(scope, id, set, self.now_milliseconds);
    }

    fn options_records(
        &mut self,
        message: &mut OpenMessage,
        source: Place,
        id: u16,
        content: &[u8],
        observer: &mut impl Observer,
    ) {
        let Some(template) = self.sessions.template(source, id) else {
            return;
        };
        let mut announcements = Announcements::default();
        let mut records = Records::new(template, content);
        let mut is_cut = false;
        while let Some(record) = records.next(&mut self.scratch.spans) {
            let Ok(octets) = record else {
                is_cut = true;
                break;
            };
            observer.record(octets, template, None);
            message.tally.options_records = message.tally.options_records.saturating_add(1);
            self.counters.options_records += 1;
            announcements.add(template, octets, message.header.observation_domain_id);
        }
        observer.end_of_records(records.rest(), template, is_cut);
        if is_cut {
            message.tally.has_unread = true;
            self.counters.count(Unusable::FieldLength);
        }
        let refused = self.sessions.announce(message.session, announcements);
        self.counters.metadata_refused += to_u64(refused);
    }

    fn flow_records(
        &mut self,
        message: &mut OpenMessage,
        source: Place,
        id: u16,
        content: &[u8],
        sink: &mut impl RecordSink,
        observer: &mut impl Observer,
    ) {
        let Some(template) = self.sessions.template(source, id) else {
            return;
        };
        // Running totals cost a look-up for each record; exporters of deltas do not pay for it.
        let are_totals = template.plan().totals();
        let totals_of = match are_totals {
            (false, false) => None,
            _ => self.sessions.domain_key(message.session),
        };
        let described = message.describe(&self.sessions);
        let session = self.sessions.view_of(source);
        let context = MessageContext {
            export_time_milliseconds: message.header.export_time_milliseconds,
            sys_up_time: message.header.sys_up_time,
            system_init_milliseconds: self.sessions.system_init(source),
            samplers: self.sessions.samplers(source),
        };
        let Scratch {
            spans,
            values,
            record,
            ..
        } = &mut self.scratch;
        spans.clear();
        template.plan().begin(values, record);
        let mut records = Records::new(template, content);
        let (mut count, mut is_cut) = (0_u32, false);
        while let Some(next) = records.next(spans) {
            let Ok(octets) = next else {
                is_cut = true;
                break;
            };
            count = count.saturating_add(1);
            template
                .plan()
                .read(octets, spans, &context, values, record);
            observer.record(octets, template, Some(record));
            if let Some(domain) = totals_of {
                let is_evicted = self.totals.difference(domain, are_totals, record);
                self.counters.totals_evicted += u64::from(is_evicted);
            }
            let fields = Fields::of_template(template, octets, session);
            sink.record(&described, record, fields);
        }
        observer.end_of_records(records.rest(), template, is_cut);
        self.counters.records += u64::from(count);
        message.tally.records = message.tally.records.saturating_add(count);
        if is_cut {
            message.tally.has_unread = true;
            self.counters.count(Unusable::FieldLength);
        }
        self.sessions.add_records(message.session, count);
    }
}

fn to_u64(size: usize) -> u64 {
    u64::try_from(size).unwrap_or(u64::MAX)
}
