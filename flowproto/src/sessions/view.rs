//! What the records of a session are read with: options data, sampling, templates of lists.

use super::domain::Domain;
use super::exporters::Exporter;
use super::key::Place;
use super::messages::SessionMessage;
use super::rule::SamplingRule;
use super::store::{Device, Sessions};
use super::unusable::Unusable;
use crate::json;
use crate::options::{
    AnnouncementOrigin, Announcer, Content, ElementType, Metadata, OptionsRecord, SamplingResolver,
};
use crate::record::Sampling;
use crate::template::Template;
use crate::value::unsigned;

/// Templates, names and types for the records of a session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SessionView<'a> {
    sessions: &'a Sessions,
    place: Option<Place>,
}

impl<'a> SessionView<'a> {
    fn device(&self) -> Option<(&'a Device, Announcer)> {
        let session = self.sessions.get(self.place?)?;
        let device = self.sessions.device(session.device)?;
        Some((device, session.announcer()))
    }
}

impl json::Templates for SessionView<'_> {
    fn template(&self, id: u16) -> Option<&Template> {
        let entry = self.sessions.get(self.place?)?.templates.get(&id)?;
        Some(&entry.template)
    }
}

impl Metadata for SessionView<'_> {
    fn interface(&self, value: &[u8]) -> Option<&str> {
        let (device, asking) = self.device()?;
        let number = u32::try_from(unsigned(value)).ok()?;
        device.options.interface(number, asking)
    }

    fn application(&self, value: &[u8]) -> Option<&str> {
        let (device, asking) = self.device()?;
        device.options.application(value, asking)
    }

    fn type_of(&self, enterprise: u32, id: u16) -> Option<&ElementType> {
        let (device, asking) = self.device()?;
        device.options.type_of((enterprise, id), asking)
    }
}

/// Outcome of options records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AnnouncementCounts {
    /// Values for which there was no room, or whose name is that of another element.
    pub(crate) refused: u64,
    /// Records that announce sampling in a way that is not understood.
    pub(crate) ignored: u64,
}

