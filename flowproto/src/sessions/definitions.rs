//! Template definitions, and the template of a Data Set.

use std::sync::Arc;

use super::key::Place;
use super::messages::SessionMessage;
use super::senders::SenderId;
use super::session::Session;
use super::store::Sessions;
use super::templates::{SharedDefinition, SharedTemplate, TemplateChange, TemplateEntry};
use crate::field::FieldSpecifier;
use crate::template::{Template, TemplateKind};
use crate::wire::Version;

/// Sessions searched for idle templates at a time.
const SWEEP_SESSIONS: usize = 64;
/// A template that was not sent for this time has expired; its ID may be given another meaning.
const LIFETIME_MILLISECONDS: u64 = 1_800_000;

/// Outcome of a template definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TemplateOutcome {
    /// The ID was not in use.
    New,
    /// It replaces another template, which was defined in the datagram of this number.
    Changed { defined_in: u64 },
    /// It is the template already known, or the one before it if it was sent before that one.
    Refreshed,
    /// It was sent before the template that is known, and is used for Messages of that time only.
    Late,
    /// Its records cannot be read. An earlier template of the ID is forgotten.
    Invalid,
    /// There is no room for it. An earlier template of the ID is forgotten.
    NoRoom,
}

/// A template found for a Data Set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FoundTemplate<'a> {
    pub(crate) template: &'a Arc<Template>,
    /// It is that of another session.
    pub(crate) is_shared: bool,
}

impl Sessions {
    /// Takes a template definition. `datagram`: its number.
    pub(crate) fn define(
        &mut self,
        message: &SessionMessage,
        (id, kind): (u16, TemplateKind),
        fields: &[FieldSpecifier],
        datagram: u64,
    ) -> TemplateOutcome {
        let now = message.clock.received_milliseconds;
        self.stamp = self.stamp.saturating_add(1);
        let stamp = self.stamp;
        let Some(session) = self.get_mut(message.place) else {
            return TemplateOutcome::NoRoom;
        };
        if let Some(entry) = session.templates.get_mut(&id)
            && entry.template.is(fields, kind)
        {
            entry.stamp = stamp;
            entry.sent_milliseconds = now;
            entry.used_milliseconds = now;
            if let Some(change) = &mut entry.change
                && !message.is_suspect()
                && message.is_before(change)
            {
                change.sequence = message.sequence;
            }
            let template = Arc::clone(&entry.template);
            self.refresh(message, id, &template);
            return TemplateOutcome::Refreshed;
        }
        let before = session.templates.get(&id);
        let change = before.and_then(|entry| entry.change.as_ref());
        if let Some(change) = change.filter(|change| message.defines_before(change)) {
            let earlier = change.earlier.as_ref();
            if earlier.is_some_and(|earlier| earlier.is(fields, kind)) {
                return TemplateOutcome::Refreshed;
            }
            return self.define_late(message, (id, kind), fields);
        }
        let before = before.map(|entry| (entry.defined_in, entry.sent_milliseconds));
        // A definition ends an earlier one, even if it is refused (RFC 3954 §7, RFC 7011 §8.1).
        let earlier = self.forget_template(message.place, id);
        let Some(template) = self.compile(message, (id, kind), fields) else {
            return TemplateOutcome::Invalid;
        };
        if !self.has_room(message, &template) {
            return TemplateOutcome::NoRoom;
        }
        self.templates = self.templates.saturating_add(1);
        let is_in_directory = self.share(message, id, &template);
        let change = earlier.map(|earlier| TemplateChange {
            sequence: message.sequence,
            clock: message.clock,
            earlier: self.keep_earlier(message, earlier),
        });
        let entry = TemplateEntry {
            is_in_directory,
            change,
            template,
            stamp,
            defined_in: datagram,
            sent_milliseconds: now,
            used_milliseconds: now,
        };
        if let Some(session) = self.get_mut(message.place) {
            session.templates.insert(id, entry);
        }
        match before {
            Some((defined_in, sent)) if now.saturating_sub(sent) <= LIFETIME_MILLISECONDS => {
                TemplateOutcome::Changed { defined_in }
            }
            _ => TemplateOutcome::New,
        }
    }

