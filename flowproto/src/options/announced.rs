//! Announced values, by what they are about, with who announced them.
//!
//! An exporter may announce options data from another UDP port, or under another Source ID, than
//! those of its flows. Several exporters may share an address. So each value is kept with its
//! announcer, once for the announcer's domain and once for the device. What a session announced
//! itself holds for it; otherwise what its domain announced, then what another domain announced for
//! the device, each only if it is unambiguous.

use std::collections::HashMap;
use std::hash::Hash;

/// Maximum number of values for the same thing; for one more, the one announced first is dropped.
const MAX_CANDIDATES: usize = 16;

/// Who announces, or who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Announcer {
    /// Observation Domain ID or Source ID.
    pub(crate) domain: u32,
    /// Number of the session, never reused.
    pub(crate) session: u64,
}

/// Who announced a value, and where it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AnnouncementOrigin {
    pub(crate) announcer: Announcer,
    /// It holds for other domains of the device too.
    pub(crate) of_device: bool,
}

impl AnnouncementOrigin {
    /// Whether the other one is of the same domain, and holds in the same place.
    const fn is_of_same_domain(self, other: Self) -> bool {
        self.announcer.domain == other.announcer.domain && self.of_device == other.of_device
    }
}

/// An announced value.
#[derive(Clone, Debug)]
pub(crate) struct Candidate<V> {
    pub(crate) origin: AnnouncementOrigin,
    pub(crate) value: V,
    /// Another session of the domain has announced another value since, and this one was not
    /// repeated.
    pub(crate) is_superseded: bool,
}

/// A looked-up value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resolved<V> {
    /// It was not announced.
    Unknown,
    /// Different values were announced.
    Ambiguous,
    /// It holds.
    Known(V),
}

impl<V> Resolved<V> {
    pub(crate) fn known(self) -> Option<V> {
        match self {
            Self::Known(value) => Some(value),
            _ => None,
        }
    }
}

/// Values by key.
#[derive(Clone, Debug)]
pub(crate) struct Announced<K, V> {
    entries: HashMap<K, Vec<Candidate<V>>, foldhash::fast::RandomState>,
    values: usize,
    /// Whether each announcer's value is kept even if another one has announced the same.
    keeps_all: bool,
}

impl<K: Eq + Hash, V: PartialEq> Announced<K, V> {
    /// Keeps the value of each announcer.
    pub(crate) fn of_each() -> Self {
        Self {
            entries: HashMap::default(),
            values: 0,
            keeps_all: true,
        }
    }

    /// Keeps a value once while all of a domain agree. An exporter of many ports costs no more than
    /// one of one port.
    pub(crate) fn of_all() -> Self {
        Self {
            keeps_all: false,
            ..Self::of_each()
        }
    }

    /// Number of values.
    pub(crate) const fn len(&self) -> usize {
        self.values
    }

    /// Whether the announcement would add one more value.
    pub(crate) fn is_new(&self, key: &K, origin: AnnouncementOrigin, value: &V) -> bool {
        let candidates = self.entries.get(key);
        candidates.is_none_or(|candidates| {
            candidates.len() < MAX_CANDIDATES
                && !candidates.iter().any(|c| c.origin == origin)
                && (self.keeps_all || !is_agreed(candidates, origin, value))
        })
    }

    /// Keeps a value, in place of the announcer's earlier one. Returns whether anything has
    /// changed.
    pub(crate) fn announce(&mut self, key: K, origin: AnnouncementOrigin, value: V) -> bool {
        let candidates = self.entries.entry(key).or_default();
        let own = candidates.iter().position(|c| c.origin == origin);
        let mut was_superseded = false;
        let is_repeated = own
            .and_then(|at| candidates.get_mut(at))
            .is_some_and(|own| {
                was_superseded = std::mem::take(&mut own.is_superseded);
                own.value == value
            });
        let is_agreed = !self.keeps_all && is_agreed(candidates, origin, &value);
        if is_repeated || own.is_none() && is_agreed {
            return was_superseded;
        }
        // A new value replaces those of other ports, unless they go on announcing theirs.
        let of_domain = |c: &Candidate<V>| c.origin.is_of_same_domain(origin);
        let is_current = |c: &Candidate<V>| of_domain(c) && !c.is_superseded && c.value == value;
        if !candidates.iter().any(is_current) {
            for other in candidates.iter_mut().filter(|c| of_domain(c)) {
                other.is_superseded = true;
            }
        }
        let candidate = Candidate {
            origin,
            value,
            is_superseded: false,
        };
        match own.and_then(|at| candidates.get_mut(at)) {
            Some(own) => *own = candidate,
            None => {
                if candidates.len() >= MAX_CANDIDATES {
                    let superseded = candidates.iter().position(|c| c.is_superseded);
                    candidates.remove(superseded.unwrap_or(0));
                } else {
                    self.values = self.values.saturating_add(1);
                }
                candidates.push(candidate);
            }
        }
        true
    }

