//! The URL of a topic.

use std::fmt;
use std::time::Duration;

use kipfix_export::target::query_parameters;
use kipfix_service::settings::Span;

use super::sasl::Mechanism;
use crate::emit::OverflowPolicy;
use crate::emit::authority::Authority;
use crate::emit::delivery::{
    Compression, DeliverySettings, Parameters, parse_host_port, parse_span,
};
use crate::emit::enriched::RecordFormat;

const DEFAULT_PORT: u16 = 9092;
/// Records are sent before the time to collect them is over if they have this many octets.
const BATCH_OCTETS: usize = 4 << 20;
/// Kafka allows this many characters in the name of a topic.
const MAX_TOPIC_LENGTH: usize = 249;

/// A topic, and how records are sent to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaTarget {
    /// Hosts and ports of brokers from which the cluster is discovered.
    pub brokers: Vec<(String, u16)>,
    /// Name of the topic.
    pub topic: String,
    /// Encoding of a record.
    pub format: RecordFormat,
    pub(super) compression: Compression,
    /// Time to collect records for a request.
    pub linger: Duration,
    pub(super) mechanism: Mechanism,
    pub(in crate::emit) parameters: Parameters,
}

/// What is allowed, for errors.
pub(in crate::emit) const SYNTAX: &str = "kafka://HOST[:PORT][,HOST[:PORT]]/TOPIC[?format=protobuf|json&\
    compression=lz4|gzip|none&linger=SPAN&queue=SIZE&tls=true&ca=FILE&cert=FILE&key=FILE&user=NAME&\
    password-file=FILE&mechanism=plain|scram-sha-256|scram-sha-512]";

impl KafkaTarget {
    /// Parses what follows `kafka://`.
    pub(in crate::emit) fn parse(text: &str) -> Result<Self, String> {
        let (place, query) = text.split_once('?').unwrap_or((text, ""));
        let (brokers, topic) = place.split_once('/').ok_or("the topic is missing")?;
        let brokers = brokers
            .split(',')
            .map(|broker| parse_host_port(broker, DEFAULT_PORT))
            .collect::<Result<_, _>>()?;
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let is_topic = (1..=MAX_TOPIC_LENGTH).contains(&topic.len())
            && topic.chars().all(is_allowed)
            && !matches!(topic, "." | "..");
        if !is_topic {
            return Err(format!(
                "invalid topic {topic:?}: must be 1–{MAX_TOPIC_LENGTH} of the characters a–z, A–Z, 0–9, '.', '_' and '-'"
            ));
        }
        let mut target = Self {
            brokers,
            topic: topic.to_owned(),
            format: RecordFormat::Protobuf,
            compression: Compression::Lz4,
            linger: Duration::from_millis(250),
            mechanism: Mechanism::ScramSha512,
            parameters: Parameters::default(),
        };
        for (name, value) in query_parameters(query) {
            if !target.parameters.take(name, value)? {
                target.take(name, value)?;
            }
        }
        target.parameters.check()?;
        Ok(target)
    }

    /// How records are delivered to it.
    pub(in crate::emit) fn delivery(&self, policy: OverflowPolicy) -> DeliverySettings {
        let queue = self.parameters.queue.bytes();
        DeliverySettings {
            target: self.to_string(),
            format: self.format,
            queue_octets: usize::try_from(queue).unwrap_or(usize::MAX),
            batch_octets: BATCH_OCTETS,
            interval: self.linger,
            policy,
        }
    }

    fn take(&mut self, name: &str, value: &str) -> Result<(), String> {
        let invalid = |allowed: &str| Err(format!("invalid {name} {value:?}: must be {allowed}"));
        match (name, value) {
            ("format", "protobuf") => self.format = RecordFormat::Protobuf,
            ("format", "json") => self.format = RecordFormat::Json,
            ("format", _) => return invalid("protobuf or json"),
            ("compression", _) => self.compression = Compression::parse(value)?,
            ("mechanism", "plain") => self.mechanism = Mechanism::Plain,
            ("mechanism", "scram-sha-256") => self.mechanism = Mechanism::ScramSha256,
            ("mechanism", "scram-sha-512") => self.mechanism = Mechanism::ScramSha512,
            ("mechanism", _) => return invalid("plain, scram-sha-256 or scram-sha-512"),
            ("linger", _) => {
                self.linger = parse_span(name, value, Span::from_secs(0)..=Span::from_secs(60))?;
            }
            _ => return Err(format!("unknown parameter {name:?} of a Kafka target")),
        }
        Ok(())
    }
}

impl fmt::Display for KafkaTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let brokers: Vec<String> = self
            .brokers
            .iter()
            .map(|(host, port)| Authority(host, *port).to_string())
            .collect();
        write!(f, "kafka://{}/{}", brokers.join(","), self.topic)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_brokers_a_topic_and_parameters() {
        let target = KafkaTarget::parse(
            "kafka-0.kafka,[2001:db8::1]:9094/flows?format=json&compression=gzip&linger=1s&queue=4MiB&\
             tls=true&ca=/ca.pem&user=kipfix&password-file=/password&mechanism=plain",
        )
        .unwrap();
        let brokers = [
            ("kafka-0.kafka".to_owned(), 9092),
            ("2001:db8::1".to_owned(), 9094),
        ];
        assert_eq!(target.brokers, brokers);
        let name = "kafka://kafka-0.kafka:9092,[2001:db8::1]:9094/flows";
        assert_eq!(target.to_string(), name);
        assert_eq!(target.topic, "flows");
        assert_eq!(target.format, RecordFormat::Json);
        assert_eq!(target.compression, Compression::Gzip);
        assert_eq!(target.linger, Duration::from_secs(1));
        assert_eq!(target.mechanism, Mechanism::Plain);
        assert_eq!(target.parameters.queue.bytes(), 4 << 20);
        assert!(target.parameters.transport.tls);
    }

    #[test]
    fn an_invalid_url_is_refused_with_what_is_allowed() {
        for (text, message) in [
            ("broker", "the topic is missing"),
            ("broker/", "invalid topic"),
            ("broker/a/b", "invalid topic"),
            ("broker:0/t", "1–65535"),
            ("/t", "invalid host"),
            ("a,,b/t", "invalid host"),
            ("b/t?format=avro", "protobuf or json"),
            ("b/t?compression=zstd", "lz4, gzip or none"),
            ("b/t?mechanism=gssapi", "scram-sha-256"),
            ("b/t?linger=2m", "0s–1m"),
            ("b/t?queue=1", "1MiB–64GiB"),
            ("b/t?user=x", "user and password-file"),
            ("b/t?ca=/x", "tls=true"),
            ("b/t?tls=true&cert=/x", "cert and key"),
            ("b/t?acks=1", "unknown parameter \"acks\""),
        ] {
            let error = KafkaTarget::parse(text).unwrap_err();
            assert!(error.contains(message), "{text}: {error}");
        }
    }
}
