//! Arcs: the parts of the circle of a node.

use crate::history::{EdgeValues, Order};

/// What the circle of a node shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ArcKind {
    /// The share of its traffic in the cluster and with external endpoints.
    Traffic,
    /// The share of errors.
    Errors,
}

impl ArcKind {
    /// All kinds with their names. The first is the default.
    pub(super) const ALL: [(&'static str, Self); 2] =
        [("traffic", Self::Traffic), ("errors", Self::Errors)];
}

/// Errors, and what they are a part of: retransmitted packets of packets, failed connections of
/// connections.
pub(super) fn errors(values: &EdgeValues, order: Order) -> (u64, u64) {
    let (errors, all) = match order {
        Order::RetransmittedPackets => (order, values.traffic.packets),
        _ => (Order::FailedConnections, values.traffic.connections),
    };
    let errors = errors.of(values);
    // Attempts that failed may not be counted as connections.
    (errors, all.max(errors))
}

/// A part of a sum, in thousandths.
pub(super) fn share(part: u64, all: u64) -> f64 {
    let thousandths = u128::from(part) * 1000 / u128::from(all.max(1));
    f64::from(u32::try_from(thousandths).unwrap_or(1000)) / 1000.0
}
