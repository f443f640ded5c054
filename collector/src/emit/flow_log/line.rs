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
use crate::inventory::{EndpointKind, LabelSet};
use crate::pipeline::enrich::ResolvedEndpoint;
use crate::pipeline::{DecidedRecord, WholeRecord};
use crate::snapshots::{EndpointView, Snapshots};

/// Maximum octets of the fields of a record in a line.
pub(super) const MAX_LINE_OCTETS: usize = 64 << 10;

/// Appends the members of a record as JSON, without braces. Returns true if its fields were too
/// long and are not complete.
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
    // Antrea and other collectors of kipfix send members that are added here, too. What is known
    // here replaces them, and what is not known here stays.
    if whole.fields.have_enterprise(&[ANTREA, KIPFIX_ENTERPRISE]) {
        remove_replaced(begin, fields_end, added, out);
    }
    is_truncated
}

/// Appends what was read of the packet that a record reports, without the members that its fields
/// have already. `begin`: position of the fields.
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
    for (side, end, host) in [
        (EndpointSide::Source, &endpoints.source, source_host),
        (
            EndpointSide::Destination,
            &endpoints.destination,
            destination_host,
        ),
    ] {
        SideMembers { side, out }.endpoint(snapshots, end, host);
    }
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

/// Appends the members of one side.
struct SideMembers<'a> {
    side: EndpointSide,
    out: &'a mut Vec<u8>,
}

impl SideMembers<'_> {
    fn endpoint(&mut self, snapshots: &Snapshots, end: &ResolvedEndpoint, host: Option<&HostName>) {
        use EndpointMember::{
            Labels, NamespaceGroup, NamespaceLabels, NodeName, NodePool, PodName, PodNamespace,
            Region, ServiceName, ServiceNamespace, WorkloadKind, WorkloadName, Zone,
        };
        let view = snapshots.endpoint(end.id);
        let endpoint = view.endpoint;
        match endpoint.kind {
            EndpointKind::Pod if endpoint.has_known_workload() => {
                self.text(PodNamespace, &endpoint.namespace);
                self.text(NamespaceGroup, view.namespace_group());
                self.text(PodName, &endpoint.name);
                self.text(WorkloadKind, &endpoint.workload_kind);
                self.text(WorkloadName, &endpoint.workload_name);
                self.labels(Labels, view.labels());
                self.labels(NamespaceLabels, view.namespace_labels());
            }
            EndpointKind::Node => {
                self.text(WorkloadKind, &endpoint.workload_kind);
                self.text(WorkloadName, &endpoint.workload_name);
            }
            EndpointKind::External => self.external(view, host),
            EndpointKind::Pod | EndpointKind::Service | EndpointKind::Link => {}
        }
        if let Some(node) = view.node() {
            self.text(NodeName, &node.name);
            self.text(NodePool, &node.pool);
        }
        self.text(Zone, view.zone());
        self.text(Region, view.region());
        if let Some(service) = end.service {
            let service = snapshots.endpoint(service).endpoint;
            self.text(ServiceNamespace, &service.namespace);
            self.text(ServiceName, &service.name);
        }
    }

    fn external(&mut self, view: EndpointView<'_>, host: Option<&HostName>) {
        use EndpointMember::{
            AsName, AsNumber, CloudProvider, CloudRegion, CloudService, Country, Name,
        };
        let attributes = view.attributes;
        self.text(
            Name,
            host.map_or_else(|| view.workload_name(), HostName::as_str),
        );
        if attributes.as_number != 0 {
            write_key(AsNumber.name(self.side), self.out);
            json::write_number(attributes.as_number.into(), self.out);
        }
        self.text(AsName, &attributes.as_organisation);
        self.text(Country, &attributes.country);
        self.text(CloudProvider, &attributes.cloud_provider);
        self.text(CloudService, &attributes.cloud_service);
        self.text(CloudRegion, &attributes.cloud_region);
    }

    fn text(&mut self, member: EndpointMember, text: &str) {
        write_text(member.name(self.side), text, self.out);
    }

    /// Appends a member with labels, unless there are none.
    fn labels(&mut self, member: EndpointMember, labels: Option<&LabelSet>) {
        let Some(labels) = labels else {
            return;
        };
        write_key(member.name(self.side), self.out);
        let mut separator = b'{';
        for (key, value) in labels.iter() {
            self.out.push(std::mem::replace(&mut separator, b','));
            json::write_string(key, self.out);
            self.out.push(b':');
            json::write_string(value, self.out);
        }
        self.out.push(b'}');
    }
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
