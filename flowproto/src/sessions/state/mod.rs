//! State that is kept over a restart of the collector: templates, options data, sequence numbers and
//! clocks of exporters that send datagrams. Connections end with the collector.
//!
//! * `octets`, `codec`: the form in which it is stored;
//! * `save`: the state of sessions; `restore`: sessions of a state.

mod codec;
mod octets;
mod restore;
mod save;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::clock::ClockState;
use super::convention::MessageSequence;
use super::sequence::SequenceState;
use crate::address::Address;
use crate::field::FieldSpecifier;
use crate::options::Content;
use crate::template::Template;
use crate::wire::Version;

/// Templates, options data and sequence numbers of exporters.
#[derive(Clone, Debug, Default)]
pub struct State {
    devices: BTreeMap<(Address, Version), DeviceState>,
}

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
    received_milliseconds: u64,
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
    sent_milliseconds: u64,
    used_milliseconds: u64,
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

#[derive(Clone, Debug, PartialEq)]
struct OptionState {
    /// The session that has announced it, unless that has ended.
    session: Option<SessionId>,
    domain: u32,
    of_device: bool,
    is_superseded: bool,
    content: Content,
}

impl State {
    /// Adds the state of another process. Of a session of both, the one with the later Message is taken.
    pub fn merge(&mut self, other: Self) {
        for (key, device) in other.devices {
            self.devices.entry(key).or_default().merge(device);
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
                (known.has_decoded, known.received_milliseconds)
                    < (session.has_decoded, session.received_milliseconds)
            });
            if is_later {
                self.sessions.insert(id, session);
            }
        }
        for option in other.options {
            if !self.options.contains(&option) {
                self.options.push(option);
            }
        }
        for layout in other.layouts {
            let is_known = self.layouts.iter().any(|known| layout.is_same(known));
            if !is_known {
                self.layouts.push(layout);
            }
        }
    }
}

impl LayoutState {
    fn is_same(&self, other: &Self) -> bool {
        let template = &other.template.template;
        (self.domain, self.template.id) == (other.domain, other.template.id)
            && (self.template.template).is(&specifiers(template), template.kind())
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
    /// They were written too long ago: so many milliseconds.
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
