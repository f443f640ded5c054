//! All Transport Sessions, within bounds: their begin and their end.

use std::collections::HashMap;

use super::clock::RestartDetector;
use super::domain::Domain;
use super::exporters::Exporters;
use super::key::{DeviceKey, DomainKey, Place, SessionKey};
use super::limits::Limits;
use super::recency::{Dimension, RecencyList};
use super::rule::{AliasPolicy, ExporterAddresses, SamplingPolicy};
use super::senders::Senders;
use super::session::{Session, Templates};
use super::templates::Directory;
use super::tracks::{Membership, Tracks};
use crate::address::Address;
use crate::options::{OptionsStore, Resolved};
use crate::wire::Version;

pub(super) type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// A session that has decoded records is not evicted by another address within this time.
const PROTECTED_MILLISECONDS: u64 = 60_000;

/// All that one address sends in one protocol, over UDP or over one connection.
#[derive(Debug, Default)]
pub(super) struct Device {
    sessions: usize,
    pub(super) options: OptionsStore,
    pub(super) tracks: Tracks,
    pub(super) directory: Directory,
    pub(super) has_gaps: bool,
}

/// All sessions: a slab, with lists in order of last use.
#[derive(Debug)]
pub(crate) struct Sessions {
    pub(super) limits: Limits,
    pub(super) slab: Vec<Option<Session>>,
    vacant: Vec<Place>,
    pub(super) index: Map<SessionKey, Place>,
    /// Sessions of each connection.
    connections: Map<u64, Vec<Place>>,
    /// The key looked up last: exporters send in bursts.
    latest: Option<(SessionKey, Place)>,
    /// Sessions that have not sent a readable record, and those that have.
    lists: [RecencyList; 2],
    links: Dimension,
    /// The same lists of each sender.
    sender_links: Dimension,
    pub(super) senders: Senders,
    pub(super) devices: Vec<Option<Device>>,
    vacant_devices: Vec<usize>,
    device_index: Map<DeviceKey, usize>,
    /// Devices with open gaps.
    pub(super) with_gaps: Vec<usize>,
    pub(crate) exporters: Exporters,
    pub(super) sampling_policy: SamplingPolicy,
    pub(super) alias_policy: AliasPolicy,
    /// Begin of the next sweep for idle templates.
    pub(super) sweep: Place,
    pub(super) templates: usize,
    /// Fields of all templates.
    pub(super) fields: usize,
    pub(super) metadata_entries: usize,
    pub(super) revision: u32,
    session_number: u64,
    /// Number of template definitions.
    pub(super) stamp: u64,
    /// Stands for the domain of a session that does not exist.
    pub(super) no_domain: Domain,
}

