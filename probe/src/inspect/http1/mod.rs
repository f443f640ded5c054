//! Requests and responses of HTTP/1 (RFC 9112), for `--http-metering`.
//!
//! Both streams of a connection are followed from its handshake. Heads are read, and bodies are skipped
//! by sequence numbers, so that a lost or truncated segment inside a body does no harm. Where a head was
//! lost, reading begins again with the next segment that begins with a message.
//!
//! * `head`: the head of a message, and the length of its body;
//! * `targets`: request targets with placeholders for identifiers;
//! * `stream`: the messages of one direction;
//! * `connection`: both directions, and which response belongs to which request;
//! * [`connections`]: the connections that are followed;
//! * `unread`: why messages are not read.

mod connection;
pub mod connections;
mod head;
mod stream;
mod targets;
mod unread;

pub use connection::HttpMessages;
pub use connections::{HttpConnections, HttpCounters};
pub use unread::UnreadHttp;
