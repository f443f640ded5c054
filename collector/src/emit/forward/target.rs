//! A target of records, and the elements that it understands.

use std::fmt;
use std::str::FromStr;

use kipfix_export::target::Target;
use kipfix_service::settings::BadSettings;
use serde::{Deserialize, Serialize};

use crate::emit::clickhouse::{self, ClickHouseTarget};
use crate::emit::kafka::{self, KafkaTarget};

/// The elements that are sent to a target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// All: with the names of endpoints, which are enterprise elements of variable length.
    #[default]
    All,
    /// Registered ones of fixed length, for tools that do not read others.
    Registered,
}

impl Profile {
    /// True if elements of this enterprise are sent; 0 is the IANA registry.
    pub(super) const fn has(self, enterprise: u32) -> bool {
        match self {
            Self::All => true,
            Self::Registered => enterprise == 0,
        }
    }
}

/// The kind of a target of `--forward`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForwardKind {
    /// Another collector, which receives IPFIX Messages.
    Messages {
        /// The target.
        target: Target,
        /// The elements that it gets.
        profile: Profile,
    },
    /// A topic of Kafka.
    Kafka(KafkaTarget),
    /// A table of ClickHouse.
    ClickHouse(ClickHouseTarget),
}

/// The URL of a target of `--forward`: that of an engine, or that of an export target with `profile=all` or `registered`
/// among its parameters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ForwardTarget {
    text: String,
    /// What the text means.
    pub kind: ForwardKind,
}

impl FromStr for ForwardTarget {
    type Err = BadSettings;

    fn from_str(text: &str) -> Result<Self, BadSettings> {
        let invalid = |problem: String, syntax: &str| {
            let error = format!("invalid forward target {text:?}: {problem}; must be {syntax}");
            BadSettings::new(error)
        };
        let kind = if let Some(place) = text.strip_prefix("kafka://") {
            let target = KafkaTarget::parse(place);
            ForwardKind::Kafka(target.map_err(|problem| invalid(problem, kafka::SYNTAX))?)
        } else if let Some(place) = text.strip_prefix("clickhouse://") {
            let target = ClickHouseTarget::parse(place);
            ForwardKind::ClickHouse(target.map_err(|problem| invalid(problem, clickhouse::SYNTAX))?)
        } else {
            messages(text)?
        };
        Ok(Self {
            text: text.to_owned(),
            kind,
        })
    }
}

/// Parses the URL of an export target and its profile.
fn messages(text: &str) -> Result<ForwardKind, BadSettings> {
    let (place, query) = text.split_once('?').unwrap_or((text, ""));
    let mut profile = Profile::default();
    let mut others = Vec::new();
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        match parameter.strip_prefix("profile=") {
            None => others.push(parameter),
            Some("all") => profile = Profile::All,
            Some("registered") => profile = Profile::Registered,
            Some(other) => {
                return Err(BadSettings::new(format!(
                    "invalid profile {other:?} of {text}: must be all or registered"
                )));
            }
        }
    }
    let mut target = place.to_owned();
    if !others.is_empty() {
        target.push('?');
        target.push_str(&others.join("&"));
    }
    Ok(ForwardKind::Messages {
        target: target.parse()?,
        profile,
    })
}

impl fmt::Display for ForwardTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<ForwardTarget> for String {
    fn from(target: ForwardTarget) -> Self {
        target.text
    }
}

impl TryFrom<String> for ForwardTarget {
    type Error = BadSettings;

    fn try_from(text: String) -> Result<Self, BadSettings> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_is_taken_from_the_parameters() {
        for (text, profile, target) in [
            ("udp://h:1", Profile::All, "udp://h:1"),
            ("udp://h:1?profile=all", Profile::All, "udp://h:1"),
            (
                "udp://h:1?mtu=900&profile=registered&rate=5",
                Profile::Registered,
                "udp://h:1?mtu=900&rate=5",
            ),
            ("file:/x?profile=registered", Profile::Registered, "file:/x"),
        ] {
            let parsed: ForwardTarget = text.parse().unwrap();
            assert_eq!(parsed.to_string(), text);
            let target = target.parse().unwrap();
            assert_eq!(parsed.kind, ForwardKind::Messages { target, profile });
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

    #[test]
    fn an_unknown_profile_is_named_with_what_is_allowed() {
        let error = "udp://h:1?profile=iana".parse::<ForwardTarget>();
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains("iana") && error.contains("registered"),
            "{error}"
        );
        assert!("udp://h:1?profil=all".parse::<ForwardTarget>().is_err());
    }
}
