//! Encodes records, and keeps what it has encoded of their endpoints: most records have endpoints
//! of which an earlier record had the names.

use std::ops::Range;
use std::sync::Arc;

use enum_map::EnumMap;
use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::format::RecordFormat;
use super::group::{ColumnGroup, Variation};
use super::health_columns::HEALTH_GROUP;
use super::{Column, EndpointSide, EnrichedRecord};
use super::{endpoint_columns, flow_columns, json};
use crate::inventory::EndpointId;
use crate::pipeline::Origin;
use crate::pipeline::enrich::ResolvedEndpoint;
use crate::snapshots::Snapshots;

/// Kept endpoints are forgotten when they take this many octets, with their entries.
const MAX_KEPT_OCTETS: usize = 16 << 20;
/// Octets of an entry.
const ENTRY_OCTETS: usize = size_of::<(EndpointKey, Place)>() + 1;

/// Encodes records.
#[derive(Debug)]
pub struct Encoder {
    format: RecordFormat,
    /// The snapshots that the kept columns are from.
    snapshots: Option<Snapshots>,
    origin: KeptOrigin,
    /// The encoded columns of endpoints.
    octets: Vec<u8>,
    /// Where those of an endpoint are.
    places: EnumMap<EndpointSide, HashMap<EndpointKey, Place, RandomState>>,
}

/// A range of the octets of endpoints.
#[derive(Clone, Copy, Debug)]
struct Place {
    begin: u32,
    end: u32,
}

/// The encoded columns of the last origin.
#[derive(Debug, Default)]
struct KeptOrigin {
    origin: Option<Arc<Origin>>,
    octets: Vec<u8>,
}

/// What the columns of an endpoint depend on, besides the snapshots and its side: its id and that
/// of its Service or 0, which no Service has. In one number, which is hashed faster than its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct EndpointKey(u64);

impl EndpointKey {
    fn new(endpoint: &ResolvedEndpoint) -> Self {
        let service = endpoint.service.unwrap_or(EndpointId::EXTERNAL);
        Self(u64::from(service.0) << 32 | u64::from(endpoint.id.0))
    }
}

impl Encoder {
    /// Creates an encoder that keeps nothing yet.
    #[must_use]
    pub fn new(format: RecordFormat) -> Self {
        Self {
            format,
            snapshots: None,
            origin: KeptOrigin::default(),
            octets: Vec::new(),
            places: EnumMap::default(),
        }
    }

    fn forget_endpoints(&mut self) {
        self.octets.clear();
        self.places.values_mut().for_each(HashMap::clear);
    }

    /// Octets of all that is kept of endpoints.
    fn endpoint_octets(&self) -> usize {
        let entries: usize = self.places.values().map(HashMap::len).sum();
        let entries = entries.saturating_mul(ENTRY_OCTETS);
        self.octets.len().saturating_add(entries)
    }

    /// Appends a record.
    pub fn encode(&mut self, record: &EnrichedRecord<'_>, out: &mut Vec<u8>) {
        let snapshots = self.snapshots.as_ref();
        if !snapshots.is_some_and(|snapshots| snapshots.is_same(record.snapshots)) {
            self.forget_endpoints();
            self.origin.origin = None;
            self.snapshots = Some(record.snapshots.clone());
        } else if self.endpoint_octets() >= MAX_KEPT_OCTETS {
            self.forget_endpoints();
        }
        // First, so that their cache misses overlap with the work on the other columns.
        let source = self.keep(EndpointSide::Source, record);
        let destination = self.keep(EndpointSide::Destination, record);
        let begin = out.len();
        // One by one: the compiler knows each group, and leaves its variation out.
        let [
            traffic,
            interfaces,
            sampling,
            routing,
            translation,
            rest @ ..,
        ] = &flow_columns::FLOW;
        let [tunnel, origin, class, encapsulation, protection] = rest;
        self.encode_group(traffic, record, out);
        self.encode_group(interfaces, record, out);
        self.encode_group(sampling, record, out);
        self.encode_group(routing, record, out);
        self.encode_group(translation, record, out);
        self.encode_group(tunnel, record, out);
        self.encode_group(origin, record, out);
        self.encode_group(class, record, out);
        self.encode_group(encapsulation, record, out);
        self.encode_group(protection, record, out);
        self.encode_endpoint(EndpointSide::Source, source, record, out);
        self.encode_endpoint(EndpointSide::Destination, destination, record, out);
        self.encode_group(&HEALTH_GROUP, record, out);
        if self.format == RecordFormat::Json {
            json::enclose(begin, out);
        }
    }

