//! Counts of each exporter, which outlive its sessions.

use std::collections::HashMap;

use super::convention::Convention;
use super::gaps::SequenceCounts;
use super::key::{DomainKey, ExporterId};
use super::report::{DomainReport, Statistics};
use super::unusable::{Reasons, Unusable};
use crate::address::Address;
use crate::record::Sampling;

/// Stands for exporters for which there was no room.
const OVERFLOW: ExporterId = usize::MAX;

/// Entries searched for one that can be replaced.
const SEARCH: usize = 64;
/// Maximum number of addresses that have sent nothing readable and have counts of their own.
const MAX_ADDRESSES: usize = 1024;

/// Counts of an Observation Domain, over all its sessions.
#[derive(Clone, Debug)]
pub(crate) struct Exporter {
    key: DomainKey,
    /// Sessions at the moment.
    sessions: usize,
    pub(crate) name: Option<Box<str>>,
    pub(crate) records: u64,
    pub(crate) convention: Convention,
    pub(crate) sequence: SequenceCounts,
    pub(crate) statistics: Statistics,
    /// Sampling of the latest record.
    pub(crate) sampling: Sampling,
    pub(crate) records_of_unknown_sampling: u64,
    pub(crate) announcements_ignored: u64,
    pub(crate) sets_of_shared_templates: u64,
}

impl Exporter {
    fn new(key: DomainKey) -> Self {
        Self {
            key,
            sessions: 0,
            name: None,
            records: 0,
            convention: Convention::of(key.version),
            sequence: SequenceCounts::default(),
            statistics: Statistics::default(),
            sampling: Sampling::NONE,
            records_of_unknown_sampling: 0,
            announcements_ignored: 0,
            sets_of_shared_templates: 0,
        }
    }

    fn report(&self) -> DomainReport<'_> {
        DomainReport {
            exporter: self.key.address,
            observation_domain_id: self.key.observation_domain_id,
            version: self.key.version,
            name: self.name.as_deref(),
            records: self.records,
            convention: self.convention,
            sequence: self.sequence,
            statistics: self.statistics,
            sampling: self.sampling,
            records_of_unknown_sampling: self.records_of_unknown_sampling,
            announcements_ignored: self.announcements_ignored,
            sets_of_shared_templates: self.sets_of_shared_templates,
        }
    }
}

/// All exporters, within a bound.
#[derive(Debug)]
pub(crate) struct Exporters {
    exporters: Vec<Exporter>,
    index: HashMap<DomainKey, ExporterId, foldhash::fast::RandomState>,
    bound: usize,
    /// Begin of the next search for an entry that can be replaced.
    search: usize,
    /// Sum over all exporters.
    sequence: SequenceCounts,
    /// What could not be used, by address.
    unusable: HashMap<Address, Reasons, foldhash::fast::RandomState>,
    /// The same of addresses without counts of their own.
    unusable_of_others: Reasons,
}

impl Exporters {
    pub(crate) fn new(bound: usize) -> Self {
        Self {
            exporters: Vec::new(),
            index: HashMap::default(),
            bound,
            search: 0,
            sequence: SequenceCounts::default(),
            unusable: HashMap::default(),
            unusable_of_others: Reasons::default(),
        }
    }

    /// The exporter of a new session.
    pub(crate) fn open(&mut self, key: DomainKey) -> ExporterId {
        let id = match self.index.get(&key) {
            Some(id) => *id,
            None => {
                let Some(id) = self.vacancy() else {
                    return OVERFLOW;
                };
                match self.exporters.get_mut(id) {
                    Some(replaced) => {
                        self.index.remove(&replaced.key);
                        *replaced = Exporter::new(key);
                    }
                    None => self.exporters.push(Exporter::new(key)),
                }
                self.index.insert(key, id);
                id
            }
        };
        if let Some(exporter) = self.exporters.get_mut(id) {
            exporter.sessions = exporter.sessions.saturating_add(1);
        }
        id
    }

    /// A session has ended.
    pub(crate) fn close(&mut self, id: ExporterId) {
        if let Some(exporter) = self.exporters.get_mut(id) {
            exporter.sessions = exporter.sessions.saturating_sub(1);
        }
    }

    pub(crate) fn get_mut(&mut self, id: ExporterId) -> Option<&mut Exporter> {
        self.exporters.get_mut(id)
    }

    /// Sequence counts of all exporters.
    pub(crate) const fn sequence(&self) -> SequenceCounts {
        self.sequence
    }

    /// Adds sequence counts of an exporter.
    pub(crate) fn add_sequence(&mut self, id: ExporterId, counts: SequenceCounts) {
        self.sequence.add(counts);
        if let Some(exporter) = self.exporters.get_mut(id) {
            exporter.sequence.add(counts);
        }
    }

    /// Counts something unusable. Addresses that have sent readable records (`has_decoded`) have
    /// counts of their own, however many others send.
    pub(crate) fn count_unusable(&mut self, address: Address, has_decoded: bool, reason: Unusable) {
        let room = if has_decoded { self.bound } else { 0 };
        let has_room = self.unusable.len() < room.saturating_add(MAX_ADDRESSES);
        if has_room || self.unusable.contains_key(&address) {
            self.unusable.entry(address).or_default().count(reason);
        } else {
            self.unusable_of_others.count(reason);
        }
    }

    pub(crate) fn reports(&self) -> impl Iterator<Item = DomainReport<'_>> {
        self.exporters.iter().map(Exporter::report)
    }

    /// What could not be used, by address; `None` for those without counts of their own.
    pub(crate) fn unusable(&self) -> impl Iterator<Item = (Option<Address>, Unusable, u64)> {
        let unusable = self.unusable.iter();
        let unusable = unusable.map(|(address, reasons)| (Some(*address), reasons));
        let all = unusable.chain([(None, &self.unusable_of_others)]);
        all.flat_map(|(address, reasons)| {
            let counts = reasons.by_reason().iter().filter(|(_, count)| **count > 0);
            counts.map(move |(reason, count)| (address, reason, *count))
        })
    }

    /// A place for a new exporter: the end, or that of one that has sent nothing of use.
    fn vacancy(&mut self) -> Option<ExporterId> {
        if self.exporters.len() < self.bound {
            return Some(self.exporters.len());
        }
        for _ in 0..SEARCH.min(self.exporters.len()) {
            self.search = self.search.checked_add(1)?;
            if self.search >= self.exporters.len() {
                self.search = 0;
            }
            let exporter = self.exporters.get(self.search)?;
            if exporter.sessions == 0 && exporter.records == 0 {
                return Some(self.search);
            }
        }
        None
    }
}
