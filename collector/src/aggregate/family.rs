//! Metric families as data: a name, the value, the labels, and the edges that belong to it.

use kipfix_service::exposition;

use crate::inventory::{EndpointId, EndpointKind, Place};
use crate::pipeline::Measures;
use crate::pipeline::enrich::{Scope, TrafficClass};
use crate::snapshots::{EndpointView, Snapshots};

/// The value of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// Octets of IP packets.
    Bytes,
    /// Packets.
    Packets,
    /// New connections.
    Connections,
}

impl Value {
    /// The value among the measures of an edge.
    #[must_use]
    pub const fn of(self, measures: &Measures) -> u64 {
        match self {
            Self::Bytes => measures.bytes,
            Self::Packets => measures.packets,
            Self::Connections => measures.connections,
        }
    }
}

/// The source of a label's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelSource {
    /// Namespace of the endpoint; empty if it has none.
    Namespace(Side),
    /// Kind of the endpoint's workload.
    Kind(Side),
    /// Name of the endpoint's workload.
    Workload(Side),
    /// Node of the endpoint; empty if unknown.
    Node(Side),
    /// Zone of the endpoint's node; empty if unknown.
    Zone(Side),
    /// Class of traffic.
    Class,
    /// `internal` or `external`.
    Scope,
    /// `egress` if the traffic leaves the cluster, `ingress` if it enters.
    Direction,
    /// Name of the external endpoint: of a named CIDR, or of a Service that represents it.
    Name,
    /// Number of the autonomous system of the external endpoint; empty if unknown, as are all that follow.
    AsNumber,
    /// Organization of that system.
    AsName,
    /// Country of the external endpoint, ISO 3166-1 alpha-2.
    Country,
    /// Cloud of the external endpoint.
    CloudProvider,
    /// The cloud's name of the service.
    CloudService,
    /// The cloud's name of the region.
    CloudRegion,
}

/// An endpoint of an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The sender.
    Source,
    /// The receiver.
    Destination,
    /// The endpoint in the cluster, of an edge that crosses its border.
    Internal,
}

/// A label of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// Its value.
    pub source: LabelSource,
}

/// The edges that belong to a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// All edges.
    All,
    /// Edges between two different, known zones.
    CrossZone,
    /// Edges with exactly one external endpoint.
    CrossBorder,
}

/// A metric family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Family {
    /// Name in the exposition, ending in `_total`.
    pub name: &'static str,
    /// HELP text, one sentence.
    pub help: &'static str,
    /// Its value.
    pub value: Value,
    /// Its labels.
    pub labels: &'static [Label],
    /// Its edges.
    pub filter: Filter,
}

/// An edge with its endpoints, for labels and filters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edge<'a> {
    source: EndpointView<'a>,
    destination: EndpointView<'a>,
    places: [Place; 2],
}

impl<'a> Edge<'a> {
    pub(super) fn new(
        snapshots: &'a Snapshots,
        source: EndpointId,
        destination: EndpointId,
    ) -> Self {
        Self {
            source: snapshots.endpoint(source),
            destination: snapshots.endpoint(destination),
            places: [snapshots.place(source), snapshots.place(destination)],
        }
    }

    pub(super) fn passes(&self, filter: Filter) -> bool {
        match filter {
            Filter::All => true,
            Filter::CrossZone => {
                let (source, destination) = (self.source.zone(), self.destination.zone());
                !source.is_empty() && !destination.is_empty() && source != destination
            }
            Filter::CrossBorder => {
                let kinds = self.places.map(|place| place.kind);
                let external = |kind: &EndpointKind| *kind == EndpointKind::External;
                !kinds.contains(&EndpointKind::Link)
                    && kinds.iter().filter(|kind| external(kind)).count() == 1
            }
        }
    }

    /// Appends the value of a label, escaped.
    pub(super) fn write(&self, source: LabelSource, out: &mut Vec<u8>) {
        let [from, to] = self.places;
        let external = || self.external().attributes;
        let text: &str = match source {
            LabelSource::Namespace(side) => &self.endpoint(side).endpoint.namespace,
            LabelSource::Kind(side) => &self.endpoint(side).endpoint.workload_kind,
            LabelSource::Workload(side) => self.endpoint(side).workload_name(),
            LabelSource::Node(side) => self.endpoint(side).node().map_or("", |node| &node.name),
            LabelSource::Zone(side) => self.endpoint(side).zone(),
            LabelSource::Class => TrafficClass::between(from, to).as_str(),
            LabelSource::Scope => Scope::between(from, to).as_str(),
            LabelSource::Direction if self.destination.is_external() => "egress",
            LabelSource::Direction => "ingress",
            LabelSource::Name => self.external().workload_name(),
            LabelSource::AsNumber => {
                if external().as_number != 0 {
                    let mut digits = itoa::Buffer::new();
                    out.extend_from_slice(digits.format(external().as_number).as_bytes());
                }
                return;
            }
            LabelSource::AsName => &external().as_organisation,
            LabelSource::Country => &external().country,
            LabelSource::CloudProvider => &external().cloud_provider,
            LabelSource::CloudService => &external().cloud_service,
            LabelSource::CloudRegion => &external().cloud_region,
        };
        exposition::write_label_value(text, out);
    }

    fn endpoint(&self, side: Side) -> EndpointView<'a> {
        match side {
            Side::Source => self.source,
            Side::Internal if !self.source.is_external() => self.source,
            Side::Destination | Side::Internal => self.destination,
        }
    }

    fn external(&self) -> EndpointView<'a> {
        if self.destination.is_external() {
            self.destination
        } else {
            self.source
        }
    }
}
