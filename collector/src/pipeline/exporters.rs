//! The exporters of records: identity, node, and clock offset of each Observation Domain.

use std::sync::Arc;

use flowproto::Address;
use flowproto::collector::{Message, Version};

use super::enrich::ClockSkew;
use super::policy::{ExporterPolicies, ExporterPolicy};
use crate::inventory::{IndexSnapshot, NodeId};

/// The Original Exporter of records (RFC 7119), as its Messages and options data describe it. It
/// travels with every record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Source address of the Messages.
    pub source_address: Address,
    /// 130 or 131, the address that it reports for itself; unspecified if it reports none.
    pub reported_address: Address,
    /// Observation Domain ID (IPFIX), Source ID (v9), or engine (v5).
    pub observation_domain_id: u32,
    /// Protocol of the Messages.
    pub version: Version,
    /// 300 `observationDomainName`; empty if it reports none.
    pub name: Box<str>,
}

impl Origin {
    fn of(message: &Message<'_>) -> Self {
        let name = message.domain.observation_domain_name.clone();
        Self {
            source_address: message.exporter.ip().into(),
            reported_address: message.domain.exporter_address,
            observation_domain_id: message.observation_domain_id,
            version: message.version,
            name: name.unwrap_or_default(),
        }
    }

    /// The address that it reports, else the one that it sends from.
    #[must_use]
    pub fn address(&self) -> Address {
        if self.reported_address.is_unspecified() {
            self.source_address
        } else {
            self.reported_address
        }
    }

    /// The node that it is on: by its name, else by the address that it reports, else by the
    /// address that it sends from. A domain ID alone never identifies a node. `record_address` is
    /// 130 or 131 of a record, which is more certain than an address of the Message.
    pub(super) fn node(&self, index: &IndexSnapshot, record_address: Address) -> Option<NodeId> {
        let named = || {
            let name = Some(&*self.name).filter(|name| !name.is_empty());
            name.and_then(|name| index.node_named(name))
        };
        let at = |address: Address| {
            let known = Some(address).filter(|address| !address.is_unspecified());
            known.and_then(|address| index.node_at(address))
        };
        named()
            .or_else(|| at(record_address))
            .or_else(|| at(self.reported_address))
            .or_else(|| at(self.source_address))
    }
}

/// One Observation Domain of one sender.
#[derive(Clone, Debug)]
pub(super) struct Exporter {
    pub(super) origin: Arc<Origin>,
    pub(super) skew: ClockSkew,
    pub(super) policy: ExporterPolicy,
    /// Its node, if that is a known one.
    pub(super) node: Option<NodeId>,
    /// Revision of the domain that `origin` was derived from.
    pub(super) revision: u32,
    /// Revision of the index's nodes that `node` was derived from.
    nodes_revision: Option<u64>,
}

impl Exporter {
    /// Finds its node again if the nodes of the index have changed.
    pub(super) fn locate(&mut self, index: &IndexSnapshot) {
        if self.nodes_revision != Some(index.nodes_revision()) {
            self.nodes_revision = Some(index.nodes_revision());
            self.node = self.origin.node(index, Address::UNSPECIFIED);
        }
    }
}

/// The exporters of one decoder, by [`Message::domain_index`].
#[derive(Debug, Default)]
pub(super) struct Exporters(Vec<Option<Exporter>>);

impl Exporters {
    /// True if the exporter of a Message is known as the Message describes it.
    #[inline]
    pub(super) fn is_current(&self, message: &Message<'_>) -> bool {
        let exporter = self.get(message.domain_index);
        exporter.is_some_and(|exporter| exporter.revision == message.domain.revision)
    }

    /// Takes the description of an exporter from a Message. An exporter that moves keeps its clock
    /// offset.
    #[cold]
    pub(super) fn update(&mut self, message: &Message<'_>, policies: &ExporterPolicies) {
        let at = message.domain_index;
        if self.0.len() <= at {
            self.0.resize(at.saturating_add(1), None);
        }
        let Some(slot) = self.0.get_mut(at) else {
            return;
        };
        let origin = Origin::of(message);
        let same = slot
            .as_ref()
            .filter(|known| known.origin.source_address == origin.source_address);
        *slot = Some(Exporter {
            skew: same.map_or_else(ClockSkew::default, |known| known.skew),
            policy: policies.find(origin.source_address, origin.reported_address),
            origin: Arc::new(origin),
            node: None,
            revision: message.domain.revision,
            nodes_revision: None,
        });
    }

    /// The exporter of that domain.
    #[inline]
    pub(super) fn get(&self, domain: usize) -> Option<&Exporter> {
        self.0.get(domain)?.as_ref()
    }

    #[inline]
    pub(super) fn get_mut(&mut self, domain: usize) -> Option<&mut Exporter> {
        self.0.get_mut(domain)?.as_mut()
    }

    /// The exporters with their policies.
    pub(super) fn policies(&self) -> impl Iterator<Item = (&Origin, ExporterPolicy)> {
        let exporters = self.0.iter().flatten();
        exporters.map(|exporter| (&*exporter.origin, exporter.policy))
    }

    /// Exporters whose clock is off: source address, and offset in milliseconds.
    pub(super) fn skewed(&self) -> impl Iterator<Item = (Address, i64)> {
        let exporters = self.0.iter().flatten();
        exporters
            .map(|exporter| (exporter.origin.source_address, exporter.skew.milliseconds()))
            .filter(|(_, skew)| *skew != 0)
    }
}
