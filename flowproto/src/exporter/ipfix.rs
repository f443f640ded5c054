//! IPFIX (RFC 7011).
//!
//! A record is sent with the template of its own fields. A template is sent before the first record
//! that needs it. Over UDP, templates in use and options data are repeated, because UDP can lose
//! them. On a reliable transport templates are sent once, and withdrawn when they have been unused
//! for long.

use super::message::{IpfixHeader, MessageWriter, OPTIONS_TEMPLATE_SET, TEMPLATE_SET};
use super::options::{Options, reverse_elements, tunnel_elements};
use super::refresh::Refresh;
use super::shape::Shape;
use super::{
    ExportSettings, Facts, Profile, Send, connection_types, dns, flow, http, responder_name,
};
use crate::field::FieldSpecifier;
use crate::record::{FlowRecord, Sampling};

/// A Transport Session of IPFIX.
#[derive(Debug)]
pub struct Session {
    settings: ExportSettings,
    facts: Facts,
    message: MessageWriter,
    /// Flow records sent.
    records_sent: u64,
    /// By the number of their shape.
    templates: Box<[TemplateState]>,
    /// Of the template that is being sent.
    fields: Vec<FieldSpecifier>,
    refresh: Refresh,
    /// The current interface table was sent.
    interfaces_sent: bool,
    /// The options template of Flow Keys was sent since the last refresh.
    has_flow_key_template: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct TemplateState {
    /// Octets of a record without its names; 0 while its template is not announced.
    record_octets: u16,
    /// A record of it was added since the last check.
    used: bool,
    /// Time of the last check that found it used, milliseconds since the epoch.
    used_at: u64,
}

impl Session {
    /// Creates a session that has sent nothing.
    #[must_use]
    pub fn new(settings: ExportSettings) -> Self {
        Self {
            message: MessageWriter::new(
                IpfixHeader::new(settings.observation_domain_id),
                settings.max_message_octets,
            ),
            // A reliable transport loses no template; options data are repeated.
            refresh: if settings.reliable {
                Refresh::every_interval(settings.template_refresh_milliseconds)
            } else {
                Refresh::every(
                    settings.template_refresh_milliseconds,
                    settings.template_refresh_messages.into(),
                )
            },
            settings,
            facts: Facts::default(),
            records_sent: 0,
            templates: vec![TemplateState::default(); usize::from(Shape::COUNT)].into_boxed_slice(),
            fields: Vec::new(),
            interfaces_sent: false,
            has_flow_key_template: false,
        }
    }

    /// See [`super::ExportSession::add`].
    #[inline]
    pub fn add(&mut self, record: &FlowRecord, now: u64, send: &mut Send<'_>) {
        self.refresh_if_due(now, send);
        match self.settings.profile {
            Profile::All => self.write(Shape::of(record), record, now, send),
            Profile::Registered => self.add_registered(record, now, send),
        }
        self.message.count_record(record);
        self.records_sent = self.records_sent.saturating_add(1);
    }

    /// Adds a record without enterprise-specific elements. A biflow is sent as two records.
    fn add_registered(&mut self, record: &FlowRecord, now: u64, send: &mut Send<'_>) {
        if record.is_biflow() {
            let [forward, reverse] = record.directions();
            self.write(Shape::of(&forward).registered(), &forward, now, send);
            self.message.count_part();
            self.write(Shape::of(&reverse).registered(), &reverse, now, send);
        } else {
            self.write(Shape::of(record).registered(), record, now, send);
        }
    }

    #[inline]
    fn write(&mut self, mut shape: Shape, record: &FlowRecord, now: u64, send: &mut Send<'_>) {
        let list_octets = if shape.has_http() {
            http::list_octets(record)
        } else {
            0
        };
        let max_octets = self.message.max_name_octets().saturating_sub(list_octets);
        let mut name_octets = 0;
        if shape.has(Shape::NAME) {
            name_octets = responder_name::octets(record.responder_name.as_ref());
            if name_octets > max_octets {
                (shape, name_octets) = (shape.without_name(), 0);
            }
        }
        let octets = match self.templates.get_mut(usize::from(shape.number())) {
            Some(template) if template.record_octets != 0 => {
                template.used = true;
                template.record_octets
            }
            _ => {
                self.message.send(now, send);
                self.announce(shape, now, send);
                self.message.send(now, send);
                self.describe(shape, now, send);
                self.message.send(now, send);
                shape.record_octets()
            }
        };
        let mut octets = usize::from(octets).saturating_add(name_octets);
        octets = octets.saturating_add(list_octets);
        let mut with_texts = false;
        let text_octets = if shape.has_dns() {
            Some((dns::name_octets(record.dns_query.as_ref()), 1))
        } else if shape.has_http() {
            Some((http::text_octets(record), http::empty_octets()))
        } else {
            None
        };
        if let Some((full, empty)) = text_octets {
            let room = max_octets.saturating_sub(name_octets);
            with_texts = full <= room;
            octets = octets.saturating_add(if with_texts { full } else { empty });
        }
        let out = self.message.open(shape.template_id(), octets, now, send);
        flow::record(out, shape, record, with_texts);
    }

    /// See [`super::ExportSession::flush`].
    pub fn flush(&mut self, now: u64, send: &mut Send<'_>) {
        self.refresh_if_due(now, send);
        if !self.interfaces_sent && !self.facts.interfaces.is_empty() {
            self.interfaces(now, send);
        }
        if self.settings.reliable {
            self.withdraw_idle(now, send);
        }
        self.message.send(now, send);
    }

