//! HTTP: the host of a request, and for `--http-metering` requests and responses.
//!
//! Both streams of a connection are followed from its handshake. The first octets decide between
//! HTTP/1 and HTTP/2.
//!
//! * [`host`]: the host of an HTTP/1 request;
//! * `segment`: segments of TCP;
//! * `head_pool`: room for heads in several segments;
//! * `http2_memory`: octets that connections of HTTP/2 keep;
//! * `targets`: request targets with placeholders for identifiers;
//! * `unread`: why messages are not read;
//! * `messages`: the messages of a packet;
//! * `http1`: the messages of HTTP/1;
//! * `http2`: the messages of HTTP/2;
//! * `connection`: which response belongs to which request;
//! * `connections`: the connections that are followed.

mod connection;
mod connections;
mod head_pool;
pub mod host;
mod http1;
mod http2;
mod http2_memory;
mod messages;
mod segment;
mod targets;
mod unread;

pub use connections::{HttpConnections, HttpCounters};
pub use messages::HttpMessages;
pub use unread::UnreadHttp;
