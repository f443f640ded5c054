//! Labels with their values, as a setting.

use std::fmt;
use std::str::FromStr;

/// Labels that an object must have, with their values: `LABEL=VALUE`, several separated by commas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelSelector(Vec<(String, String)>);

impl LabelSelector {
    /// The labels with their values.
    #[must_use]
    pub fn labels(&self) -> &[(String, String)] {
        &self.0
    }
}

impl FromStr for LabelSelector {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let labels = text.split(',').map(|pair| {
            let (label, value) = pair.split_once('=')?;
            let (label, value) = (label.trim(), value.trim());
            (!label.is_empty()).then(|| (label.to_owned(), value.to_owned()))
        });
        let labels = labels.collect::<Option<_>>();
        let labels = labels.ok_or("must be LABEL=VALUE, several separated by commas")?;
        Ok(Self(labels))
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (label, value)) in self.0.iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            write!(f, "{comma}{label}={value}")?;
        }
        Ok(())
    }
}

kipfix_service::text_setting!(LabelSelector);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_separated_by_commas() {
        let selector: LabelSelector = "app=a, example.com/tier = b,c=".parse().unwrap();
        let pair = |label: &str, value: &str| (label.to_owned(), value.to_owned());
        let labels = [
            pair("app", "a"),
            pair("example.com/tier", "b"),
            pair("c", ""),
        ];
        assert_eq!(selector.labels(), labels);
        assert_eq!(selector.to_string(), "app=a,example.com/tier=b,c=");
        for text in ["", "app", "=a", "app=a,"] {
            assert!(text.parse::<LabelSelector>().is_err(), "{text}");
        }
    }
}
