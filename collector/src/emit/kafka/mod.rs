//! Kafka: a producer of the records of a topic.
//!
//! One message is one record. Its key is the hash of its flow, equal for both directions, and selects the partition as
//! the producers of Kafka do (murmur2). The producer is idempotent: each partition has one batch in flight, which is sent
//! again with the same sequence number until the leader has acknowledged it on all in-sync replicas. Five kinds of
//! request are enough for that (`requests`); their versions are understood by brokers from Kafka 2.1 on.
//!
//! * `target`: the URL;
//! * `wire`, `requests`, `record_batch`, `errors`: the protocol, without sockets;
//! * `connection`, `sasl`: one connection to a broker;
//! * `cluster`: brokers, partitions and their leaders;
//! * `producer`: delivers the records of a chunk.

mod cluster;
mod connection;
mod errors;
mod producer;
mod record_batch;
mod requests;
mod sasl;
mod target;
mod wire;

pub use producer::Producer;
pub use target::KafkaTarget;
pub(super) use target::SYNTAX;
