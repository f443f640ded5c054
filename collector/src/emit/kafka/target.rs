//! The URL of a topic.

use std::fmt;
use std::num::NonZero;
use std::time::Duration;

use kipfix_export::url::{Parameter, parse_host_port};
use kipfix_service::settings::{Span, Within, within};

use super::framing::Framing;
use super::sasl::Mechanism;
use crate::emit::OverflowPolicy;
use crate::emit::authority::Authority;
use crate::emit::delivery::{Compression, DeliverySettings, Parameters};
use crate::emit::enriched::RecordFormat;

const DEFAULT_PORT: u16 = 9092;
/// Records are sent before the time to collect them is over if they have this many octets.
const BATCH_OCTETS: usize = 4 << 20;
/// Kafka allows this many characters in the name of a topic.
const MAX_TOPIC_LENGTH: usize = 249;
/// Numbers of records in a message.
const RECORDS_PER_MESSAGE: Within<NonZero<usize>> = within(
    NonZero::<usize>::MIN,
    NonZero::<usize>::MIN.saturating_add(9_999),
);

/// A topic, and how records are sent to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaTarget {
    /// Hosts and ports of brokers from which the cluster is discovered.
    pub brokers: Vec<(String, u16)>,
    /// Name of the topic.
    pub topic: String,
    /// Encoding of a record.
    pub format: RecordFormat,
    pub(super) framing: Framing,
    pub(super) compression: Compression,
    /// Time to collect records for a request.
    pub linger: Duration,
    pub(super) mechanism: Mechanism,
    pub(in crate::emit) parameters: Parameters,
}

/// What is allowed, for errors.
pub(in crate::emit) const SYNTAX: &str = "kafka://HOST[:PORT][,HOST[:PORT]]/TOPIC[?format=protobuf|json&\
    records-per-message=N&compression=lz4|gzip|none&linger=DURATION&queue=SIZE&tls=true&ca=FILE&cert=FILE&key=FILE&user=NAME&\
    password-file=FILE&mechanism=plain|scram-sha-256|scram-sha-512]";

impl KafkaTarget {
    /// Parses what follows `kafka://`.
    pub(in crate::emit) fn parse(text: &str) -> Result<Self, String> {
        let (place, query) = text.split_once('?').unwrap_or((text, ""));
        let (brokers, topic) = place.split_once('/').ok_or("the topic is missing")?;
        let brokers = brokers
            .split(',')
            .map(|broker| parse_host_port(broker, Some(DEFAULT_PORT)))
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
        let mut format = RecordFormat::Protobuf;
        let mut records_per_message = NonZero::<usize>::MIN;
        let mut compression = Compression::Lz4;
        let mut linger = Span::from_millis(250);
        let mut mechanism = Mechanism::ScramSha512;
        let parameters = Parameters::parse(query, "Kafka", |parameter| {
            match parameter.name() {
                "format" => format = parse_format(parameter)?,
                "records-per-message" => {
                    records_per_message = parameter.within(&RECORDS_PER_MESSAGE)?;
                }
                "compression" => compression = Compression::parse(parameter)?,
                "mechanism" => mechanism = parse_mechanism(parameter)?,
                "linger" => linger = parameter.within(&within(Span::ZERO, Span::MINUTE))?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(Self {
            brokers,
            topic: topic.to_owned(),
            format,
            framing: Framing::new(format, records_per_message),
            compression,
            linger: linger.duration(),
            mechanism,
            parameters,
        })
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
}

fn parse_format(parameter: &Parameter<'_>) -> Result<RecordFormat, String> {
    match &*parameter.text() {
        "protobuf" => Ok(RecordFormat::Protobuf),
        "json" => Ok(RecordFormat::Json),
        _ => Err(parameter.invalid("protobuf or json")),
    }
}

fn parse_mechanism(parameter: &Parameter<'_>) -> Result<Mechanism, String> {
    match &*parameter.text() {
        "plain" => Ok(Mechanism::Plain),
        "scram-sha-256" => Ok(Mechanism::ScramSha256),
        "scram-sha-512" => Ok(Mechanism::ScramSha512),
        _ => Err(parameter.invalid("plain, scram-sha-256 or scram-sha-512")),
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
             records-per-message=100&tls=true&ca=/ca.pem&user=kipfix&password-file=/password&mechanism=plain",
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
        let framing = Framing::new(RecordFormat::Json, NonZero::new(100).unwrap());
        assert_eq!(target.framing, framing);
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
            ("b/t?records-per-message=0", "1–10000"),
            ("b/t?records-per-message=10001", "1–10000"),
            ("b/t?records-per-message=1k", "1–10000"),
            ("b/t?records-per-message=", "1–10000"),
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
