//! The URL of a target of records.

use std::fmt;
use std::str::FromStr;

use flowproto::exporter::Version;
use kipfix_export::target::Target;
use kipfix_export::url::redacted;
use kipfix_service::settings::BadSettings;

use crate::emit::clickhouse::{self, ClickHouseTarget};
use crate::emit::kafka::{self, KafkaTarget};

/// What is allowed.
const SYNTAX: &str = "udp://HOST:PORT, tcp://HOST:PORT, tls://HOST:PORT, file:PATH, \
    kafka://BROKER/TOPIC or clickhouse://HOST/DATABASE/TABLE";

/// The kind of a target of `--forward`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForwardKind {
    /// Another collector, which receives IPFIX Messages.
    Messages(Target),
    /// A topic of Kafka.
    Kafka(KafkaTarget),
    /// A table of ClickHouse.
    ClickHouse(ClickHouseTarget),
}

/// The URL of a target of `--forward`: that of an engine, or that of an export target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardTarget {
    text: String,
    /// What the text means.
    pub kind: ForwardKind,
}

impl FromStr for ForwardTarget {
    type Err = BadSettings;

    fn from_str(text: &str) -> Result<Self, BadSettings> {
        let invalid = |problem: &str, syntax: &str| {
            let text = redacted(text);
            let error = format!("invalid forward target {text:?}: {problem}; must be {syntax}");
            BadSettings::new(error)
        };
        let (scheme, rest) = text.split_once(':').unwrap_or((text, ""));
        let kind = match (scheme, rest.strip_prefix("//")) {
            ("kafka", Some(place)) => KafkaTarget::parse(place)
                .map(ForwardKind::Kafka)
                .map_err(|problem| invalid(&problem, kafka::SYNTAX)),
            ("clickhouse", Some(place)) => ClickHouseTarget::parse(place)
                .map(ForwardKind::ClickHouse)
                .map_err(|problem| invalid(&problem, clickhouse::SYNTAX)),
            ("udp" | "tcp" | "tls" | "file" | "sctp" | "dtls", _) => {
                let target = Target::parse(text).map_err(|(problem, form)| {
                    invalid(&problem, &form.replace("version=ipfix|9|5&", ""))
                })?;
                if target.version() == Version::Ipfix {
                    Ok(ForwardKind::Messages(target))
                } else {
                    Err(invalid("records are forwarded in IPFIX only", SYNTAX))
                }
            }
            ("stdout", _) => Err(invalid("JSON on stdout is for flow_log", SYNTAX)),
            _ => Err(invalid("unknown scheme", SYNTAX)),
        }?;
        Ok(Self {
            text: text.to_owned(),
            kind,
        })
    }
}

impl fmt::Display for ForwardTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

kipfix_service::text_setting!(ForwardTarget);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_export_target_is_a_target() {
        let text = "udp://h:1?mtu=900&profile=registered&rate=5";
        let parsed: ForwardTarget = text.parse().unwrap();
        assert_eq!(parsed.to_string(), text);
        let target = text.parse().unwrap();
        assert_eq!(parsed.kind, ForwardKind::Messages(target));
        let error = "udp://h:1?profile=iana".parse::<ForwardTarget>();
        let error = error.unwrap_err().to_string();
        assert!(error.contains("must be all or registered"), "{error}");
        let error = "udp://h:1?mtu=900&mtu=901".parse::<ForwardTarget>();
        let error = error.unwrap_err().to_string();
        let form = "forward target \"udp://h:1?mtu=900&mtu=901\": parameter \"mtu\" more than once; must be udp://HOST:PORT[?mtu=";
        assert!(error.contains(form), "{error}");
    }

    #[test]
    fn what_is_not_forwarded_is_refused_with_what_is() {
        for (text, reason) in [
            ("udp://h:1?version=9", "in IPFIX"),
            ("stdout:", "flow_log"),
            ("http://h:1", "unknown scheme"),
        ] {
            let error = text.parse::<ForwardTarget>().unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
            assert!(error.contains("file:PATH, kafka://"), "{error}");
        }
    }

    #[test]
    fn topics_and_tables_are_targets() {
        let parsed: ForwardTarget = "clickhouse://server/kipfix/flows".parse().unwrap();
        assert!(matches!(parsed.kind, ForwardKind::ClickHouse(_)));
        let parsed: ForwardTarget = "kafka://broker/flows?format=json".parse().unwrap();
        assert!(matches!(parsed.kind, ForwardKind::Kafka(_)));
        let error = "kafka://broker"
            .parse::<ForwardTarget>()
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("the topic is missing") && error.contains("kafka://HOST"),
            "{error}"
        );
    }
}
