//! The enriched record: a flow record with the names of its endpoints, for engines that keep history.
//!
//! [`columns`] lists its columns. The encodings ([`RecordFormat`]) and their schemas ([`schema`], [`sql`]) follow from
//! it. Names are looked up while a record is encoded.

mod column;
mod encoder;
mod endpoint_columns;
mod flow_columns;
mod health_columns;
pub mod health_sql;
mod json;
mod protobuf;
mod row_binary;
pub mod schema;
pub mod sql;
#[cfg(test)]
mod test_record;

use super::endpoint_member::EndpointSide;
use super::record::ForwardedRecord;
use crate::inventory::{Endpoint, EndpointId, EndpointKind};
use crate::snapshots::{EndpointView, Snapshots};

pub use column::{Column, ColumnType, Value};
pub use encoder::{Encoder, RecordFormat};

/// All columns, in the order of their numbers.
pub fn columns() -> impl Iterator<Item = &'static Column> {
    let endpoints = endpoint_columns::SOURCE
        .iter()
        .chain(&endpoint_columns::DESTINATION);
    let flow = flow_columns::FLOW.iter().chain(endpoints);
    flow.chain(&health_columns::HEALTH)
}

/// A record with the names of its endpoints.
#[derive(Debug)]
pub struct EnrichedRecord<'a> {
    forwarded: &'a ForwardedRecord,
    snapshots: &'a Snapshots,
    collected_milliseconds: u64,
    source: EndpointNames<'a>,
    destination: EndpointNames<'a>,
}

/// One endpoint with its names.
#[derive(Debug)]
struct EndpointNames<'a> {
    view: EndpointView<'a>,
    /// The Service whose virtual address the record has for this endpoint.
    service: Option<&'a Endpoint>,
    /// The host name by which it was reached.
    host: Option<&'a str>,
}

impl<'a> EnrichedRecord<'a> {
    /// Looks up the endpoints of a record. `now_milliseconds` since the epoch becomes its time of collection.
    #[must_use]
    pub fn new(
        forwarded: &'a ForwardedRecord,
        snapshots: &'a Snapshots,
        now_milliseconds: u64,
    ) -> Self {
        let endpoints = &forwarded.endpoints;
        let names = |id: EndpointId, service: Option<EndpointId>, host| EndpointNames {
            view: snapshots.endpoint(id),
            service: service.map(|id| snapshots.endpoint(id).endpoint),
            host,
        };
        let [source_host, destination_host] = forwarded.host_names();
        Self {
            source: names(endpoints.source.id, endpoints.source_service, source_host),
            destination: names(
                endpoints.destination.id,
                endpoints.destination_service,
                destination_host,
            ),
            forwarded,
            snapshots,
            collected_milliseconds: now_milliseconds,
        }
    }

    const fn names(&self, side: EndpointSide) -> &EndpointNames<'a> {
        match side {
            EndpointSide::Source => &self.source,
            EndpointSide::Destination => &self.destination,
        }
    }

    /// The endpoint at a side, and its Service.
    const fn endpoint(&self, side: EndpointSide) -> (EndpointId, Option<EndpointId>) {
        let endpoints = &self.forwarded.endpoints;
        match side {
            EndpointSide::Source => (endpoints.source.id, endpoints.source_service),
            EndpointSide::Destination => (endpoints.destination.id, endpoints.destination_service),
        }
    }
}

impl<'a> EndpointNames<'a> {
    /// The name of a pod; empty for other endpoints and for an unknown pod.
    fn pod_name(&self) -> &'a str {
        match self.view.endpoint.kind {
            EndpointKind::Pod => &self.view.endpoint.name,
            _ => "",
        }
    }

    fn namespace_group(&self) -> &'a str {
        self.view.namespace_group()
    }

    /// The name of an external endpoint; empty for endpoints of the cluster.
    fn external_name(&self) -> &'a str {
        if let Some(host) = self.host {
            host
        } else if self.view.is_external() {
            self.view.workload_name()
        } else {
            ""
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_rise_and_names_are_unique() {
        let numbers: Vec<u32> = columns().map(|column| column.number).collect();
        assert!(numbers.is_sorted_by(|a, b| a < b));
        let names: std::collections::BTreeSet<_> = columns().map(|c| c.name).collect();
        assert_eq!(names.len(), numbers.len());
    }
}