impl Sessions {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            slab: Vec::new(),
            vacant: Vec::new(),
            index: Map::default(),
            connections: Map::default(),
            latest: None,
            lists: [RecencyList::default(); 2],
            links: Dimension::default(),
            sender_links: Dimension::default(),
            senders: Senders::default(),
            devices: Vec::new(),
            vacant_devices: Vec::new(),
            device_index: Map::default(),
            with_gaps: Vec::new(),
            exporters: Exporters::new(limits.exporters),
            sampling_policy: SamplingPolicy::default(),
            alias_policy: AliasPolicy::default(),
            sweep: 0,
            templates: 0,
            fields: 0,
            metadata_entries: 0,
            revision: 0,
            session_number: 0,
            stamp: 0,
            no_domain: Domain::default(),
            limits,
        }
    }

    /// Replaces the sampling set by the operator.
    pub(crate) fn set_sampling_policy(&mut self, policy: SamplingPolicy) {
        for session in self.slab.iter_mut().flatten() {
            session.sampling_rule = policy.rule(session.addresses());
        }
        self.sampling_policy = policy;
    }

    /// Replaces the elements that are read as others, for templates defined from now on.
    pub(crate) fn set_alias_policy(&mut self, policy: AliasPolicy) {
        self.alias_policy = policy;
    }

    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    pub(crate) const fn templates(&self) -> usize {
        self.templates
    }

    pub(crate) const fn fields(&self) -> usize {
        self.fields
    }

    pub(crate) const fn metadata_entries(&self) -> usize {
        self.metadata_entries
    }

    pub(super) fn get(&self, at: Place) -> Option<&Session> {
        self.slab.get(at)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, at: Place) -> Option<&mut Session> {
        self.slab.get_mut(at)?.as_mut()
    }

    pub(super) fn device(&self, at: usize) -> Option<&Device> {
        self.devices.get(at)?.as_ref()
    }

    pub(super) fn sessions(&self) -> impl Iterator<Item = &Session> {
        self.slab.iter().flatten()
    }

    pub(super) fn devices_by_key(&self) -> impl Iterator<Item = (DeviceKey, &Device)> {
        let devices = self.device_index.iter();
        devices.filter_map(|(key, at)| Some((*key, self.device(*at)?)))
    }

    pub(crate) fn domain_key(&self, at: Place) -> Option<DomainKey> {
        Some(self.get(at)?.key.domain)
    }

    /// The session of a key, if there is one. Marks it as used.
    pub(crate) fn find(&mut self, key: SessionKey, now_milliseconds: u64) -> Option<Place> {
        let at = match self.latest {
            Some((latest, at)) if latest == key => at,
            _ => {
                let at = *self.index.get(&key)?;
                self.latest = Some((key, at));
                at
            }
        };
        self.touch(at, now_milliseconds);
        Some(at)
    }

    fn touch(&mut self, at: Place, now_milliseconds: u64) {
        let Some(session) = self.slab.get_mut(at).and_then(Option::as_mut) else {
            return;
        };
        session.received_milliseconds = now_milliseconds;
        let class = usize::from(session.has_decoded);
        if let Some(list) = self.lists.get_mut(class) {
            self.links.touch(list, at);
        }
        let sender = self.senders.get_mut(session.sender);
        if let Some(list) = sender.and_then(|sender| sender.lists.get_mut(class)) {
            self.sender_links.touch(list, at);
        }
    }

    /// The session that has to go before one of this key can be created.
    ///
    /// # Errors
    /// There is no room: all sessions are in use by other senders.
    pub(crate) fn victim(&self, key: SessionKey, now: u64) -> Result<Option<Place>, NoRoom> {
        let sender = self.senders.find(key.domain.address);
        let own = sender.and_then(|sender| {
            let [undecoded, decoded] = &sender.lists;
            undecoded.first().or_else(|| decoded.first())
        });
        let share = self.limits.share(self.limits.domains);
        if sender.is_some_and(|sender| sender.sessions() >= share) {
            return Ok(own);
        }
        if self.len() < self.limits.domains.max(1) {
            return Ok(None);
        }
        let [undecoded, decoded] = &self.lists;
        let is_unprotected = |at: &Place| {
            self.get(*at).is_some_and(|session| {
                now.saturating_sub(session.received_milliseconds) >= PROTECTED_MILLISECONDS
            })
        };
        let victim = undecoded
            .first()
            .or(own)
            .or_else(|| decoded.first().filter(is_unprotected));
        victim.map(Some).ok_or(NoRoom)
    }

    /// Creates a session. There is room for it.
    pub(crate) fn create(&mut self, key: SessionKey, now_milliseconds: u64) -> Place {
        self.revision = self.revision.wrapping_add(1);
        self.session_number = self.session_number.saturating_add(1);
        let sender = self.senders.open(key.domain.address);
        let session = Some(Session {
            key,
            number: self.session_number,
            sender,
            device: self.open_device(key.device()),
            exporter: self.exporters.open(key.domain),
            templates: Templates::default(),
            membership: Membership::default(),
            restarts: RestartDetector::default(),
            suspect: None,
            erratic: 0,
            domain: Domain {
                revision: self.revision,
                ..Domain::default()
            },
            first_revision: self.revision,
            domains_version: 0,
            sampling_rule: self.sampling_policy.rule(ExporterAddresses {
                source: key.domain.address,
                reported: Address::UNSPECIFIED,
            }),
            all_selectors: (0, Resolved::Unknown),
            has_decoded: false,
            received_milliseconds: now_milliseconds,
        });
        let at = self.vacant.pop().unwrap_or(self.slab.len());
        match self.slab.get_mut(at) {
            Some(vacant) => *vacant = session,
            None => self.slab.push(session),
        }
        self.index.insert(key, at);
        if key.connection != 0 {
            self.connections.entry(key.connection).or_default().push(at);
        }
        let [undecoded, _] = &mut self.lists;
        self.links.push(undecoded, at);
        if let Some(sender) = self.senders.get_mut(sender) {
            let [undecoded, _] = &mut sender.lists;
            self.sender_links.push(undecoded, at);
        }
        self.latest = Some((key, at));
        at
    }

    fn open_device(&mut self, key: DeviceKey) -> usize {
        let at = match self.device_index.get(&key) {
            Some(at) => *at,
            None => {
                let device = Some(Device::default());
                let at = self.vacant_devices.pop().unwrap_or(self.devices.len());
                match self.devices.get_mut(at) {
                    Some(vacant) => *vacant = device,
                    None => self.devices.push(device),
                }
                self.device_index.insert(key, at);
                at
            }
        };
        if let Some(Some(device)) = self.devices.get_mut(at) {
            device.sessions = device.sessions.saturating_add(1);
        }
        at
    }

    /// A session has sent a readable record.
    pub(crate) fn has_decoded(&mut self, at: Place) {
        let Some(session) = self.slab.get_mut(at).and_then(Option::as_mut) else {
            return;
        };
        if std::mem::replace(&mut session.has_decoded, true) {
            return;
        }
        let [undecoded, decoded] = &mut self.lists;
        self.links.remove(undecoded, at);
        self.links.push(decoded, at);
        if let Some(sender) = self.senders.get_mut(session.sender) {
            let [undecoded, decoded] = &mut sender.lists;
            self.sender_links.remove(undecoded, at);
            self.sender_links.push(decoded, at);
        }
    }

    /// Removes a session, and returns the number of its templates.
    pub(crate) fn remove(&mut self, at: Place) -> usize {
        let Some(mut session) = self.slab.get_mut(at).and_then(Option::take) else {
            return 0;
        };
        let key = session.key;
        self.vacant.push(at);
        self.index.remove(&key);
        self.latest = None;
        if let Some(places) = self.connections.get_mut(&key.connection) {
            places.retain(|place| *place != at);
            if places.is_empty() {
                self.connections.remove(&key.connection);
            }
        }
        let class = usize::from(session.has_decoded);
        if let Some(list) = self.lists.get_mut(class) {
            self.links.remove(list, at);
        }
        if let Some(sender) = self.senders.get_mut(session.sender)
            && let Some(list) = sender.lists.get_mut(class)
        {
            self.sender_links.remove(list, at);
        }
        let templates = session.templates.len();
        let exporters = &mut self.exporters;
        let mut report = |exporter, counts| exporters.add_sequence(exporter, counts);
        if let Some(Some(device)) = self.devices.get_mut(session.device) {
            device.tracks.end(&mut session.membership, &mut report);
        }
        self.release_templates(&mut session);
        self.close_device(&session);
        self.exporters.close(session.exporter);
        self.senders.close(session.sender);
        templates
    }

    /// Gives back the templates of a session that ends. Over UDP, those of v9 are of its Source ID,
    /// and stay for its other ports.
    fn release_templates(&mut self, session: &mut Session) {
        let key = session.key;
        let keeps = key.connection == 0 && key.domain.version == Version::V9;
        let templates = std::mem::take(&mut session.templates);
        self.templates = self.templates.saturating_sub(templates.len());
        let mut fields = 0_usize;
        let device = self.devices.get_mut(session.device);
        let mut device = device.and_then(Option::as_mut);
        for (id, entry) in &templates {
            let shared = (key.domain.observation_domain_id, *id);
            let removed = match &mut device {
                Some(device) => device.directory.release(shared, &entry.template, keeps),
                None => 0,
            };
            let own = entry.own_fields();
            fields = fields.saturating_add(removed).saturating_add(own);
        }
        self.subtract_fields(session.sender, fields);
    }

    fn close_device(&mut self, session: &Session) {
        let Some(Some(device)) = self.devices.get_mut(session.device) else {
            return;
        };
        device.sessions = device.sessions.saturating_sub(1);
        if device.sessions > 0 {
            return;
        }
        let (entries, fields) = (device.options.len(), device.directory.fields());
        if let Some(place) = self.devices.get_mut(session.device) {
            *place = None;
        }
        self.vacant_devices.push(session.device);
        self.device_index.remove(&session.key.device());
        self.with_gaps.retain(|device| *device != session.device);
        self.subtract_fields(session.sender, fields);
        self.subtract_entries(session.sender, entries);
    }

    pub(super) fn add_fields(&mut self, sender: usize, fields: usize) {
        self.fields = self.fields.saturating_add(fields);
        if let Some(sender) = self.senders.get_mut(sender) {
            sender.fields = sender.fields.saturating_add(fields);
        }
    }

    pub(super) fn subtract_fields(&mut self, sender: usize, fields: usize) {
        self.fields = self.fields.saturating_sub(fields);
        if let Some(sender) = self.senders.get_mut(sender) {
            sender.fields = sender.fields.saturating_sub(fields);
        }
    }

    pub(super) fn subtract_entries(&mut self, sender: usize, entries: usize) {
        self.metadata_entries = self.metadata_entries.saturating_sub(entries);
        if let Some(sender) = self.senders.get_mut(sender) {
            sender.metadata_entries = sender.metadata_entries.saturating_sub(entries);
        }
    }

    /// A session of a connection, if it has one.
    pub(crate) fn of_connection(&self, connection: u64) -> Option<Place> {
        self.connections.get(&connection)?.last().copied()
    }

    /// A session that is idle.
    pub(crate) fn idle(&self, now_milliseconds: u64) -> Option<Place> {
        let mut first = self.lists.iter().filter_map(RecencyList::first);
        first.find(|at| {
            self.get(*at).is_some_and(|session| {
                let silent = now_milliseconds.saturating_sub(session.received_milliseconds);
                silent > self.limits.idle_milliseconds
            })
        })
    }
}

/// There is no room for one more session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoRoom;