    /// Appends a group of columns.
    #[inline(always)]
    fn encode_group(
        &mut self,
        group: &'static ColumnGroup,
        record: &EnrichedRecord<'_>,
        out: &mut Vec<u8>,
    ) {
        match group.variation {
            // A row has every column.
            Variation::FewRecords(are_in)
                if self.format != RecordFormat::RowBinary && !are_in(record) => {}
            Variation::Origin if record.record.exporter_address.is_unspecified() => {
                self.encode_origin(group, record, out);
            }
            Variation::EachRecord(write) => write(self.format, record, out),
            _ => self.write_columns(group.columns, record, out),
        }
    }

    /// Appends columns one by one.
    #[inline(never)]
    fn write_columns(&self, columns: &[Column], record: &EnrichedRecord<'_>, out: &mut Vec<u8>) {
        self.format.write(columns, record, out);
    }

    fn encode_origin(
        &mut self,
        group: &ColumnGroup,
        record: &EnrichedRecord<'_>,
        out: &mut Vec<u8>,
    ) {
        let KeptOrigin { origin, octets } = &mut self.origin;
        if !origin
            .as_ref()
            .is_some_and(|origin| Arc::ptr_eq(origin, record.origin))
        {
            *origin = Some(Arc::clone(record.origin));
            octets.clear();
            self.format.write(group.columns, record, octets);
        }
        out.extend_from_slice(octets);
    }

    /// Where the columns of an endpoint are, which are encoded if they are not kept. `None` if they
    /// cannot be kept: there are many host names for one endpoint.
    #[inline]
    fn keep(&mut self, side: EndpointSide, record: &EnrichedRecord<'_>) -> Option<Place> {
        if record.hosts[side].is_some() {
            return None;
        }
        let key = EndpointKey::new(record.endpoint(side));
        let Some(place) = self.places[side].get(&key) else {
            return self.keep_new(side, key, record);
        };
        let octets = self.octets.get(place.range());
        std::hint::black_box(
            octets.map(|octets| (octets.first().copied(), octets.last().copied())),
        );
        Some(*place)
    }

    #[cold]
    fn keep_new(
        &mut self,
        side: EndpointSide,
        key: EndpointKey,
        record: &EnrichedRecord<'_>,
    ) -> Option<Place> {
        let begin = u32::try_from(self.octets.len()).ok()?;
        self.format
            .write(columns_of(side), record, &mut self.octets);
        let end = u32::try_from(self.octets.len()).ok()?;
        let place = Place { begin, end };
        self.places[side].insert(key, place);
        Some(place)
    }

    /// Appends the columns of an endpoint, which are kept at a place.
    #[inline]
    fn encode_endpoint(
        &self,
        side: EndpointSide,
        place: Option<Place>,
        record: &EnrichedRecord<'_>,
        out: &mut Vec<u8>,
    ) {
        match place {
            Some(place) => {
                let octets = self.octets.get(place.range());
                out.extend_from_slice(octets.unwrap_or_default());
            }
            None => self.write_columns(columns_of(side), record, out),
        }
    }
}

impl Place {
    fn range(self) -> Range<usize> {
        let at = |at: u32| usize::try_from(at).unwrap_or(usize::MAX);
        at(self.begin)..at(self.end)
    }
}

fn columns_of(side: EndpointSide) -> &'static [Column] {
    match side {
        EndpointSide::Source => &endpoint_columns::SOURCE,
        EndpointSide::Destination => &endpoint_columns::DESTINATION,
    }
}

