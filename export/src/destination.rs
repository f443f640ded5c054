//! Where a target over the network sends to.

use std::sync::Arc;

use crate::counters::{LossReason, TargetCounters};
use crate::names::TargetName;
use crate::own_endpoints::OwnEndpoints;
use crate::shutdown::ShutdownDeadline;

/// A destination, and what it shares with the process.
#[derive(Clone, Debug)]
pub struct Destination {
    /// Host and port, with the current addresses.
    pub name: TargetName,
    /// Until when sending may take on shutdown.
    pub deadline: ShutdownDeadline,
    /// Receives the local endpoint of each session.
    pub own_endpoints: Arc<OwnEndpoints>,
    /// What was sent and lost.
    pub counters: TargetCounters,
}

impl Destination {
    /// Why records are lost without a connection or socket.
    pub(crate) fn unavailable(&self) -> LossReason {
        if self.name.address().is_none() {
            LossReason::Unresolved
        } else {
            LossReason::Unreachable
        }
    }
}
