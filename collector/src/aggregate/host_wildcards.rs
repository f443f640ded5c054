//! Wildcards under which host names are counted together, because a provider has a name for each
//! customer or server.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use flowproto::host_name::{HostName, HostNames};
use foldhash::fast::RandomState;
use hashbrown::HashMap;

/// A wildcard for host names: `*.example.com` matches every name that ends with `.example.com`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostWildcard(String);

/// A text is not a wildcard.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid host wildcard {0:?}: must be *.DOMAIN, e.g. *.s3.amazonaws.com")]
pub struct HostWildcardError(String);

impl FromStr for HostWildcard {
    type Err = HostWildcardError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || HostWildcardError(text.to_owned());
        let domain = text.strip_prefix("*.").ok_or_else(error)?;
        let domain = HostNames::default().intern(domain.as_bytes());
        let domain = domain.map_err(|_| error())?;
        Ok(Self(format!("*.{}", domain.as_str())))
    }
}

kipfix_service::text_setting!(HostWildcard);

impl fmt::Display for HostWildcard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Wildcards by what names end with, the dot included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostWildcards(HashMap<Box<str>, Arc<str>, RandomState>);

impl HostWildcards {
    /// The label value of a name: the longest wildcard that matches it, else the name.
    #[must_use]
    pub fn label(&self, name: &HostName) -> Arc<str> {
        let text = name.as_str();
        if self.0.is_empty() {
            return Arc::clone(name.shared());
        }
        let mut dots = text.match_indices('.');
        dots.find_map(|(at, _)| self.0.get(text.get(at..)?))
            .map_or_else(|| Arc::clone(name.shared()), Arc::clone)
    }
}

impl FromIterator<HostWildcard> for HostWildcards {
    fn from_iter<I: IntoIterator<Item = HostWildcard>>(wildcards: I) -> Self {
        let entry =
            |HostWildcard(text): HostWildcard| (text.trim_start_matches('*').into(), text.into());
        Self(wildcards.into_iter().map(entry).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(wildcards: &[&str], name: &str) -> String {
        let wildcards: HostWildcards = wildcards.iter().map(|w| w.parse().unwrap()).collect();
        let name = HostNames::default().intern(name.as_bytes()).unwrap();
        wildcards.label(&name).to_string()
    }

    #[test]
    fn a_name_is_counted_under_the_longest_wildcard() {
        let wildcards = ["*.amazonaws.com", "*.S3.amazonaws.com."];
        for (name, wanted) in [
            ("a.b.s3.amazonaws.com", "*.s3.amazonaws.com"),
            ("s3.amazonaws.com", "*.amazonaws.com"),
            ("amazonaws.com", "amazonaws.com"),
            ("notamazonaws.com", "notamazonaws.com"),
            ("a.example.org", "a.example.org"),
        ] {
            assert_eq!(label(&wildcards, name), wanted);
            assert_eq!(label(&[], name), name);
        }
    }

    #[test]
    fn a_text_that_is_not_a_wildcard_is_refused() {
        for text in [
            "",
            "*",
            "*.",
            "s3.amazonaws.com",
            "*.a b",
            "a.*.com",
            "*.*.com",
        ] {
            let error = text.parse::<HostWildcard>().unwrap_err().to_string();
            assert!(error.contains("must be *.DOMAIN"), "{error}");
        }
    }
}