    /// See [`super::ExportSession::close`].
    pub fn close(&mut self, now: u64, send: &mut Send<'_>) {
        self.flush(now, send);
        if self.settings.reliable {
            self.statistics(false, now, send);
            for set in [TEMPLATE_SET, OPTIONS_TEMPLATE_SET] {
                self.message.withdrawal(set, set, now, send);
            }
            self.message.send(now, send);
            self.templates.fill(TemplateState::default());
            self.has_flow_key_template = false;
            self.refresh.restart();
        }
    }

    /// See [`super::ExportSession::renew`].
    pub fn renew(&mut self, facts: Facts) {
        self.interfaces_sent &= self.facts.interfaces == facts.interfaces;
        self.facts = facts;
    }

    /// See [`super::ExportSession::limit_message_octets`].
    pub fn limit_message_octets(&mut self, octets: usize) {
        self.message.limit(octets);
    }

    /// See [`super::ExportSession::refresh`].
    pub fn refresh_soon(&mut self) {
        self.refresh.restart();
    }

    #[inline]
    fn refresh_if_due(&mut self, now: u64, send: &mut Send<'_>) {
        if self.refresh.is_due(now, self.message.sent().0) {
            self.send_templates(now, send);
        }
    }

    #[cold]
    fn send_templates(&mut self, now: u64, send: &mut Send<'_>) {
        let first = self.refresh.is_first();
        self.refresh.begin(now);
        let with_template = first || !self.settings.reliable;
        if with_template {
            self.has_flow_key_template = false;
            // A Message of their own: there are collectors that discard a whole Message if they
            // cannot read its options data.
            self.message.send(now, send);
            for number in 0..Shape::COUNT {
                if Shape::PLAIN.contains(&number) || self.is_announced(number) {
                    self.announce(Shape::from_number(number), now, send);
                }
            }
            self.message.send(now, send);
        }
        let mut options = Options {
            message: &mut self.message,
            now,
            send,
            with_template,
        };
        if self.settings.profile == Profile::All {
            options.announcement(&self.settings);
        }
        if self.facts.sampling != Sampling::NONE {
            options.sampling(self.facts.sampling);
        }
        if let Some(selection) = self.facts.flow_selection {
            options.flow_selection(selection);
        }
        self.statistics(with_template, now, send);
        if with_template {
            self.interfaces(now, send);
            if self.settings.profile == Profile::All {
                self.elements(now, send);
            }
            for number in 0..Shape::COUNT {
                if self.is_announced(number) {
                    self.describe(Shape::from_number(number), now, send);
                }
            }
        }
        self.message.send(now, send);
        self.refresh.end(self.message.sent().0);
    }

    fn is_announced(&self, number: u16) -> bool {
        self.templates
            .get(usize::from(number))
            .is_some_and(|template| template.record_octets != 0)
    }

    /// Adds the template of a shape.
    #[cold]
    fn announce(&mut self, shape: Shape, now: u64, send: &mut Send<'_>) {
        if let Some(template) = self.templates.get_mut(usize::from(shape.number())) {
            *template = TemplateState {
                record_octets: shape.record_octets(),
                used: true,
                used_at: now,
            };
        }
        self.fields.clear();
        shape.fields(&mut self.fields);
        self.message
            .template(shape.template_id(), &self.fields, now, send);
    }

    /// Sends the Flow Keys of a shape.
    #[cold]
    fn describe(&mut self, shape: Shape, now: u64, send: &mut Send<'_>) {
        let mut options = Options {
            message: &mut self.message,
            now,
            send,
            with_template: !std::mem::replace(&mut self.has_flow_key_template, true),
        };
        options.flow_keys(std::iter::once(shape.template_id()));
    }

    /// Sends the types of all enterprise elements (RFC 5610) at once, before any record has them.
    /// Some collectors miscount variable-length options records in the middle of a session.
    #[cold]
    fn elements(&mut self, now: u64, send: &mut Send<'_>) {
        let mut options = Options {
            message: &mut self.message,
            now,
            send,
            with_template: true,
        };
        let elements = tunnel_elements().chain(reverse_elements());
        options.elements(elements.chain(connection_types::elements()));
    }

    fn statistics(&mut self, with_template: bool, now: u64, send: &mut Send<'_>) {
        let (messages, octets) = self.message.sent();
        let exported = (octets, messages, self.records_sent);
        let mut options = Options {
            message: &mut self.message,
            now,
            send,
            with_template,
        };
        let domain = self.settings.observation_domain_id;
        options.statistics(domain, &self.facts, exported);
    }

    fn interfaces(&mut self, now: u64, send: &mut Send<'_>) {
        self.interfaces_sent = true;
        // The names have variable length.
        let profile = self.settings.profile;
        if profile == Profile::All && !self.facts.interfaces.is_empty() {
            let mut options = Options {
                message: &mut self.message,
                now,
                send,
                with_template: true,
            };
            options.interfaces(&self.facts);
        }
    }

    /// Withdraws templates that have been unused for long (RFC 7011 §8.1).
    fn withdraw_idle(&mut self, now: u64, send: &mut Send<'_>) {
        for (number, template) in (0..).zip(&mut self.templates) {
            if template.record_octets == 0 {
                continue;
            }
            if std::mem::take(&mut template.used) {
                template.used_at = now;
            }
            let idle = now.saturating_sub(template.used_at);
            let is_plain = Shape::PLAIN.contains(&number);
            if !is_plain && idle >= self.settings.template_idle_milliseconds {
                *template = TemplateState::default();
                let shape = Shape::from_number(number);
                self.message
                    .withdrawal(TEMPLATE_SET, shape.template_id(), now, send);
            }
        }
    }
}
