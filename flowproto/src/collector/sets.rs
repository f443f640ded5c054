//! Template definitions, and Data Sets, which can arrive before their template.
#![allow(
    clippy::arithmetic_side_effects,
    reason = "counters of 64 bits do not overflow"
)]

use super::observer::Observer;
use super::pending::{PendingSet, Wait};
use super::process::{CollectingProcess, OpenMessage};
use super::sink::RecordSink;
use crate::sessions::{Place, TemplateOutcome, Unusable};
use crate::template::TemplateKind;
use crate::wire::{DefinedFields, Definition};

/// Sessions of which pending Sets are read when another one has sent their template.
const MAX_RELEASED_SESSIONS: usize = 16;

impl CollectingProcess {
    pub(super) fn define(
        &mut self,
        message: &mut OpenMessage,
        definition: &Definition,
        fields: &DefinedFields,
    ) -> TemplateOutcome {
        message.tally.templates = message.tally.templates.saturating_add(1);
        let id = definition.id;
        let outcome = if definition.fault.is_some() {
            self.sessions.refuse(message.place(), id);
            TemplateOutcome::Invalid
        } else {
            self.counters.templates += 1;
            let datagram = self.counters.datagrams;
            let specifiers = &fields.specifiers;
            self.sessions.define(
                &message.session,
                (id, definition.kind),
                specifiers,
                datagram,
            )
        };
        match outcome {
            TemplateOutcome::New | TemplateOutcome::Changed { .. } | TemplateOutcome::Late => {
                self.defined.push((definition.kind, id));
            }
            TemplateOutcome::Refreshed => {}
            TemplateOutcome::Invalid => {
                self.count_unusable(message.place(), Unusable::InvalidTemplate);
            }
            TemplateOutcome::NoRoom => {
                self.count_unusable(message.place(), Unusable::TooManyTemplates);
            }
        }
        outcome
    }

    /// A Data Set: its records, or, if it cannot be read yet, a pending Set.
    pub(super) fn data_set(
        &mut self,
        message: &mut OpenMessage,
        id: u16,
        content: &[u8],
        sink: &mut impl RecordSink,
        observer: &mut impl Observer,
    ) {
        let Some((template, is_shared)) = self.sessions.use_template(&message.session, id) else {
            message.tally.has_unread = true;
            let is_suspect = message.session.is_suspect();
            observer.unknown_template(id, content, is_suspect);
            let wait = if is_suspect {
                Wait::NextMessage
            } else {
                Wait::Template(id)
            };
            return self.keep(message, wait, id, content);
        };
        if is_shared {
            self.counters.sets_of_shared_templates += 1;
            self.sessions.count_shared_template(message.place());
        }
        match template.kind() {
            TemplateKind::Options { .. } => {
                self.options_records(message, &template, content, observer);
                self.sessions.refresh_domain(message.place());
            }
            TemplateKind::Data => {
                self.notify(message, sink);
                self.flow_records(message, (id, &template), content, sink, observer);
            }
        }
    }

    fn keep(&mut self, message: &OpenMessage, wait: Wait, id: u16, content: &[u8]) {
        let domain = self.sessions.domain_key(message.place());
        let Some(domain) = domain.filter(|domain| self.pending.has_room(domain, content.len()))
        else {
            return self.count_unusable(message.place(), Unusable::UnknownTemplate);
        };
        self.counters.sets_held += 1;
        let set = PendingSet {
            exporter: message.exporter,
            header: message.header,
            message: message.session,
            domain,
            id,
            content: content.into(),
        };
        self.pending.push(wait, set, self.now_milliseconds);
    }

    /// A pending Set will not be read.
    pub(super) fn give_up(&mut self, set: &PendingSet) {
        self.count_unusable(set.message.place, Unusable::UnknownTemplate);
    }

    /// Reads the pending Sets that can use a template that a session has just sent.
    pub(super) fn release(
        &mut self,
        place: Place,
        id: u16,
        sink: &mut impl RecordSink,
        observer: &mut impl Observer,
    ) {
        let domain = self.sessions.domain_key(place);
        let waiting = domain.map(|domain| self.pending.waiting(domain, id, MAX_RELEASED_SESSIONS));
        let others = waiting
            .into_iter()
            .flatten()
            .filter(|other| *other != place);
        for place in [place].into_iter().chain(others) {
            let wait = Wait::Template(id);
            // A template may have been withdrawn or replaced in the same Message.
            while let Some(set) = self.pending.first(place, wait)
                && self.sessions.template(&set.message, id).is_some()
                && let Some(set) = self.pending.pop(place, wait)
            {
                self.counters.sets_released += 1;
                self.read_pending(set, sink, observer);
            }
        }
    }

    pub(super) fn read_pending(
        &mut self,
        set: PendingSet,
        sink: &mut impl RecordSink,
        observer: &mut impl Observer,
    ) {
        let session = set.message.cleared();
        let mut message = OpenMessage::new(set.exporter, set.header, session);
        observer.begin_pending(set.id, &set.content, &set.header);
        self.data_set(&mut message, set.id, &set.content, sink, observer);
        observer.end_pending(&message.tally);
    }
}
