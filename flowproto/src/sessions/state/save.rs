//! The state of sessions.

use std::collections::HashMap;
use std::sync::Arc;

use super::{
    DeviceState, LayoutState, OptionState, SessionId, SessionState, State, TemplateState,
    TrackState,
};
use crate::sessions::clock::ClockState;
use crate::sessions::store::{Device, Sessions};
use crate::sessions::templates::TemplateEntry;

impl Sessions {
    /// The state of all sessions over UDP.
    pub(crate) fn state(&self, now_milliseconds: u64) -> State {
        let age = |milliseconds: u64| now_milliseconds.saturating_sub(milliseconds);
        let mut state = State::default();
        let mut numbers: HashMap<u64, SessionId> = HashMap::new();
        for session in self.sessions() {
            let id = (session.key.domain.observation_domain_id, session.key.port);
            numbers.insert(session.number, id);
        }
        for (key, device) in self.devices_by_key() {
            if key.connection == 0 {
                let device = DeviceState::of(device, &numbers, &age);
                state.devices.insert((key.address, key.version), device);
            }
        }
        for session in self.sessions() {
            let key = session.key.device();
            let Some(device) = state.devices.get_mut(&(key.address, key.version)) else {
                continue;
            };
            if key.connection != 0 {
                continue;
            }
            let templates = session.templates.iter();
            let track = session.membership.track;
            let saved = SessionState {
                has_decoded: session.has_decoded,
                age: age(session.received_milliseconds),
                clock: session.restarts.state().map_time(&age),
                latest: session.membership.latest,
                track: track.and_then(|id| {
                    let tracks = &self.device(session.device)?.tracks;
                    tracks.iter().position(|(other, ..)| other == id)
                }),
                templates: templates
                    .map(|(id, entry)| TemplateState::of(*id, entry, &age))
                    .collect(),
            };
            let id = (session.key.domain.observation_domain_id, session.key.port);
            device.sessions.insert(id, saved);
        }
        state
    }
}

impl DeviceState {
    fn of(device: &Device, numbers: &HashMap<u64, SessionId>, age: &impl Fn(u64) -> u64) -> Self {
        let tracks = device
            .tracks
            .iter()
            .map(|(_, domain, sequence)| TrackState {
                domain,
                latest: numbers.get(&sequence.latest_session()).copied(),
                sequence: sequence.state().map_times(age),
            });
        let options = device.options.iter().map(|announced| OptionState {
            session: numbers.get(&announced.origin.announcer.session).copied(),
            domain: announced.origin.announcer.domain,
            of_device: announced.origin.of_device,
            is_superseded: announced.is_superseded,
            content: announced.value,
        });
        let layouts = device
            .directory
            .orphans()
            .map(|((domain, id), layout)| LayoutState {
                domain,
                clock: ClockState::from(layout.definition.clock).map_time(age),
                template: TemplateState {
                    id,
                    template: Arc::clone(&layout.template),
                    stamp: layout.definition.stamp,
                    sent: age(layout.used_milliseconds),
                    used: age(layout.used_milliseconds),
                },
            });
        Self {
            tracks: tracks.collect(),
            options: options.collect(),
            layouts: layouts.collect(),
            ..Self::default()
        }
    }
}

impl TemplateState {
    fn of(id: u16, entry: &TemplateEntry, age: &impl Fn(u64) -> u64) -> Self {
        Self {
            id,
            template: Arc::clone(&entry.template),
            stamp: entry.stamp,
            sent: age(entry.sent_milliseconds),
            used: age(entry.used_milliseconds),
        }
    }
}
