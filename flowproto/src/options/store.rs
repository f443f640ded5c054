//! All options data of one device.

use std::collections::HashMap;

use super::announced::{Announced, AnnouncementOrigin, Announcer, Candidate, Resolved};
use super::metadata::ElementType;
use crate::address::Address;
use crate::plan::Selection;

/// What a sampler applies to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum SamplerScope {
    /// Records that name this selector (302, 48).
    Selector(u64),
    /// Records that name this selection sequence (301).
    Sequence(u64),
    /// Records of this interface (10, 14).
    Interface(u32),
    /// Records of this line card (141).
    LineCard(u64),
    /// Records of this port (142).
    Port(u64),
    /// Records of this Observation Point (138).
    ObservationPoint(u64),
    /// Records of this template (145).
    Template(u16),
    /// All records of the domain, or of the device.
    Domain,
}

/// What is announced.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Content {
    DomainName(Box<str>),
    ExporterAddress(Address),
    /// 160 `systemInitTimeMilliseconds`.
    SystemInit(u64),
    Sampler(SamplerScope, Selection),
    /// The selectors of a selection sequence.
    Sequence(u64, Box<[u64]>),
    Interface(u32, Box<str>),
    Application(Box<[u8]>, Box<str>),
    Type((u32, u16), ElementType),
}

/// Maximum number of selectors of a device: all of them are compared.
const MAX_SELECTORS: usize = 256;

/// All options data of one device.
#[derive(Debug)]
pub(crate) struct OptionsStore {
    domain_names: Announced<(), Box<str>>,
    exporter_addresses: Announced<(), Address>,
    system_init: Announced<(), u64>,
    /// By selector, and by everything else.
    selectors: Announced<u64, Selection>,
    samplers: Announced<SamplerScope, Selection>,
    sequences: Announced<u64, Box<[u64]>>,
    interfaces: Announced<u32, Box<str>>,
    applications: Announced<Box<[u8]>, Box<str>>,
    types: Announced<(u32, u16), ElementType>,
    /// Element by name: the first one that was described with it.
    type_names: HashMap<Box<str>, (u32, u16), foldhash::fast::RandomState>,
    /// Changes whenever a name or address of a domain does.
    domains_version: u64,
    /// Changes whenever a sampler does.
    samplers_version: u64,
}

impl Default for OptionsStore {
    fn default() -> Self {
        Self {
            domain_names: Announced::of_each(),
            exporter_addresses: Announced::of_each(),
            system_init: Announced::of_each(),
            selectors: Announced::of_each(),
            samplers: Announced::of_each(),
            sequences: Announced::of_each(),
            interfaces: Announced::of_all(),
            applications: Announced::of_all(),
            types: Announced::of_all(),
            type_names: HashMap::default(),
            domains_version: 1,
            samplers_version: 1,
        }
    }
}

impl OptionsStore {
    /// Number of values.
    pub(crate) fn len(&self) -> usize {
        let names = self.domain_names.len().saturating_add(self.types.len());
        names
            .saturating_add(self.exporter_addresses.len())
            .saturating_add(self.system_init.len())
            .saturating_add(self.selectors.len())
            .saturating_add(self.samplers.len())
            .saturating_add(self.sequences.len())
            .saturating_add(self.interfaces.len())
            .saturating_add(self.applications.len())
    }

    pub(crate) const fn domains_version(&self) -> u64 {
        self.domains_version
    }

    pub(crate) const fn samplers_version(&self) -> u64 {
        self.samplers_version
    }

    /// Whether the announcement would add one more value.
    pub(crate) fn is_new(&self, by: AnnouncementOrigin, content: &Content) -> bool {
        match content {
            Content::DomainName(name) => self.domain_names.is_new(&(), by, name),
            Content::ExporterAddress(address) => self.exporter_addresses.is_new(&(), by, address),
            Content::SystemInit(time) => self.system_init.is_new(&(), by, time),
            Content::Sampler(SamplerScope::Selector(id), selection) => {
                self.selectors.is_new(id, by, selection)
            }
            Content::Sampler(scope, selection) => self.samplers.is_new(scope, by, selection),
            Content::Sequence(id, selectors) => self.sequences.is_new(id, by, selectors),
            Content::Interface(id, name) => self.interfaces.is_new(id, by, name),
            Content::Application(id, name) => self.applications.is_new(id, by, name),
            Content::Type(id, element) => self.types.is_new(id, by, element),
        }
    }

    /// Whether there is no room for one more value of its kind.
    pub(crate) const fn is_full(&self, content: &Content) -> bool {
        match content {
            Content::Sampler(SamplerScope::Selector(_), _) => self.selectors.len() >= MAX_SELECTORS,
            _ => false,
        }
    }

