//! The names that go with a record: who its ends are, as Antrea's elements say it, and as ours do where no public
//! element does.

use flowproto::element::KIPFIX_ENTERPRISE;
use flowproto::exporter::options::ElementType;
use flowproto::template::{FieldSpecifier, VARIABLE_LENGTH};

use super::record::Enriched;
use crate::enrich::{End, Known, Scope, TrafficClass};
use crate::inventory::EndpointKind;

pub(in crate::emit) const ANTREA: u32 = 56_506;

/// How many names there are.
const COUNT: usize = 23;

/// Enterprise, element, name, in the order in which [`Names::of`] has them. 300 is the Original Exporter's.
const ELEMENTS: [(u32, u16, &str); COUNT] = [
    (ANTREA, 100, "sourcePodNamespace"),
    (ANTREA, 101, "sourcePodName"),
    (ANTREA, 102, "destinationPodNamespace"),
    (ANTREA, 103, "destinationPodName"),
    (ANTREA, 104, "sourceNodeName"),
    (ANTREA, 105, "destinationNodeName"),
    (ANTREA, 109, "destinationServicePortName"),
    (ANTREA, 158, "clusterId"),
    (KIPFIX_ENTERPRISE, 1, "sourceWorkloadKind"),
    (KIPFIX_ENTERPRISE, 2, "sourceWorkloadName"),
    (KIPFIX_ENTERPRISE, 3, "destinationWorkloadKind"),
    (KIPFIX_ENTERPRISE, 4, "destinationWorkloadName"),
    (KIPFIX_ENTERPRISE, 5, "sourceZone"),
    (KIPFIX_ENTERPRISE, 6, "destinationZone"),
    (KIPFIX_ENTERPRISE, 7, "sourceRegion"),
    (KIPFIX_ENTERPRISE, 8, "destinationRegion"),
    (KIPFIX_ENTERPRISE, 9, "trafficClass"),
    (KIPFIX_ENTERPRISE, 10, "trafficScope"),
    (KIPFIX_ENTERPRISE, 11, "sourceServiceNamespace"),
    (KIPFIX_ENTERPRISE, 12, "sourceServiceName"),
    (KIPFIX_ENTERPRISE, 13, "sourceName"),
    (KIPFIX_ENTERPRISE, 14, "destinationName"),
    (0, 300, "observationDomainName"),
];

/// RFC 5610 §3.1.
const UNSIGNED8: u8 = 1;
const UNSIGNED16: u8 = 2;
const STRING: u8 = 13;

/// The fields of the names, behind the fixed ones.
pub(super) fn fields() -> impl Iterator<Item = FieldSpecifier> + Clone {
    ELEMENTS.iter().map(|(enterprise, id, _)| FieldSpecifier {
        enterprise: *enterprise,
        id: *id,
        length: VARIABLE_LENGTH,
    })
}

/// What RFC 5610 records say of the enterprise elements that every record has.
pub(super) fn types() -> impl Iterator<Item = ElementType<'static>> {
    let of = |enterprise, id, data_type, name| ElementType {
        enterprise,
        id,
        data_type,
        semantics: 0,
        units: 0,
        name,
    };
    let texts = ELEMENTS
        .iter()
        .filter(|(enterprise, ..)| *enterprise != 0)
        .map(move |(enterprise, id, name)| of(*enterprise, *id, STRING, *name));
    [
        of(ANTREA, 108, UNSIGNED16, "destinationServicePort"),
        of(ANTREA, 137, UNSIGNED8, "flowType"),
    ]
    .into_iter()
    .chain(texts)
}

/// A name, or two with a separator between.
#[derive(Clone, Copy, Debug, Default)]
struct Name<'a>(&'a str, &'a str);

impl Name<'_> {
    const fn octets(self) -> usize {
        let separator = if self.1.is_empty() { 0 } else { 1 };
        self.0
            .len()
            .saturating_add(separator)
            .saturating_add(self.1.len())
    }
}

/// The longest value that says its length in one octet (RFC 7011 §7).
const LONGEST: usize = 254;

/// The names of one record.
#[derive(Debug)]
pub(super) struct Names<'a> {
    texts: [Name<'a>; COUNT],
    /// Octets of one name at the most.
    longest: usize,
    /// 56506:108: the port of the service, 0 where there is none.
    pub(super) service_port: u16,
    /// 56506:137.
    pub(super) flow_type: u8,
}

