//! The members of a line: the record as it was received, what was read of a packet that it reports,
//! and its enrichment.

use flowproto::element::KIPFIX_ENTERPRISE;
use flowproto::host_name::HostName;
use flowproto::json;

use super::members;
use crate::emit::forward::ANTREA;
use crate::inventory::{EndpointId, EndpointKind, LabelSet};
use crate::pipeline::{DecidedRecord, WholeRecord};
use crate::snapshots::{EndpointView, Snapshots};

/// Maximum octets of the fields of a record in a line.
pub(super) const MAX_LINE_OCTETS: usize = 64 << 10;

/// Appends the members of a record as JSON, without braces. Returns true if its fields were too long
/// and are not complete.
pub(super) fn write_members(
    record: &DecidedRecord<'_>,
    whole: &WholeRecord<'_>,
    snapshots: &Snapshots,
    out: &mut Vec<u8>,
) -> bool {
    let begin = out.len();
    let is_truncated = whole.fields.write_json(MAX_LINE_OCTETS, out);
    if whole.fields.are_packet_report() && whole.record.packet_delta_count > 0 {
        if out.len() > begin {
            out.push(b',');
        }
        json::write_flow(whole.record, out);
    }
    let fields_end = out.len();
    if fields_end > begin {
        out.push(b',');
    }
    let added = out.len();
    let origin = record.origin;
    out.extend_from_slice(b"\"exporter\":");
    json::write_address(origin.source_address, out);
    out.extend_from_slice(b",\"observationDomainId\":");
    json::write_number(origin.observation_domain_id.into(), out);
    out.extend_from_slice(b",\"version\":");
    json::write_number(origin.version.number().into(), out);
    if !snapshots.is_empty() {
        write_enrichment(record, snapshots, out);
    }
    if is_truncated {
        out.extend_from_slice(b",\"truncated\":true");
    }
    // Antrea and other collectors of kipfix send members that are added here, too. What is known here
    // replaces them, and what is not known here stays.
    if whole.fields.have_enterprise(&[ANTREA, KIPFIX_ENTERPRISE]) {
        remove_replaced(begin, fields_end, added, out);
    }
    is_truncated
}

/// Removes the fields that have the name of an added member.
fn remove_replaced(begin: usize, fields_end: usize, added: usize, out: &mut Vec<u8>) {
    let mut replaced = 0_u64;
    for (name, _) in members::all(out.get(added..).unwrap_or_default()) {
        replaced |= bit_of(name);
    }
    let end = members::remove(out, begin, fields_end, |name| bit_of(name) & replaced != 0);
    if end == begin && fields_end > begin {
        // The comma behind the fields.
        out.remove(begin);
    }
}

fn write_enrichment(record: &DecidedRecord<'_>, snapshots: &Snapshots, out: &mut Vec<u8>) {
    let endpoints = record.endpoints;
    let [source_host, destination_host] = record.host_names();
    write_endpoint(
        snapshots,
        (endpoints.source.id, endpoints.source_service),
        source_host,
        &SOURCE,
        out,
    );
    write_endpoint(
        snapshots,
        (endpoints.destination.id, endpoints.destination_service),
        destination_host,
        &DESTINATION,
        out,
    );
    write_text("trafficClass", endpoints.class().as_str(), out);
    write_text("trafficScope", endpoints.scope().into(), out);
    if endpoints.tunnel.is_outer() {
        out.extend_from_slice(b",\"tunnelTrusted\":false");
    }
    if record.flow.node.is_none() {
        if record.origin.name.is_empty() {
            write_key("observer", out);
            json::write_address(record.origin.source_address, out);
        } else {
            write_text("observer", &record.origin.name, out);
        }
    }
    write_text("clusterId", &snapshots.cluster_name, out);
    out.extend_from_slice(if record.verdict.is_authoritative() {
        b",\"counted\":true"
    } else {
        b",\"counted\":false"
    });
}

