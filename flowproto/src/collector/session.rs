//! Transport Sessions: the templates, options data and sequence numbers of one exporter's observation
//! domain, bounded over all exporters.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;

use lru::LruCache;

use super::options::Announced;
use super::report::{DomainReport, Statistics};
use super::sequence::{Heard, Sequence, SequenceCounts};
use super::set::Header;
use super::{Domain, Limits, Message, Unusable, Version};
use crate::address::Address;
use crate::plan::Samplers;
use crate::template::{FieldSpecifier, Template, TemplateKind};
use crate::vocabulary::{Templates, Vocabulary};

/// Fields of all templates together, at the most, of some 90 octets each: templates that are many and long
/// in every domain would fill the memory.
const MAX_FIELDS: usize = 1 << 21;
/// Sessions looked through for idle templates at a time, so that many of them hold nobody up.
const SWEPT: usize = 64;

/// An observation domain of an exporter: who may share templates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct DomainKey {
    address: Address,
    observation_domain_id: u32,
    version: Version,
}

/// Whose template a Data Set waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Scope {
    /// That of a session, by its place: it has templates of its own.
    Session(usize),
    /// That of any session of the domain: the Set came from a port that had sent no template.
    Domain(DomainKey),
}

/// Where a Message came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) exporter: SocketAddr,
    /// The connection that it came over; 0 for datagrams.
    pub(super) connection: u64,
}

/// A Transport Session's share of a domain: over UDP the domain as heard from one source port (RFC 7011
/// §10.3.2), else as heard over one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct SessionKey {
    domain: DomainKey,
    port: u16,
    connection: u64,
}

impl SessionKey {
    pub(super) fn new(origin: Origin, header: &Header) -> Self {
        Self {
            domain: DomainKey {
                address: origin.exporter.ip().into(),
                observation_domain_id: header.observation_domain_id,
                version: header.version,
            },
            port: origin.exporter.port(),
            connection: origin.connection,
        }
    }
}

#[derive(Debug)]
struct Session {
    key: SessionKey,
    vocabulary: Vocabulary,
    samplers: Samplers,
    /// 160 `systemInitTimeMilliseconds`.
    system_init_milliseconds: Option<u64>,
    domain: Domain,
    sequence: Sequence,
    told: SequenceCounts,
    statistics: Statistics,
    records: u64,
    /// When a Message of it came last, milliseconds since the epoch.
    heard_milliseconds: u64,
    /// It is in [`Sessions::gapped`].
    is_gapped: bool,
}

impl Session {
    fn new(key: SessionKey, revision: u32) -> Self {
        Self {
            key,
            vocabulary: Vocabulary::default(),
            samplers: Samplers::default(),
            system_init_milliseconds: None,
            domain: Domain {
                revision,
                ..Domain::default()
            },
            sequence: Sequence::new(key.domain.version),
            told: SequenceCounts::default(),
            statistics: Statistics::default(),
            records: 0,
            heard_milliseconds: 0,
            is_gapped: false,
        }
    }
}

/// What came of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Learned {
    /// New, or another than before.
    New,
    /// As known.
    Refreshed,
}

/// All sessions: a slab, an index in order of last use, and which session of a domain others borrow
/// templates from.
#[derive(Debug)]
pub(super) struct Sessions {
    slab: Vec<Option<Session>>,
    vacant: Vec<usize>,
    index: LruCache<SessionKey, usize>,
    lenders: HashMap<DomainKey, usize, foldhash::fast::RandomState>,
    /// Places of the sessions of a connection.
    connections: HashMap<u64, Vec<usize>, foldhash::fast::RandomState>,
    /// The key looked up last, with its place: exporters send in bursts.
    latest: Option<(SessionKey, usize)>,
    /// Sessions with gaps in their sequence that may be filled yet.
    gapped: Vec<usize>,
    /// Where the next sweep for idle templates begins.
    sweep: usize,
    limits: Limits,
    templates: usize,
    /// Fields of those.
    fields: usize,
    words: usize,
    revision: u32,
    /// Stands for a session that is not there, so that nothing has to fail.
    no_domain: Domain,
    no_samplers: Samplers,
    no_vocabulary: Vocabulary,
}

