//! All Transport Sessions with their templates, options data and sequence numbers, within bounds.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

use lru::LruCache;

use super::announcement::Announcements;
use super::domain::Domain;
use super::key::{DomainKey, SessionKey, TemplateScope};
use super::limits::Limits;
use super::report::{DomainReport, Statistics};
use super::sequence::{MessageSequence, Sequence, SequenceCounts, SequenceOutcome};
use crate::field::FieldSpecifier;
use crate::json;
use crate::options_data::{ElementType, Metadata, OptionsData};
use crate::plan::Samplers;
use crate::template::{Template, TemplateKind};

type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// Maximum number of fields of all templates together. A field takes about 50 octets.
const MAX_FIELDS: usize = 1 << 21;
/// Sessions searched for idle templates at a time.
const SWEEP_SESSIONS: usize = 64;
/// A template that was not sent for this time has expired; its ID may be given another meaning.
const TEMPLATE_LIFETIME_MILLISECONDS: u64 = 1_800_000;

/// Index of a session.
pub(crate) type Place = usize;

/// A template of a session.
#[derive(Debug)]
struct TemplateEntry {
    template: Arc<Template>,
    /// Number of the datagram that defined it.
    defined_in: u64,
    /// Time at which it was last sent, milliseconds since the epoch.
    sent_milliseconds: u64,
    /// Time at which it was last sent or used, milliseconds since the epoch.
    used_milliseconds: u64,
}

#[derive(Debug)]
struct Session {
    key: SessionKey,
    templates: Map<u16, TemplateEntry>,
    options_data: OptionsData,
    samplers: Samplers,
    /// 160 `systemInitTimeMilliseconds`.
    system_init_milliseconds: Option<u64>,
    domain: Domain,
    /// Revision of `domain` when the session began.
    first_revision: u32,
    sequence: Sequence,
    counts: SequenceCounts,
    statistics: Statistics,
    records: u64,
    /// Time of the last Message, milliseconds since the epoch.
    received_milliseconds: u64,
    /// Whether it is in [`Sessions::with_gaps`].
    is_in_gaps: bool,
}

impl Session {
    fn new(key: SessionKey, revision: u32) -> Self {
        Self {
            key,
            templates: Map::default(),
            options_data: OptionsData::default(),
            samplers: Samplers::default(),
            system_init_milliseconds: None,
            domain: Domain {
                revision,
                ..Domain::default()
            },
            first_revision: revision,
            sequence: Sequence::new(key.domain.version),
            counts: SequenceCounts::default(),
            statistics: Statistics::default(),
            records: 0,
            received_milliseconds: 0,
            is_in_gaps: false,
        }
    }

    fn fields(&self) -> usize {
        let templates = self.templates.values();
        templates.map(|entry| entry.template.len()).sum()
    }
}

/// Outcome of a template definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TemplateOutcome {
    /// The ID was not in use.
    New,
    /// It replaces another template, which was defined in the datagram of this number.
    Changed { defined_in: u64 },
    /// It is the template already known.
    Refreshed,
    /// Its records cannot be read.
    Invalid,
    /// There is no room for it.
    NoRoom,
}

/// What the records of a session are read with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SessionView<'a> {
    templates: &'a Map<u16, TemplateEntry>,
    options_data: &'a OptionsData,
}

impl json::Templates for SessionView<'_> {
    fn template(&self, id: u16) -> Option<&Template> {
        self.templates.get(&id).map(|entry| &*entry.template)
    }
}

impl Metadata for SessionView<'_> {
    fn interface(&self, value: &[u8]) -> Option<&str> {
        self.options_data.interface(value)
    }

    fn application(&self, value: &[u8]) -> Option<&str> {
        self.options_data.application(value)
    }

    fn type_of(&self, enterprise: u32, id: u16) -> Option<&ElementType> {
        self.options_data.type_of(enterprise, id)
    }
}

