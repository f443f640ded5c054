//! The values of fields that have few of them.

use flowproto::record::{SecurityProtocol, TunnelType};
use flowproto::tcp::ConnectionState;
use strum::VariantArray;

use super::field::{EndpointField, Field, RecordField};
use crate::inventory::EndpointKind;
use crate::pipeline::Initiator;
use crate::pipeline::enrich::{Direction, Scope, TrafficClass};

/// How a connection ended, or that it is open. `None` if the state is not reported.
pub(super) const fn tcp_end(state: ConnectionState) -> Option<&'static str> {
    match state {
        ConnectionState::Unknown => None,
        ConnectionState::Unanswered => Some("unanswered"),
        ConnectionState::Refused => Some("refused"),
        ConnectionState::Open => Some("open"),
        ConnectionState::Closed => Some("closed"),
        ConnectionState::ResetByInitiator | ConnectionState::ResetByResponder => Some("reset"),
    }
}

/// The endpoint that opened a connection.
pub(super) const fn initiator(initiator: Initiator) -> &'static str {
    match initiator {
        Initiator::Source => "src",
        Initiator::Destination => "dst",
        Initiator::Unknown => "unknown",
    }
}

/// All values of a field but the empty one. `None` if they depend on the cluster and its traffic.
pub(super) fn all(field: &Field) -> Option<Vec<&'static str>> {
    let kinds = EndpointKind::VARIANTS;
    let mut values: Vec<&'static str> = match field {
        Field::Endpoint(_, EndpointField::Class) => texts(kinds),
        Field::Record(RecordField::Class) => {
            let pairs = kinds
                .iter()
                .flat_map(|source| kinds.iter().map(|end| TrafficClass::Between(*source, *end)));
            let classes = pairs.chain([TrafficClass::IntraNode]);
            classes.map(TrafficClass::as_str).collect()
        }
        Field::Record(RecordField::Scope) => texts(Scope::VARIANTS),
        Field::Record(RecordField::Direction) => texts(Direction::VARIANTS),
        Field::Record(RecordField::Initiator) => {
            let initiators = [
                Initiator::Source,
                Initiator::Destination,
                Initiator::Unknown,
            ];
            initiators.map(initiator).into()
        }
        Field::Record(RecordField::TcpEnd) => {
            let states = ConnectionState::VARIANTS.iter();
            states.filter_map(|state| tcp_end(*state)).collect()
        }
        Field::Record(RecordField::Encapsulation) => texts(TunnelType::VARIANTS),
        Field::Record(RecordField::SecurityProtocol) => texts(SecurityProtocol::VARIANTS),
        _ => return None,
    };
    values.retain(|value| !value.is_empty());
    let mut seen = Vec::new();
    values.retain(|value| {
        let is_new = !seen.contains(value);
        seen.push(*value);
        is_new
    });
    Some(values)
}

fn texts<T: Copy + Into<&'static str>>(variants: &[T]) -> Vec<&'static str> {
    variants.iter().map(|variant| (*variant).into()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(field: &str) -> Vec<&'static str> {
        all(&field.parse().unwrap()).unwrap()
    }

    #[test]
    fn a_field_with_few_values_has_each_of_them_once() {
        assert_eq!(values("scope"), ["internal", "external"]);
        assert_eq!(
            values("tcp_end"),
            ["unanswered", "refused", "open", "closed", "reset"]
        );
        assert_eq!(values("security_protocol"), ["ah", "esp", "wireguard"]);
        assert_eq!(
            values("dst.class"),
            ["pod", "node", "service", "external", "link"]
        );
        let classes = values("class");
        assert_eq!(classes.len(), 4 * 4 + 2);
        for class in ["pod_to_external", "intra_node", "link"] {
            assert!(classes.contains(&class), "{class}");
        }
        assert_eq!(all(&"src.namespace".parse().unwrap()), None);
    }
}
