//! An edge of the history as a source of fields.

use crate::aggregate::field::{EndpointField, Field, FieldSource, RecordField, Side, Value};
use crate::inventory::{EndpointKind, Place};
use crate::pipeline::enrich::{Scope, TrafficClass};

use super::endpoint::StoredEndpoint;

/// A pair of stored endpoints.
#[derive(Clone, Copy, Debug)]
pub struct StoredEdge<'a> {
    /// The sender.
    pub source: &'a StoredEndpoint,
    /// The receiver.
    pub destination: &'a StoredEndpoint,
}

impl<'a> StoredEdge<'a> {
    /// True if the value of a field is known of an edge: fields of single records, such as a port,
    /// are not stored.
    #[must_use]
    pub fn has(field: &Field) -> bool {
        match field {
            Field::Endpoint(_, field) => StoredEndpoint::has(*field),
            Field::Record(field) => matches!(
                field,
                RecordField::Class | RecordField::Scope | RecordField::Direction
            ),
            Field::Label(..) | Field::NamespaceLabel(..) => false,
        }
    }

    fn is_external(endpoint: &StoredEndpoint) -> bool {
        endpoint.kind() == EndpointKind::External
    }

    fn endpoint(self, side: Side) -> Option<&'a StoredEndpoint> {
        let externals = [self.source, self.destination].map(Self::is_external);
        match (side, externals) {
            (Side::Source, _) => Some(self.source),
            (Side::Destination, _) => Some(self.destination),
            (Side::Internal, [false, true]) | (Side::External, [true, false]) => Some(self.source),
            (Side::Internal, [true, false]) | (Side::External, [false, true]) => {
                Some(self.destination)
            }
            (Side::Internal | Side::External, _) => None,
        }
    }

    /// Kinds of both endpoints. Nodes are compared by name, since their ids are used again.
    fn places(self) -> [Place; 2] {
        [self.source, self.destination].map(|endpoint| Place {
            kind: endpoint.kind(),
            node: None,
        })
    }

    fn class(self) -> TrafficClass {
        let [from, to] = [self.source, self.destination].map(|end| end.text(EndpointField::Node));
        let [source, destination] = self.places();
        match TrafficClass::between(source, destination) {
            TrafficClass::Between(..) if !from.is_empty() && from == to => TrafficClass::IntraNode,
            class => class,
        }
    }

    fn scope(self) -> Scope {
        let [source, destination] = self.places();
        Scope::between(source, destination)
    }

    fn direction(self) -> &'static str {
        match [self.source, self.destination].map(Self::is_external) {
            [false, true] => "egress",
            [true, false] => "ingress",
            [false, false] => "internal",
            [true, true] => "transit",
        }
    }

    /// The value of a field.
    #[must_use]
    pub fn get(self, field: &Field) -> Value<'a> {
        match field {
            Field::Endpoint(side, field) => {
                let endpoint = self.endpoint(*side);
                endpoint.map_or(Value::Absent, |endpoint| endpoint.value(*field))
            }
            Field::Record(RecordField::Class) => Value::Text(self.class().as_str()),
            Field::Record(RecordField::Direction) => Value::Text(self.direction()),
            Field::Record(RecordField::Scope) => Value::Text(self.scope().as_str()),
            Field::Record(_) | Field::Label(..) | Field::NamespaceLabel(..) => Value::Absent,
        }
    }
}

impl FieldSource for StoredEdge<'_> {
    fn value(&self, field: &Field) -> Value<'_> {
        self.get(field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(edge: StoredEdge<'_>, fields: &[&str]) -> Vec<String> {
        let value = |name: &&str| edge.get(&name.parse().unwrap()).to_string();
        fields.iter().map(value).collect()
    }

    #[test]
    fn an_edge_has_the_fields_of_both_endpoints_and_of_the_traffic() {
        let web = StoredEndpoint::of_pod("shop", "web", "web-1", "node-a");
        let office = StoredEndpoint::of_external("office", 0);
        let fields = [
            "src.workload",
            "dst.name",
            "internal.workload",
            "external.name",
            "class",
            "scope",
            "direction",
        ];
        let edge = StoredEdge {
            source: &web,
            destination: &office,
        };
        let wanted = [
            "web",
            "office",
            "web",
            "office",
            "pod_to_external",
            "external",
            "egress",
        ];
        assert_eq!(texts(edge, &fields), wanted);
        let reverse = StoredEdge {
            source: &office,
            destination: &web,
        };
        let wanted = [
            "office",
            "",
            "web",
            "office",
            "external_to_pod",
            "external",
            "ingress",
        ];
        assert_eq!(texts(reverse, &fields), wanted);
    }

    #[test]
    fn internal_traffic_has_no_external_side() {
        let web = StoredEndpoint::of_pod("shop", "web", "web-1", "node-a");
        let db = StoredEndpoint::of_pod("shop", "db", "db-0", "node-a");
        let edge = StoredEdge {
            source: &web,
            destination: &db,
        };
        let fields = [
            "internal.workload",
            "external.kind",
            "class",
            "scope",
            "direction",
        ];
        assert_eq!(
            texts(edge, &fields),
            ["", "", "intra_node", "internal", "internal"]
        );
    }

    #[test]
    fn a_field_of_single_records_is_not_stored() {
        let is_stored = |name: &str| StoredEdge::has(&name.parse().unwrap());
        for stored in ["src.pod", "dst.as_number", "external.cloud_region", "class"] {
            assert!(is_stored(stored), "{stored}");
        }
        for other in [
            "port",
            "src.address",
            "dst.service",
            "initiator",
            "src.label[\"a\"]",
        ] {
            assert!(!is_stored(other), "{other}");
        }
    }
}
