//! The fields of an edge.

use super::detail::{Detail, EndDetail};
use super::edges::CountedEdge;
use super::field::{EndpointField, Field, FieldSource, RecordField, Side, Value};
use super::field_values;
use crate::inventory::{EndpointId, EndpointKind, LabelSet, Node, Place};
use crate::pipeline::DecidedRecord;
use crate::pipeline::enrich::{Direction, Scope, TrafficClass};
use crate::snapshots::{EndpointView, Snapshots};

/// An edge with the names that snapshots have for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edge<'a> {
    snapshots: &'a Snapshots,
    source: EndpointId,
    destination: EndpointId,
    places: (Place, Place),
    detail: Option<&'a Detail>,
}

impl<'a> Edge<'a> {
    pub(super) fn new(snapshots: &'a Snapshots, edge: &CountedEdge<'a>) -> Self {
        Self {
            detail: edge.detail,
            ..Self::between(snapshots, edge.source, edge.destination)
        }
    }

    /// An edge without details.
    pub(super) fn between(
        snapshots: &'a Snapshots,
        source: EndpointId,
        destination: EndpointId,
    ) -> Self {
        Self {
            snapshots,
            source,
            destination,
            places: (snapshots.place(source), snapshots.place(destination)),
            detail: None,
        }
    }

    /// A record as an edge of its own.
    pub(super) fn of_record(
        snapshots: &'a Snapshots,
        record: &DecidedRecord<'_>,
        detail: Option<&'a Detail>,
    ) -> Self {
        let endpoints = record.endpoints;
        Self {
            detail,
            ..Self::between(snapshots, endpoints.source.id, endpoints.destination.id)
        }
    }

    /// Where source and destination are.
    pub(super) const fn places(&self) -> (Place, Place) {
        self.places
    }

    /// The endpoint at a side. `None` if the edge has no such side.
    pub(super) fn endpoint(&self, side: Side) -> Option<EndpointId> {
        match self.end(side)? {
            Side::Source => Some(self.source),
            _ => Some(self.destination),
        }
    }

    /// Which of source and destination a side is.
    fn end(&self, side: Side) -> Option<Side> {
        if matches!(side, Side::Source | Side::Destination) {
            return Some(side);
        }
        let (internal, external) = match direction(self.places) {
            Direction::Egress => (Side::Source, Side::Destination),
            Direction::Ingress => (Side::Destination, Side::Source),
            Direction::Internal | Direction::Transit => return None,
        };
        Some(if side == Side::Internal {
            internal
        } else {
            external
        })
    }

    fn end_detail(&self, side: Side) -> Option<&'a EndDetail> {
        let detail = self.detail?;
        Some(match self.end(side)? {
            Side::Source => &detail.source,
            _ => &detail.destination,
        })
    }

    fn endpoint_value(&self, side: Side, field: EndpointField) -> Value<'a> {
        let of_end = |value: fn(&'a EndDetail) -> Value<'a>| {
            self.end_detail(side).map_or(Value::Absent, value)
        };
        match field {
            EndpointField::Address => return of_end(|end| Value::address(end.address)),
            EndpointField::Port => return of_end(|end| number(end.port)),
            EndpointField::Host => return of_end(|end| optional_text(end.host.as_deref())),
            EndpointField::BgpAsNumber => return of_end(|end| positive(end.as_number)),
            _ => {}
        }
        let Some(id) = self.endpoint(side) else {
            return Value::Absent;
        };
        let view = self.snapshots.endpoint(id);
        match field {
            EndpointField::AsNumber => positive(view.attributes.as_number),
            EndpointField::Service => Value::text(self.service(side, view)),
            field => Value::text(endpoint_text(view, field)),
        }
    }

    /// The label of a set of labels that the endpoint has.
    fn label(
        &self,
        side: Side,
        key: &str,
        labels: fn(EndpointView<'a>) -> Option<&'a LabelSet>,
    ) -> Value<'a> {
        let view = self.endpoint(side).map(|id| self.snapshots.endpoint(id));
        let labels = view.and_then(labels);
        labels.map_or(Value::Absent, |labels| Value::text(labels.get(key)))
    }

    /// The field of an endpoint, of the endpoint at a side.
    pub(super) fn endpoint_field(&self, side: Side, field: &Field) -> Value<'a> {
        match field {
            Field::Endpoint(_, field) => self.endpoint_value(side, *field),
            Field::Record(_) => Value::Absent,
            Field::Label(_, key) => self.label(side, key, EndpointView::labels),
            Field::NamespaceLabel(_, key) => self.label(side, key, EndpointView::namespace_labels),
        }
    }

    /// The Service that the record names, else the one that the endpoint is.
    fn service(&self, side: Side, view: EndpointView<'a>) -> &'a str {
        match self.end_detail(side).and_then(|end| end.service) {
            Some(id) => &self.snapshots.endpoint(id).endpoint.name,
            None if view.endpoint.kind == EndpointKind::Service => &view.endpoint.name,
            None => "",
        }
    }

    fn record_value(&self, field: RecordField) -> Value<'a> {
        match (field, self.detail) {
            (RecordField::Class, _) => Value::Text(class(self.places)),
            (RecordField::Scope, _) => Value::Text(scope(self.places)),
            (RecordField::Direction, _) => Value::Text(direction(self.places).into()),
            (_, None) => Value::Absent,
            (RecordField::Port, Some(detail)) => number(detail.server_port),
            (RecordField::Protocol, Some(detail)) => {
                detail.protocol.map_or(Value::Absent, Value::Protocol)
            }
            (RecordField::Dscp, Some(detail)) => number(detail.dscp),
            (RecordField::Initiator, Some(detail)) => {
                optional_text(detail.initiator.map(field_values::initiator))
            }
            (RecordField::Exporter, Some(detail)) => Value::address(detail.exporter),
            (RecordField::Encapsulation, Some(detail)) => {
                optional_text(detail.encapsulation.map(<&str>::from))
            }
            (RecordField::SecurityProtocol, Some(detail)) => {
                Value::text(detail.security_protocol.into())
            }
            (RecordField::TcpEnd, Some(detail)) => {
                optional_text(field_values::tcp_end(detail.tcp_connection_state))
            }
            (RecordField::ConnectionDuration, Some(detail)) => number(detail.connection_seconds),
            (RecordField::FlowDuration, Some(detail)) => number(detail.flow_seconds),
            (RecordField::InputInterface, Some(detail)) => {
                optional_text(detail.input_interface.as_deref())
            }
            (RecordField::OutputInterface, Some(detail)) => {
                optional_text(detail.output_interface.as_deref())
            }
        }
    }
}

