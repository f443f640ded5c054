//! One Transport Session.

use std::collections::HashMap;

use super::clock::RestartDetector;
use super::domain::Domain;
use super::key::ExporterId;
use super::key::SessionKey;
use super::rule::{ExporterAddresses, SamplingRule};
use super::senders::SenderId;
use super::templates::TemplateEntry;
use super::tracks::Membership;
use crate::options::{Announcer, Resolved};
use crate::plan::Selection;

/// Templates by ID.
pub(super) type Templates = HashMap<u16, TemplateEntry, foldhash::fast::RandomState>;

/// An Observation Domain as received in one Transport Session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) key: SessionKey,
    /// Number of the session, never reused.
    pub(super) number: u64,
    pub(super) sender: SenderId,
    pub(super) device: usize,
    pub(super) exporter: ExporterId,
    pub(super) templates: Templates,
    pub(super) membership: Membership,
    pub(super) restarts: RestartDetector,
    /// A Message whose number shows a restart that the next one has to confirm.
    pub(super) suspect: Option<Suspect>,
    /// Such Messages that turned out to be neither a restart nor stray.
    pub(super) erratic: u8,
    pub(super) domain: Domain,
    /// Revision of `domain` when the session began.
    pub(super) first_revision: u32,
    /// Version of the options data from which `domain` was made.
    pub(super) domains_version: u64,
    pub(super) sampling_rule: SamplingRule,
    /// The sampling in which all selectors agree, and the version of the options data it is of.
    pub(super) all_selectors: (u64, Resolved<Selection>),
    /// It has sent a readable record.
    pub(super) has_decoded: bool,
    /// Time of the last Message, milliseconds since the epoch.
    pub(super) received_milliseconds: u64,
}

/// A Message whose sequence number has fallen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Suspect {
    /// Number of the Message before.
    pub(super) before: u32,
    pub(super) sequence: u32,
    /// Templates defined since are those of the restarted exporter.
    pub(super) stamp: u64,
}

impl Session {
    /// The addresses by which the operator has settings for the exporter.
    pub(super) const fn addresses(&self) -> ExporterAddresses {
        ExporterAddresses {
            source: self.key.domain.address,
            reported: self.domain.exporter_address,
        }
    }

    /// Who announces in this session, and who asks for it.
    pub(super) const fn announcer(&self) -> Announcer {
        Announcer {
            domain: self.key.domain.observation_domain_id,
            session: self.number,
        }
    }
}
