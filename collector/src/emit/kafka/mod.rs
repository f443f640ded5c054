//! Kafka: a producer of the records of a topic.
//!
//! The hash of the flow of a record, equal for both directions, selects its partition as the
//! producers of Kafka do (murmur2). One message is one record, with that hash as its key, or
//! several records. The producer is idempotent: each partition has one batch in flight, which is
//! sent again with the same sequence number until the leader has acknowledged it on all in-sync
//! replicas. Five kinds of request are enough for that (`requests`); their versions are understood
//! by brokers from Kafka 2.1 on.
//!
//! * `target`: the URL;
//! * `wire`, `requests`, `record_batch`, `errors`: the protocol, without sockets;
//! * `framing`: records in messages;
//! * `connection`, `sasl`: one connection to a broker;
//! * `cluster`: brokers, partitions and their leaders;
//! * `producer`: delivers the records of a chunk.

mod cluster;
mod connection;
mod errors;
mod framing;
mod producer;
mod record_batch;
mod requests;
mod sasl;
mod target;
mod wire;

pub use producer::Producer;
pub use target::KafkaTarget;
pub(super) use target::SYNTAX;