    /// Whether another element has the name of a described one, so that a JSON object of both would
    /// have it twice.
    pub(crate) fn is_name_taken(&self, content: &Content) -> bool {
        let Content::Type(id, element) = content else {
            return false;
        };
        let owner = self.type_names.get(&element.name);
        owner.is_some_and(|owner| owner != id)
    }

    /// Keeps an announcement.
    pub(crate) fn announce(&mut self, by: AnnouncementOrigin, content: Content) {
        match content {
            Content::DomainName(name) => {
                let has_changed = self.domain_names.announce((), by, name);
                self.domains_version = self.domains_version.wrapping_add(has_changed.into());
            }
            Content::ExporterAddress(address) => {
                let addresses = &mut self.exporter_addresses;
                let has_changed = addresses.announce((), by, address);
                self.domains_version = self.domains_version.wrapping_add(has_changed.into());
            }
            Content::SystemInit(time) => {
                self.system_init.announce((), by, time);
            }
            Content::Sampler(scope, selection) => {
                let has_changed = match scope {
                    SamplerScope::Selector(id) => self.selectors.announce(id, by, selection),
                    scope => self.samplers.announce(scope, by, selection),
                };
                self.samplers_version = self.samplers_version.wrapping_add(has_changed.into());
            }
            Content::Sequence(id, selectors) => {
                self.sequences.announce(id, by, selectors);
            }
            Content::Interface(id, name) => {
                self.interfaces.announce(id, by, name);
            }
            Content::Application(id, name) => {
                self.applications.announce(id, by, name);
            }
            Content::Type(id, element) => self.announce_type(id, by, element),
        }
    }

    /// Keeps the type of an element, and its name for that element. An element has its names alone,
    /// so one that none of its announcements has any more is free.
    fn announce_type(&mut self, id: (u32, u16), by: AnnouncementOrigin, element: ElementType) {
        let name = element.name.clone();
        let others = self.types.candidates(&id).map(|known| &known.value.name);
        let others: Vec<_> = others.filter(|other| **other != name).cloned().collect();
        self.types.announce(id, by, element);
        for other in others {
            let mut names = self.types.candidates(&id).map(|known| &known.value.name);
            if !names.any(|name| *name == other) {
                self.type_names.remove(&other);
            }
        }
        self.type_names.insert(name, id);
    }

    /// Forgets what sessions have announced, and returns the number of values.
    pub(crate) fn forget(&mut self, mut is_gone: impl FnMut(Announcer) -> bool) -> usize {
        self.domains_version = self.domains_version.wrapping_add(1);
        self.samplers_version = self.samplers_version.wrapping_add(1);
        let mut values = self.domain_names.retain(|_, by| !is_gone(by));
        for dropped in [
            self.exporter_addresses.retain(|_, by| !is_gone(by)),
            self.system_init.retain(|_, by| !is_gone(by)),
            self.selectors.retain(|_, by| !is_gone(by)),
            self.samplers.retain(|_, by| !is_gone(by)),
            self.sequences.retain(|_, by| !is_gone(by)),
            self.interfaces.retain(|_, by| !is_gone(by)),
            self.applications.retain(|_, by| !is_gone(by)),
            self.types.retain(|_, by| !is_gone(by)),
        ] {
            values = values.saturating_add(dropped);
        }
        let described = self.types.iter();
        let names = described.map(|(id, described)| (described.value.name.clone(), *id));
        self.type_names = names.collect();
        values
    }

    //------------ Look-ups for a session --------------------------------------------------------

    pub(crate) fn domain_name(&self, asking: Announcer) -> Option<&str> {
        let name = self.domain_names.get(&(), asking).known()?;
        Some(name)
    }

    pub(crate) fn exporter_address(&self, asking: Announcer) -> Option<Address> {
        self.exporter_addresses.get(&(), asking).known().copied()
    }

    pub(crate) fn system_init(&self, asking: Announcer) -> Option<u64> {
        self.system_init.get(&(), asking).known().copied()
    }

    pub(crate) fn interface(&self, id: u32, asking: Announcer) -> Option<&str> {
        self.interfaces.get(&id, asking).known().map(|name| &**name)
    }

    pub(crate) fn application(&self, id: &[u8], asking: Announcer) -> Option<&str> {
        self.applications
            .get(id, asking)
            .known()
            .map(|name| &**name)
    }

    pub(crate) fn type_of(&self, id: (u32, u16), asking: Announcer) -> Option<&ElementType> {
        self.types.get(&id, asking).known()
    }

