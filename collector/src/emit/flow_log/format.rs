//! The line of a record in each format.

use std::num::NonZeroU32;

use flowproto::json;
use serde::{Deserialize, Serialize};

use super::members;
use super::{kubezonnet, line, logfmt};
use crate::pipeline::{DecidedRecord, WholeRecord};
use crate::snapshots::Snapshots;

/// The format of the lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum FlowLogFormat {
    /// A JSON object per record.
    #[default]
    Json,
    /// The same members as `name=value`.
    Logfmt,
    /// A sentence per direction of a record between two zones, as kubezonnet logs it.
    Kubezonnet,
}

/// The members that lines contain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SelectedMembers(
    /// Sorted names; all members if there are none.
    Box<[Box<[u8]>]>,
);

/// What became of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// It is complete.
    Complete,
    /// It was too long: fields are missing.
    Truncated,
    /// The format has no line for the record.
    Nothing,
}

impl SelectedMembers {
    /// These names, or all members if there are none.
    #[must_use]
    pub fn new(names: &[String]) -> Self {
        let mut sorted: Vec<Box<[u8]>> = names.iter().map(|name| name.as_bytes().into()).collect();
        sorted.sort_unstable();
        Self(sorted.into())
    }

    fn have(&self, name: &[u8]) -> bool {
        self.0.is_empty() || self.0.binary_search_by(|known| (**known).cmp(name)).is_ok()
    }

    /// Removes the other members of a text that begins at `begin`.
    fn keep(&self, begin: usize, out: &mut Vec<u8>) {
        if !self.0.is_empty() {
            let end = out.len();
            members::remove(out, begin, end, |name| !self.have(name));
        }
    }
}

impl FlowLogFormat {
    /// True if each direction of a record has a line of its own.
    pub(super) fn is_directional(self) -> bool {
        self == Self::Kubezonnet
    }
}

/// How records are written.
#[derive(Clone, Copy, Debug)]
pub(super) struct LineFormat<'a> {
    pub(super) format: FlowLogFormat,
    pub(super) members: &'a SelectedMembers,
    /// One in N flows is logged.
    pub(super) sample: Option<NonZeroU32>,
}

impl LineFormat<'_> {
    /// Appends the line of a record. `scratch` is an empty buffer.
    pub(super) fn write(
        self,
        record: &DecidedRecord<'_>,
        whole: &WholeRecord<'_>,
        snapshots: &Snapshots,
        scratch: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Written {
        let is_truncated = match self.format {
            FlowLogFormat::Kubezonnet => {
                return if kubezonnet::write(record, snapshots, out) {
                    Written::Complete
                } else {
                    Written::Nothing
                };
            }
            FlowLogFormat::Json => {
                out.push(b'{');
                let is_truncated = self.write_members(record, whole, snapshots, out);
                out.push(b'}');
                is_truncated
            }
            FlowLogFormat::Logfmt => {
                scratch.clear();
                let is_truncated = self.write_members(record, whole, snapshots, scratch);
                logfmt::write(scratch, out);
                is_truncated
            }
        };
        out.push(b'\n');
        if is_truncated {
            Written::Truncated
        } else {
            Written::Complete
        }
    }

    fn write_members(
        self,
        record: &DecidedRecord<'_>,
        whole: &WholeRecord<'_>,
        snapshots: &Snapshots,
        out: &mut Vec<u8>,
    ) -> bool {
        let begin = out.len();
        let is_truncated = line::write_members(record, whole, snapshots, out);
        self.members.keep(begin, out);
        if let Some(sample) = self.sample {
            if out.len() > begin {
                out.push(b',');
            }
            out.extend_from_slice(b"\"flowLogSample\":");
            json::write_number(sample.get().into(), out);
        }
        is_truncated
    }
}
