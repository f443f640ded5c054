//! A duration as a setting.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::BadSettings;

/// A duration in whole milliseconds: `100ms`, `60s`, `5m`, `1h30m`, `2d`. The unit is required.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(Duration);

/// Milliseconds of each unit, longest first.
const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

impl Span {
    /// No time.
    pub const ZERO: Self = Self::from_secs(0);
    /// One second.
    pub const SECOND: Self = Self::from_secs(1);
    /// One minute.
    pub const MINUTE: Self = Self::from_secs(60);
    /// One hour.
    pub const HOUR: Self = Self::from_secs(3600);
    /// One day.
    pub const DAY: Self = Self::from_secs(86_400);
    /// One year of 365 days.
    pub const YEAR: Self = Self::from_secs(365 * 86_400);

    /// Creates a duration from seconds.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// Creates a duration from milliseconds.
    #[must_use]
    pub const fn from_millis(milliseconds: u64) -> Self {
        Self(Duration::from_millis(milliseconds))
    }

    /// Returns it as the standard library's duration.
    #[must_use]
    pub const fn duration(self) -> Duration {
        self.0
    }

    /// Returns it in milliseconds, at most `u64::MAX`.
    #[must_use]
    pub fn milliseconds(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }
}

impl From<Span> for Duration {
    fn from(span: Span) -> Self {
        span.0
    }
}

impl FromStr for Span {
    type Err = BadSettings;

    fn from_str(text: &str) -> Result<Self, BadSettings> {
        milliseconds(text).map(Self::from_millis).ok_or_else(|| {
            BadSettings::new(format!(
                "invalid duration {text:?}: must be numbers with ms, s, m, h or d, such as 100ms, \
                 60s, 1h30m"
            ))
        })
    }
}

/// Adds up pairs of number and unit. `None` if the text has another form or the sum overflows.
fn milliseconds(text: &str) -> Option<u64> {
    let (mut sum, mut rest) = (0u64, text);
    loop {
        let unit_and_rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let number: u64 = rest.strip_suffix(unit_and_rest)?.parse().ok()?;
        let next = unit_and_rest.trim_start_matches(|c: char| c.is_ascii_alphabetic());
        let unit = unit_and_rest.strip_suffix(next)?;
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
        sum = sum.checked_add(number.checked_mul(*factor)?)?;
        if next.is_empty() {
            return Some(sum);
        }
        rest = next;
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.milliseconds();
        if rest == 0 {
            return f.write_str("0s");
        }
        for (unit, factor) in UNITS {
            if rest >= factor {
                write!(f, "{}{unit}", rest / factor)?;
                rest %= factor;
            }
        }
        Ok(())
    }
}

crate::text_setting!(Span);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_reads_its_units_and_writes_them_back() {
        let cases = [
            ("100ms", 100, "100ms"),
            ("60s", 60_000, "1m"),
            ("5m", 300_000, "5m"),
            ("1h30m", 5_400_000, "1h30m"),
            ("1500ms", 1500, "1s500ms"),
            ("2d", 172_800_000, "2d"),
            ("0s", 0, "0s"),
        ];
        for (text, milliseconds, written) in cases {
            let span: Span = text.parse().unwrap();
            assert_eq!(
                span.duration(),
                Duration::from_millis(milliseconds),
                "{text}"
            );
            assert_eq!(span.to_string(), written);
            assert_eq!(written.parse::<Span>().unwrap(), span);
        }
    }

    #[test]
    fn a_span_without_a_unit_or_with_another_is_refused() {
        for text in [
            "",
            "15",
            "s",
            "15 s",
            "-1s",
            "1.5s",
            "1y",
            "1s2",
            "99999999999999999999s",
            "1S",
        ] {
            assert!(text.parse::<Span>().is_err(), "{text:?}");
        }
    }
}