impl<'a> Names<'a> {
    /// Looks them up. `room`: octets that they may take together; names that are too long for it are cut.
    pub(super) fn of(
        enriched: &'a Enriched,
        known: Known<'a>,
        cluster_name: &'a str,
        room: usize,
    ) -> Self {
        let ends = &enriched.ends;
        let (source, destination) = (known.end(ends.source), known.end(ends.destination));
        let places = (
            known.index.place(ends.source),
            known.index.place(ends.destination),
        );
        let class = TrafficClass::between(places.0, places.1);
        let [from, to] = [source, destination].map(EndNames::of);
        let [service, source_service] = [ends.destination_service, ends.source_service]
            .map(|service| service.map(|service| known.index.endpoint(service)));
        let one = |text: &'a str| Name(text, "");
        let texts = [
            one(from.pod_namespace),
            one(from.pod_name),
            one(to.pod_namespace),
            one(to.pod_name),
            one(from.node),
            one(to.node),
            service.map_or_else(Name::default, |s| Name(&s.namespace, &s.name)),
            one(cluster_name),
            one(from.workload_kind),
            one(from.workload_name),
            one(to.workload_kind),
            one(to.workload_name),
            one(from.zone),
            one(to.zone),
            one(from.region),
            one(to.region),
            one(class.as_str()),
            one(Scope::between(places.0, places.1).as_str()),
            one(source_service.map_or("", |s| &s.namespace)),
            one(source_service.map_or("", |s| &s.name)),
            one(from.outside),
            one(to.outside),
            one(&enriched.origin.name),
        ];
        let whole = texts.iter().fold(COUNT, |sum, text| {
            sum.saturating_add(text.octets().min(LONGEST))
        });
        let longest = if whole <= room {
            LONGEST
        } else {
            (room / COUNT).saturating_sub(1).min(LONGEST)
        };
        Self {
            texts,
            longest,
            service_port: if service.is_some() {
                enriched.record.key.destination_port
            } else {
                0
            },
            flow_type: flow_type(class),
        }
    }

    /// Octets that [`Self::write`] appends at the most.
    pub(super) fn octets(&self) -> usize {
        self.texts.iter().fold(COUNT, |sum, text| {
            sum.saturating_add(text.octets().min(self.longest))
        })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        for Name(first, second) in &self.texts {
            let begin = out.len();
            out.push(0);
            out.extend_from_slice(first.as_bytes());
            if !second.is_empty() {
                out.push(b'/');
                out.extend_from_slice(second.as_bytes());
            }
            let text = begin.saturating_add(1);
            let kept = cut(out.get(text..).unwrap_or_default(), self.longest);
            out.truncate(text.saturating_add(kept));
            if let Some(length) = out.get_mut(begin) {
                *length = u8::try_from(kept).unwrap_or_default();
            }
        }
    }
}

/// How much of a text fits into so many octets without breaking a letter.
fn cut(text: &[u8], octets: usize) -> usize {
    if text.len() <= octets {
        return text.len();
    }
    let is_inside = |at: &usize| text.get(*at).is_some_and(|octet| octet & 0xc0 == 0x80);
    (0..=octets).rev().find(|at| !is_inside(at)).unwrap_or(0)
}

/// The names of one end; empty where there is none.
#[derive(Default)]
struct EndNames<'a> {
    pod_namespace: &'a str,
    pod_name: &'a str,
    node: &'a str,
    workload_kind: &'a str,
    workload_name: &'a str,
    zone: &'a str,
    region: &'a str,
    outside: &'a str,
}

impl<'a> EndNames<'a> {
    fn of(end: End<'a>) -> Self {
        let endpoint = end.endpoint;
        let mut names = Self::default();
        match endpoint.kind {
            EndpointKind::Pod if endpoint.has_known_workload() => {
                names.pod_namespace = &endpoint.namespace;
                names.pod_name = &endpoint.name;
                names.workload_kind = &endpoint.workload_kind;
                names.workload_name = &endpoint.workload_name;
            }
            EndpointKind::Node => {
                names.workload_kind = &endpoint.workload_kind;
                names.workload_name = &endpoint.workload_name;
            }
            EndpointKind::External => names.outside = end.workload_name(),
            EndpointKind::Pod | EndpointKind::Service => {}
        }
        if let Some(node) = end.node() {
            names.node = &node.name;
        }
        names.zone = end.zone();
        names.region = end.region();
        names
    }
}

/// Antrea's 137 `flowType`: 1 within a node, 2 between nodes, 3 to the outside, 4 from the outside; 0 where none
/// of them is certain.
const fn flow_type(class: TrafficClass) -> u8 {
    use EndpointKind::{External, Service};
    match class {
        TrafficClass::IntraNode => 1,
        TrafficClass::Between(External, External)
        | TrafficClass::Between(Service, _)
        | TrafficClass::Between(_, Service) => 0,
        TrafficClass::Between(_, External) => 3,
        TrafficClass::Between(External, _) => 4,
        TrafficClass::Between(..) => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_elements_are_in_the_registry_under_the_names_that_type_records_say() {
        for (enterprise, id, name) in ELEMENTS {
            let element = flowproto::element::find(enterprise, id).unwrap();
            assert_eq!(element.name, name);
        }
    }

    #[test]
    fn a_letter_is_never_broken() {
        assert_eq!(cut("abc".as_bytes(), 5), 3);
        assert_eq!(cut("aöb".as_bytes(), 2), 1);
        assert_eq!(cut("aöb".as_bytes(), 3), 3);
        assert_eq!(cut("ö".as_bytes(), 0), 0);
    }
}
