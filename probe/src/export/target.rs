//! What `--export` may say.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use kipfix_service::settings::BadSettings;
use serde::{Deserialize, Serialize};

/// RFC 7011 §10.3.3: 512 octets are safe where the path is unknown; the largest UDP payload is the other end.
const MESSAGE_OCTETS: std::ops::RangeInclusive<usize> = 512..=65_507;
const DEFAULT_MESSAGE_OCTETS: usize = 1400;

/// Where records go to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Target {
    text: String,
    /// What the text means.
    pub kind: TargetKind,
}

/// The kinds of target there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetKind {
    /// IPFIX over UDP.
    Udp {
        /// Address or name.
        host: String,
        /// UDP port.
        port: u16,
        /// Octets of a Message at the most. Default: 1400.
        max_message_octets: usize,
        /// Records a second at the most; 0 unpaced. Default: live unpaced, from a savefile 200 000.
        records_per_second: Option<u32>,
    },
    /// JSON lines on stdout.
    Stdout,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<Target> for String {
    fn from(target: Target) -> Self {
        target.text
    }
}

impl TryFrom<String> for Target {
    type Error = BadSettings;

    fn try_from(text: String) -> Result<Self, BadSettings> {
        text.parse()
    }
}

impl FromStr for Target {
    type Err = BadSettings;

    fn from_str(text: &str) -> Result<Self, BadSettings> {
        let kind = if text == "stdout:" {
            TargetKind::Stdout
        } else if let Some(rest) = text.strip_prefix("udp://") {
            udp(rest).map_err(|problem| refused(text, &problem))?
        } else {
            let scheme = text.split(':').next().unwrap_or_default();
            return Err(match scheme {
                "tcp" | "tls" | "file" => refused(text, &format!("{scheme} is not supported yet")),
                _ => refused(text, "no known kind of target"),
            });
        };
        Ok(Self {
            text: text.to_owned(),
            kind,
        })
    }
}

fn refused(text: &str, problem: &str) -> BadSettings {
    BadSettings::new(format!(
        "export target {text:?}: {problem}; allowed are \
         udp://HOST:PORT[?version=ipfix&mtu=OCTETS&rate=RECORDS_PER_SECOND] and stdout:"
    ))
}

fn udp(rest: &str) -> Result<TargetKind, String> {
    let (authority, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (host, port) = authority
        .rsplit_once(':')
        .ok_or_else(|| "the port is missing".to_owned())?;
    let host = host_of(host)?;
    let port = match port.parse() {
        Ok(0) | Err(_) => return Err(format!("{port:?} is no port from 1 to 65535")),
        Ok(port) => port,
    };
    let (mut max_message_octets, mut records_per_second) = (DEFAULT_MESSAGE_OCTETS, None);
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        match (name, value) {
            ("version", "ipfix" | "10") => {}
            ("version", "9" | "5") => return Err(format!("version {value} is not supported yet")),
            ("version", _) => return Err(format!("version {value:?} is not known")),
            ("mtu", _) => {
                max_message_octets = value
                    .parse()
                    .ok()
                    .filter(|octets| MESSAGE_OCTETS.contains(octets))
                    .ok_or_else(|| {
                        let (low, high) = (MESSAGE_OCTETS.start(), MESSAGE_OCTETS.end());
                        format!("mtu {value:?} is no number of octets from {low} to {high}")
                    })?;
            }
            ("rate", _) => {
                let rate = value.parse();
                records_per_second =
                    Some(rate.map_err(|_| format!("rate {value:?} is no number of records"))?);
            }
            _ => return Err(format!("parameter {name:?} is not known")),
        }
    }
    Ok(TargetKind::Udp {
        host,
        port,
        max_message_octets,
        records_per_second,
    })
}

/// A name, an IPv4 address, or an IPv6 address in brackets.
fn host_of(text: &str) -> Result<String, String> {
    if let Some(inner) = text.strip_prefix('[') {
        return inner
            .strip_suffix(']')
            .filter(|inner| matches!(inner.parse(), Ok(IpAddr::V6(_))))
            .map(ToOwned::to_owned)
            .ok_or_else(|| format!("{text:?} is no IPv6 address in brackets"));
    }
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if text.is_empty() || text.contains(':') || !text.chars().all(is_name) {
        return Err(format!(
            "{text:?} is no host (IPv6 addresses stand in brackets)"
        ));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> TargetKind {
        text.parse::<Target>().unwrap().kind
    }

    fn sentence(text: &str) -> String {
        text.parse::<Target>().unwrap_err().to_string()
    }

    #[test]
    fn targets_are_read_with_their_parameters() {
        assert_eq!(kind("stdout:"), TargetKind::Stdout);
        assert_eq!(
            kind("udp://collector.kipfix.svc:4739"),
            TargetKind::Udp {
                host: "collector.kipfix.svc".into(),
                port: 4739,
                max_message_octets: 1400,
                records_per_second: None,
            }
        );
        assert_eq!(
            kind("udp://[2001:db8::1]:9995?version=ipfix&mtu=512&rate=0"),
            TargetKind::Udp {
                host: "2001:db8::1".into(),
                port: 9995,
                max_message_octets: 512,
                records_per_second: Some(0),
            }
        );
    }

    #[test]
    fn what_is_refused_is_named_with_what_is_allowed() {
        for (text, named) in [
            ("udp://collector", "port is missing"),
            ("udp://collector:0", "no port"),
            ("udp://:4739", "no host"),
            ("udp://2001:db8::1:4739", "brackets"),
            ("udp://c:1?mtu=100", "mtu \"100\""),
            ("udp://c:1?rate=fast", "rate \"fast\""),
            ("udp://c:1?version=9", "version 9 is not supported yet"),
            ("udp://c:1?ttl=1", "parameter \"ttl\""),
            ("tcp://c:1", "tcp is not supported yet"),
            ("file:/tmp/x", "file is not supported yet"),
            ("http://c", "no known kind"),
        ] {
            let sentence = sentence(text);
            assert!(sentence.contains(named), "{sentence}");
            assert!(sentence.contains("allowed are udp://"), "{sentence}");
        }
    }
}
