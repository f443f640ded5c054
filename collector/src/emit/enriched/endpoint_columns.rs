//! The columns of the endpoints of a flow: the same ones for the source and for the destination.

use super::EndpointNames;
use super::column::{Column, ColumnType, Value, column, number};
use crate::inventory::{Endpoint, Node};

const U32: ColumnType = ColumnType::Unsigned32;
const NAME: ColumnType = ColumnType::Name;
const TEXT: ColumnType = ColumnType::Text;

/// Number of columns of an endpoint.
const COUNT: usize = 18;

macro_rules! endpoint {
    ($side:ident, $first:expr) => {
        [
            column(
                $first + 0,
                (concat!(stringify!($side), "Namespace"), NAME),
                concat!("Namespace of the ", stringify!($side), "."),
                |e| Value::Text(&e.$side.view.endpoint.namespace),
            ),
            column(
                $first + 1,
                (concat!(stringify!($side), "NamespaceGroup"), NAME),
                "Group of that namespace.",
                |e| Value::Text(e.$side.namespace_group()),
            ),
            column(
                $first + 2,
                (concat!(stringify!($side), "WorkloadKind"), NAME),
                concat!("Kind of the workload of the ", stringify!($side), "."),
                |e| Value::Text(&e.$side.view.endpoint.workload_kind),
            ),
            column(
                $first + 3,
                (concat!(stringify!($side), "WorkloadName"), NAME),
                concat!("Name of the workload of the ", stringify!($side), "."),
                |e| Value::Text(e.$side.view.workload_name()),
            ),
            column(
                $first + 4,
                (concat!(stringify!($side), "PodName"), TEXT),
                "Name of the pod.",
                |e| Value::Text(e.$side.pod_name()),
            ),
            column(
                $first + 5,
                (concat!(stringify!($side), "ServiceNamespace"), NAME),
                concat!(
                    "Namespace of the Service whose virtual address the record has as the ",
                    stringify!($side),
                    "."
                ),
                |e| service(&e.$side, |s| &s.namespace),
            ),
            column(
                $first + 6,
                (concat!(stringify!($side), "ServiceName"), NAME),
                "Name of that Service.",
                |e| service(&e.$side, |s| &s.name),
            ),
            column(
                $first + 7,
                (concat!(stringify!($side), "NodeName"), NAME),
                concat!("Node of the ", stringify!($side), "."),
                |e| node(&e.$side, |n| &n.name),
            ),
            column(
                $first + 8,
                (concat!(stringify!($side), "NodePool"), NAME),
                "Pool of that node.",
                |e| node(&e.$side, |n| &n.pool),
            ),
            column(
                $first + 9,
                (concat!(stringify!($side), "Zone"), NAME),
                "Zone of that node.",
                |e| node(&e.$side, |n| &n.zone),
            ),
            column(
                $first + 10,
                (concat!(stringify!($side), "Region"), NAME),
                "Region of that node.",
                |e| node(&e.$side, |n| &n.region),
            ),
            column(
                $first + 11,
                (concat!(stringify!($side), "Name"), NAME),
                concat!("Name of an external ", stringify!($side), "."),
                |e| Value::Text(e.$side.external_name()),
            ),
            column(
                $first + 12,
                (concat!(stringify!($side), "AsNumber"), U32),
                concat!("AS number of an external ", stringify!($side), "."),
                |e| number(e.$side.view.attributes.as_number),
            ),
            column(
                $first + 13,
                (concat!(stringify!($side), "AsName"), NAME),
                "Organisation of that AS.",
                |e| Value::Text(&e.$side.view.attributes.as_organisation),
            ),
            column(
                $first + 14,
                (concat!(stringify!($side), "Country"), NAME),
                concat!("Country of an external ", stringify!($side), "."),
                |e| Value::Text(&e.$side.view.attributes.country),
            ),
            column(
                $first + 15,
                (concat!(stringify!($side), "CloudProvider"), NAME),
                concat!("Cloud provider of an external ", stringify!($side), "."),
                |e| Value::Text(&e.$side.view.attributes.cloud_provider),
            ),
            column(
                $first + 16,
                (concat!(stringify!($side), "CloudService"), NAME),
                "Service of that cloud.",
                |e| Value::Text(&e.$side.view.attributes.cloud_service),
            ),
            column(
                $first + 17,
                (concat!(stringify!($side), "CloudRegion"), NAME),
                "Region of that cloud.",
                |e| Value::Text(&e.$side.view.attributes.cloud_region),
            ),
        ]
    };
}

/// The columns of the source.
pub(super) const SOURCE: [Column; COUNT] = endpoint!(source, 50);

/// The columns of the destination.
pub(super) const DESTINATION: [Column; COUNT] = endpoint!(destination, 70);

/// A text of the Service of an endpoint.
fn service<'a>(names: &EndpointNames<'a>, text: fn(&'a Endpoint) -> &'a str) -> Value<'a> {
    Value::Text(names.service.map_or("", text))
}

/// A text of the node of an endpoint.
fn node<'a>(names: &EndpointNames<'a>, text: fn(&'a Node) -> &'a str) -> Value<'a> {
    Value::Text(names.view.node().map_or("", text))
}
