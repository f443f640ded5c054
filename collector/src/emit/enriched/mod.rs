//! The enriched record: a flow record with the names of its endpoints, for engines that keep
//! history.
//!
//! [`columns`] lists its columns. The encodings ([`RecordFormat`]) and their schemas ([`schema`], [`sql`]) follow from
//! it. Names are looked up while a record is encoded, and only if the encoded names of its
//! endpoints are not kept.

mod column;
mod encoder;
mod endpoint_columns;
mod flow_columns;
mod format;
mod group;
mod health_columns;
pub mod health_sql;
mod json;
mod protobuf;
mod row_binary;
pub mod schema;
pub mod sql;
#[cfg(test)]
mod test_record;

use std::cell::OnceCell;
use std::sync::Arc;

use enum_map::EnumMap;
use flowproto::FlowRecord;
use kipfix_export::spread::hash_of_flow;

use super::endpoint_member::EndpointSide;
use super::record::host_names_of;
use crate::inventory::{Endpoint, EndpointKind};
use crate::pipeline::enrich::{Endpoints, ResolvedEndpoint};
use crate::pipeline::{DecidedRecord, Measures, Origin};
use crate::snapshots::{EndpointView, Snapshots};

pub use column::{Column, ColumnType, Value};
pub use encoder::Encoder;
pub use format::RecordFormat;
use health_columns::EmittedHealth;

/// All columns, in the order of their numbers.
pub fn columns() -> impl Iterator<Item = &'static Column> {
    let endpoints = endpoint_columns::SOURCE
        .iter()
        .chain(&endpoint_columns::DESTINATION);
    let flow = flow_columns::FLOW.iter().flat_map(|group| group.columns);
    flow.chain(endpoints).chain(&health_columns::HEALTH)
}

/// A record with the names of its endpoints.
#[derive(Debug)]
pub struct EnrichedRecord<'a> {
    /// The record of its own direction, with its counters and times as received.
    record: &'a FlowRecord,
    endpoints: &'a Endpoints,
    /// Host names of the endpoints, if they are external.
    hosts: EnumMap<EndpointSide, Option<&'a str>>,
    origin: &'a Arc<Origin>,
    measures: Measures,
    is_counted: bool,
    health: Option<EmittedHealth>,
    snapshots: &'a Snapshots,
    collected_milliseconds: u64,
    names: EnumMap<EndpointSide, OnceCell<EndpointNames<'a>>>,
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
    /// One direction of a decided record. `record` is the received record as seen from that
    /// direction. `now_milliseconds` since the epoch becomes its time of collection.
    #[must_use]
    pub fn new(
        decided: &DecidedRecord<'a>,
        record: &'a FlowRecord,
        snapshots: &'a Snapshots,
        now_milliseconds: u64,
    ) -> Self {
        Self {
            record,
            endpoints: decided.endpoints,
            hosts: EnumMap::from_array(host_names_of(record, decided.endpoints)),
            origin: decided.origin,
            measures: decided.flow.measures,
            is_counted: decided.verdict.is_counted(),
            health: EmittedHealth::of(decided),
            snapshots,
            collected_milliseconds: now_milliseconds,
            names: EnumMap::default(),
        }
    }

    /// The hash of its flow, equal for both directions.
    #[must_use]
    pub fn flow_hash(&self) -> u64 {
        hash_of_flow(&self.record.key)
    }

    fn source(&self) -> &EndpointNames<'a> {
        self.names(EndpointSide::Source)
    }

    fn destination(&self) -> &EndpointNames<'a> {
        self.names(EndpointSide::Destination)
    }

    /// The names of an endpoint, looked up the first time.
    fn names(&self, side: EndpointSide) -> &EndpointNames<'a> {
        self.names[side].get_or_init(|| {
            let ResolvedEndpoint { id, service, .. } = *self.endpoint(side);
            EndpointNames {
                view: self.snapshots.endpoint(id),
                service: service.map(|id| self.snapshots.endpoint(id).endpoint),
                host: self.hosts[side],
            }
        })
    }

    /// The endpoint at a side.
    const fn endpoint(&self, side: EndpointSide) -> &'a ResolvedEndpoint {
        match side {
            EndpointSide::Source => &self.endpoints.source,
            EndpointSide::Destination => &self.endpoints.destination,
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
