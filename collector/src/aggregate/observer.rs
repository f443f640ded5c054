//! What takes drained edges besides the series.

use std::fmt;

use super::edges::EdgeTable;
use super::health::HealthParts;
use crate::snapshots::Snapshots;

/// Takes the edges of every drain. It must not block for long: a full table is drained by the
/// thread that counts.
pub trait EdgeObserver: fmt::Debug + Send + Sync {
    /// The connection health that edges must have for it.
    fn needs(&self) -> HealthParts;

    /// Takes edges that were counted until `wall_milliseconds`, milliseconds since the epoch.
    fn observe(&self, snapshots: &Snapshots, edges: &EdgeTable, wall_milliseconds: u64);
}
