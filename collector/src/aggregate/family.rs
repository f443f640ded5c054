//! Metric families as data: a name, what is summed, which labels, which edges.

use crate::enrich::{Scope, TrafficClass};
use crate::inventory::{Endpoint, Index, Node, NodeId};

/// What a family sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// Octets of IP packets.
    Bytes,
    /// Packets.
    Packets,
    /// New connections.
    Connections,
}

/// Where a label's value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelSource {
    /// Namespace of the end; empty where it has none.
    Namespace(Side),
    /// Kind of the end's workload.
    Kind(Side),
    /// Name of the end's workload.
    Workload(Side),
    /// Node of the end; empty where unknown.
    Node(Side),
    /// Zone of the end's node; empty where unknown.
    Zone(Side),
    /// Class of traffic.
    Class,
    /// `internal` or `external`.
    Scope,
}

/// Which end of an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Who sent.
    Source,
    /// Who was sent to.
    Destination,
}

/// A label of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// Its value.
    pub source: LabelSource,
}

/// Which edges belong to a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// All.
    All,
    /// Those whose ends are in two different, known zones.
    CrossZone,
}

/// A metric family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Family {
    /// Its name in the exposition, ending in `_total`.
    pub name: &'static str,
    /// One sentence.
    pub help: &'static str,
    /// What it sums.
    pub value: Value,
    /// Its labels.
    pub labels: &'static [Label],
    /// Its edges.
    pub filter: Filter,
}

/// An edge whose ends are resolved, as far as labels need them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edge<'a> {
    index: &'a Index,
    source: &'a Endpoint,
    destination: &'a Endpoint,
}

impl<'a> Edge<'a> {
    pub(super) const fn new(
        index: &'a Index,
        source: &'a Endpoint,
        destination: &'a Endpoint,
    ) -> Self {
        Self {
            index,
            source,
            destination,
        }
    }

    pub(super) fn passes(&self, filter: Filter) -> bool {
        match filter {
            Filter::All => true,
            Filter::CrossZone => {
                let source = self.value(LabelSource::Zone(Side::Source));
                let destination = self.value(LabelSource::Zone(Side::Destination));
                !source.is_empty() && !destination.is_empty() && source != destination
            }
        }
    }

    pub(super) fn value(&self, source: LabelSource) -> &'a str {
        match source {
            LabelSource::Namespace(side) => &self.end(side).namespace,
            LabelSource::Kind(side) => &self.end(side).workload_kind,
            LabelSource::Workload(side) => &self.end(side).workload_name,
            LabelSource::Node(side) => self.node(side).map_or("", |node| &node.name),
            LabelSource::Zone(side) => self.node(side).map_or("", |node| &node.zone),
            LabelSource::Class => {
                TrafficClass::between(self.source.place(), self.destination.place()).as_str()
            }
            LabelSource::Scope => {
                Scope::between(self.source.place(), self.destination.place()).as_str()
            }
        }
    }

    const fn end(&self, side: Side) -> &'a Endpoint {
        match side {
            Side::Source => self.source,
            Side::Destination => self.destination,
        }
    }

    fn node(&self, side: Side) -> Option<&'a Node> {
        let id: NodeId = self.end(side).node?;
        Some(self.index.node(id))
    }
}
