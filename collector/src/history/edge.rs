//! An edge of the history as a source of fields.

use crate::aggregate::field::{EndpointField, Field, FieldSource, RecordField, Side, Value};
use crate::inventory::Place;
use crate::pipeline::enrich::{Direction, Scope, TrafficClass};

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

    fn endpoint(self, side: Side) -> Option<&'a StoredEndpoint> {
        match (side, self.direction()) {
            (Side::Source, _)
            | (Side::Internal, Direction::Egress)
            | (Side::External, Direction::Ingress) => Some(self.source),
            (Side::Destination, _)
            | (Side::Internal, Direction::Ingress)
            | (Side::External, Direction::Egress) => Some(self.destination),
            (Side::Internal | Side::External, Direction::Internal | Direction::Transit) => None,
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

    fn direction(self) -> Direction {
        let [source, destination] = self.places();
        Direction::between(source, destination)
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
            Field::Record(RecordField::Direction) => Value::Text(self.direction().into()),
            Field::Record(RecordField::Scope) => Value::Text(self.scope().into()),
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
    fn traffic_of_a_link_with_an_external_source_is_internal() {
        let office = StoredEndpoint::of_external("office", 0);
        let link = StoredEndpoint::of_link();
        for (source, destination) in [(&office, &link), (&link, &office)] {
            let edge = StoredEdge {
                source,
                destination,
            };
            let fields = ["external.name", "class", "scope", "direction"];
            assert_eq!(texts(edge, &fields), ["", "link", "internal", "internal"]);
        }
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
