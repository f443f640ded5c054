//! Emit: records and datagrams for others. [`flow_log`] writes records as lines, [`forward`] sends
//! records with their enrichment as IPFIX and, by [`delivery`], to [`kafka`] and [`clickhouse`],
//! [`replicate`] sends datagrams as they were received.

mod authority;
pub mod clickhouse;
pub mod delivery;
mod double_buffer;
pub mod endpoint_member;
pub mod enriched;
pub mod flow_log;
pub mod forward;
pub mod kafka;
mod own_address;
mod record;
pub mod replicate;

use kipfix_export::names::FirstResolution;
use serde::{Deserialize, Serialize};

use crate::pipeline::Verdict;
pub use own_address::ListenAddresses;

/// Reads counts of another thread.
pub type ReadCounts<T> = Box<dyn Fn() -> T + Send + Sync>;

/// What happens when a queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverflowPolicy {
    /// The producer waits: for savefiles.
    Block,
    /// What does not fit is dropped and counted: for live traffic.
    Drop,
}

impl OverflowPolicy {
    /// A savefile is not read until the names of all targets are resolved.
    const fn first_resolution(self) -> FirstResolution {
        match self {
            Self::Block => FirstResolution::Required,
            Self::Drop => FirstResolution::Awaited,
        }
    }
}

/// The records that are emitted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum EmittedRecords {
    /// Records of the authoritative observer: of two nodes that see a flow, one node's.
    #[default]
    Counted,
    /// All records.
    All,
}

impl EmittedRecords {
    /// True if it includes records of this verdict.
    #[must_use]
    pub const fn include(self, verdict: Verdict) -> bool {
        match self {
            Self::All => true,
            Self::Counted => verdict.is_authoritative(),
        }
    }
}
