//! The members of a line: the record as it was received, what was read of a packet that it reports,
//! and its enrichment.

use flowproto::FlowRecord;
use flowproto::element::KIPFIX_ENTERPRISE;
use flowproto::host_name::HostName;
use flowproto::json;
use strum::VariantArray as _;

use super::members;
use crate::emit::endpoint_member::{EndpointMember, EndpointSide};
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
        write_packet(begin, whole.record, out);
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

/// Appends what was read of the packet that a record reports, without the members that its fields have
/// already. `begin`: position of the fields.
fn write_packet(begin: usize, packet: &FlowRecord, out: &mut Vec<u8>) {
    let fields_end = out.len();
    if fields_end > begin {
        out.push(b',');
    }
    let start = out.len();
    json::write_flow(packet, out);
    let fields = out.get(begin..fields_end).unwrap_or_default();
    let is_field = |name: &[u8]| members::all(fields).any(|(field, _)| field == name);
    let mut repeated = 0_u64;
    for (at, (name, _)) in members::all(out.get(start..).unwrap_or_default()).enumerate() {
        repeated |= u64::from(is_field(name)) << at;
    }
    let mut rest = repeated;
    let is_repeated = |_: &[u8]| {
        let is_repeated = rest & 1 == 1;
        rest >>= 1;
        is_repeated
    };
    let end = members::remove(out, start, out.len(), is_repeated);
    if end == start {
        // The comma behind the fields.
        out.truncate(fields_end);
    }
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
        EndpointSide::Source,
        out,
    );
    write_endpoint(
        snapshots,
        (endpoints.destination.id, endpoints.destination_service),
        destination_host,
        EndpointSide::Destination,
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

/// The names of the added members.
fn added_members() -> impl Iterator<Item = &'static str> {
    use EndpointMember::{Address, Namespace, TransportPort};
    let is_added = |member: &&EndpointMember| {
        // The record has the addresses and ports itself.
        !matches!(member, Address | TransportPort | Namespace)
    };
    let members = EndpointMember::VARIANTS.iter().filter(is_added);
    let endpoints =
        members.flat_map(|member| EndpointSide::VARIANTS.iter().map(|side| member.name(*side)));
    endpoints.chain(OTHERS)
}

/// A bit for the name of an added member; 0 for other names.
fn bit_of(name: &[u8]) -> u64 {
    match added_members().position(|known| known.as_bytes() == name) {
        Some(at) => 1 << at,
        None => 0,
    }
}

fn write_endpoint(
    snapshots: &Snapshots,
    (id, service): (EndpointId, Option<EndpointId>),
    host: Option<&HostName>,
    side: EndpointSide,
    out: &mut Vec<u8>,
) {
    let view = snapshots.endpoint(id);
    let endpoint = view.endpoint;
    match endpoint.kind {
        EndpointKind::Pod if endpoint.has_known_workload() => {
            write_text(
                EndpointMember::PodNamespace.name(side),
                &endpoint.namespace,
                out,
            );
            write_text(
                EndpointMember::NamespaceGroup.name(side),
                view.namespace_group(),
                out,
            );
            write_text(EndpointMember::PodName.name(side), &endpoint.name, out);
            write_text(
                EndpointMember::WorkloadKind.name(side),
                &endpoint.workload_kind,
                out,
            );
            write_text(
                EndpointMember::WorkloadName.name(side),
                &endpoint.workload_name,
                out,
            );
            write_labels(EndpointMember::Labels.name(side), view.labels(), out);
            write_labels(
                EndpointMember::NamespaceLabels.name(side),
                view.namespace_labels(),
                out,
            );
        }
        EndpointKind::Node => {
            write_text(
                EndpointMember::WorkloadKind.name(side),
                &endpoint.workload_kind,
                out,
            );
            write_text(
                EndpointMember::WorkloadName.name(side),
                &endpoint.workload_name,
                out,
            );
        }
        EndpointKind::External => write_external(view, host, side, out),
        EndpointKind::Pod | EndpointKind::Service | EndpointKind::Link => {}
    }
    if let Some(node) = view.node() {
        write_text(EndpointMember::NodeName.name(side), &node.name, out);
        write_text(EndpointMember::NodePool.name(side), &node.pool, out);
    }
    write_text(EndpointMember::Zone.name(side), view.zone(), out);
    write_text(EndpointMember::Region.name(side), view.region(), out);
    if let Some(service) = service {
        let service = snapshots.endpoint(service).endpoint;
        write_text(
            EndpointMember::ServiceNamespace.name(side),
            &service.namespace,
            out,
        );
        write_text(EndpointMember::ServiceName.name(side), &service.name, out);
    }
}

fn write_external(
    view: EndpointView<'_>,
    host: Option<&HostName>,
    side: EndpointSide,
    out: &mut Vec<u8>,
) {
    let attributes = view.attributes;
    let name = host.map_or_else(|| view.workload_name(), HostName::as_str);
    write_text(EndpointMember::Name.name(side), name, out);
    if attributes.as_number != 0 {
        write_key(EndpointMember::AsNumber.name(side), out);
        json::write_number(attributes.as_number.into(), out);
    }
    write_text(
        EndpointMember::AsName.name(side),
        &attributes.as_organisation,
        out,
    );
    write_text(EndpointMember::Country.name(side), &attributes.country, out);
    write_text(
        EndpointMember::CloudProvider.name(side),
        &attributes.cloud_provider,
        out,
    );
    write_text(
        EndpointMember::CloudService.name(side),
        &attributes.cloud_service,
        out,
    );
    write_text(
        EndpointMember::CloudRegion.name(side),
        &attributes.cloud_region,
        out,
    );
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
        let bits: Vec<u64> = added_members()
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
