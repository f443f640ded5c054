//! Who sent a Message: on which node it is, and how far its clock is off.

use flowproto::Address;
use flowproto::collector::Message;

use crate::emit::line;
use crate::enrich::Clock;
use crate::inventory::{IndexSnapshot, NodeId};

/// What is known of the exporter of the Message at hand.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Located {
    /// The node it is on.
    pub(super) node: Option<NodeId>,
    /// The node is known by name: what a record says of its exporter's address adds nothing.
    pub(super) by_name: bool,
    pub(super) skew_milliseconds: i64,
}

/// An exporter: one Observation Domain of one sender.
#[derive(Clone, Debug)]
pub(crate) struct Exporter {
    /// Revision of the domain that this was derived from.
    pub(super) revision: u32,
    /// Revision of the index's nodes that this was derived from.
    nodes_revision: u64,
    name: Option<Box<str>>,
    domain_address: Address,
    /// Where it sends from.
    pub(crate) address: Address,
    pub(crate) clock: Clock,
    pub(super) located: Located,
}

impl Exporter {
    pub(super) fn of(message: &Message<'_>, clock: Clock) -> Self {
        Self {
            revision: message.domain.revision,
            nodes_revision: u64::MAX,
            name: message.domain.observation_domain_name.clone(),
            domain_address: message.domain.exporter_address,
            address: message.exporter.ip().into(),
            clock,
            located: Located::default(),
        }
    }

    /// The node that it is on: by the name it says, else by the address it says, else by the address
    /// it sent from. A domain id alone never identifies.
    pub(super) fn locate(&mut self, index: &IndexSnapshot) {
        if self.nodes_revision == index.nodes_revision() {
            return;
        }
        self.nodes_revision = index.nodes_revision();
        let named = self.name.as_deref().and_then(|name| index.node_named(name));
        self.located.by_name = named.is_some();
        self.located.node = named
            .or_else(|| index.node_at(self.domain_address))
            .or_else(|| index.node_at(self.address));
    }

    pub(super) fn observer(&self) -> line::Observer<'_> {
        line::Observer {
            name: self.name.as_deref(),
            address: self.address,
        }
    }
}
