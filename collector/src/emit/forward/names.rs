//! The names that are added to a record: those of its endpoints, in Antrea's elements, and in
//! kipfix's own where there is no public element.

use flowproto::element;
use flowproto::exporter::options::ElementType;
use flowproto::field::{ElementId, FieldSpecifier, VARIABLE_LENGTH};

use super::record::ForwardedRecord;
use crate::inventory::{EndpointId, EndpointKind};
use crate::pipeline::enrich::TrafficClass;
use crate::snapshots::{EndpointView, Snapshots};

pub(in crate::emit) const ANTREA: u32 = 56_506;

/// `destinationServicePort`.
pub(super) const SERVICE_PORT: ElementId = ElementId::new(ANTREA, 108);
/// `flowType`.
pub(super) const FLOW_TYPE: ElementId = ElementId::new(ANTREA, 137);

/// Number of names.
const COUNT: usize = 23;

/// The texts that a record is sent with; empty if unknown.
#[derive(Default)]
struct Texts<'a> {
    source: EndpointNames<'a>,
    destination: EndpointNames<'a>,
    service: Name<'a>,
    source_service: Name<'a>,
    cluster: &'a str,
    class: &'a str,
    scope: &'a str,
    /// The name of the Original Exporter.
    observer: &'a str,
}

impl<'a> Texts<'a> {
    /// The element and the text of each name, in the order in which they are sent.
    #[inline]
    fn names(self) -> [(ElementId, Name<'a>); COUNT] {
        let (source, destination) = (self.source, self.destination);
        let Name(source_service_namespace, source_service_name) = self.source_service;
        let one = |text: &'a str| Name(text, "");
        let antrea = |id| ElementId::new(ANTREA, id);
        let own = ElementId::kipfix;
        [
            (antrea(100), one(source.pod_namespace)),
            (antrea(101), one(source.pod_name)),
            (antrea(102), one(destination.pod_namespace)),
            (antrea(103), one(destination.pod_name)),
            (antrea(104), one(source.node)),
            (antrea(105), one(destination.node)),
            (antrea(109), self.service),
            (antrea(158), one(self.cluster)),
            (own(1), one(source.workload_kind)),
            (own(2), one(source.workload_name)),
            (own(3), one(destination.workload_kind)),
            (own(4), one(destination.workload_name)),
            (own(5), one(source.zone)),
            (own(6), one(destination.zone)),
            (own(7), one(source.region)),
            (own(8), one(destination.region)),
            (own(9), one(self.class)),
            (own(10), one(self.scope)),
            (own(11), one(source_service_namespace)),
            (own(12), one(source_service_name)),
            (own(13), one(source.external)),
            (own(14), one(destination.external)),
            (ElementId::iana(300), one(self.observer)),
        ]
    }
}

/// The elements of the names.
fn elements() -> impl Iterator<Item = ElementId> + Clone {
    let names = Texts::default().names();
    names.into_iter().map(|(element, _)| element)
}

/// Data types (RFC 5610 §3.1).
const UNSIGNED8: u8 = 1;
const UNSIGNED16: u8 = 2;
const STRING: u8 = 13;

/// The fields of the names at these positions, which follow those of fixed length.
pub(super) fn fields(positions: u32) -> impl Iterator<Item = FieldSpecifier> + Clone {
    let known = elements().zip(bits());
    let known = known.filter(move |(_, bit)| positions & bit != 0);
    known.map(|(element, _)| element.with_length(VARIABLE_LENGTH))
}

/// The bit of each name.
fn bits() -> impl Iterator<Item = u32> + Clone {
    (0..u32::BITS).map(|position| 1 << position)
}

/// Descriptions (RFC 5610) of the enterprise elements that every record has.
pub(super) fn types() -> impl Iterator<Item = ElementType<'static>> {
    let of = |id: ElementId, data_type| ElementType {
        enterprise: id.enterprise,
        id: id.id,
        data_type,
        semantics: 0,
        units: 0,
        name: element::find(id.enterprise, id.id).map_or("", |element| element.name),
    };
    let texts = elements()
        .filter(|id| id.enterprise != 0)
        .map(move |id| of(id, STRING));
    [of(SERVICE_PORT, UNSIGNED16), of(FLOW_TYPE, UNSIGNED8)]
        .into_iter()
        .chain(texts)
}

/// A name, or two with a separator.
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

/// Maximum octets of a value whose length is encoded in one octet (RFC 7011 §7).
const MAX_NAME_OCTETS: usize = 254;

/// Below this, no names are sent.
const MIN_NAME_OCTETS: usize = 8;

/// The names of one record.
#[derive(Debug, Default)]
pub(super) struct Names<'a> {
    texts: [Name<'a>; COUNT],
    /// Positions of the names that are known.
    pub(super) known: u32,
    /// Maximum octets of one name.
    max_octets: usize,
    /// 56506:108, the port of the Service; 0 if there is none.
    pub(super) service_port: u16,
    /// 56506:137.
    pub(super) flow_type: u8,
}

