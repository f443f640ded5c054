//! Transport Sessions: the templates, options data and sequence numbers of one exporter's observation
//! domain, bounded over all exporters.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::num::NonZeroUsize;

use lru::LruCache;

use super::sequence::{Sequence, Verdict};
use super::set::Header;
use super::{Domain, Message, Unusable, Version};
use crate::address::Address;
use crate::json::unsigned;
use crate::plan::{Samplers, announced_sampling};
use crate::record::Sampling;
use crate::template::{FieldSpecifier, Template, TemplateKind};

/// Fields of all templates together, at the most, of some 90 octets each: templates that are many and long
/// in every domain would fill the memory.
const MAX_FIELDS: usize = 1 << 21;

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

/// A Transport Session over UDP (RFC 7011 §10.3.2): the domain as heard from one source port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct SessionKey {
    domain: DomainKey,
    port: u16,
}

impl SessionKey {
    pub(super) fn new(exporter: SocketAddr, header: &Header) -> Self {
        Self {
            domain: DomainKey {
                address: exporter.ip().into(),
                observation_domain_id: header.observation_domain_id,
                version: header.version,
            },
            port: exporter.port(),
        }
    }
}

type Templates = HashMap<u16, Template, foldhash::fast::RandomState>;

#[derive(Debug)]
struct Session {
    key: SessionKey,
    templates: Templates,
    samplers: Samplers,
    /// 160 `systemInitTimeMilliseconds`.
    system_init_milliseconds: Option<u64>,
    domain: Domain,
    sequence: Sequence,
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
    slab: Vec<Session>,
    index: LruCache<SessionKey, usize>,
    lenders: HashMap<DomainKey, usize, foldhash::fast::RandomState>,
    /// The key looked up last, with its place: exporters send in bursts.
    latest: Option<(SessionKey, usize)>,
    max_templates: usize,
    templates: usize,
    /// Fields of those.
    fields: usize,
    revision: u32,
    /// Stands for a session that is not there, so that nothing has to fail.
    no_domain: Domain,
    no_samplers: Samplers,
}

