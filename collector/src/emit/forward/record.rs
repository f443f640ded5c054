//! A record on its way to the forward thread: as it was measured, with its endpoints and its
//! exporter.

use std::sync::Arc;

use flowproto::{Address, FlowRecord};

use crate::emit::double_buffer::Batch;
use crate::emit::record::{host_names_of, origin_address, reverse};
use crate::pipeline::enrich::Endpoints;
use crate::pipeline::{DecidedRecord, Origin, RecordDirection, WholeRecord};

/// One direction of a record. It has no names: these are looked up when it is written.
#[derive(Clone, Debug)]
pub struct ForwardedRecord {
    /// The record with its counters and times as received.
    pub record: FlowRecord,
    /// Its endpoints.
    pub endpoints: Endpoints,
    /// Its exporter.
    pub origin: Arc<Origin>,
}

impl ForwardedRecord {
    pub(super) fn new(decided: &DecidedRecord<'_>, whole: &WholeRecord<'_>) -> Self {
        Self {
            record: match decided.flow.direction {
                RecordDirection::Forward => whole.record.forward(),
                RecordDirection::Reverse => reverse(whole.record),
            },
            endpoints: *decided.endpoints,
            origin: Arc::clone(decided.origin),
        }
    }

    /// The host names by which source and destination were reached, if they are external.
    pub(super) fn host_names(&self) -> [Option<&str>; 2] {
        host_names_of(&self.record, &self.endpoints)
    }

    /// The Original Exporter's address.
    pub(super) fn origin_address(&self) -> Address {
        origin_address(&self.record, &self.origin)
    }
}

/// Records, one after the other.
#[derive(Debug, Default)]
pub(super) struct Records(pub(super) Vec<ForwardedRecord>);

impl Batch for Records {
    fn len(&self) -> usize {
        self.0.len()
    }

    /// Records.
    fn size(&self) -> usize {
        self.0.len()
    }

    fn append(&mut self, more: &Self, bound: usize) -> usize {
        let room = bound.saturating_sub(self.0.len()).min(more.0.len());
        self.0.extend(more.0.iter().take(room).cloned());
        room
    }
}
