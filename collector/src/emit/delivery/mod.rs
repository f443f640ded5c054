//! Delivery: enriched records to an engine that keeps history.
//!
//! Each pipeline encodes its records into [`Chunk`]s, which cross a queue that is bounded in
//! octets. The thread of the target delivers them through a [`Client`], and repeats what failed
//! until it succeeds, is refused for good, or the time to stop is over. Nothing waits for an
//! engine: live, records that the queue has no room for are lost and counted.

mod chunk;
mod compression;
mod parameters;
mod progress;
mod sink;
mod stream;

pub use chunk::{Chunk, Entry, RecordPlace};
pub(super) use compression::{Compression, Compressor};
pub(super) use parameters::Parameters;
pub use progress::Progress;
pub use sink::{Delivery, DeliverySettings, DeliverySink};
pub(super) use stream::read_password;
pub use stream::{ConnectError, Stream, TransportSettings};

/// Delivers chunks to an engine.
pub trait Client: Send + 'static {
    /// Delivers all records of a chunk. Each of them is reported to `progress` once, unless it is
    /// left over when [`Progress::must_stop`] becomes true.
    fn deliver(&mut self, chunk: &Chunk, progress: &mut Progress);
}
