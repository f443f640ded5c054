//! What was learnt from earlier datagrams: templates, sampling and the sequence number of each session.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;

use lru::LruCache;

use super::Bounds;
use crate::plan::Samplers;
use crate::template::{FieldSpecifier, Template, TemplateKind};

/// Fields of all templates together, at the most.
const MAX_FIELDS: usize = 1 << 20;
/// A template that was not sent for so long has expired; what an exporter says then is new.
const LIFETIME_MILLISECONDS: u64 = 1_800_000;

/// Whose templates and sequence numbers: an Observation Domain as heard from one source port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct SessionKey {
    pub(super) exporter: SocketAddr,
    pub(super) domain: u32,
    pub(super) version: u16,
}

impl SessionKey {
    const fn domain_key(&self) -> DomainKey {
        (self.exporter.ip(), self.domain, self.version)
    }
}

type DomainKey = (IpAddr, u32, u16);

/// A template, and which datagram brought it.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) template: Template,
    /// Width of the longest name among its fields.
    pub(super) name_width: usize,
    defined_in: u64,
    refreshed_milliseconds: u64,
}

/// Where a Message stands in its sequence.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard {
    pub(super) sequence: u32,
    /// Data Records of it, and options records; `None` where a Set could not be read.
    pub(super) records: Option<(u32, u32)>,
}

#[derive(Debug, Default)]
pub(super) struct Session {
    templates: HashMap<u16, Known>,
    pub(super) samplers: Samplers,
    pub(super) system_init_milliseconds: Option<u64>,
    pub(super) heard: Option<Heard>,
    pub(super) sys_up_time: u32,
}

/// What came of a template.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Learned {
    New,
    Refreshed,
    /// It was another one, brought by the datagram of this number.
    Changed(u64),
    /// There is no room for it.
    NoRoom,
    /// Its records cannot be read.
    Unusable,
}

/// All sessions, within bounds.
#[derive(Debug)]
pub(super) struct Sessions {
    sessions: LruCache<SessionKey, Session>,
    /// Which session of a domain others borrow templates from: exporters change ports while they live.
    lenders: LruCache<DomainKey, SessionKey>,
    bounds: Bounds,
    fields: usize,
}

impl Sessions {
    pub(super) fn new(bounds: Bounds) -> Self {
        let domains = NonZeroUsize::new(bounds.domains).unwrap_or(NonZeroUsize::MIN);
        Self {
            sessions: LruCache::new(domains),
            lenders: LruCache::new(domains),
            bounds,
            fields: 0,
        }
    }

    /// The session, made if need be; the one longest silent goes for it.
    pub(super) fn get(&mut self, key: SessionKey) -> &mut Session {
        if !self.sessions.contains(&key)
            && let Some((_, gone)) = self.sessions.push(key, Session::default())
        {
            let fields: usize = gone.templates.values().map(|k| k.template.len()).sum();
            self.fields = self.fields.saturating_sub(fields);
        }
        self.sessions.get_or_insert_mut(key, Session::default)
    }

    /// The session whose templates and options data hold for this one.
    pub(super) fn lender(&self, key: SessionKey) -> Option<&Session> {
        let own = self.sessions.peek(&key)?;
        if own.templates.is_empty()
            && let Some(lender) = self.lenders.peek(&key.domain_key())
            && let Some(lending) = self.sessions.peek(lender)
        {
            return Some(lending);
        }
        Some(own)
    }

    pub(super) fn define(
        &mut self,
        key: SessionKey,
        id: u16,
        kind: TemplateKind,
        (fields, name_width): (&[FieldSpecifier], usize),
        (number, now): (u64, u64),
    ) -> Learned {
        let Some(template) = Template::new(fields, kind) else {
            return Learned::Unusable;
        };
        self.lenders.put(key.domain_key(), key);
        let (templates, room) = (self.bounds.templates_per_domain, MAX_FIELDS - self.fields);
        let session = self.get(key);
        let known = session.templates.get_mut(&id);
        if let Some(known) = known {
            let expired = now.saturating_sub(known.refreshed_milliseconds) > LIFETIME_MILLISECONDS;
            if known.template.is(fields, kind) {
                known.refreshed_milliseconds = now;
                return Learned::Refreshed;
            }
            if known.template.len() + room < template.len() {
                return Learned::NoRoom;
            }
            let (old, new) = (known.template.len(), template.len());
            let before = known.defined_in;
            *known = Known {
                template,
                name_width,
                defined_in: number,
                refreshed_milliseconds: now,
            };
            self.fields = self.fields.saturating_sub(old).saturating_add(new);
            return if expired {
                Learned::New
            } else {
                Learned::Changed(before)
            };
        }
        if session.templates.len() >= templates || template.len() > room {
            return Learned::NoRoom;
        }
        let new = template.len();
        session.templates.insert(
            id,
            Known {
                template,
                name_width,
                defined_in: number,
                refreshed_milliseconds: now,
            },
        );
        self.fields = self.fields.saturating_add(new);
        Learned::New
    }

    /// Forgets a template, or all of the kind where `id` is the Set's number; how many there were.
    pub(super) fn withdraw(&mut self, key: SessionKey, id: u16, options: bool) -> usize {
        let session = self.get(key);
        let (mut gone, mut fields) = (0, 0);
        session.templates.retain(|known_id, known| {
            let all = id < 256 && known.template.is_options() == options;
            let stays = !all && *known_id != id;
            if !stays {
                gone += 1;
                fields += known.template.len();
            }
            stays
        });
        self.fields = self.fields.saturating_sub(fields);
        gone
    }
}

impl Session {
    pub(super) fn template(&self, id: u16) -> Option<&Known> {
        self.templates.get(&id)
    }
}