    /// Takes a definition that was sent before the one that is known, for Messages of that time.
    fn define_late(
        &mut self,
        message: &SessionMessage,
        definition: (u16, TemplateKind),
        fields: &[FieldSpecifier],
    ) -> TemplateOutcome {
        let Some(template) = self.compile(message, definition, fields) else {
            return TemplateOutcome::Invalid;
        };
        let change = |sessions: &mut Self| {
            let session = sessions.get_mut(message.place)?;
            let entry = session.templates.get_mut(&definition.0)?;
            entry.change.as_mut().map(|change| change.earlier.take())
        };
        let Some(replaced) = change(self) else {
            return TemplateOutcome::NoRoom;
        };
        if let (Some(replaced), Some(session)) = (replaced, self.get(message.place)) {
            self.subtract_fields(session.sender, replaced.len());
        }
        let earlier = self.keep_earlier(message, template);
        let outcome = match earlier {
            Some(_) => TemplateOutcome::Late,
            None => TemplateOutcome::NoRoom,
        };
        if let Some(session) = self.get_mut(message.place)
            && let Some(entry) = session.templates.get_mut(&definition.0)
            && let Some(change) = &mut entry.change
        {
            change.earlier = earlier;
        }
        outcome
    }

    /// Accounts for the template before a change, if there is room for it.
    fn keep_earlier(
        &mut self,
        message: &SessionMessage,
        earlier: Arc<Template>,
    ) -> Option<Arc<Template>> {
        if !self.has_room_for(message, earlier.len()) {
            return None;
        }
        let sender = self.get(message.place)?.sender;
        self.add_fields(sender, earlier.len());
        Some(earlier)
    }

    /// A definition that cannot be read ends an earlier one.
    pub(crate) fn refuse(&mut self, place: Place, id: u16) {
        self.forget_template(place, id);
    }

    /// The template of these fields, which another session may have compiled already.
    fn compile(
        &self,
        message: &SessionMessage,
        (id, kind): (u16, TemplateKind),
        fields: &[FieldSpecifier],
    ) -> Option<Arc<Template>> {
        let session = self.get(message.place)?;
        let device = self.device(session.device)?;
        let domain = session.key.domain;
        let key = (domain.observation_domain_id, id);
        let known = device.directory.find(key, fields, kind);
        known.or_else(|| {
            let aliases = self.alias_policy.rule(domain.address);
            Template::with_aliases(fields, kind, &aliases).map(Arc::new)
        })
    }

    /// Whether there is room for one more template.
    fn has_room(&mut self, message: &SessionMessage, template: &Arc<Template>) -> bool {
        let Some(session) = self.get(message.place) else {
            return false;
        };
        if session.templates.len() >= self.limits.templates_per_domain {
            return false;
        }
        // One that is shared already costs one.
        let is_known = Arc::strong_count(template) > 1;
        let cost = if is_known {
            1
        } else {
            template.len().saturating_add(1)
        };
        self.has_room_for(message, cost)
    }

    /// Whether there is room for this number of fields.
    fn has_room_for(&mut self, message: &SessionMessage, cost: usize) -> bool {
        let Some(session) = self.get(message.place) else {
            return false;
        };
        let (device, sender) = (session.device, session.sender);
        let has_room = |sessions: &Self| {
            let of_sender = sessions
                .senders
                .get(sender)
                .map_or(0, |sender| sender.fields);
            let share = sessions.limits.share(sessions.limits.template_fields);
            of_sender.saturating_add(cost) <= share
                && sessions.fields.saturating_add(cost) <= sessions.limits.template_fields
        };
        if has_room(self) {
            return true;
        }
        // Layouts of sessions that have ended go first.
        let removed = match self.devices.get_mut(device) {
            Some(Some(device)) => device.directory.drop_orphans(|_| false),
            _ => 0,
        };
        self.subtract_fields(sender, removed);
        has_room(self)
    }

    /// Enters a new template of a session into the directory of its device, and accounts for its
    /// fields. Returns whether the directory has it.
    fn share(&mut self, message: &SessionMessage, id: u16, template: &Arc<Template>) -> bool {
        let Some((sender, device, key, definition)) = self.definition(message, id) else {
            return false;
        };
        let Some(Some(device)) = self.devices.get_mut(device) else {
            return false;
        };
        let (is_in_directory, added, removed) = device.directory.define(key, template, definition);
        let own = if is_in_directory { 0 } else { template.len() };
        let added = added.saturating_add(own).saturating_add(1);
        self.add_fields(sender, added);
        self.subtract_fields(sender, removed);
        is_in_directory
    }

