//! Presets: sets of metric families that answer a question.

use serde::{Deserialize, Serialize};

use super::family::{Family, Filter, Label, LabelSource, Side, Value};

/// A set of metric families.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// Bytes, packets and connections between workloads.
    Workloads,
    /// Bytes and packets between nodes, and between nodes and external addresses.
    Nodes,
    /// Bytes between zones, by workload.
    Zones,
    /// Bytes, packets and connections across the border of the cluster, by workload and external endpoint.
    External,
}

impl Preset {
    /// The default presets.
    pub const DEFAULT: [Self; 3] = [Self::Workloads, Self::Nodes, Self::Zones];

    /// The families of the preset. Families with the same labels follow each other.
    #[must_use]
    pub const fn families(self) -> &'static [Family] {
        match self {
            Self::Workloads => WORKLOADS,
            Self::Nodes => NODES,
            Self::Zones => ZONES,
            Self::External => EXTERNAL,
        }
    }
}

const fn label(name: &'static str, source: LabelSource) -> Label {
    Label { name, source }
}

const WORKLOAD_LABELS: &[Label] = &[
    label("src_namespace", LabelSource::Namespace(Side::Source)),
    label("src_kind", LabelSource::Kind(Side::Source)),
    label("src_workload", LabelSource::Workload(Side::Source)),
    label("dst_namespace", LabelSource::Namespace(Side::Destination)),
    label("dst_kind", LabelSource::Kind(Side::Destination)),
    label("dst_workload", LabelSource::Workload(Side::Destination)),
    label("class", LabelSource::Class),
];

const NODE_LABELS: &[Label] = &[
    label("src_node", LabelSource::Node(Side::Source)),
    label("dst_node", LabelSource::Node(Side::Destination)),
    label("class", LabelSource::Class),
    label("scope", LabelSource::Scope),
];

const ZONE_LABELS: &[Label] = &[
    label("src_zone", LabelSource::Zone(Side::Source)),
    label("dst_zone", LabelSource::Zone(Side::Destination)),
    label("src_namespace", LabelSource::Namespace(Side::Source)),
    label("src_workload", LabelSource::Workload(Side::Source)),
    label("dst_namespace", LabelSource::Namespace(Side::Destination)),
    label("dst_workload", LabelSource::Workload(Side::Destination)),
];

const EXTERNAL_LABELS: &[Label] = &[
    label("workload_namespace", LabelSource::Namespace(Side::Internal)),
    label("workload_kind", LabelSource::Kind(Side::Internal)),
    label("workload", LabelSource::Workload(Side::Internal)),
    label("direction", LabelSource::Direction),
    label("name", LabelSource::Name),
    label("as_number", LabelSource::AsNumber),
    label("as_name", LabelSource::AsName),
    label("country", LabelSource::Country),
    label("cloud_provider", LabelSource::CloudProvider),
    label("cloud_service", LabelSource::CloudService),
    label("cloud_region", LabelSource::CloudRegion),
];

const WORKLOADS: &[Family] = &[
    Family {
        name: "kipfix_bytes_total",
        help: "Octets of IP packets from one workload to another.",
        value: Value::Bytes,
        labels: WORKLOAD_LABELS,
        filter: Filter::All,
    },
    Family {
        name: "kipfix_packets_total",
        help: "IP packets from one workload to another.",
        value: Value::Packets,
        labels: WORKLOAD_LABELS,
        filter: Filter::All,
    },
    Family {
        name: "kipfix_connections_total",
        help: "Connections opened by one workload to another, of which the start was observed.",
        value: Value::Connections,
        labels: WORKLOAD_LABELS,
        filter: Filter::All,
    },
];

const NODES: &[Family] = &[
    Family {
        name: "kipfix_node_bytes_total",
        help: "Octets of IP packets from one node, or its pods, to another.",
        value: Value::Bytes,
        labels: NODE_LABELS,
        filter: Filter::All,
    },
    Family {
        name: "kipfix_node_packets_total",
        help: "IP packets from one node, or its pods, to another.",
        value: Value::Packets,
        labels: NODE_LABELS,
        filter: Filter::All,
    },
];

const ZONES: &[Family] = &[Family {
    name: "kipfix_zone_bytes_total",
    help: "Octets of IP packets from a workload in one zone to a workload in another.",
    value: Value::Bytes,
    labels: ZONE_LABELS,
    filter: Filter::CrossZone,
}];

const EXTERNAL: &[Family] = &[
    Family {
        name: "kipfix_external_bytes_total",
        help: "Octets of IP packets between a workload and external addresses.",
        value: Value::Bytes,
        labels: EXTERNAL_LABELS,
        filter: Filter::CrossBorder,
    },
    Family {
        name: "kipfix_external_packets_total",
        help: "IP packets between a workload and external addresses.",
        value: Value::Packets,
        labels: EXTERNAL_LABELS,
        filter: Filter::CrossBorder,
    },
    Family {
        name: "kipfix_external_connections_total",
        help: "Connections between a workload and external addresses, in the direction in which they were opened.",
        value: Value::Connections,
        labels: EXTERNAL_LABELS,
        filter: Filter::CrossBorder,
    },
];