impl Sessions {
    pub(super) fn new(limits: Limits) -> Self {
        let bound = NonZeroUsize::new(limits.domains).unwrap_or(NonZeroUsize::MIN);
        Self {
            slab: Vec::new(),
            vacant: Vec::new(),
            index: LruCache::new(bound),
            lenders: HashMap::default(),
            connections: HashMap::default(),
            latest: None,
            gapped: Vec::new(),
            sweep: 0,
            limits,
            templates: 0,
            fields: 0,
            words: 0,
            revision: 0,
            no_domain: Domain::default(),
            no_samplers: Samplers::default(),
            no_vocabulary: Vocabulary::default(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    pub(super) const fn templates(&self) -> usize {
        self.templates
    }

    pub(super) const fn words(&self) -> usize {
        self.words
    }

    fn get(&self, at: usize) -> Option<&Session> {
        self.slab.get(at)?.as_ref()
    }

    fn get_mut(&mut self, at: usize) -> Option<&mut Session> {
        self.slab.get_mut(at)?.as_mut()
    }

    //------------ Sessions come and go ----------------------------------------------------------

    /// The place of the session that a Message came in, made if need be, and the place of the session
    /// longest unheard, if that one must be forgotten first.
    pub(super) fn find(&mut self, key: SessionKey, now_milliseconds: u64) -> Found {
        let found = match self.latest {
            Some((latest, at)) if latest == key => Found::Known(at),
            _ => match self.index.get(&key).copied() {
                Some(at) => Found::Known(at),
                None if self.index.len() >= self.index.cap().get() => {
                    return self
                        .index
                        .peek_lru()
                        .map_or(Found::Full(0), |(_, at)| Found::Full(*at));
                }
                None => Found::Known(self.make(key)),
            },
        };
        let Found::Known(at) = found else {
            return found;
        };
        self.latest = Some((key, at));
        let mut lender = None;
        if let Some(session) = self.get_mut(at) {
            session.heard_milliseconds = now_milliseconds;
            if session.vocabulary.templates.is_empty() {
                lender = Some(session.key.domain);
            }
        }
        // Who lends its templates is needed, silent or not.
        if let Some(lender) = lender.and_then(|domain| self.lenders.get(&domain).copied())
            && lender != at
            && let Some(lending) = self.get_mut(lender)
        {
            lending.heard_milliseconds = now_milliseconds;
            let lending = lending.key;
            self.index.promote(&lending);
            self.index.promote(&key);
        }
        found
    }

    fn make(&mut self, key: SessionKey) -> usize {
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

    /// Forgets a session; its templates, how many, and what gaps in its sequence were left.
    pub(super) fn forget(&mut self, at: usize) -> Option<(usize, SequenceCounts)> {
        let mut session = self.slab.get_mut(at)?.take()?;
        let key = session.key;
        self.vacant.push(at);
        self.index.pop(&key);
        self.latest = None;
        if self.lenders.get(&key.domain) == Some(&at) {
            self.lenders.remove(&key.domain);
        }
        if let Some(places) = self.connections.get_mut(&key.connection) {
            places.retain(|place| *place != at);
            if places.is_empty() {
                self.connections.remove(&key.connection);
            }
        }
        let vocabulary = &session.vocabulary;
        let templates = vocabulary.templates.len();
        self.templates = self.templates.saturating_sub(templates);
        self.fields = self.fields.saturating_sub(fields(&vocabulary.templates));
        self.words = self.words.saturating_sub(vocabulary.words());
        Some((templates, session.sequence.expire(u64::MAX)))
    }

    /// A session of a connection, if it has one.
    pub(super) fn of_connection(&self, connection: u64) -> Option<usize> {
        self.connections.get(&connection)?.last().copied()
    }

    /// The session longest unheard, if that is too long.
    pub(super) fn idle(&self, now_milliseconds: u64) -> Option<usize> {
        let (_, at) = self.index.peek_lru()?;
        let heard = self.get(*at)?.heard_milliseconds;
        let silent = now_milliseconds.saturating_sub(heard);
        (silent > self.limits.idle_milliseconds).then_some(*at)
    }

    /// Looks through some of the sessions for templates that were neither sent nor used for too long and
    /// forgets them; how many.
    pub(super) fn sweep(&mut self, now_milliseconds: u64) -> usize {
        let idle = self.limits.idle_milliseconds;
        let (mut templates, mut fields) = (0_usize, 0_usize);
        let places = self.slab.len();
        for _ in 0..SWEPT.min(places) {
            self.sweep = self
                .sweep
                .checked_add(1)
                .filter(|at| *at < places)
                .unwrap_or(0);
            let at = self.sweep;
            let Some(session) = self.get_mut(at) else {
                continue;
            };
            session.vocabulary.templates.retain(|_, template| {
                let since = now_milliseconds.saturating_sub(template.touched_milliseconds());
                if since > idle {
                    templates = templates.saturating_add(1);
                    fields = fields.saturating_add(template.len());
                }
                since <= idle
            });
        }
        self.templates = self.templates.saturating_sub(templates);
        self.fields = self.fields.saturating_sub(fields);
        templates
    }

    //------------ Templates ---------------------------------------------------------------------

    /// The session whose templates and options data hold for this one: itself, or, over UDP, the one
    /// that it borrows from while it has no template of its own.
    fn lender(&self, at: usize) -> Option<(usize, &Session)> {
        let session = self.get(at)?;
        if session.vocabulary.templates.is_empty()
            && session.key.connection == 0
            && let Some(lender) = self.lenders.get(&session.key.domain)
            && let Some(lending) = self.get(*lender)
        {
            return Some((*lender, lending));
        }
        Some((at, session))
    }

    /// Whose template a Data Set of this session is to wait for.
    pub(super) fn scope(&self, at: usize) -> Scope {
        match self.get(at) {
            Some(session)
                if session.vocabulary.templates.is_empty() && session.key.connection == 0 =>
            {
                Scope::Domain(session.key.domain)
            }
            _ => Scope::Session(at),
        }
    }

    /// Whose waiting Data Sets a template that this session learned may be for.
    pub(super) fn scopes(&self, at: usize) -> impl Iterator<Item = Scope> + use<> {
        let session = self.get(at).filter(|s| s.key.connection == 0);
        let domain = session.map(|s| Scope::Domain(s.key.domain));
        domain.into_iter().chain([Scope::Session(at)])
    }

    pub(super) fn template(&self, at: usize, id: u16) -> Option<&Template> {
        let templates = &self.lender(at)?.1.vocabulary.templates;
        templates.get(&id).map(AsRef::as_ref)
    }

    /// A template and what its exporter said besides.
    pub(super) fn template_in(&self, at: usize, id: u16) -> Option<(&Arc<Template>, &Vocabulary)> {
        let vocabulary = &self.lender(at)?.1.vocabulary;
        Some((vocabulary.templates.get(&id)?, vocabulary))
    }

    /// What a session's exporter said besides its records, if the session is still the one of that revision.
    pub(super) fn vocabulary(&self, at: usize, revision: u32) -> &Vocabulary {
        let session = self.get(at).filter(|s| s.domain.revision == revision);
        session.map_or(&self.no_vocabulary, |s| &s.vocabulary)
    }

    pub(super) fn samplers(&self, at: usize) -> &Samplers {
        self.lender(at)
            .map_or(&self.no_samplers, |(_, s)| &s.samplers)
    }

    pub(super) fn system_init(&self, at: usize) -> Option<u64> {
        self.lender(at)?.1.system_init_milliseconds
    }

    pub(super) fn domain_key(&self, at: usize) -> Option<DomainKey> {
        Some(self.get(at)?.key.domain)
    }

    pub(super) fn describe(&self, at: usize, exporter: SocketAddr, header: &Header) -> Message<'_> {
        let (domain_index, domain) = self
            .lender(at)
            .map_or((at, &self.no_domain), |(index, s)| (index, &s.domain));
        Message {
            exporter: SocketAddr::new(exporter.ip().to_canonical(), exporter.port()),
            version: header.version,
            observation_domain_id: header.observation_domain_id,
            export_time_milliseconds: header.export_time_milliseconds,
            domain_index,
            domain,
        }
    }

    pub(super) fn define(
        &mut self,
        at: usize,
        id: u16,
        kind: TemplateKind,
        fields: &[FieldSpecifier],
        now_milliseconds: u64,
    ) -> Result<Learned, Unusable> {
        let max_templates = self.limits.templates_per_domain;
        let all_fields = self.fields;
        let Some(session) = self.get_mut(at) else {
            return Ok(Learned::Refreshed);
        };
        let domain = session.key.domain;
        let lends = session.key.connection == 0;
        let templates = &mut session.vocabulary.templates;
        let mut outcome = Learned::Refreshed;
        match templates.get(&id).filter(|known| known.is(fields, kind)) {
            Some(known) => known.touch(now_milliseconds),
            None => {
                let template = Template::new(fields, kind).ok_or(Unusable::InvalidTemplate)?;
                let replaced = templates.get(&id).map(|template| template.len());
                let fields = all_fields
                    .saturating_sub(replaced.unwrap_or_default())
                    .saturating_add(template.len());
                let is_one_more = replaced.is_none() && templates.len() >= max_templates;
                if is_one_more || fields > MAX_FIELDS {
                    return Err(Unusable::TooManyTemplates);
                }
                template.touch(now_milliseconds);
                let is_new = templates.insert(id, Arc::new(template)).is_none();
                self.fields = fields;
                self.templates = self.templates.saturating_add(usize::from(is_new));
                outcome = Learned::New;
            }
        }
        if lends {
            self.lenders.insert(domain, at);
        }
        Ok(outcome)
    }

    /// Forgets a template; all of the kind where `id` is the number of the Set (RFC 7011 §8.1). How many.
    pub(super) fn withdraw(&mut self, at: usize, id: u16, options: bool) -> usize {
        let Some(session) = self.get_mut(at) else {
            return 0;
        };
        let known = &mut session.vocabulary.templates;
        let (mut templates, mut fields) = (0_usize, 0_usize);
        let mut forget = |template: &Template| {
            templates = templates.saturating_add(1);
            fields = fields.saturating_add(template.len());
        };
        if id == 2 || id == 3 {
            known.retain(|_, template| {
                let stays = template.is_options() != options;
                if !stays {
                    forget(template);
                }
                stays
            });
        } else if let Some(template) = known.remove(&id) {
            forget(&template);
        }
        self.templates = self.templates.saturating_sub(templates);
        self.fields = self.fields.saturating_sub(fields);
        templates
    }

    //------------ Sequence, options data --------------------------------------------------------

    /// Takes note of so many Data Records of a session.
    pub(super) fn brought(&mut self, at: usize, records: u32) {
        if let Some(session) = self.get_mut(at) {
            session.records = session.records.saturating_add(records.into());
        }
    }

    /// Takes note of a Message's sequence number.
    pub(super) fn heard(
        &mut self,
        at: usize,
        heard: Heard,
        now_milliseconds: u64,
    ) -> SequenceCounts {
        let Some(session) = self.get_mut(at) else {
            return SequenceCounts::default();
        };
        let told = session.sequence.heard(heard, now_milliseconds);
        session.told.add(told);
        if session.sequence.has_gaps() && !session.is_gapped {
            session.is_gapped = true;
            self.gapped.push(at);
        }
        told
    }

    /// Gaps that nobody waits for any longer.
    pub(super) fn expire_gaps(&mut self, now_milliseconds: u64) -> SequenceCounts {
        let mut sum = SequenceCounts::default();
        let mut gapped = std::mem::take(&mut self.gapped);
        gapped.retain(|at| {
            let Some(session) = self.get_mut(*at).filter(|session| session.is_gapped) else {
                return false;
            };
            let told = session.sequence.expire(now_milliseconds);
            session.told.add(told);
            sum.add(told);
            session.is_gapped = session.sequence.has_gaps();
            session.is_gapped
        });
        self.gapped = gapped;
        sum
    }

    /// Takes note of what options records said; how much of it there was no room for.
    pub(super) fn announced(&mut self, at: usize, announced: Announced) -> usize {
        let max_words = self.limits.words;
        let (mut words, revision) = (self.words, self.revision.wrapping_add(1));
        let Some(session) = self.get_mut(at) else {
            return 0;
        };
        let mut refused = 0_usize;
        for (selector, sampling) in announced.sampling {
            let fits = session.samplers.announce(selector, sampling);
            refused = refused.saturating_add(usize::from(!fits));
        }
        for word in announced.words {
            let is_new = session.vocabulary.is_new(&word);
            if session.vocabulary.is_taken(&word) || is_new && words >= max_words {
                refused = refused.saturating_add(1);
                continue;
            }
            words = words.saturating_add(usize::from(is_new));
            session.vocabulary.learn(word);
        }
        session.statistics.add(announced.statistics);
        if announced.system_init_milliseconds.is_some() {
            session.system_init_milliseconds = announced.system_init_milliseconds;
        }
        let domain = &mut session.domain;
        let renamed = announced.name.is_some() && announced.name != domain.observation_domain_name;
        let moved = announced
            .address
            .is_some_and(|address| address != domain.exporter_address);
        if renamed || moved {
            domain.revision = revision;
            if renamed {
                domain.observation_domain_name = announced.name;
            }
            domain.exporter_address = announced.address.unwrap_or(domain.exporter_address);
            self.revision = revision;
        }
        self.words = words;
        refused
    }

    /// What is known of each domain.
    pub(super) fn reports(&self) -> impl Iterator<Item = DomainReport<'_>> {
        self.slab.iter().flatten().map(|session| DomainReport {
            exporter: session.key.domain.address,
            observation_domain_id: session.key.domain.observation_domain_id,
            version: session.key.domain.version,
            name: session.domain.observation_domain_name.as_deref(),
            records: session.records,
            convention: session.sequence.convention(),
            sequence: session.told,
            statistics: session.statistics,
        })
    }
}

/// What a look for a session found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Its place.
    Known(usize),
    /// It is new, and there is room only in place of the session here.
    Full(usize),
}

/// Fields of these templates.
fn fields(templates: &Templates) -> usize {
    templates.values().map(|template| template.len()).sum()
}
