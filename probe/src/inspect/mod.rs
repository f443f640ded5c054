//! Inspection of payloads for the names of peers.
//!
//! A client resolves a name before it connects, and often repeats it in its first segment. The name
//! of the responder is what the client requests (TLS server name, HTTP host), else what it has
//! resolved (DNS).
//!
//! * [`dns`]: questions, and addresses in a DNS response; [`dns_messages`]: the messages of a
//!   packet; [`dns_stream`]: those of a TCP stream; `dns_queries`: queries whose response is
//!   awaited; `multicast_dns`: names that are not those of DNS;
//! * [`tls`]: the server name of a `ClientHello`; [`partial_messages`]: messages that continue in
//!   later segments;
//! * [`quic`]: the `ClientHello` in Initial packets of QUIC;
//! * [`http`]: the host of an HTTP/1 request; requests and responses, for `--http-metering`;
//! * `proxy_header`: what a load balancer sends before TLS or HTTP;
//! * [`name_table`]: resolved names by client and address;
//! * [`inspector`]: which packets are inspected.
//!
//! Payloads come from the network and may be hostile. Every loop ends with the data or at a
//! constant, and every table has a limit. Nothing is allocated per packet, except for one with more
//! than four DNS messages. A name is a claim of its sender.
#![warn(clippy::arithmetic_side_effects)]

mod conversation_hash;
pub mod dns;
pub mod dns_messages;
mod dns_queries;
pub mod dns_stream;
pub mod http;
pub mod inspector;
mod multicast_dns;
pub mod name_table;
mod observed;
pub mod partial_messages;
mod proxy_header;
pub mod quic;
mod reader;
pub mod tls;

pub use dns_messages::{DnsMessage, DnsMessageKind, DnsMessages};
pub use http::HttpMessages;
pub use inspector::{Inspector, InspectorCounters, InspectorSettings};
pub use name_table::{NameCounters, NameTable};
pub use observed::{Observed, ObservedName};