impl<'a> Names<'a> {
    /// Looks the names up. An empty text is an unknown name.
    pub(super) fn of(record: &'a ForwardedRecord, snapshots: &'a Snapshots) -> Self {
        let endpoints = &record.endpoints;
        let class = endpoints.class();
        let service_of = |service: Option<EndpointId>| {
            let service = service.map(|id| snapshots.endpoint(id).endpoint);
            service.map_or_else(Name::default, |s| Name(&s.namespace, &s.name))
        };
        let [source_host, destination_host] = record.host_names();
        let endpoint = |id, host| EndpointNames::of(snapshots.endpoint(id), host);
        let texts = Texts {
            source: endpoint(endpoints.source.id, source_host),
            destination: endpoint(endpoints.destination.id, destination_host),
            service: service_of(endpoints.destination.service),
            source_service: service_of(endpoints.source.service),
            cluster: &snapshots.cluster_name,
            class: class.as_str(),
            scope: endpoints.scope().into(),
            observer: &record.origin.name,
        };
        let texts = texts.names().map(|(_, text)| text);
        let known = texts.iter().zip(bits());
        let known = known.filter(|(text, _)| text.octets() > 0);
        Self {
            known: known.fold(0, |positions, (_, bit)| positions | bit),
            texts,
            max_octets: MAX_NAME_OCTETS,
            service_port: if endpoints.destination.service.is_some() {
                record.record.key.destination_port
            } else {
                0
            },
            flow_type: flow_type(class),
        }
    }

    /// Truncates long names, so that all together take at most `room` octets.
    #[cold]
    pub(super) fn fit(&mut self, room: usize) {
        let count = self.known().count();
        let share = room.checked_div(count).unwrap_or_default();
        self.max_octets = share.saturating_sub(1).min(MAX_NAME_OCTETS);
        if self.max_octets < MIN_NAME_OCTETS {
            self.known = 0;
        }
    }

    /// Maximum octets that [`Self::write`] appends.
    pub(super) fn octets(&self) -> usize {
        self.known().fold(0, |sum, text| {
            sum.saturating_add(text.octets().min(self.max_octets))
                .saturating_add(1)
        })
    }

    fn known(&self) -> impl Iterator<Item = &Name<'a>> {
        let all = self.texts.iter().zip(bits());
        let known = all.filter(|(_, bit)| self.known & bit != 0);
        known.map(|(text, _)| text)
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        for Name(first, second) in self.known() {
            let begin = out.len();
            out.push(0);
            out.extend_from_slice(first.as_bytes());
            if !second.is_empty() {
                out.push(b'/');
                out.extend_from_slice(second.as_bytes());
            }
            let text = begin.saturating_add(1);
            let kept = cut(out.get(text..).unwrap_or_default(), self.max_octets);
            out.truncate(text.saturating_add(kept));
            if let Some(length) = out.get_mut(begin) {
                *length = u8::try_from(kept).unwrap_or_default();
            }
        }
    }
}

/// Octets of the longest prefix of a text that has at most `octets` and no partial character.
fn cut(text: &[u8], octets: usize) -> usize {
    if text.len() <= octets {
        return text.len();
    }
    let is_inside = |at: &usize| text.get(*at).is_some_and(|octet| octet & 0xc0 == 0x80);
    (0..=octets).rev().find(|at| !is_inside(at)).unwrap_or(0)
}

/// The names of an endpoint; empty if unknown.
#[derive(Default)]
struct EndpointNames<'a> {
    pod_namespace: &'a str,
    pod_name: &'a str,
    node: &'a str,
    workload_kind: &'a str,
    workload_name: &'a str,
    zone: &'a str,
    region: &'a str,
    external: &'a str,
}

impl<'a> EndpointNames<'a> {
    /// The names of an endpoint that was reached by the name of a host.
    fn of(view: EndpointView<'a>, host: Option<&'a str>) -> Self {
        let endpoint = view.endpoint;
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
            EndpointKind::External => names.external = view.workload_name(),
            EndpointKind::Pod | EndpointKind::Service | EndpointKind::Link => {}
        }
        if let Some(node) = view.node() {
            names.node = &node.name;
        }
        names.zone = view.zone();
        names.region = view.region();
        names.external = host.unwrap_or(names.external);
        names
    }
}

/// Antrea's 137 `flowType`: 1 within a node, 2 between nodes, 3 to external, 4 from external; 0 if
/// none of these.
const fn flow_type(class: TrafficClass) -> u8 {
    use EndpointKind::{External, Link, Service};
    match class {
        TrafficClass::IntraNode => 1,
        TrafficClass::Link
        | TrafficClass::Between(Link, _)
        | TrafficClass::Between(_, Link)
        | TrafficClass::Between(External, External)
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
    fn the_elements_of_names_are_in_the_registry() {
        assert_eq!(types().count(), COUNT + 1);
        assert!(types().all(|element| !element.name.is_empty()));
    }

    #[test]
    fn a_character_is_never_split() {
        assert_eq!(cut("abc".as_bytes(), 5), 3);
        assert_eq!(cut("aöb".as_bytes(), 2), 1);
        assert_eq!(cut("aöb".as_bytes(), 3), 3);
        assert_eq!(cut("ö".as_bytes(), 0), 0);
    }
}