#[cfg(test)]
mod tests {
    use flowproto::record::Sampling;

    use super::*;
    use crate::emit::enriched::test_record;
    use crate::inventory::IndexWriter;
    use crate::snapshots::SnapshotStore;

    #[test]
    fn a_kept_endpoint_is_encoded_as_a_new_one() {
        let snapshots = test_record::snapshots();
        let record = test_record::record(&snapshots);
        let mut reply = record.clone();
        reply.endpoints = record.endpoints.reversed();
        let mut via_service = record.clone();
        via_service.endpoints.destination.service = Some(record.endpoints.source.id);
        for format in [
            RecordFormat::Protobuf,
            RecordFormat::Json,
            RecordFormat::RowBinary,
        ] {
            let mut encoder = Encoder::new(format);
            for record in [&record, &reply, &via_service].repeat(2) {
                let enriched = record.enriched(&snapshots);
                let (mut kept, mut new) = (Vec::new(), Vec::new());
                encoder.encode(&enriched, &mut kept);
                Encoder::new(format).encode(&enriched, &mut new);
                assert_eq!(kept, new, "{format:?}");
            }
            let kept = encoder.places.map(|_, places| places.len());
            assert_eq!(kept.into_array(), [2, 3], "{format:?}");
        }
    }

    #[test]
    fn endpoints_of_older_snapshots_are_forgotten() {
        let snapshots = test_record::snapshots();
        let record = test_record::record(&snapshots);
        let mut encoder = Encoder::new(RecordFormat::Json);
        let encode = |encoder: &mut Encoder, snapshots| {
            let mut out = Vec::new();
            encoder.encode(&record.enriched(snapshots), &mut out);
            String::from_utf8(out).unwrap()
        };
        assert!(encode(&mut encoder, &snapshots).contains("\"sourcePodName\":\"web-1\""));
        let index = IndexWriter::default().current();
        let empty = SnapshotStore::new(index, Arc::default(), "").load();
        assert!(!encode(&mut encoder, &empty).contains("web-1"));
    }

    #[test]
    fn no_format_allocates_once_its_buffer_is_large_enough() {
        let snapshots = test_record::snapshots();
        let record = test_record::record(&snapshots);
        for format in [
            RecordFormat::Protobuf,
            RecordFormat::Json,
            RecordFormat::RowBinary,
        ] {
            let mut encoder = Encoder::new(format);
            let mut out = Vec::with_capacity(1 << 20);
            let mut encode = || {
                encoder.encode(&record.enriched(&snapshots), &mut out);
            };
            encode();
            let allocated = allocation_counter::measure(|| (0..100).for_each(|_| encode()));
            assert_eq!(allocated.count_total, 0);
            assert!(out.len() > 100 * 150, "{format:?}");
        }
    }

    #[test]
    fn a_group_is_encoded_as_its_columns_one_by_one() {
        let snapshots = test_record::snapshots();
        let record = test_record::record(&snapshots);
        let mut plain = record.clone();
        plain.record.interfaces = None;
        plain.record.sampling = Sampling::NONE;
        let mut relayed = record.clone();
        relayed.record.exporter_address = record.record.key.source_address;
        let mut of_other_origin = record.clone();
        of_other_origin.origin = Arc::new(Origin {
            observation_domain_id: 2,
            ..Origin::clone(&record.origin)
        });
        for format in [
            RecordFormat::Protobuf,
            RecordFormat::Json,
            RecordFormat::RowBinary,
        ] {
            let mut encoder = Encoder::new(format);
            for record in [
                &record,
                &record,
                &plain,
                &relayed,
                &of_other_origin,
                &record,
            ] {
                let enriched = record.enriched(&snapshots);
                for group in flow_columns::FLOW.iter().chain([&HEALTH_GROUP]) {
                    let (mut whole, mut out) = (Vec::new(), Vec::new());
                    format.write(group.columns, &enriched, &mut whole);
                    encoder.encode_group(group, &enriched, &mut out);
                    assert_eq!(out, whole, "{format:?}");
                }
            }
        }
    }
}