/// Appends a member with labels, unless there are none.
fn write_labels(name: &str, labels: Option<&LabelSet>, out: &mut Vec<u8>) {
    let Some(labels) = labels else {
        return;
    };
    write_key(name, out);
    let mut separator = b'{';
    for (key, value) in labels.iter() {
        out.push(std::mem::replace(&mut separator, b','));
        json::write_string(key, out);
        out.push(b':');
        json::write_string(value, out);
    }
    out.push(b'}');
}

/// Member names of one endpoint. Those that Antrea has are spelled as Antrea does.
struct EndpointMembers {
    pod_namespace: &'static str,
    namespace_group: &'static str,
    pod_name: &'static str,
    node_name: &'static str,
    workload_kind: &'static str,
    workload_name: &'static str,
    service_namespace: &'static str,
    service_name: &'static str,
    pool: &'static str,
    zone: &'static str,
    region: &'static str,
    name: &'static str,
    as_number: &'static str,
    as_name: &'static str,
    country: &'static str,
    cloud_provider: &'static str,
    cloud_service: &'static str,
    cloud_region: &'static str,
    labels: &'static str,
    namespace_labels: &'static str,
}

const SOURCE: EndpointMembers = EndpointMembers {
    pod_namespace: "sourcePodNamespace",
    namespace_group: "sourceNamespaceGroup",
    pod_name: "sourcePodName",
    node_name: "sourceNodeName",
    workload_kind: "sourceWorkloadKind",
    workload_name: "sourceWorkloadName",
    service_namespace: "sourceServiceNamespace",
    service_name: "sourceServiceName",
    pool: "sourceNodePool",
    zone: "sourceZone",
    region: "sourceRegion",
    name: "sourceName",
    as_number: "sourceAsNumber",
    as_name: "sourceAsName",
    country: "sourceCountry",
    cloud_provider: "sourceCloudProvider",
    cloud_service: "sourceCloudService",
    cloud_region: "sourceCloudRegion",
    labels: "sourceLabels",
    namespace_labels: "sourceNamespaceLabels",
};

const DESTINATION: EndpointMembers = EndpointMembers {
    pod_namespace: "destinationPodNamespace",
    namespace_group: "destinationNamespaceGroup",
    pod_name: "destinationPodName",
    node_name: "destinationNodeName",
    workload_kind: "destinationWorkloadKind",
    workload_name: "destinationWorkloadName",
    service_namespace: "destinationServiceNamespace",
    service_name: "destinationServiceName",
    pool: "destinationNodePool",
    zone: "destinationZone",
    region: "destinationRegion",
    name: "destinationName",
    as_number: "destinationAsNumber",
    as_name: "destinationAsName",
    country: "destinationCountry",
    cloud_provider: "destinationCloudProvider",
    cloud_service: "destinationCloudService",
    cloud_region: "destinationCloudRegion",
    labels: "destinationLabels",
    namespace_labels: "destinationNamespaceLabels",
};

impl EndpointMembers {
    const COUNT: usize = 20;

    const fn all(&self) -> [&'static str; Self::COUNT] {
        [
            self.pod_namespace,
            self.namespace_group,
            self.pod_name,
            self.node_name,
            self.workload_kind,
            self.workload_name,
            self.service_namespace,
            self.service_name,
            self.pool,
            self.zone,
            self.region,
            self.name,
            self.as_number,
            self.as_name,
            self.country,
            self.cloud_provider,
            self.cloud_service,
            self.cloud_region,
            self.labels,
            self.namespace_labels,
        ]
    }
}

/// Members that are added besides those of the endpoints.
const OTHERS: [&str; 10] = [
    "exporter",
    "observationDomainId",
    "version",
    "trafficClass",
    "trafficScope",
    "tunnelTrusted",
    "observer",
    "clusterId",
    "counted",
    "truncated",
];

/// Whether a line can have an added member of this name.
#[must_use]
pub fn is_added_member(name: &str) -> bool {
    bit_of(name.as_bytes()) != 0
}

/// A bit for the name of an added member; 0 for other names.
fn bit_of(name: &[u8]) -> u64 {
    const ENDPOINTS: [[&str; EndpointMembers::COUNT]; 2] = [SOURCE.all(), DESTINATION.all()];
    let mut names = ENDPOINTS.iter().flatten().chain(&OTHERS);
    match names.position(|known| known.as_bytes() == name) {
        Some(at) => 1 << at,
        None => 0,
    }
}

