//! The sending side of an Exporting Process, for the probe (records as metered) and the collector
//! (records that it forwards).
//!
//! In the order of a record's path:
//!
//! * [`target`]: export URLs; [`mod@url`]: parameters of URLs, also of engines; [`names`]:
//!   addresses of their hosts; [`PreparedTarget`]: opens one; [`destination`]: where a session
//!   goes;
//! * [`queued`]: a bounded queue and a thread for a target that can block; [`spread`]: a target
//!   with several addresses;
//! * [`session`]: how records become Messages, defined by the caller's [`Encoding`];
//! * [`udp`], [`stream`] (TCP and TLS), [`file`](mod@file): the transports; [`rotation`]: files
//!   that follow each other;
//! * [`counters`]: the metrics of every target, under the prefix of the binary;
//! * [`own_endpoints`]: local endpoints of the sessions, which a probe excludes from metering.
//!
//! Nothing here locks or allocates per record after warm-up.

mod clock;
pub mod counters;
pub mod destination;
pub mod exporter;
pub mod file;
pub mod identity;
pub mod names;
mod open;
pub mod own_endpoints;
pub mod queued;
mod rate_limit;
pub mod rotation;
mod server_verifier;
pub mod session;
pub mod shutdown;
pub mod spread;
pub mod stream;
pub mod target;
mod tcp_diag;
#[cfg(test)]
mod test_encoding;
pub mod tls;
pub mod udp;
pub mod url;

pub use clock::wall_clock_milliseconds;
pub use exporter::{Exporter, FLUSH_INTERVAL, SHUTDOWN_TIMEOUT, finish_all};
pub use open::{PreparedTarget, TargetContext};
pub use session::{Encoding, MessageSink, RecordOf, SessionStart, TransportSession};
