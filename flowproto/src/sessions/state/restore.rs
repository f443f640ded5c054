//! Sessions of a state.

use std::collections::HashMap;

use super::{DeviceState, OptionState, SessionId, SessionState, State, specifiers};
use crate::address::Address;
use crate::options::{AnnouncementOrigin, Announcer};
use crate::sessions::clock::{ClockState, MessageClock};
use crate::sessions::key::{DomainKey, Place, SessionKey};
use crate::sessions::messages::SessionMessage;
use crate::sessions::sequence::Sequence;
use crate::sessions::store::Sessions;
use crate::sessions::tracks::TrackId;
use crate::wire::Version;

/// What restored sessions of a device have become.
#[derive(Debug, Default)]
struct Restored {
    places: HashMap<SessionId, Place>,
    tracks: HashMap<usize, TrackId>,
}

impl Sessions {
    /// Adds the sessions of a state for which there is room. Those that exist already stay, and
    /// idle ones are left out.
    pub(crate) fn restore(&mut self, state: &State, now_milliseconds: u64) {
        let time = |age: u64| now_milliseconds.saturating_sub(age);
        let mut restored: HashMap<(Address, Version), Restored> = HashMap::new();
        let devices = state.devices.iter();
        let mut sessions: Vec<_> = devices
            .flat_map(|(key, device)| {
                let sessions = device.sessions.iter();
                sessions.map(move |(id, session)| (*key, device, *id, session))
            })
            .collect();
        // The one silent for longest first, as they arrived.
        sessions.sort_by_key(|(.., session)| std::cmp::Reverse(session.age));
        for (device_key, device, id, session) in sessions {
            if session.age <= self.limits.idle_milliseconds {
                let restored = restored.entry(device_key).or_default();
                self.restore_session((device_key, id), (device, session), restored, &time);
            }
        }
        for (key, restored) in restored {
            if let Some(device) = state.devices.get(&key) {
                self.restore_templates(device, &restored, &time);
                self.restore_options(device, &restored, &time);
            }
        }
    }

    fn restore_session(
        &mut self,
        ((address, version), (domain, port)): ((Address, Version), SessionId),
        (device, state): (&DeviceState, &SessionState),
        restored: &mut Restored,
        time: &impl Fn(u64) -> u64,
    ) {
        let received = time(state.age);
        let key = SessionKey {
            domain: DomainKey {
                address,
                observation_domain_id: domain,
                version,
            },
            port,
            connection: 0,
        };
        if self.find(key, received).is_some() || self.victim(key, received) != Ok(None) {
            return;
        }
        let place = self.create(key, received);
        restored.places.insert((domain, port), place);
        if state.has_decoded {
            self.has_decoded(place);
        }
        let Some(session) = self.slab.get_mut(place).and_then(Option::as_mut) else {
            return;
        };
        session.restarts.restore(state.clock.map_time(time));
        session.membership.latest = state.latest;
        if let Some(Some(own)) = self.devices.get_mut(session.device)
            && let Some(at) = state.track
            && let Some(track) = device.tracks.get(at)
        {
            let id = *restored.tracks.entry(at).or_insert_with(|| {
                let sequence = Sequence::restore(version, track.sequence.map_times(time));
                own.tracks.restore(track.domain, sequence)
            });
            let is_latest = track.latest == Some((domain, port));
            let number = is_latest.then_some(session.number);
            own.tracks
                .join_restored(&mut session.membership, id, number);
        }
    }

    /// Defines the templates of restored sessions in their order.
    fn restore_templates(
        &mut self,
        device: &DeviceState,
        restored: &Restored,
        time: &impl Fn(u64) -> u64,
    ) {
        let mut templates = Vec::new();
        for (id, place) in &restored.places {
            if let Some(session) = device.sessions.get(id) {
                let message = SessionMessage::new(*place, clock(session.clock.map_time(time)), 0);
                templates.extend(session.templates.iter().map(|t| (message, t)));
            }
        }
        templates.sort_by_key(|(_, template)| template.stamp);
        for (message, state) in templates {
            let template = &state.template;
            self.define(
                &message,
                (state.id, template.kind()),
                &specifiers(template),
                0,
            );
            let session = self.get_mut(message.place);
            if let Some(entry) = session.and_then(|s| s.templates.get_mut(&state.id)) {
                entry.sent_milliseconds = time(state.sent);
                entry.used_milliseconds = time(state.used);
            }
        }
    }

    fn restore_options(
        &mut self,
        device: &DeviceState,
        restored: &Restored,
        time: &impl Fn(u64) -> u64,
    ) {
        let Some(place) = restored.places.values().copied().min() else {
            return;
        };
        let origin = |sessions: &Self, option: &OptionState| {
            let place = option.session.and_then(|id| restored.places.get(&id));
            let session = place.and_then(|place| sessions.get(*place));
            AnnouncementOrigin {
                announcer: Announcer {
                    domain: option.domain,
                    session: session.map_or(0, |session| session.number),
                },
                of_device: option.of_device,
            }
        };
        // Superseded ones first, as they were announced.
        let (superseded, current): (Vec<_>, Vec<_>) = device
            .options
            .iter()
            .partition(|option| option.is_superseded);
        for option in superseded.into_iter().chain(current.iter().copied()) {
            let by = origin(self, option);
            self.keep_announcement(place, by, option.content.clone());
        }
        // Values that hold side by side: each was repeated after the other one.
        for option in current {
            let by = origin(self, option);
            self.keep_announcement(place, by, option.content.clone());
        }
        for layout in &device.layouts {
            let message = SessionMessage::new(place, clock(layout.clock.map_time(time)), 0);
            let key = (layout.domain, layout.template.id);
            self.keep_layout(&message, key, &layout.template.template);
        }
        for place in restored.places.values() {
            self.refresh_domain(*place);
        }
    }
}

/// The clock of the latest Message, or none.
fn clock(state: ClockState) -> MessageClock {
    state.latest.unwrap_or(MessageClock {
        up_time: 0,
        export_milliseconds: 0,
        received_milliseconds: 0,
    })
}
