//! State that is kept over a restart of the collector: templates, options data, sequence numbers
//! and clocks of exporters that send datagrams. Connections end with the collector.
//!
//! Times in it are ages, milliseconds: the clock of another process has another origin.
//!
//! * `octets`, `codec`: the form in which it is stored;
//! * `save`: the state of sessions; `restore`: sessions of a state.

mod codec;
mod octets;
mod restore;
mod save;

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::Arc;

use super::clock::ClockState;
use super::convention::MessageSequence;
use super::sequence::SequenceState;
use crate::address::Address;
use crate::field::FieldSpecifier;
use crate::options::Content;
use crate::template::{Template, TemplateKind};
use crate::wire::Version;

/// Templates, options data and sequence numbers of exporters.
#[derive(Clone, Debug, Default)]
pub struct State {
    devices: BTreeMap<(Address, Version), DeviceState>,
}

/// Milliseconds since something.
type Age = u64;

/// A session of a device: domain and port.
type SessionId = (u32, u16);

/// What one address sends in one protocol.
#[derive(Clone, Debug, Default)]
struct DeviceState {
    sessions: BTreeMap<SessionId, SessionState>,
    tracks: Vec<TrackState>,
    options: Vec<OptionState>,
    /// Templates of sessions that have ended, which other sessions use.
    layouts: Vec<LayoutState>,
}

#[derive(Clone, Debug)]
struct SessionState {
    has_decoded: bool,
    /// Of the last Message.
    age: Age,
    clock: ClockState,
    latest: Option<MessageSequence>,
    /// Position in [`DeviceState::tracks`].
    track: Option<usize>,
    templates: Vec<TemplateState>,
}

#[derive(Clone, Debug)]
struct TemplateState {
    id: u16,
    template: Arc<Template>,
    /// Order of definitions.
    stamp: u64,
    sent: Age,
    used: Age,
}

#[derive(Clone, Debug)]
struct LayoutState {
    domain: u32,
    clock: ClockState,
    template: TemplateState,
}

#[derive(Clone, Debug)]
struct TrackState {
    domain: u32,
    /// The session of the latest Message.
    latest: Option<SessionId>,
    sequence: SequenceState,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct OptionState {
    /// The session that has announced it, unless that has ended.
    session: Option<SessionId>,
    domain: u32,
    of_device: bool,
    is_superseded: bool,
    content: Content,
}

impl State {
    /// Adds the state of another process. Of a session of both, the one with the later Message is
    /// taken.
    pub fn merge(&mut self, other: Self) {
        for (key, device) in other.devices {
            self.devices.entry(key).or_default().merge(device);
        }
    }

    /// Makes everything older.
    fn grow_older(&mut self, milliseconds: u64) {
        let older = |age: Age| age.saturating_add(milliseconds);
        for device in self.devices.values_mut() {
            for session in device.sessions.values_mut() {
                session.age = older(session.age);
                session.clock = session.clock.map_time(&older);
                for template in &mut session.templates {
                    template.sent = older(template.sent);
                    template.used = older(template.used);
                }
            }
            for track in &mut device.tracks {
                track.sequence = track.sequence.map_times(&older);
            }
            for layout in &mut device.layouts {
                layout.clock = layout.clock.map_time(&older);
                layout.template.sent = older(layout.template.sent);
                layout.template.used = older(layout.template.used);
            }
        }
    }

    /// Number of sessions.
    #[must_use]
    pub fn sessions(&self) -> usize {
        let devices = self.devices.values();
        devices.map(|device| device.sessions.len()).sum()
    }
}

impl DeviceState {
    fn merge(&mut self, other: Self) {
        let offset = self.tracks.len();
        self.tracks.extend(other.tracks);
        for (id, mut session) in other.sessions {
            session.track = session.track.map(|track| track.saturating_add(offset));
            let is_later = self.sessions.get(&id).is_none_or(|known| {
                (!known.has_decoded, known.age) > (!session.has_decoded, session.age)
            });
            if is_later {
                self.sessions.insert(id, session);
            }
        }
        let known: HashSet<&OptionState> = self.options.iter().collect();
        let mut options = other.options;
        options.retain(|option| !known.contains(option));
        self.options.append(&mut options);
        let known: HashSet<_> = self.layouts.iter().map(LayoutState::identity).collect();
        let mut layouts = other.layouts;
        layouts.retain(|layout| !known.contains(&layout.identity()));
        self.layouts.append(&mut layouts);
    }
}

impl LayoutState {
    fn identity(&self) -> (u32, u16, TemplateKind, Vec<FieldSpecifier>) {
        let TemplateState { id, template, .. } = &self.template;
        (self.domain, *id, template.kind(), specifiers(template))
    }
}

fn specifiers(template: &Template) -> Vec<FieldSpecifier> {
    let fields = template.fields().iter();
    fields.map(|field| field.specifier).collect()
}

/// Why stored state cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateError {
    /// The octets are not state, or of another version.
    Format,
    /// They are incomplete, or have changed since they were written.
    Corrupt,
    /// They were written too long ago: their age, milliseconds.
    TooOld(u64),
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format => f.write_str("not a state file of this version"),
            Self::Corrupt => f.write_str("incomplete or corrupt"),
            Self::TooOld(age) => write!(f, "too old: {} s", age / 1000),
        }
    }
}

impl std::error::Error for StateError {}
