//! The Collecting Process: follows the events of the parser.
#![allow(
    clippy::arithmetic_side_effects,
    reason = "counters of 64 bits do not overflow; lengths are checked in `wire`"
)]

use std::net::SocketAddr;
use std::sync::Arc;

use super::buffers::RecordBuffers;
use super::counters::{Counters, Occupancy};
use super::observer::{MessageTally, NoObserver, Observer};
use super::pending::{PendingSets, Wait};
use super::sink::{Fields, Message, RecordSink};
use super::totals::Totals;
use crate::address::Address;
use crate::sessions::{
    AliasPolicy, DomainReport, Limits, MessageSequence, Origin, Place, RecordNumbers,
    SamplingPolicy, SessionKey, SessionMessage, Sessions, State, Unusable, Verdict,
};
use crate::template::{Template, TemplateKind};
use crate::wire::{DefinedFields, Event, MessageHeader, Parser, Violation, fixed};

/// Templates, pending Data Sets and sequence state of all exporters of one worker.
#[derive(Debug)]
pub struct CollectingProcess {
    pub(super) sessions: Sessions,
    pub(super) pending: PendingSets,
    pub(super) totals: Totals,
    pub(super) counters: Counters,
    /// Time of reception of the current datagram, milliseconds since the epoch.
    pub(super) now_milliseconds: u64,
    fields: DefinedFields,
    /// Templates that the current Message has defined or changed.
    pub(super) defined: Vec<(TemplateKind, u16)>,
    pub(super) buffers: RecordBuffers,
}

/// The Message being read.
#[derive(Clone, Copy, Debug)]
pub(super) struct OpenMessage {
    pub(super) exporter: SocketAddr,
    pub(super) header: MessageHeader,
    pub(super) session: SessionMessage,
    pub(super) tally: MessageTally,
    /// Revision of the domain of which the sink was notified.
    notified: Option<u32>,
}

impl OpenMessage {
    pub(super) const fn new(
        exporter: SocketAddr,
        header: MessageHeader,
        session: SessionMessage,
    ) -> Self {
        Self {
            exporter,
            header,
            session,
            tally: MessageTally {
                records: 0,
                options_records: 0,
                templates: 0,
                has_unread: false,
            },
            notified: None,
        }
    }

    pub(super) const fn place(&self) -> Place {
        self.session.place
    }

    pub(super) fn describe<'a>(&self, sessions: &'a Sessions) -> Message<'a> {
        let exporter = self.exporter;
        Message {
            exporter: SocketAddr::new(exporter.ip().to_canonical(), exporter.port()),
            version: self.header.version,
            observation_domain_id: self.header.observation_domain_id,
            export_time_milliseconds: self.header.export_time_milliseconds,
            domain_index: self.place(),
            domain: sessions.domain(self.place()),
        }
    }
}