fn write_endpoint(
    snapshots: &Snapshots,
    (id, service): (EndpointId, Option<EndpointId>),
    host: Option<&HostName>,
    members: &EndpointMembers,
    out: &mut Vec<u8>,
) {
    let view = snapshots.endpoint(id);
    let endpoint = view.endpoint;
    match endpoint.kind {
        EndpointKind::Pod if endpoint.has_known_workload() => {
            write_text(members.pod_namespace, &endpoint.namespace, out);
            write_text(members.namespace_group, view.namespace_group(), out);
            write_text(members.pod_name, &endpoint.name, out);
            write_text(members.workload_kind, &endpoint.workload_kind, out);
            write_text(members.workload_name, &endpoint.workload_name, out);
            write_labels(members.labels, view.labels(), out);
            write_labels(members.namespace_labels, view.namespace_labels(), out);
        }
        EndpointKind::Node => {
            write_text(members.workload_kind, &endpoint.workload_kind, out);
            write_text(members.workload_name, &endpoint.workload_name, out);
        }
        EndpointKind::External => write_external(view, host, members, out),
        EndpointKind::Pod | EndpointKind::Service | EndpointKind::Link => {}
    }
    if let Some(node) = view.node() {
        write_text(members.node_name, &node.name, out);
        write_text(members.pool, &node.pool, out);
    }
    write_text(members.zone, view.zone(), out);
    write_text(members.region, view.region(), out);
    if let Some(service) = service {
        let service = snapshots.endpoint(service).endpoint;
        write_text(members.service_namespace, &service.namespace, out);
        write_text(members.service_name, &service.name, out);
    }
}

fn write_external(
    view: EndpointView<'_>,
    host: Option<&HostName>,
    members: &EndpointMembers,
    out: &mut Vec<u8>,
) {
    let attributes = view.attributes;
    let name = host.map_or_else(|| view.workload_name(), HostName::as_str);
    write_text(members.name, name, out);
    if attributes.as_number != 0 {
        write_key(members.as_number, out);
        json::write_number(attributes.as_number.into(), out);
    }
    write_text(members.as_name, &attributes.as_organisation, out);
    write_text(members.country, &attributes.country, out);
    write_text(members.cloud_provider, &attributes.cloud_provider, out);
    write_text(members.cloud_service, &attributes.cloud_service, out);
    write_text(members.cloud_region, &attributes.cloud_region, out);
}

/// Appends a member, unless its text is empty.
fn write_text(name: &str, text: &str, out: &mut Vec<u8>) {
    if !text.is_empty() {
        write_key(name, out);
        json::write_string(text, out);
    }
}

fn write_key(name: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_added_member_has_its_own_bit() {
        let names = SOURCE.all().into_iter().chain(DESTINATION.all());
        let bits: Vec<u64> = names
            .chain(OTHERS)
            .map(|name| bit_of(name.as_bytes()))
            .collect();
        let all = bits.iter().fold(0, |all, bit| all | bit);
        assert_eq!(usize::try_from(all.count_ones()).unwrap(), bits.len());
        assert_eq!(bit_of(b"octetDeltaCount"), 0);
    }

    #[test]
    fn an_added_member_replaces_the_field_of_its_name() {
        for (fields, wanted) in [
            (r#""a":1,"sourceZone":"old","b":2,"#, r#""a":1,"b":2,"#),
            (r#""sourceZone":"old","#, ""),
            ("", ""),
        ] {
            let added = r#""exporter":"e","sourceZone":"z1""#;
            let mut out = format!("{{{fields}{added}").into_bytes();
            let fields_end = 1 + fields.len().saturating_sub(1);
            remove_replaced(1, fields_end, 1 + fields.len(), &mut out);
            assert_eq!(
                String::from_utf8(out).unwrap(),
                format!("{{{wanted}{added}")
            );
        }
    }
}