/// All sessions: a slab, and an index in order of last use.
#[derive(Debug)]
pub(crate) struct Sessions {
    slab: Vec<Option<Session>>,
    vacant: Vec<Place>,
    index: LruCache<SessionKey, Place>,
    /// The session of a domain that others take templates from.
    template_sources: Map<DomainKey, Place>,
    /// Sessions of each connection.
    connections: Map<u64, Vec<Place>>,
    /// The key looked up last: exporters send in bursts.
    latest: Option<(SessionKey, Place)>,
    /// Sessions with gaps in their sequence that may still be filled.
    with_gaps: Vec<Place>,
    /// Begin of the next sweep for idle templates.
    sweep: Place,
    limits: Limits,
    templates: usize,
    /// Fields of all templates.
    fields: usize,
    metadata_entries: usize,
    revision: u32,
    /// Stand-ins for a session that does not exist.
    no_domain: Domain,
    no_samplers: Samplers,
    no_templates: Map<u16, TemplateEntry>,
    no_options_data: OptionsData,
}

impl Sessions {
    pub(crate) fn new(limits: Limits) -> Self {
        let bound = NonZeroUsize::new(limits.domains).unwrap_or(NonZeroUsize::MIN);
        Self {
            slab: Vec::new(),
            vacant: Vec::new(),
            index: LruCache::new(bound),
            template_sources: Map::default(),
            connections: Map::default(),
            latest: None,
            with_gaps: Vec::new(),
            sweep: 0,
            limits,
            templates: 0,
            fields: 0,
            metadata_entries: 0,
            revision: 0,
            no_domain: Domain::default(),
            no_samplers: Samplers::default(),
            no_templates: Map::default(),
            no_options_data: OptionsData::default(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    pub(crate) const fn templates(&self) -> usize {
        self.templates
    }

    pub(crate) const fn metadata_entries(&self) -> usize {
        self.metadata_entries
    }

    fn get(&self, at: Place) -> Option<&Session> {
        self.slab.get(at)?.as_ref()
    }

    fn get_mut(&mut self, at: Place) -> Option<&mut Session> {
        self.slab.get_mut(at)?.as_mut()
    }

    // ------------ Begin and end of sessions -----------------------------------------------------

    /// The session of a Message, created if needed.
    ///
    /// # Errors
    /// There is no room for a new session until this one, silent for longest, is removed.
    pub(crate) fn find(&mut self, key: SessionKey, now_milliseconds: u64) -> Result<Place, Place> {
        let at = match self.latest {
            Some((latest, at)) if latest == key => at,
            _ => match self.index.get(&key).copied() {
                Some(at) => at,
                None if self.index.len() >= self.index.cap().get() => {
                    return Err(self.index.peek_lru().map_or(0, |(_, at)| *at));
                }
                None => self.insert(key),
            },
        };
        self.latest = Some((key, at));
        let mut source = None;
        if let Some(session) = self.get_mut(at) {
            session.received_milliseconds = now_milliseconds;
            if session.templates.is_empty() {
                source = Some(session.key.domain);
            }
        }
        // A session whose templates are used is in use, silent or not.
        if let Some(source) = source.and_then(|domain| self.template_sources.get(&domain).copied())
            && source != at
            && let Some(session) = self.get_mut(source)
        {
            session.received_milliseconds = now_milliseconds;
            let source_key = session.key;
            self.index.promote(&source_key);
            self.index.promote(&key);
        }
        Ok(at)
    }

    fn insert(&mut self, key: SessionKey) -> Place {
        self.revision = self.revision.wrapping_add(1);
        let session = Some(Session::new(key, self.revision));
        let at = match self.vacant.pop() {
            Some(at) => {
                if let Some(place) = self.slab.get_mut(at) {
                    *place = session;
                }
                at
            }
            None => {
                self.slab.push(session);
                self.slab.len().saturating_sub(1)
            }
        };
        self.index.put(key, at);
        if key.connection != 0 {
            self.connections.entry(key.connection).or_default().push(at);
        }
        at
    }

    /// Removes a session. Returns the number of its templates, and the losses in its open gaps.
    pub(crate) fn remove(&mut self, at: Place) -> Option<(usize, SequenceCounts)> {
        let mut session = self.slab.get_mut(at)?.take()?;
        let key = session.key;
        self.vacant.push(at);
        self.index.pop(&key);
        self.latest = None;
        if self.template_sources.get(&key.domain) == Some(&at) {
            self.template_sources.remove(&key.domain);
        }
        if let Some(places) = self.connections.get_mut(&key.connection) {
            places.retain(|place| *place != at);
            if places.is_empty() {
                self.connections.remove(&key.connection);
            }
        }
        let templates = session.templates.len();
        self.templates = self.templates.saturating_sub(templates);
        self.fields = self.fields.saturating_sub(session.fields());
        let entries = session.options_data.len();
        self.metadata_entries = self.metadata_entries.saturating_sub(entries);
        Some((templates, session.sequence.expire(u64::MAX)))
    }

    /// A session of a connection, if it has one.
    pub(crate) fn of_connection(&self, connection: u64) -> Option<Place> {
        self.connections.get(&connection)?.last().copied()
    }

    /// The session silent for longest, if it is idle.
    pub(crate) fn idle(&self, now_milliseconds: u64) -> Option<Place> {
        let (_, at) = self.index.peek_lru()?;
        let received = self.get(*at)?.received_milliseconds;
        let silent = now_milliseconds.saturating_sub(received);
        (silent > self.limits.idle_milliseconds).then_some(*at)
    }

    /// Searches the next sessions for idle templates, removes those, and returns their number.
    pub(crate) fn sweep(&mut self, now_milliseconds: u64) -> usize {
        let idle = self.limits.idle_milliseconds;
        let (mut templates, mut fields) = (0_usize, 0_usize);
        let places = self.slab.len();
        for _ in 0..SWEEP_SESSIONS.min(places) {
            self.sweep = self
                .sweep
                .checked_add(1)
                .filter(|at| *at < places)
                .unwrap_or(0);
            let at = self.sweep;
            let Some(session) = self.get_mut(at) else {
                continue;
            };
            session.templates.retain(|_, entry| {
                let since = now_milliseconds.saturating_sub(entry.used_milliseconds);
                if since > idle {
                    templates = templates.saturating_add(1);
                    fields = fields.saturating_add(entry.template.len());
                }
                since <= idle
            });
        }
        self.templates = self.templates.saturating_sub(templates);
        self.fields = self.fields.saturating_sub(fields);
        templates
    }

    // ------------ Templates ---------------------------------------------------------------------

    /// The place of the session whose templates and options data apply to this one: itself, or,
    /// over UDP, the template source of its domain while it has no template of its own.
    pub(crate) fn source(&self, at: Place) -> Place {
        let source = self.get(at).and_then(|session| {
            if !session.templates.is_empty() || session.key.connection != 0 {
                return None;
            }
            let source = self.template_sources.get(&session.key.domain)?;
            self.get(*source).map(|_| *source)
        });
        source.unwrap_or(at)
    }

    /// The sessions whose template a Data Set of this session waits for.
    pub(crate) fn scope(&self, at: Place) -> TemplateScope {
        match self.get(at) {
            Some(session) if session.templates.is_empty() && session.key.connection == 0 => {
                TemplateScope::Domain(session.key.domain)
            }
            _ => TemplateScope::Session(at),
        }
    }

    /// The scopes of Data Sets that a template of this session can be for.
    pub(crate) fn scopes(&self, at: Place) -> impl Iterator<Item = TemplateScope> + use<> {
        let session = self.get(at).filter(|s| s.key.connection == 0);
        let domain = session.map(|s| TemplateScope::Domain(s.key.domain));
        domain.into_iter().chain([TemplateScope::Session(at)])
    }

    /// The template `id` of a session that is [`Self::source`].
    pub(crate) fn template(&self, source: Place, id: u16) -> Option<&Arc<Template>> {
        let entry = self.get(source)?.templates.get(&id)?;
        Some(&entry.template)
    }

    /// Marks the template `id` as used, and returns its kind.
    pub(crate) fn use_template(
        &mut self,
        source: Place,
        id: u16,
        now_milliseconds: u64,
    ) -> Option<TemplateKind> {
        let entry = self.get_mut(source)?.templates.get_mut(&id)?;
        entry.used_milliseconds = now_milliseconds;
        Some(entry.template.kind())
    }

    /// What the records of a session are read with, if it is still the one of that revision.
    pub(crate) fn view_of_revision(&self, at: Place, revision: u32) -> SessionView<'_> {
        let is_same = |session: &&Session| {
            let age = session.domain.revision.wrapping_sub(session.first_revision);
            revision.wrapping_sub(session.first_revision) <= age
        };
        self.view(self.get(at).filter(is_same))
    }

    /// What the records of a session are read with.
    pub(crate) fn view_of(&self, source: Place) -> SessionView<'_> {
        self.view(self.get(source))
    }

    fn view<'a>(&'a self, session: Option<&'a Session>) -> SessionView<'a> {
        SessionView {
            templates: session.map_or(&self.no_templates, |s| &s.templates),
            options_data: session.map_or(&self.no_options_data, |s| &s.options_data),
        }
    }

    pub(crate) fn samplers(&self, source: Place) -> &Samplers {
        self.get(source).map_or(&self.no_samplers, |s| &s.samplers)
    }

    pub(crate) fn system_init(&self, source: Place) -> Option<u64> {
        self.get(source)?.system_init_milliseconds
    }

    pub(crate) fn domain_key(&self, at: Place) -> Option<DomainKey> {
        Some(self.get(at)?.key.domain)
    }

    pub(crate) fn domain(&self, source: Place) -> &Domain {
        self.get(source).map_or(&self.no_domain, |s| &s.domain)
    }

    /// Takes a template definition. `datagram`: its number.
    pub(crate) fn define(
        &mut self,
        at: Place,
        (id, kind): (u16, TemplateKind),
        fields: &[FieldSpecifier],
        (datagram, now): (u64, u64),
    ) -> TemplateOutcome {
        let max_templates = self.limits.templates_per_domain;
        let all_fields = self.fields;
        let Some(session) = self.get_mut(at) else {
            return TemplateOutcome::NoRoom;
        };
        let key = session.key;
        let templates = &mut session.templates;
        let known = templates.get_mut(&id);
        let mut outcome = TemplateOutcome::Refreshed;
        if let Some(entry) = known
            && entry.template.is(fields, kind)
        {
            entry.sent_milliseconds = now;
            entry.used_milliseconds = now;
        } else {
            let Some(template) = Template::new(fields, kind) else {
                return TemplateOutcome::Invalid;
            };
            let before = templates.get(&id);
            let replaced = before.map(|entry| entry.template.len());
            let total = all_fields
                .saturating_sub(replaced.unwrap_or_default())
                .saturating_add(template.len());
            let is_one_more = replaced.is_none() && templates.len() >= max_templates;
            if is_one_more || total > MAX_FIELDS {
                return TemplateOutcome::NoRoom;
            }
            let is_valid = |entry: &&TemplateEntry| {
                now.saturating_sub(entry.sent_milliseconds) <= TEMPLATE_LIFETIME_MILLISECONDS
            };
            outcome = match before.filter(is_valid) {
                Some(entry) => TemplateOutcome::Changed {
                    defined_in: entry.defined_in,
                },
                None => TemplateOutcome::New,
            };
            let entry = TemplateEntry {
                template: Arc::new(template),
                defined_in: datagram,
                sent_milliseconds: now,
                used_milliseconds: now,
            };
            let is_new = templates.insert(id, entry).is_none();
            self.fields = total;
            self.templates = self.templates.saturating_add(usize::from(is_new));
        }
        if key.connection == 0 {
            self.template_sources.insert(key.domain, at);
        }
        outcome
    }

    /// Removes a template, or all templates if `id` is 2, or all Options Templates if it is 3
    /// (RFC 7011 §8.1). Returns their number.
    pub(crate) fn withdraw(&mut self, at: Place, id: u16) -> usize {
        let Some(session) = self.get_mut(at) else {
            return 0;
        };
        let (mut templates, mut fields) = (0_usize, 0_usize);
        let mut forget = |entry: &TemplateEntry| {
            templates = templates.saturating_add(1);
            fields = fields.saturating_add(entry.template.len());
        };
        if id == 2 || id == 3 {
            session.templates.retain(|_, entry| {
                let stays = entry.template.is_options() != (id == 3);
                if !stays {
                    forget(entry);
                }
                stays
            });
        } else if let Some(entry) = session.templates.remove(&id) {
            forget(&entry);
        }
        self.templates = self.templates.saturating_sub(templates);
        self.fields = self.fields.saturating_sub(fields);
        templates
    }

    // ------------ Sequence, options data --------------------------------------------------------

    /// Adds Data Records of a session.
    pub(crate) fn add_records(&mut self, at: Place, records: u32) {
        if let Some(session) = self.get_mut(at) {
            session.records = session.records.saturating_add(records.into());
        }
    }

    /// Takes the sequence number of a Message.
    pub(crate) fn on_message(
        &mut self,
        at: Place,
        message: MessageSequence,
        now_milliseconds: u64,
    ) -> (SequenceCounts, SequenceOutcome) {
        let Some(session) = self.get_mut(at) else {
            return (SequenceCounts::default(), SequenceOutcome::First);
        };
        let (counts, outcome) = session.sequence.on_message(message, now_milliseconds);
        session.counts.add(counts);
        if session.sequence.has_gaps() && !session.is_in_gaps {
            session.is_in_gaps = true;
            self.with_gaps.push(at);
        }
        (counts, outcome)
    }

    /// Counts expired gaps as losses.
    pub(crate) fn expire_gaps(&mut self, now_milliseconds: u64) -> SequenceCounts {
        let mut sum = SequenceCounts::default();
        let mut with_gaps = std::mem::take(&mut self.with_gaps);
        with_gaps.retain(|at| {
            let Some(session) = self.get_mut(*at).filter(|session| session.is_in_gaps) else {
                return false;
            };
            let counts = session.sequence.expire(now_milliseconds);
            session.counts.add(counts);
            sum.add(counts);
            session.is_in_gaps = session.sequence.has_gaps();
            session.is_in_gaps
        });
        self.with_gaps = with_gaps;
        sum
    }

    /// Takes the content of options records. Returns the number of entries without room.
    pub(crate) fn announce(&mut self, at: Place, announcements: Announcements) -> usize {
        let max_entries = self.limits.metadata_entries;
        let (mut entries, revision) = (self.metadata_entries, self.revision.wrapping_add(1));
        let Some(session) = self.get_mut(at) else {
            return 0;
        };
        let mut refused = 0_usize;
        for (selector, sampling) in announcements.sampling {
            let fits = session.samplers.announce(selector, sampling);
            refused = refused.saturating_add(usize::from(!fits));
        }
        for entry in announcements.metadata {
            let is_new = session.options_data.is_new(&entry);
            if session.options_data.is_name_taken(&entry) || is_new && entries >= max_entries {
                refused = refused.saturating_add(1);
                continue;
            }
            entries = entries.saturating_add(usize::from(is_new));
            session.options_data.insert(entry);
        }
        session.statistics.update(announcements.statistics);
        if announcements.system_init_milliseconds.is_some() {
            session.system_init_milliseconds = announcements.system_init_milliseconds;
        }
        let domain = &mut session.domain;
        let name = announcements.name;
        let is_renamed = name.is_some() && name != domain.observation_domain_name;
        let has_moved = announcements
            .address
            .is_some_and(|address| address != domain.exporter_address);
        if is_renamed || has_moved {
            domain.revision = revision;
            if is_renamed {
                domain.observation_domain_name = name;
            }
            domain.exporter_address = announcements.address.unwrap_or(domain.exporter_address);
            self.revision = revision;
        }
        self.metadata_entries = entries;
        refused
    }

    /// A report of each domain.
    pub(crate) fn reports(&self) -> impl Iterator<Item = DomainReport<'_>> {
        self.slab.iter().flatten().map(|session| DomainReport {
            exporter: session.key.domain.address,
            observation_domain_id: session.key.domain.observation_domain_id,
            version: session.key.domain.version,
            name: session.domain.observation_domain_name.as_deref(),
            records: session.records,
            convention: session.sequence.convention(),
            sequence: session.counts,
            statistics: session.statistics,
        })
    }
}
