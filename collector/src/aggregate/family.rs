//! Metric families as data: a name, what is summed, which labels, which edges.

use kipfix_service::exposition;

use crate::enrich::{End, Known, Scope, TrafficClass};
use crate::inventory::{EndpointId, Place};

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
    /// `egress` where it leaves the cluster, `ingress` where it comes in.
    Direction,
    /// Name of the end outside: a named CIDR's, or a Service's that stands for it.
    Name,
    /// Number of the autonomous system of the end outside; empty where unknown, as all that follow.
    AsNumber,
    /// Who runs that system.
    AsName,
    /// Country of the end outside, ISO 3166-1 alpha-2.
    Country,
    /// Cloud that the end outside is in.
    CloudProvider,
    /// The cloud's name of the service there.
    CloudService,
    /// The cloud's name of the region.
    CloudRegion,
}

/// Which end of an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Who sent.
    Source,
    /// Who was sent to.
    Destination,
    /// The one in the cluster, of an edge that crosses its border.
    Inside,
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
    /// Those of which just one end is outside.
    CrossBorder,
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
    source: End<'a>,
    destination: End<'a>,
}

impl<'a> Edge<'a> {
    pub(super) fn new(known: Known<'a>, source: EndpointId, destination: EndpointId) -> Self {
        Self {
            source: known.end(source),
            destination: known.end(destination),
        }
    }

    pub(super) fn passes(&self, filter: Filter) -> bool {
        match filter {
            Filter::All => true,
            Filter::CrossZone => {
                let [source, destination] = [self.source, self.destination].map(End::zone);
                !source.is_empty() && !destination.is_empty() && source != destination
            }
            Filter::CrossBorder => self.source.is_outside() != self.destination.is_outside(),
        }
    }

    /// Appends a label's value, escaped.
    pub(super) fn write(&self, source: LabelSource, out: &mut Vec<u8>) {
        let outside = || self.outside().attributes;
        let text: &str = match source {
            LabelSource::Namespace(side) => &self.end(side).endpoint.namespace,
            LabelSource::Kind(side) => &self.end(side).endpoint.workload_kind,
            LabelSource::Workload(side) => self.end(side).workload_name(),
            LabelSource::Node(side) => self.end(side).node().map_or("", |node| &node.name),
            LabelSource::Zone(side) => self.end(side).zone(),
            LabelSource::Class => {
                let [source, destination] = self.places();
                TrafficClass::between(source, destination).as_str()
            }
            LabelSource::Scope => {
                let [source, destination] = self.places();
                Scope::between(source, destination).as_str()
            }
            LabelSource::Direction if self.destination.is_outside() => "egress",
            LabelSource::Direction => "ingress",
            LabelSource::Name => self.outside().workload_name(),
            LabelSource::AsNumber => {
                if outside().as_number != 0 {
                    let mut digits = itoa::Buffer::new();
                    out.extend_from_slice(digits.format(outside().as_number).as_bytes());
                }
                return;
            }
            LabelSource::AsName => &outside().as_organisation,
            LabelSource::Country => &outside().country,
            LabelSource::CloudProvider => &outside().cloud_provider,
            LabelSource::CloudService => &outside().cloud_service,
            LabelSource::CloudRegion => &outside().cloud_region,
        };
        exposition::write_label_value(text, out);
    }

    fn places(&self) -> [Place; 2] {
        [self.source, self.destination].map(|end| end.endpoint.place())
    }

    fn end(&self, side: Side) -> End<'a> {
        match side {
            Side::Source => self.source,
            Side::Inside if !self.source.is_outside() => self.source,
            Side::Destination | Side::Inside => self.destination,
        }
    }

    fn outside(&self) -> End<'a> {
        if self.destination.is_outside() {
            self.destination
        } else {
            self.source
        }
    }
}