    /// The value that holds for a session.
    pub(crate) fn get<Q>(&self, key: &Q, asking: Announcer) -> Resolved<&V>
    where
        K: std::borrow::Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let Some(candidates) = self.entries.get(key) else {
            return Resolved::Unknown;
        };
        if let [only] = candidates.as_slice()
            && (only.origin.of_device || only.origin.announcer.domain == asking.domain)
        {
            return Resolved::Known(&only.value);
        }
        let asked = [false, true].map(|of_device| AnnouncementOrigin {
            announcer: asking,
            of_device,
        });
        for origin in asked {
            if let Some(own) = candidates.iter().find(|c| c.origin == origin) {
                return Resolved::Known(&own.value);
            }
        }
        let current = || candidates.iter().filter(|c| !c.is_superseded);
        for origin in asked {
            match agreed(current().filter(|c| c.origin.is_of_same_domain(origin))) {
                Resolved::Unknown => {}
                resolved => return resolved,
            }
        }
        agreed(current().filter(|c| c.origin.of_device))
    }

    /// Drops values, and returns the number of those dropped.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&K, Announcer) -> bool) -> usize {
        let before = self.values;
        self.entries.retain(|key, candidates| {
            candidates.retain(|candidate| keep(key, candidate.origin.announcer));
            !candidates.is_empty()
        });
        self.values = self.entries.values().map(Vec::len).sum();
        before.saturating_sub(self.values)
    }

    /// All values of a key.
    pub(crate) fn candidates(&self, key: &K) -> impl Iterator<Item = &Candidate<V>> {
        self.entries.get(key).into_iter().flatten()
    }

    /// All values, with who announced them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &Candidate<V>)> {
        let entries = self.entries.iter();
        entries.flat_map(|(key, candidates)| candidates.iter().map(move |c| (key, c)))
    }
}

/// Whether the domain agrees in this value already.
fn is_agreed<V: PartialEq>(
    candidates: &[Candidate<V>],
    origin: AnnouncementOrigin,
    value: &V,
) -> bool {
    let of_domain = candidates
        .iter()
        .filter(|c| c.origin.is_of_same_domain(origin) && !c.is_superseded);
    matches!(agreed(of_domain), Resolved::Known(agreed) if agreed == value)
}

/// The value in which all agree.
fn agreed<'a, V: PartialEq>(
    mut candidates: impl Iterator<Item = &'a Candidate<V>>,
) -> Resolved<&'a V> {
    let Some(first) = candidates.next() else {
        return Resolved::Unknown;
    };
    if candidates.all(|candidate| candidate.value == first.value) {
        Resolved::Known(&first.value)
    } else {
        Resolved::Ambiguous
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn port(session: u64) -> Announcer {
        Announcer { domain: 7, session }
    }

    /// A port that announces for its domain, or for the device.
    const fn by(session: u64, of_device: bool) -> AnnouncementOrigin {
        AnnouncementOrigin {
            announcer: port(session),
            of_device,
        }
    }

    /// What each port reads after these announcements of ports.
    fn read(announcements: &[(u64, u32)], asking: u64) -> Resolved<u32> {
        let mut announced = Announced::of_each();
        for (session, value) in announcements {
            announced.announce((), by(*session, true), *value);
        }
        match announced.get(&(), port(asking)) {
            Resolved::Known(value) => Resolved::Known(*value),
            Resolved::Ambiguous => Resolved::Ambiguous,
            Resolved::Unknown => Resolved::Unknown,
        }
    }

    #[test]
    fn another_port_reads_the_latest_value() {
        assert_eq!(read(&[(1, 10)], 9), Resolved::Known(10));
        assert_eq!(read(&[(1, 10), (2, 20)], 9), Resolved::Known(20));
        assert_eq!(read(&[(1, 10), (2, 10), (3, 20)], 9), Resolved::Known(20));
    }

    #[test]
    fn ports_that_go_on_announcing_different_values_are_ambiguous_for_others_only() {
        let both = [(1, 10), (2, 20), (1, 10), (2, 20)];
        assert_eq!(read(&both, 9), Resolved::Ambiguous);
        assert_eq!(read(&both, 1), Resolved::Known(10));
        assert_eq!(read(&both, 2), Resolved::Known(20));
        // They agree again.
        let agreed = [(1, 10), (2, 20), (1, 10), (2, 10), (1, 10)];
        assert_eq!(read(&agreed, 9), Resolved::Known(10));
    }

    #[test]
    fn values_of_another_domain_hold_only_if_they_may() {
        for (of_device, expected) in [(false, Resolved::Unknown), (true, Resolved::Known(&10))] {
            let mut announced = Announced::of_each();
            announced.announce((), by(1, of_device), 10);
            let other = Announcer {
                domain: 8,
                session: 1,
            };
            assert_eq!(announced.get(&(), other), expected);
        }
    }

    #[test]
    fn a_value_in_which_all_ports_agree_is_kept_once() {
        let mut announced = Announced::of_all();
        for session in 0..10 {
            assert_eq!(announced.is_new(&(), by(session, true), &10), session == 0);
            announced.announce((), by(session, true), 10);
        }
        assert_eq!(announced.len(), 1);
        announced.announce((), by(20, true), 20);
        announced.announce((), by(0, true), 10);
        announced.announce((), by(3, true), 10);
        assert_eq!(announced.get(&(), port(3)), Resolved::Known(&10));
        assert_eq!(announced.get(&(), port(20)), Resolved::Known(&20));
        assert_eq!(announced.get(&(), port(9)), Resolved::Ambiguous);
    }

    #[test]
    fn values_for_the_same_thing_are_bounded() {
        let mut announced = Announced::of_each();
        for session in 0..1000 {
            announced.announce((), by(session, true), session);
        }
        assert_eq!(announced.len(), MAX_CANDIDATES);
        assert_eq!(announced.get(&(), port(5000)), Resolved::Known(&999));
    }
}