impl FieldSource for Edge<'_> {
    fn value(&self, field: &Field) -> Value<'_> {
        match field {
            Field::Record(field) => self.record_value(*field),
            Field::Endpoint(side, _) | Field::Label(side, _) | Field::NamespaceLabel(side, _) => {
                self.endpoint_field(*side, field)
            }
        }
    }
}

/// A field of an endpoint that is a text.
pub(crate) fn endpoint_text(view: EndpointView<'_>, field: EndpointField) -> &str {
    let endpoint = view.endpoint;
    let node = |text: fn(&Node) -> &str| view.node().map_or("", text);
    match field {
        EndpointField::Class => endpoint.kind.into(),
        EndpointField::Namespace => &endpoint.namespace,
        EndpointField::Kind => &endpoint.workload_kind,
        EndpointField::Workload => view.workload_name(),
        EndpointField::Pod => match endpoint.kind {
            EndpointKind::Pod => &endpoint.name,
            // A pod on the node's network.
            EndpointKind::Node if !endpoint.namespace.is_empty() => &endpoint.name,
            _ => "",
        },
        EndpointField::Node => node(|node| &node.name),
        EndpointField::Zone => view.zone(),
        EndpointField::Region => view.region(),
        EndpointField::Pool => node(|node| &node.pool),
        EndpointField::Cidr => &view.attributes.name,
        EndpointField::Name if view.is_external() => view.workload_name(),
        EndpointField::AsName => &view.attributes.as_organisation,
        EndpointField::Country => &view.attributes.country,
        EndpointField::CloudProvider => &view.attributes.cloud_provider,
        EndpointField::CloudService => &view.attributes.cloud_service,
        EndpointField::CloudRegion => &view.attributes.cloud_region,
        EndpointField::Name
        | EndpointField::Host
        | EndpointField::Service
        | EndpointField::Address
        | EndpointField::Port
        | EndpointField::AsNumber
        | EndpointField::BgpAsNumber => "",
    }
}

fn class((source, destination): (Place, Place)) -> &'static str {
    TrafficClass::between(source, destination).as_str()
}

fn scope((source, destination): (Place, Place)) -> &'static str {
    Scope::between(source, destination).into()
}

fn direction((source, destination): (Place, Place)) -> Direction {
    Direction::between(source, destination)
}

fn number<'a>(value: Option<impl Into<u64>>) -> Value<'a> {
    value.map_or(Value::Absent, |value| Value::Number(value.into()))
}

fn positive<'a>(value: u32) -> Value<'a> {
    number(Some(value).filter(|value| *value != 0))
}

fn optional_text(text: Option<&str>) -> Value<'_> {
    text.map_or(Value::Absent, Value::text)
}
