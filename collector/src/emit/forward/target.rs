//! A target of records, and the elements that it understands.

use std::fmt;
use std::str::FromStr;

use kipfix_export::target::Target;
use kipfix_service::settings::BadSettings;
use serde::{Deserialize, Serialize};

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

/// The URL of a target of `--forward`: that of an export target, and `profile=all` or `registered` among its parameters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ForwardTarget {
    text: String,
    /// The target.
    pub target: Target,
    /// The elements that it gets.
    pub profile: Profile,
}

impl FromStr for ForwardTarget {
    type Err = BadSettings;

    fn from_str(text: &str) -> Result<Self, BadSettings> {
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
        Ok(Self {
            text: text.to_owned(),
            target: target.parse()?,
            profile,
        })
    }
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
            assert_eq!((parsed.profile, parsed.to_string()), (profile, text.into()));
            assert_eq!(parsed.target, target.parse().unwrap());
        }
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
