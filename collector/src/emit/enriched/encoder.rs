//! Encodes records, and keeps what it has encoded of their endpoints: most records have endpoints of which an earlier
//! record had the names.

use std::ops::Range;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::column::Column;
use super::{EndpointSide, EnrichedRecord, json, protobuf, row_binary};
use super::{endpoint_columns, flow_columns, health_columns};
use crate::inventory::EndpointId;

/// Octets of endpoints that are kept.
const MAX_KEPT_OCTETS: usize = 32 << 20;

/// How records are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordFormat {
    /// Protobuf messages.
    Protobuf,
    /// JSON objects.
    Json,
    /// Rows of a ClickHouse table.
    RowBinary,
}

/// Encodes records of the same snapshots.
#[derive(Debug)]
pub struct Encoder {
    format: RecordFormat,
    /// The encoded columns of endpoints.
    octets: Vec<u8>,
    kept: HashMap<EndpointKey, Range<usize>, RandomState>,
}

/// What the columns of an endpoint depend on, besides the snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct EndpointKey {
    side: EndpointSide,
    endpoint: EndpointId,
    service: Option<EndpointId>,
}

impl RecordFormat {
    /// Appends columns of a record.
    fn write(self, columns: &[Column], record: &EnrichedRecord<'_>, out: &mut Vec<u8>) {
        match self {
            Self::Protobuf => protobuf::write(columns, record, out),
            Self::Json => json::write(columns, record, out),
            Self::RowBinary => row_binary::write(columns, record, out),
        }
    }
}

impl Encoder {
    /// Creates an encoder that keeps nothing yet.
    #[must_use]
    pub fn new(format: RecordFormat) -> Self {
        Self {
            format,
            octets: Vec::new(),
            kept: HashMap::default(),
        }
    }

    /// Forgets the endpoints: the next records are of other snapshots.
    pub fn forget_endpoints(&mut self) {
        self.octets.clear();
        self.kept.clear();
    }

    /// Appends a record.
    pub fn encode(&mut self, record: &EnrichedRecord<'_>, out: &mut Vec<u8>) {
        let begin = out.len();
        self.format.write(&flow_columns::FLOW, record, out);
        self.encode_endpoint(EndpointSide::Source, record, out);
        self.encode_endpoint(EndpointSide::Destination, record, out);
        self.format.write(&health_columns::HEALTH, record, out);
        if self.format == RecordFormat::Json {
            json::enclose(begin, out);
        }
    }

    fn encode_endpoint(
        &mut self,
        side: EndpointSide,
        record: &EnrichedRecord<'_>,
        out: &mut Vec<u8>,
    ) {
        let columns = match side {
            EndpointSide::Source => &endpoint_columns::SOURCE,
            EndpointSide::Destination => &endpoint_columns::DESTINATION,
        };
        if record.names(side).host.is_some() {
            // There are many host names for one endpoint.
            return self.format.write(columns, record, out);
        }
        let (endpoint, service) = record.endpoint(side);
        let key = EndpointKey {
            side,
            endpoint,
            service,
        };
        if let Some(octets) = self.kept.get(&key) {
            let octets = self.octets.get(octets.clone());
            return out.extend_from_slice(octets.unwrap_or_default());
        }
        let begin = out.len();
        self.format.write(columns, record, out);
        if self.octets.len() > MAX_KEPT_OCTETS {
            self.forget_endpoints();
        }
        let at = self.octets.len();
        self.octets
            .extend_from_slice(out.get(begin..).unwrap_or_default());
        self.kept.insert(key, at..self.octets.len());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::emit::enriched::{columns, test_record};
    use crate::inventory::IndexWriter;
    use crate::snapshots::SnapshotStore;

    #[test]
    fn a_kept_endpoint_is_encoded_as_a_new_one() {
        let snapshots = test_record::snapshots();
        let record = test_record::record(&snapshots);
        let mut reply = record.clone();
        reply.endpoints = record.endpoints.reversed();
        let mut via_service = record.clone();
        via_service.endpoints.destination_service = Some(record.endpoints.source.id);
        for format in [
            RecordFormat::Protobuf,
            RecordFormat::Json,
            RecordFormat::RowBinary,
        ] {
            let mut encoder = Encoder::new(format);
            for record in [&record, &reply, &via_service].repeat(2) {
                let enriched = EnrichedRecord::new(record, &snapshots, test_record::NOW);
                let (mut kept, mut new) = (Vec::new(), Vec::new());
                encoder.encode(&enriched, &mut kept);
                Encoder::new(format).encode(&enriched, &mut new);
                assert_eq!(kept, new, "{format:?}");
            }
            assert_eq!(encoder.kept.len(), 5, "{format:?}");
        }
    }

    #[test]
    fn endpoints_of_older_snapshots_are_forgotten() {
        let snapshots = test_record::snapshots();
        let record = test_record::record(&snapshots);
        let mut encoder = Encoder::new(RecordFormat::Json);
        let encode = |encoder: &mut Encoder, snapshots| {
            let mut out = Vec::new();
            let enriched = EnrichedRecord::new(&record, snapshots, test_record::NOW);
            encoder.encode(&enriched, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert!(encode(&mut encoder, &snapshots).contains("\"sourcePodName\":\"web-1\""));
        let index = IndexWriter::default().current();
        let empty = SnapshotStore::new(index, Arc::default(), "").load();
        encoder.forget_endpoints();
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
                let enriched = EnrichedRecord::new(&record, &snapshots, test_record::NOW);
                encoder.encode(&enriched, &mut out);
            };
            encode();
            let allocated = allocation_counter::measure(|| (0..100).for_each(|_| encode()));
            assert_eq!(allocated.count_total, 0);
            assert!(out.len() > 100 * 150, "{format:?}");
        }
    }

    #[test]
    fn the_columns_of_a_record_are_those_of_its_flow_its_endpoints_and_its_health() {
        let parts = flow_columns::FLOW.len()
            + endpoint_columns::SOURCE.len()
            + endpoint_columns::DESTINATION.len()
            + health_columns::HEALTH.len();
        assert_eq!(parts, columns().count());
    }
}