    /// Keeps a template that no session has, for those that use it.
    pub(super) fn keep_layout(
        &mut self,
        message: &SessionMessage,
        key: (u32, u16),
        template: &Arc<Template>,
    ) {
        if !self.has_room(message, template) {
            return;
        }
        let Some((sender, device, _, definition)) = self.definition(message, key.1) else {
            return;
        };
        let Some(Some(device)) = self.devices.get_mut(device) else {
            return;
        };
        let definition = SharedDefinition {
            track: None,
            ..definition
        };
        let (_, added, removed) = device.directory.define(key, template, definition);
        device.directory.release(key, template, true);
        self.add_fields(sender, added);
        self.subtract_fields(sender, removed);
    }

    /// A session has repeated a template.
    fn refresh(&mut self, message: &SessionMessage, id: u16, template: &Arc<Template>) {
        if let Some((_, device, key, definition)) = self.definition(message, id)
            && let Some(Some(device)) = self.devices.get_mut(device)
        {
            device.directory.refresh(key, template, definition, 0);
        }
    }

    fn definition(
        &self,
        message: &SessionMessage,
        id: u16,
    ) -> Option<(SenderId, usize, (u32, u16), SharedDefinition)> {
        let session = self.get(message.place)?;
        let key = (session.key.domain.observation_domain_id, id);
        let definition = SharedDefinition {
            stamp: self.stamp,
            track: session.membership.track,
            clock: message.clock,
        };
        Some((session.sender, session.device, key, definition))
    }

    /// Forgets a template of a session.
    fn forget_template(&mut self, place: Place, id: u16) -> Option<Arc<Template>> {
        let session = self.get_mut(place)?;
        let entry = session.templates.remove(&id)?;
        let (sender, device) = (session.sender, session.device);
        let key = (session.key.domain.observation_domain_id, id);
        let removed = match self.devices.get_mut(device) {
            Some(Some(device)) => device.directory.release(key, &entry.template, false),
            _ => 0,
        };
        self.templates = self.templates.saturating_sub(1);
        self.subtract_fields(sender, removed.saturating_add(entry.own_fields()));
        Some(entry.template)
    }

    /// Forgets the templates of a session that `is_gone` chooses. Returns their number.
    pub(super) fn forget_templates(
        &mut self,
        place: Place,
        is_gone: impl Fn(&TemplateEntry) -> bool,
    ) -> usize {
        let Some(session) = self.get(place) else {
            return 0;
        };
        let templates = session.templates.iter();
        let gone = templates
            .filter(|(_, entry)| is_gone(entry))
            .map(|(id, _)| *id);
        let gone: Vec<u16> = gone.collect();
        for id in &gone {
            self.forget_template(place, *id);
        }
        gone.len()
    }

    /// Drops the changes of a session's templates that `is_over` chooses.
    pub(super) fn drop_changes(&mut self, place: Place, is_over: impl Fn(&TemplateChange) -> bool) {
        let Some(session) = self.get_mut(place) else {
            return;
        };
        let sender = session.sender;
        let templates = session.templates.values_mut();
        let dropped = templates.map(|entry| entry.drop_change(&is_over)).sum();
        self.subtract_fields(sender, dropped);
    }

    /// Removes a template, or all templates if `id` is 2, or all Options Templates if it is 3
    /// (RFC 7011 §8.1). Returns their number.
    pub(crate) fn withdraw(&mut self, place: Place, id: u16) -> usize {
        match id {
            2 => self.forget_templates(place, |entry| !entry.template.is_options()),
            3 => self.forget_templates(place, |entry| entry.template.is_options()),
            id => usize::from(self.forget_template(place, id).is_some()),
        }
    }