impl Sessions {
    pub(super) fn new(max_sessions: usize, max_templates: usize) -> Self {
        Self {
            slab: Vec::new(),
            index: LruCache::new(NonZeroUsize::new(max_sessions).unwrap_or(NonZeroUsize::MIN)),
            lenders: HashMap::default(),
            latest: None,
            max_templates,
            templates: 0,
            fields: 0,
            revision: 0,
            no_domain: Domain::default(),
            no_samplers: Samplers::default(),
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.slab.len()
    }

    pub(super) const fn templates(&self) -> usize {
        self.templates
    }

    /// The session's place, made if need be. True where the session longest unheard was forgotten for it.
    pub(super) fn find(&mut self, key: SessionKey) -> (usize, bool) {
        if let Some((latest, at)) = self.latest
            && latest == key
        {
            return (at, false);
        }
        let (at, forgotten) = self.find_or_make(key);
        self.latest = Some((key, at));
        (at, forgotten)
    }

    fn find_or_make(&mut self, key: SessionKey) -> (usize, bool) {
        if let Some(at) = self.index.get(&key) {
            return (*at, false);
        }
        self.revision = self.revision.wrapping_add(1);
        let session = Session {
            key,
            templates: HashMap::default(),
            samplers: Samplers::default(),
            system_init_milliseconds: None,
            domain: Domain {
                revision: self.revision,
                ..Domain::default()
            },
            sequence: Sequence::default(),
        };
        let oldest = if self.index.len() == self.index.cap().get() {
            self.index.pop_lru()
        } else {
            None
        };
        match oldest.and_then(|(old, at)| Some((old, at, self.slab.get_mut(at)?))) {
            Some((old, at, place)) => {
                self.templates = self.templates.saturating_sub(place.templates.len());
                self.fields = self.fields.saturating_sub(fields(&place.templates));
                *place = session;
                if self.lenders.get(&old.domain) == Some(&at) {
                    self.lenders.remove(&old.domain);
                }
                self.index.put(key, at);
                (at, true)
            }
            None => {
                let at = self.slab.len();
                self.slab.push(session);
                self.index.put(key, at);
                (at, false)
            }
        }
    }

    /// The session whose templates and options data hold for this one: itself, or the one that it
    /// borrows from while it has no template of its own.
    fn lender(&self, at: usize) -> Option<(usize, &Session)> {
        let session = self.slab.get(at)?;
        if session.templates.is_empty()
            && let Some(lender) = self.lenders.get(&session.key.domain)
            && let Some(lending) = self.slab.get(*lender)
        {
            return Some((*lender, lending));
        }
        Some((at, session))
    }

    /// Whose template a Data Set of this session is to wait for.
    pub(super) fn scope(&self, at: usize) -> Scope {
        match self.slab.get(at) {
            Some(session) if session.templates.is_empty() => Scope::Domain(session.key.domain),
            _ => Scope::Session(at),
        }
    }

    /// Whose waiting Data Sets a template that this session learned may be for.
    pub(super) fn scopes(&self, at: usize) -> impl Iterator<Item = Scope> + use<> {
        let domain = self.slab.get(at).map(|s| Scope::Domain(s.key.domain));
        domain.into_iter().chain([Scope::Session(at)])
    }

    pub(super) fn template(&self, at: usize, id: u16) -> Option<&Template> {
        self.lender(at)?.1.templates.get(&id)
    }

    pub(super) fn samplers(&self, at: usize) -> &Samplers {
        self.lender(at)
            .map_or(&self.no_samplers, |(_, s)| &s.samplers)
    }

    pub(super) fn system_init(&self, at: usize) -> Option<u64> {
        self.lender(at)?.1.system_init_milliseconds
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

    pub(super) fn sequence(
        &mut self,
        at: usize,
        header: &Header,
        records: Option<(u32, u32)>,
    ) -> Verdict {
        self.slab.get_mut(at).map_or(Verdict::InOrder, |session| {
            session
                .sequence
                .heard(header.version, header.sequence, records)
        })
    }

    pub(super) fn define(
        &mut self,
        at: usize,
        id: u16,
        kind: TemplateKind,
        fields: &[FieldSpecifier],
    ) -> Result<Learned, Unusable> {
        let Some(session) = self.slab.get_mut(at) else {
            return Ok(Learned::Refreshed);
        };
        if session
            .templates
            .get(&id)
            .is_some_and(|known| known.is(fields, kind))
        {
            self.lenders.insert(session.key.domain, at);
            return Ok(Learned::Refreshed);
        }
        let template = Template::new(fields, kind).ok_or(Unusable::InvalidTemplate)?;
        let replaced = session.templates.get(&id).map(Template::len);
        let fields = self
            .fields
            .saturating_sub(replaced.unwrap_or_default())
            .saturating_add(template.len());
        let is_one_more = replaced.is_none() && session.templates.len() >= self.max_templates;
        if is_one_more || fields > MAX_FIELDS {
            return Err(Unusable::TooManyTemplates);
        }
        self.fields = fields;
        if session.templates.insert(id, template).is_none() {
            self.templates = self.templates.saturating_add(1);
        }
        self.lenders.insert(session.key.domain, at);
        Ok(Learned::New)
    }

    /// Forgets a template; all of the kind where `id` is the number of the Set (RFC 7011 §8.1).
    pub(super) fn withdraw(&mut self, at: usize, id: u16, options: bool) {
        let Some(session) = self.slab.get_mut(at) else {
            return;
        };
        let (mut templates, mut fields) = (0_usize, 0_usize);
        let mut forget = |template: &Template| {
            templates = templates.saturating_add(1);
            fields = fields.saturating_add(template.len());
        };
        if id == 2 || id == 3 {
            session.templates.retain(|_, template| {
                let stays = template.is_options() != options;
                if !stays {
                    forget(template);
                }
                stays
            });
        } else if let Some(template) = session.templates.remove(&id) {
            forget(&template);
        }
        self.templates = self.templates.saturating_sub(templates);
        self.fields = self.fields.saturating_sub(fields);
    }

    /// Takes note of what options records said.
    pub(super) fn announced(&mut self, at: usize, announced: Announced) {
        let Some(session) = self.slab.get_mut(at) else {
            return;
        };
        if let Some((selector, sampling)) = announced.sampling {
            session.samplers.announce(selector, sampling);
        }
        for (selector, sampling) in announced.more_sampling {
            session.samplers.announce(selector, sampling);
        }
        if announced.system_init_milliseconds.is_some() {
            session.system_init_milliseconds = announced.system_init_milliseconds;
        }
        let domain = &mut session.domain;
        let renamed = announced.name.is_some() && announced.name != domain.observation_domain_name;
        let moved = announced
            .address
            .is_some_and(|address| address != domain.exporter_address);
        if renamed || moved {
            self.revision = self.revision.wrapping_add(1);
            domain.revision = self.revision;
            if renamed {
                domain.observation_domain_name = announced.name;
            }
            domain.exporter_address = announced.address.unwrap_or(domain.exporter_address);
        }
    }
}

/// Fields of these templates.
fn fields(templates: &Templates) -> usize {
    templates.values().map(Template::len).sum()
}

/// What the options records of a Set said of their domain.
#[derive(Debug, Default)]
pub(super) struct Announced {
    name: Option<Box<str>>,
    address: Option<Address>,
    system_init_milliseconds: Option<u64>,
    sampling: Option<(Option<u64>, Sampling)>,
    /// Beyond the first: an exporter may list many samplers in one Set.
    more_sampling: Vec<(Option<u64>, Sampling)>,
}

impl Announced {
    /// Reads an options record of a Message of the domain `observation_domain_id`.
    pub(super) fn read(&mut self, template: &Template, octets: &[u8], observation_domain_id: u32) {
        let (mut name, mut address, mut init) = (None, None, None);
        for (specifier, value) in template.values(octets).filter(|(s, _)| s.enterprise == 0) {
            match (specifier.id, value.len()) {
                // The scope: what is said of another domain does not concern this one.
                (149, 1..=4) if unsigned(value) != u64::from(observation_domain_id) => return,
                (300, _) => name = text(value),
                (130, 4) => {
                    let bits = u32::try_from(unsigned(value)).unwrap_or_default();
                    address = Some(Address::from_v4_bits(bits)).filter(|_| bits != 0);
                }
                (131, 16) => {
                    let bits = value.try_into().map_or(0, u128::from_be_bytes);
                    address = Some(Address::from_v6_bits(bits))
                        .filter(|_| bits != 0)
                        .or(address);
                }
                (160, 1..=8) => init = Some(unsigned(value)),
                _ => {}
            }
        }
        self.name = name.or_else(|| self.name.take());
        self.address = address.or(self.address);
        self.system_init_milliseconds = init.or(self.system_init_milliseconds);
        if let Some(sampling) = announced_sampling(template.values(octets)) {
            match self.sampling {
                None => self.sampling = Some(sampling),
                Some(_) => self.more_sampling.push(sampling),
            }
        }
    }
}

/// The longest name that is kept, in octets.
const NAME_OCTETS: usize = 255;

fn text(value: &[u8]) -> Option<Box<str>> {
    let text = String::from_utf8_lossy(value.get(..NAME_OCTETS).unwrap_or(value));
    let text = text.trim_end_matches('\0');
    (!text.is_empty()).then(|| text.into())
}
