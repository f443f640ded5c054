//! Buffers that are reused for every Set.

use crate::field::FieldSpan;
use crate::host_name::HostNames;
use crate::plan::Values;
use crate::record::FlowRecord;

/// What the records of a Set are read into.
#[derive(Debug, Default)]
pub(super) struct RecordBuffers {
    pub(super) spans: Vec<FieldSpan>,
    pub(super) values: Values,
    pub(super) record: FlowRecord,
    pub(super) names: HostNames,
}
