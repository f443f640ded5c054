//! A line of the flow log: the record as it came, and what was added to it.

use flowproto::Address;
use flowproto::collector::Message;
use flowproto::element::KIPFIX_ENTERPRISE;
use flowproto::json;
use flowproto::template::Fields;

use super::forward::ANTREA;
use crate::enrich::{Ends, Known, Scope, TrafficClass};
use crate::inventory::{EndpointId, EndpointKind};

/// Begins a line: the fields of the record and the Message it came in.
pub(crate) fn begin(message: &Message<'_>, fields: Fields<'_>, out: &mut Vec<u8>) {
    out.push(b'{');
    let before = out.len();
    fields.write_json(out);
    if out.len() > before {
        out.push(b',');
    }
    out.extend_from_slice(b"\"exporter\":");
    json::write_address(message.exporter.ip().into(), out);
    out.extend_from_slice(b",\"observationDomainId\":");
    json::write_number(message.observation_domain_id.into(), out);
    out.extend_from_slice(b",\"version\":");
    json::write_number(
        match message.version {
            flowproto::collector::Version::V5 => 5,
            flowproto::collector::Version::V7 => 7,
            flowproto::collector::Version::V9 => 9,
            flowproto::collector::Version::Ipfix => 10,
        },
        out,
    );
}

/// Whether a record may bring members that are added here too: it comes from Antrea, or from another collector
/// of ours, which forwards what it knows.
pub(crate) fn brings_names(fields: Fields<'_>) -> bool {
    fields.have_enterprise(&[ANTREA, KIPFIX_ENTERPRISE])
}

/// Takes out of the line that begins at `from` and is not ended each member whose name comes again behind it: what
/// this collector knows stays, and what it does not know stays as the record brings it.
pub(crate) fn keep_last(out: &mut Vec<u8>, from: usize) {
    let line = out.split_off(from);
    let members = members(line.get(1..).unwrap_or_default());
    out.push(b'{');
    for (at, member) in members.iter().enumerate() {
        let mut behind = members.iter().skip(at.saturating_add(1));
        if behind.any(|other| name(other) == name(member)) {
            continue;
        }
        if out.len() > from.saturating_add(1) {
            out.push(b',');
        }
        out.extend_from_slice(member);
    }
}

/// The name of a member.
fn name(member: &[u8]) -> &[u8] {
    let end = member.windows(2).position(|end| end == b"\":");
    member.get(..end.unwrap_or_default()).unwrap_or_default()
}

/// The members of an object, without its braces.
fn members(object: &[u8]) -> Vec<&[u8]> {
    let (mut depth, mut is_text, mut is_escaped) = (0_usize, false, false);
    let between = |octet: &u8| {
        match octet {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = is_text,
            b'"' => is_text = !is_text,
            _ if is_text => {}
            b'{' | b'[' => depth = depth.saturating_add(1),
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' => return depth == 0,
            _ => {}
        }
        false
    };
    object.split(between).collect()
}

/// Who exported a record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Observer<'a> {
    /// Its name, if it says one.
    pub(crate) name: Option<&'a str>,
    /// Where it sends from.
    pub(crate) address: Address,
}

/// Adds who the ends are and what class of traffic that is. `foreign`: the exporter, where it is no
/// known node.
pub(crate) fn add_ends(
    known: Known<'_>,
    ends: Ends,
    foreign: Option<Observer<'_>>,
    out: &mut Vec<u8>,
) {
    add_end(known, ends.source, ends.source_service, &SOURCE, out);
    add_end(
        known,
        ends.destination,
        ends.destination_service,
        &DESTINATION,
        out,
    );
    let (source, destination) = (
        known.index.place(ends.source),
        known.index.place(ends.destination),
    );
    add_text(
        "trafficClass",
        TrafficClass::between(source, destination).as_str(),
        out,
    );
    add_text(
        "trafficScope",
        Scope::between(source, destination).as_str(),
        out,
    );
    if let Some(observer) = foreign {
        match observer.name {
            Some(name) => add_text("observer", name, out),
            None => {
                add_member("observer", out);
                json::write_address(observer.address, out);
            }
        }
    }
}

/// Adds the name of the cluster, if it has one.
pub(crate) fn add_cluster(name: &str, out: &mut Vec<u8>) {
    add_text("clusterId", name, out);
}

/// Adds whether the record counts, where there is enrichment.
pub(crate) fn add_counted(counted: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(if counted {
        b",\"counted\":true"
    } else {
        b",\"counted\":false"
    });
}

/// Ends the line.
pub(crate) fn end(out: &mut Vec<u8>) {
    out.extend_from_slice(b"}\n");
}

/// Member names of one end; those that Antrea has are spelled as Antrea does.
struct Names {
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
}

const SOURCE: Names = Names {
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
};

const DESTINATION: Names = Names {
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
};

fn add_end(
    known: Known<'_>,
    id: EndpointId,
    service: Option<EndpointId>,
    names: &Names,
    out: &mut Vec<u8>,
) {
    let who = known.end(id);
    let end = who.endpoint;
    match end.kind {
        EndpointKind::Pod if end.has_known_workload() => {
            add_text(names.pod_namespace, &end.namespace, out);
            let group = known.index.namespace_group(&end.namespace);
            add_text(names.namespace_group, group, out);
            add_text(names.pod_name, &end.name, out);
            add_text(names.workload_kind, &end.workload_kind, out);
            add_text(names.workload_name, &end.workload_name, out);
        }
        EndpointKind::Node => {
            add_text(names.workload_kind, &end.workload_kind, out);
            add_text(names.workload_name, &end.workload_name, out);
        }
        EndpointKind::External => {
            add_text(names.name, who.workload_name(), out);
            if who.attributes.as_number != 0 {
                add_member(names.as_number, out);
                json::write_number(who.attributes.as_number.into(), out);
            }
            add_text(names.as_name, &who.attributes.as_organisation, out);
            add_text(names.country, &who.attributes.country, out);
            add_text(names.cloud_provider, &who.attributes.cloud_provider, out);
            add_text(names.cloud_service, &who.attributes.cloud_service, out);
            add_text(names.cloud_region, &who.attributes.cloud_region, out);
        }
        EndpointKind::Pod | EndpointKind::Service => {}
    }
    if let Some(node) = who.node() {
        add_text(names.node_name, &node.name, out);
        add_text(names.pool, &node.pool, out);
    }
    add_text(names.zone, who.zone(), out);
    add_text(names.region, who.region(), out);
    if let Some(service) = service {
        let service = known.index.endpoint(service);
        add_text(names.service_namespace, &service.namespace, out);
        add_text(names.service_name, &service.name, out);
    }
}

/// Adds a member, unless its text is empty.
fn add_text(name: &str, text: &str, out: &mut Vec<u8>) {
    if text.is_empty() {
        return;
    }
    add_member(name, out);
    json::write_string(text, out);
}

/// Begins a member.
fn add_member(name: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_members_of_one_name_the_last_stays() {
        let before = r#"{"a":1,"b":[2,{"a":"\",\"c\":"}],"c":"x,","a":"y","c":3"#;
        let after = r#"{"b":[2,{"a":"\",\"c\":"}],"a":"y","c":3"#;
        let mut out = format!("a line\n{before}").into_bytes();
        // Once more changes nothing.
        for _ in 0..2 {
            keep_last(&mut out, 7);
            assert_eq!(String::from_utf8_lossy(&out), format!("a line\n{after}"));
        }
    }
}