    /// The template `id` for a Message: that of its session, else that of another session of its
    /// exporter.
    pub(crate) fn template(&self, message: &SessionMessage, id: u16) -> Option<FoundTemplate<'_>> {
        let session = self.get(message.place)?;
        let own = session.templates.get(&id);
        if let Some(since) = message.suspect_since {
            let own = own.filter(|entry| entry.stamp >= since)?;
            return Some(FoundTemplate {
                template: &own.template,
                is_shared: false,
            });
        }
        let found = match own.map(|entry| entry.of_message(|change| message.is_before(change))) {
            Some(None) => return None,
            Some(Some(template)) => Some(FoundTemplate {
                template,
                is_shared: false,
            }),
            None => None,
        };
        let is_alone = session.key.connection != 0 || !self.limits.template_sharing;
        if is_alone || found.is_some() && !message.is_of_shared_track {
            return found;
        }
        let newer_than = own.map_or(0, |entry| entry.stamp);
        let shared = self.shared_template(session, message, id, newer_than);
        shared.map_or(found, |shared| {
            let is_own = found.is_some_and(|own| Arc::ptr_eq(own.template, &shared.template));
            Some(FoundTemplate {
                template: &shared.template,
                is_shared: !is_own,
            })
        })
    }

    /// The template of another session of the same exporter.
    fn shared_template(
        &self,
        session: &Session,
        message: &SessionMessage,
        id: u16,
        newer_than: u64,
    ) -> Option<&SharedTemplate> {
        let device = self.device(session.device)?;
        let key = (session.key.domain.observation_domain_id, id);
        // Not of an exporter that has been up for longer: this one has restarted since.
        let usable = || {
            let layouts = device.directory.layouts(key).iter();
            layouts.filter(|layout| !layout.definition.clock.is_above(&message.clock))
        };
        if message.is_of_shared_track {
            let track = session.membership.track;
            let latest = usable()
                .filter(|layout| layout.definition.track == track)
                .max_by_key(|layout| layout.definition.stamp);
            if latest.is_some_and(|latest| latest.definition.stamp > newer_than) {
                return latest;
            }
        }
        // A stream of v9 is address and Source ID (RFC 3954 §5.1); in IPFIX the port belongs to it.
        if session.key.domain.version != Version::V9 || newer_than > 0 {
            return None;
        }
        let mut layouts = usable();
        match (layouts.next(), layouts.next()) {
            (Some(only), None) => Some(only),
            _ => None,
        }
    }

    /// Marks the template of a Data Set as used, and returns it and whether it is shared.
    pub(crate) fn use_template(
        &mut self,
        message: &SessionMessage,
        id: u16,
    ) -> Option<(Arc<Template>, bool)> {
        let now = message.clock.received_milliseconds;
        let session = self.get_mut(message.place)?;
        if !message.is_of_shared_track
            && !message.is_suspect()
            && let Some(entry) = session.templates.get_mut(&id)
        {
            entry.used_milliseconds = now;
            let template = entry.of_message(|change| message.is_before(change))?;
            return Some((Arc::clone(template), false));
        }
        let (domain, device) = (session.key.domain.observation_domain_id, session.device);
        let found = self.template(message, id)?;
        let (template, is_shared) = (Arc::clone(found.template), found.is_shared);
        if is_shared {
            if let Some(Some(device)) = self.devices.get_mut(device) {
                let key = (domain, id);
                device.directory.touch(key, &template, message.clock);
            }
        } else if let Some(session) = self.get_mut(message.place)
            && let Some(entry) = session.templates.get_mut(&id)
        {
            entry.used_milliseconds = now;
        }
        Some((template, is_shared))
    }

    /// Searches the next sessions for idle templates, forgets those, and returns their number.
    /// Drops changes of templates that are over.
    pub(crate) fn sweep(&mut self, now_milliseconds: u64) -> usize {
        let idle = self.limits.idle_milliseconds;
        let is_idle = |used: u64| now_milliseconds.saturating_sub(used) > idle;
        let places = self.slab.len();
        let mut templates = 0_usize;
        for _ in 0..SWEEP_SESSIONS.min(places) {
            let next = self.sweep.saturating_add(1);
            self.sweep = if next < places { next } else { 0 };
            let at = self.sweep;
            let forgotten = self.forget_templates(at, |entry| is_idle(entry.used_milliseconds));
            templates = templates.saturating_add(forgotten);
            self.drop_changes(at, |change| change.is_over(now_milliseconds));
            let Some((sender, device)) = self.get(at).map(|s| (s.sender, s.device)) else {
                continue;
            };
            if let Some(Some(device)) = self.devices.get_mut(device) {
                let directory = &mut device.directory;
                let removed = directory.drop_orphans(|layout| !is_idle(layout.used_milliseconds));
                self.subtract_fields(sender, removed);
            }
        }
        templates
    }
}