impl Sessions {
    /// What the records of a session are read with.
    pub(crate) const fn view(&self, place: Place) -> SessionView<'_> {
        SessionView {
            sessions: self,
            place: Some(place),
        }
    }

    /// The same, if the session is still the one that had this revision of its domain.
    pub(crate) fn view_of_revision(&self, place: Place, revision: u32) -> SessionView<'_> {
        let is_same = self.get(place).is_some_and(|session| {
            let first = session.first_revision;
            let latest = session.domain.revision.wrapping_sub(first);
            revision.wrapping_sub(first) <= latest
        });
        SessionView {
            sessions: self,
            place: is_same.then_some(place),
        }
    }

    /// The Observation Domain of a session.
    pub(crate) fn domain(&self, place: Place) -> &Domain {
        self.get(place).map_or(&self.no_domain, |s| &s.domain)
    }

    /// Updates the Observation Domain of a session from the options data.
    pub(crate) fn refresh_domain(&mut self, place: Place) {
        let Some(session) = self.slab.get_mut(place).and_then(Option::as_mut) else {
            return;
        };
        let Some(Some(device)) = self.devices.get(session.device) else {
            return;
        };
        let version = device.options.domains_version();
        if std::mem::replace(&mut session.domains_version, version) == version {
            return;
        }
        let asking = session.announcer();
        let name = device.options.domain_name(asking);
        let address = device.options.exporter_address(asking).unwrap_or_default();
        let domain = &mut session.domain;
        if domain.observation_domain_name.as_deref() == name && domain.exporter_address == address {
            return;
        }
        self.revision = self.revision.wrapping_add(1);
        *domain = Domain {
            observation_domain_name: name.map(Into::into),
            exporter_address: address,
            revision: self.revision,
        };
        session.sampling_rule = self.sampling_policy.rule(session.addresses());
        if let Some(exporter) = self.exporters.get_mut(session.exporter)
            && name.is_some()
        {
            exporter.name = name.map(Into::into);
        }
    }

    /// 160 `systemInitTimeMilliseconds` for the records of a session.
    pub(crate) fn system_init(&self, place: Place) -> Option<u64> {
        let session = self.get(place)?;
        let device = self.device(session.device)?;
        device.options.system_init(session.announcer())
    }

    /// The sampling set by the operator for the records of a session.
    pub(crate) fn sampling_rule(&self, place: Place) -> SamplingRule {
        self.get(place).map(|s| s.sampling_rule).unwrap_or_default()
    }

    /// Finds the sampling of records. `None` if nothing was announced.
    pub(crate) fn sampling(&self, place: Place, template: u16) -> Option<SamplingResolver<'_>> {
        let session = self.get(place)?;
        let device = self.device(session.device)?;
        let (_, all_selectors) = session.all_selectors;
        SamplingResolver::new(
            &device.options,
            session.announcer(),
            template,
            all_selectors,
        )
    }

    /// Updates the sampling of a session from the options data.
    pub(crate) fn refresh_sampling(&mut self, place: Place) {
        if let Some(session) = self.slab.get_mut(place).and_then(Option::as_mut)
            && let Some(Some(device)) = self.devices.get(session.device)
        {
            let version = device.options.samplers_version();
            if session.all_selectors.0 != version {
                let agreed = device.options.all_selectors(session.announcer());
                session.all_selectors = (version, agreed);
            }
        }
    }

    /// Takes an options record.
    pub(crate) fn announce(
        &mut self,
        message: &SessionMessage,
        template: &Template,
        octets: &[u8],
    ) -> AnnouncementCounts {
        let mut announced = AnnouncementCounts::default();
        let Some(session) = self.slab.get(message.place).and_then(Option::as_ref) else {
            return announced;
        };
        let announcer = session.announcer();
        let exporter = self.exporters.get_mut(session.exporter);
        let mut statistics = exporter.as_ref().map(|e| e.statistics).unwrap_or_default();
        let record = OptionsRecord::read(template, octets, |id, value| statistics.set(id, value));
        let is_own = record
            .domain(announcer.domain)
            .is_none_or(|domain| domain == announcer.domain);
        announced.ignored = u64::from(!record.is_understood());
        if let Some(exporter) = exporter {
            if is_own {
                exporter.statistics = statistics;
            }
            exporter.announcements_ignored = exporter
                .announcements_ignored
                .saturating_add(announced.ignored);
        }
        record.announce(announcer, |by, content| {
            let is_kept = self.keep_announcement(message.place, by, content);
            announced.refused = announced.refused.saturating_add(u64::from(!is_kept));
        });
        announced
    }

    /// Keeps an announcement in the options data of a session's device. False if there is no room
    /// for it, or if it has the name of another element.
    pub(super) fn keep_announcement(
        &mut self,
        place: Place,
        by: AnnouncementOrigin,
        content: Content,
    ) -> bool {
        let Some(session) = self.slab.get(place).and_then(Option::as_ref) else {
            return false;
        };
        let Some(Some(device)) = self.devices.get_mut(session.device) else {
            return false;
        };
        let Some(sender) = self.senders.get_mut(session.sender) else {
            return false;
        };
        let options = &mut device.options;
        let is_new = options.is_new(by, &content);
        let is_full = sender.metadata_entries >= self.limits.share(self.limits.metadata_entries)
            || self.metadata_entries >= self.limits.metadata_entries
            || options.is_full(&content);
        if options.is_name_taken(&content) || is_new && is_full {
            return false;
        }
        if is_new {
            sender.metadata_entries = sender.metadata_entries.saturating_add(1);
            self.metadata_entries = self.metadata_entries.saturating_add(1);
        }
        options.announce(by, content);
        true
    }

    /// Adds records of a session: their number, the sampling of the latest, and how many have an
    /// unknown one.
    pub(crate) fn add_records(
        &mut self,
        place: Place,
        records: u32,
        sampling: Sampling,
        of_unknown_sampling: u32,
    ) {
        self.with_exporter(place, |exporter| {
            exporter.records = exporter.records.saturating_add(records.into());
            exporter.records_of_unknown_sampling = exporter
                .records_of_unknown_sampling
                .saturating_add(of_unknown_sampling.into());
            if records > 0 {
                exporter.sampling = sampling;
            }
        });
    }

    /// Counts something unusable in a Message of a session.
    pub(crate) fn count_unusable(&mut self, place: Place, reason: Unusable) {
        let sender = self.get(place);
        let sender = sender.map(|session| (session.key.domain.address, session.has_decoded));
        let (address, has_decoded) = sender.unwrap_or_default();
        self.exporters.count_unusable(address, has_decoded, reason);
    }

    /// Counts a Data Set read with the template of another session.
    pub(crate) fn count_shared_template(&mut self, place: Place) {
        self.with_exporter(place, |exporter| {
            exporter.sets_of_shared_templates = exporter.sets_of_shared_templates.saturating_add(1);
        });
    }

    fn with_exporter(&mut self, place: Place, change: impl FnOnce(&mut Exporter)) {
        let id = self.get(place).map(|session| session.exporter);
        if let Some(exporter) = id.and_then(|id| self.exporters.get_mut(id)) {
            change(exporter);
        }
    }
}
