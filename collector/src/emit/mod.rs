//! Emit: records and datagrams for others. [`flow_log`] writes records as lines, [`forward`] sends records with their
//! enrichment as IPFIX and, by [`delivery`], to [`kafka`] and [`clickhouse`], [`replicate`] sends datagrams as they were received.

mod authority;
pub mod clickhouse;
pub mod delivery;
mod double_buffer;
pub mod enriched;
pub mod flow_log;
pub mod forward;
pub mod kafka;
mod own_address;
mod record;
pub mod replicate;

use std::time::Duration;

use anyhow::{Context, anyhow};
use kipfix_export::names::{self, TargetName};
use kipfix_service::exit::Failure;
use kipfix_service::signals::Stop;
use serde::{Deserialize, Serialize};

use crate::pipeline::Verdict;
pub use own_address::ListenAddresses;

/// How long a savefile waits for the host names of targets to be resolved.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(10);

/// What happens when a queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverflowPolicy {
    /// The producer waits: for savefiles.
    Block,
    /// What does not fit is dropped and counted: for live traffic.
    Drop,
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

/// Resolves the host names of a setting's targets, periodically. A savefile is not read until all of them are resolved.
fn watch_names(
    hosts: Vec<TargetName>,
    setting: &str,
    policy: OverflowPolicy,
    stop: &Stop,
) -> Result<(), Failure> {
    const POLL_INTERVAL: Duration = Duration::from_millis(50);
    names::watch(hosts.clone(), stop.clone()).context("cannot start a thread for names")?;
    let mut left = RESOLVE_TIMEOUT;
    while policy == OverflowPolicy::Block
        && let Some(unknown) = hosts.iter().find(|host| host.address().is_none())
    {
        if left.is_zero() || stop.wait_timeout(POLL_INTERVAL) {
            let host = unknown.host();
            return Err(anyhow!("{setting}: cannot resolve the host name {host:?}").into());
        }
        left = left.saturating_sub(POLL_INTERVAL);
    }
    Ok(())
}