    pub(crate) fn sampler(&self, scope: SamplerScope, asking: Announcer) -> Resolved<Selection> {
        let resolved = match scope {
            SamplerScope::Selector(id) => self.selectors.get(&id, asking),
            scope => self.samplers.get(&scope, asking),
        };
        match resolved {
            Resolved::Known(selection) => Resolved::Known(*selection),
            Resolved::Ambiguous => Resolved::Ambiguous,
            Resolved::Unknown => Resolved::Unknown,
        }
    }

    pub(crate) fn sequence(&self, id: u64, asking: Announcer) -> Option<&[u64]> {
        self.sequences.get(&id, asking).known().map(|ids| &**ids)
    }

    pub(crate) const fn has_samplers(&self) -> bool {
        self.selectors.len() > 0 || self.samplers.len() > 0
    }

    /// Whether samplers without a selector are announced for templates and domains only. False if
    /// there are many.
    pub(crate) fn are_samplers_of_domain(&self) -> bool {
        const MANY: usize = 8;
        let mut scopes = self.samplers.iter().map(|(scope, _)| scope);
        let is_of_domain = |scope: &SamplerScope| {
            matches!(scope, SamplerScope::Template(_) | SamplerScope::Domain)
        };
        self.samplers.len() < MANY && scopes.all(is_of_domain)
    }

    /// The sampling in which all selectors of the domain agree.
    pub(crate) fn all_selectors(&self, asking: Announcer) -> Resolved<Selection> {
        let mut agreed = Resolved::Unknown;
        for (id, selector) in self.selectors.iter() {
            if selector.origin.announcer.domain != asking.domain {
                continue;
            }
            let selection = match self.sampler(SamplerScope::Selector(*id), asking) {
                Resolved::Known(selection) => selection,
                Resolved::Ambiguous => return Resolved::Ambiguous,
                Resolved::Unknown => continue,
            };
            match agreed {
                Resolved::Known(other) if other != selection => return Resolved::Ambiguous,
                _ => agreed = Resolved::Known(selection),
            }
        }
        agreed
    }

    /// All announcements.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Candidate<Content>> {
        fn all<'a, K, V>(
            values: &'a Announced<K, V>,
            content: impl Fn(&K, &V) -> Content + 'a,
        ) -> impl Iterator<Item = Candidate<Content>> + 'a
        where
            K: Eq + std::hash::Hash,
            V: PartialEq,
        {
            let values = values.iter();
            values.map(move |(key, candidate)| Candidate {
                origin: candidate.origin,
                value: content(key, &candidate.value),
                is_superseded: candidate.is_superseded,
            })
        }
        let names = all(&self.domain_names, |(), name| {
            Content::DomainName(name.clone())
        });
        names
            .chain(all(&self.exporter_addresses, |(), address| {
                Content::ExporterAddress(*address)
            }))
            .chain(all(&self.system_init, |(), time| {
                Content::SystemInit(*time)
            }))
            .chain(all(&self.selectors, |id, selection| {
                Content::Sampler(SamplerScope::Selector(*id), *selection)
            }))
            .chain(all(&self.samplers, |scope, selection| {
                Content::Sampler(*scope, *selection)
            }))
            .chain(all(&self.sequences, |id, ids| {
                Content::Sequence(*id, ids.clone())
            }))
            .chain(all(&self.interfaces, |id, name| {
                Content::Interface(*id, name.clone())
            }))
            .chain(all(&self.applications, |id, name| {
                Content::Application(id.clone(), name.clone())
            }))
            .chain(all(&self.types, |id, element| {
                Content::Type(*id, element.clone())
            }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::element::DataType;

    #[test]
    fn a_name_that_is_no_longer_announced_is_free_for_another_element() {
        let mut store = OptionsStore::default();
        let by = |session| AnnouncementOrigin {
            announcer: Announcer { domain: 7, session },
            of_device: true,
        };
        let described = |id, name: &str| {
            let element = ElementType {
                name: name.into(),
                data_type: DataType::Unsigned,
            };
            Content::Type((29999, id), element)
        };
        store.announce(by(0), described(1, "first"));
        assert!(store.is_name_taken(&described(2, "first")));
        store.announce(by(0), described(1, "second"));
        assert!(!store.is_name_taken(&described(2, "first")));
        assert!(store.is_name_taken(&described(2, "second")));
        // More announcers than are kept.
        for session in 1..100 {
            store.announce(by(session), described(1, &format!("name {session}")));
        }
        assert!(!store.is_name_taken(&described(2, "name 1")));
        assert!(store.is_name_taken(&described(2, "name 99")));
        assert_eq!(store.type_names.len(), store.types.len());
    }
}