impl CollectingProcess {
    /// Creates a process without any state.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            sessions: Sessions::new(limits),
            pending: PendingSets::new(
                limits.pending_octets,
                limits.share(limits.pending_octets),
                limits.pending_milliseconds,
            ),
            totals: Totals::new(limits.totals, limits.share(limits.totals)),
            counters: Counters::default(),
            now_milliseconds: 0,
            fields: DefinedFields::default(),
            defined: Vec::new(),
            buffers: RecordBuffers::default(),
        }
    }

    /// Sets the sampling of exporters whose announcements are wrong or missing.
    pub fn set_sampling_policy(&mut self, policy: SamplingPolicy) {
        self.sessions.set_sampling_policy(policy);
    }

    /// Sets the elements of exporters that are read as others. To be called before the first
    /// datagram and before [`Self::restore`].
    pub fn set_alias_policy(&mut self, policy: AliasPolicy) {
        self.sessions.set_alias_policy(policy);
    }

    /// The templates, options data and sequence numbers of exporters that send datagrams, to be
    /// kept over a restart of the collector.
    #[must_use]
    pub fn state(&self, now_milliseconds: u64) -> State {
        self.sessions.state(now_milliseconds)
    }

    /// Continues with the state of an earlier process, as far as there is room. To be called before
    /// the first datagram.
    pub fn restore(&mut self, state: &State, now_milliseconds: u64) {
        self.sessions.restore(state, now_milliseconds);
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
        let mut counts = self.counters.unusable.by_reason().iter();
        let malformed =
            counts.find(|(reason, count)| reason.is_malformed() && **count > before.get(*reason));
        match malformed {
            Some((reason, _)) => Err(reason),
            None => Ok(()),
        }
    }

    /// Forgets a connection with its templates and pending Data Sets (RFC 7011 §8).
    pub fn close(&mut self, connection: u64) {
        while let Some(place) = self.sessions.of_connection(connection) {
            let templates = self.forget(place);
            self.counters.templates_withdrawn += templates;
        }
    }

    /// Drops Data Sets that have waited for too long, counts gaps that were not filled as losses,
    /// and forgets idle domains. To be called about once a second. `u64::MAX` at the end: all waits
    /// are over.
    pub fn expire(&mut self, now_milliseconds: u64) {
        while let Some(set) = self.pending.pop_expired(now_milliseconds) {
            self.give_up(&set);
        }
        self.sessions.expire_gaps(now_milliseconds);
        if now_milliseconds != u64::MAX {
            while let Some(place) = self.sessions.idle(now_milliseconds) {
                let templates = self.forget(place);
                self.counters.templates_idle += templates;
                self.counters.domains_idle += 1;
            }
            let templates = self.sessions.sweep(now_milliseconds);
            self.counters.templates_idle += to_u64(templates);
        }
        self.counters.sequence = self.sessions.exporters.sequence();
    }

    /// A report of each Observation Domain, also of those whose sessions have ended.
    pub fn domains(&self) -> impl Iterator<Item = DomainReport<'_>> {
        self.sessions.exporters.reports()
    }

    /// What could not be used, by source address; `None` for all addresses without counts of their
    /// own.
    pub fn unusable_by_exporter(&self) -> impl Iterator<Item = (Option<Address>, Unusable, u64)> {
        self.sessions.exporters.unusable()
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
            template_fields: self.sessions.fields(),
            pending_sets: self.pending.len(),
            pending_octets: self.pending.octets(),
            metadata_entries: self.sessions.metadata_entries(),
            totals: self.totals.len(),
            names_octets: self.buffers.names.octets(),
        }
    }

    //------------ Messages ----------------------------------------------------------------------

    fn read(
        &mut self,
        origin: Origin,
        octets: &[u8],
        sink: &mut impl RecordSink,
        observer: &mut impl Observer,
    ) {
        self.counters.octets += to_u64(octets.len());
        let mut parser = Parser::new(octets, std::mem::take(&mut self.fields));
        let mut open: Option<OpenMessage> = None;
        while let Some((offset, event)) = parser.next() {
            observer.event(offset, &event, parser.header());
            match (event, &mut open) {
                (Event::Message, _) => {
                    open = self.begin(origin, *parser.header(), sink, observer);
                }
                (Event::Violation(violation), open) => {
                    self.violation(origin, violation, open.as_mut());
                }
                (Event::Template(definition), Some(message)) => {
                    let fields = parser.fields();
                    let outcome = self.define(message, &definition, fields);
                    observer.template(offset, &definition, fields, outcome);
                }
                (Event::Withdrawal { id }, Some(message)) => {
                    let templates = self.sessions.withdraw(message.place(), id);
                    self.counters.templates_withdrawn += to_u64(templates);
                    observer.withdrawal(offset, id, templates);
                }
                (Event::Records { id, content }, Some(message)) => {
                    self.data_set(message, id, content, sink, observer);
                }
                (
                    Event::FixedRecords {
                        content,
                        record_octets,
                    },
                    Some(message),
                ) => {
                    self.notify(message, sink);
                    let records = fixed::records(content, record_octets);
                    self.fixed_records(message, records, sink, observer);
                }
                (Event::EndOfMessage { octets }, Some(message)) => {
                    self.end(message, octets, sink, observer);
                }
                _ => {}
            }
        }
        self.fields = parser.into_fields();
    }

    /// Begins a Message: finds its session, and what its header shows about Messages before it.
    /// `None` if there is no room for its session.
    fn begin(
        &mut self,
        origin: Origin,
        header: MessageHeader,
        sink: &mut impl RecordSink,
        observer: &mut impl Observer,
    ) -> Option<OpenMessage> {
        self.counters.messages[header.version] += 1;
        self.defined.clear();
        let key = SessionKey::new(origin, &header);
        let now = self.now_milliseconds;
        let place = match self.sessions.find(key, now) {
            Some(place) => place,
            None => self.create(key)?,
        };
        let (session, verdict) = self.sessions.begin(place, &header, now);
        match verdict {
            Verdict::None => {}
            Verdict::Restarted => {
                while let Some(set) = self.pending.pop(place, Wait::NextMessage) {
                    let wait = Wait::Template(set.id);
                    self.pending.push(wait, set, now);
                }
            }
            Verdict::Cleared => {
                while let Some(set) = self.pending.pop(place, Wait::NextMessage) {
                    self.counters.sets_released += 1;
                    self.read_pending(set, sink, observer);
                }
            }
        }
        self.sessions.refresh_domain(place);
        Some(OpenMessage::new(origin.exporter, header, session))
    }

    fn create(&mut self, key: SessionKey) -> Option<Place> {
        let now = self.now_milliseconds;
        match self.sessions.victim(key, now) {
            Ok(None) => {}
            Ok(Some(victim)) => {
                self.forget(victim);
                self.counters.domains_evicted += 1;
            }
            Err(_) => {
                let reason = Unusable::TooManyDomains;
                self.counters.unusable.count(reason);
                let address = key.domain.address;
                self.sessions
                    .exporters
                    .count_unusable(address, false, reason);
                return None;
            }
        }
        Some(self.sessions.create(key, now))
    }

    fn violation(
        &mut self,
        origin: Origin,
        violation: Violation,
        message: Option<&mut OpenMessage>,
    ) {
        let Some(reason) = Unusable::of(violation) else {
            return;
        };
        match message {
            Some(message) => {
                message.tally.has_unread = true;
                self.count_unusable(message.place(), reason);
            }
            None => {
                self.counters.unusable.count(reason);
                let address = origin.exporter.ip().into();
                self.sessions
                    .exporters
                    .count_unusable(address, false, reason);
            }
        }
    }

    pub(super) fn count_unusable(&mut self, place: Place, reason: Unusable) {
        self.counters.unusable.count(reason);
        self.sessions.count_unusable(place, reason);
    }

    /// Ends a Message: takes its sequence number, and reads pending Data Sets whose templates it
    /// has defined.
    fn end(
        &mut self,
        message: &mut OpenMessage,
        octets: u32,
        sink: &mut impl RecordSink,
        observer: &mut impl Observer,
    ) {
        self.notify(message, sink);
        let tally = message.tally;
        let header = &message.header;
        let sequence = header.version.has_sequence().then(|| MessageSequence {
            sequence: header.sequence,
            records: (!tally.has_unread).then_some(RecordNumbers {
                data: tally.records,
                options: tally.options_records,
                templates: tally.templates,
            }),
        });
        let outcome = self.sessions.end(&message.session, sequence);
        self.counters.sequence = self.sessions.exporters.sequence();
        observer.end_of_message(&message.header, octets, &tally, outcome);
        let mut defined = std::mem::take(&mut self.defined);
        // Options data first: they have the sampling of the flow records.
        defined.sort_by_key(|(kind, _)| *kind == TemplateKind::Data);
        for (_, id) in defined.drain(..) {
            self.release(message.place(), id, sink, observer);
        }
        self.defined = defined;
    }

    /// Notifies the sink of the Message, unless it has been notified and nothing has changed since.
    pub(super) fn notify(&self, message: &mut OpenMessage, sink: &mut impl RecordSink) {
        let revision = self.sessions.domain(message.place()).revision;
        if message.notified != Some(revision) {
            message.notified = Some(revision);
            sink.message(&message.describe(&self.sessions));
        }
    }

    /// Forgets a session and its pending Sets. Returns the number of its templates.
    fn forget(&mut self, place: Place) -> u64 {
        while let Some(set) = self.pending.pop_of(place) {
            self.give_up(&set);
        }
        let templates = self.sessions.remove(place);
        self.counters.sequence = self.sessions.exporters.sequence();
        to_u64(templates)
    }
}

fn to_u64(size: usize) -> u64 {
    u64::try_from(size).unwrap_or(u64::MAX)
}
