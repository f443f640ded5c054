//! A record and a cluster for tests.

use std::net::Ipv4Addr;
use std::sync::Arc;

use enum_map::EnumMap;
use flowproto::collector::Version;
use flowproto::record::{BiflowDirection, FlowKey, Interfaces, Sampling};
use flowproto::{Address, FlowRecord};

use super::EnrichedRecord;
use crate::emit::record::host_names_of;
use crate::inventory::{self, Bounds, TimeRange};
use crate::pipeline::enrich::{Endpoints, ResolvedEndpoint, TunnelUse};
use crate::pipeline::{Measures, Origin};
use crate::snapshots::{SnapshotStore, Snapshots};

pub(super) const NOW: u64 = 1_700_000_000_000;

const INVENTORY: &str = "
nodes:
  - {name: node-a, addresses: [192.0.2.1], podCIDRs: [10.1.1.0/24], zone: z1, region: r1}
pods:
  - {name: web-1, namespace: shop, addresses: [10.1.1.1], node: node-a, workload: {kind: Deployment, name: web}}
";

/// The snapshots of a cluster with one pod.
pub(super) fn snapshots() -> Snapshots {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("inventory.yaml");
    std::fs::write(&path, INVENTORY).unwrap();
    let mut inventory = inventory::file::read(&path, Bounds::default()).unwrap();
    let index = inventory.writer.current();
    SnapshotStore::new(index, Arc::default(), "prod").load()
}

/// A record with all that its columns are from.
#[derive(Clone)]
pub(super) struct TestRecord {
    pub(super) record: FlowRecord,
    pub(super) endpoints: Endpoints,
    pub(super) origin: Arc<Origin>,
    pub(super) measures: Measures,
}

impl TestRecord {
    /// The record, counted, without health.
    pub(super) fn enriched<'a>(&'a self, snapshots: &'a Snapshots) -> EnrichedRecord<'a> {
        EnrichedRecord {
            record: &self.record,
            endpoints: &self.endpoints,
            hosts: EnumMap::from_array(host_names_of(&self.record, &self.endpoints)),
            origin: &self.origin,
            measures: self.measures,
            is_counted: true,
            health: None,
            snapshots,
            collected_milliseconds: NOW,
            names: EnumMap::default(),
        }
    }
}

/// A record of that pod to an external address, with the fields that need care.
pub(super) fn record(snapshots: &Snapshots) -> TestRecord {
    let [source, destination] =
        [[10, 1, 1, 1], [198, 51, 100, 7]].map(|octets| Address::from(Ipv4Addr::from(octets)));
    let resolve = |address| {
        let found = snapshots.index.lookup(address, TimeRange::instant(NOW));
        ResolvedEndpoint::new(
            found.endpoint,
            snapshots.place(found.endpoint),
            found.certainty,
        )
    };
    TestRecord {
        record: FlowRecord {
            key: FlowKey {
                source_address: source,
                destination_address: destination,
                source_port: 40_000,
                destination_port: 443,
                protocol_identifier: 6,
            },
            octet_delta_count: 1500,
            packet_delta_count: 3,
            flow_end_milliseconds: NOW,
            biflow_direction: Some(BiflowDirection::Arbitrary),
            new_connection_delta_count: Some(0),
            interfaces: Some(Interfaces {
                ingress_interface: 7,
                ..Interfaces::default()
            }),
            sampling: Sampling::one_in(100),
            ..FlowRecord::default()
        },
        endpoints: Endpoints {
            source: resolve(source),
            destination: resolve(destination),
            tunnel: TunnelUse::None,
        },
        origin: Arc::new(Origin {
            source_address: Ipv4Addr::new(192, 0, 2, 1).into(),
            reported_address: Address::UNSPECIFIED,
            observation_domain_id: 1,
            version: Version::Ipfix,
            name: "node-a".into(),
        }),
        measures: Measures {
            bytes: 150_000,
            packets: 300,
            connections: 0,
        },
    }
}
