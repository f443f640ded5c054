//! The columns of the endpoints of a flow: the same ones for the source and for the destination.

use super::EndpointNames;
use super::column::{Column, ColumnType, Value, column, number};
use crate::emit::endpoint_member::{EndpointMember, EndpointSide};
use crate::inventory::{Endpoint, Node};

const U32: ColumnType = ColumnType::Unsigned32;
const NAME: ColumnType = ColumnType::Name;
const TEXT: ColumnType = ColumnType::Text;

/// Number of columns of an endpoint.
const COUNT: usize = 18;

macro_rules! endpoint {
    ($side:ident, $name_side:expr, $first:expr) => {
        [
            column(
                $first + 0,
                (EndpointMember::Namespace.name($name_side), NAME),
                concat!("Namespace of the ", stringify!($side), "."),
                |e| Value::Text(&e.$side().view.endpoint.namespace),
            ),
            column(
                $first + 1,
                (EndpointMember::NamespaceGroup.name($name_side), NAME),
                "Group of that namespace.",
                |e| Value::Text(e.$side().namespace_group()),
            ),
            column(
                $first + 2,
                (EndpointMember::WorkloadKind.name($name_side), NAME),
                concat!("Kind of the workload of the ", stringify!($side), "."),
                |e| Value::Text(&e.$side().view.endpoint.workload_kind),
            ),
            column(
                $first + 3,
                (EndpointMember::WorkloadName.name($name_side), NAME),
                concat!("Name of the workload of the ", stringify!($side), "."),
                |e| Value::Text(e.$side().view.workload_name()),
            ),
            column(
                $first + 4,
                (EndpointMember::PodName.name($name_side), TEXT),
                "Name of the pod.",
                |e| Value::Text(e.$side().pod_name()),
            ),
            column(
                $first + 5,
                (EndpointMember::ServiceNamespace.name($name_side), NAME),
                concat!(
                    "Namespace of the Service whose virtual address the record has as the ",
                    stringify!($side),
                    "."
                ),
                |e| service(e.$side(), |s| &s.namespace),
            ),
            column(
                $first + 6,
                (EndpointMember::ServiceName.name($name_side), NAME),
                "Name of that Service.",
                |e| service(e.$side(), |s| &s.name),
            ),
            column(
                $first + 7,
                (EndpointMember::NodeName.name($name_side), NAME),
                concat!("Node of the ", stringify!($side), "."),
                |e| node(e.$side(), |n| &n.name),
            ),
            column(
                $first + 8,
                (EndpointMember::NodePool.name($name_side), NAME),
                "Pool of that node.",
                |e| node(e.$side(), |n| &n.pool),
            ),
            column(
                $first + 9,
                (EndpointMember::Zone.name($name_side), NAME),
                "Zone of that node.",
                |e| node(e.$side(), |n| &n.zone),
            ),
            column(
                $first + 10,
                (EndpointMember::Region.name($name_side), NAME),
                "Region of that node.",
                |e| node(e.$side(), |n| &n.region),
            ),
            column(
                $first + 11,
                (EndpointMember::Name.name($name_side), NAME),
                concat!("Name of an external ", stringify!($side), "."),
                |e| Value::Text(e.$side().external_name()),
            ),
            column(
                $first + 12,
                (EndpointMember::AsNumber.name($name_side), U32),
                concat!("AS number of an external ", stringify!($side), "."),
                |e| number(e.$side().view.attributes.as_number),
            ),
            column(
                $first + 13,
                (EndpointMember::AsName.name($name_side), NAME),
                "Organisation of that AS.",
                |e| Value::Text(&e.$side().view.attributes.as_organisation),
            ),
            column(
                $first + 14,
                (EndpointMember::Country.name($name_side), NAME),
                concat!("Country of an external ", stringify!($side), "."),
                |e| Value::Text(&e.$side().view.attributes.country),
            ),
            column(
                $first + 15,
                (EndpointMember::CloudProvider.name($name_side), NAME),
                concat!("Cloud provider of an external ", stringify!($side), "."),
                |e| Value::Text(&e.$side().view.attributes.cloud_provider),
            ),
            column(
                $first + 16,
                (EndpointMember::CloudService.name($name_side), NAME),
                "Service of that cloud.",
                |e| Value::Text(&e.$side().view.attributes.cloud_service),
            ),
            column(
                $first + 17,
                (EndpointMember::CloudRegion.name($name_side), NAME),
                "Region of that cloud.",
                |e| Value::Text(&e.$side().view.attributes.cloud_region),
            ),
        ]
    };
}

/// The columns of the source.
pub(super) static SOURCE: [Column; COUNT] = endpoint!(source, EndpointSide::Source, 50);

/// The columns of the destination.
pub(super) static DESTINATION: [Column; COUNT] =
    endpoint!(destination, EndpointSide::Destination, 70);

/// A text of the Service of an endpoint.
fn service<'a>(names: &EndpointNames<'a>, text: fn(&'a Endpoint) -> &'a str) -> Value<'a> {
    Value::Text(names.service.map_or("", text))
}

/// A text of the node of an endpoint.
fn node<'a>(names: &EndpointNames<'a>, text: fn(&'a Node) -> &'a str) -> Value<'a> {
    Value::Text(names.view.node().map_or("", text))
}
