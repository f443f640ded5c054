//! A number of bytes as a setting.

use std::fmt;
use std::str::FromStr;

use super::BadSettings;

/// A number of bytes: `1400`, `64K` or `64KiB`, `32M` or `32MiB`, `1G` or `1GiB`, in powers of 1024.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(u64);

const UNITS: [(&str, &str, u64); 3] = [
    ("GiB", "G", 1 << 30),
    ("MiB", "M", 1 << 20),
    ("KiB", "K", 1 << 10),
];

impl Size {
    /// Creates a size from bytes.
    #[must_use]
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// Creates a size from KiB.
    #[must_use]
    pub const fn kib(number: u64) -> Self {
        Self(number << 10)
    }

    /// Creates a size from MiB.
    #[must_use]
    pub const fn mib(number: u64) -> Self {
        Self(number << 20)
    }

    /// Creates a size from GiB.
    #[must_use]
    pub const fn gib(number: u64) -> Self {
        Self(number << 30)
    }

    /// Returns the number of bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for Size {
    type Err = BadSettings;

    fn from_str(text: &str) -> Result<Self, BadSettings> {
        let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
        let unit = text.strip_prefix(digits).unwrap_or_default();
        let factor = match unit {
            "" => Some(1),
            unit => UNITS
                .iter()
                .find(|(long, short, _)| unit == *long || unit == *short)
                .map(|(_, _, factor)| *factor),
        };
        digits
            .parse::<u64>()
            .ok()
            .zip(factor)
            .and_then(|(number, factor)| number.checked_mul(factor))
            .map(Self)
            .ok_or_else(|| {
                BadSettings::new(format!(
                    "invalid size {text:?}: must be bytes, or a number with K, M or G (powers of \
                     1024), such as 1400, 64K, 32MiB"
                ))
            })
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = UNITS
            .iter()
            .find(|(_, _, factor)| self.0 > 0 && self.0.is_multiple_of(*factor));
        match whole {
            Some((unit, _, factor)) => write!(f, "{}{unit}", self.0 / factor),
            None => write!(f, "{}", self.0),
        }
    }
}

crate::text_setting!(Size);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_reads_with_and_without_a_unit_and_writes_the_shortest() {
        let cases = [
            ("1400", 1400, "1400"),
            ("64K", 65_536, "64KiB"),
            ("32MiB", 33_554_432, "32MiB"),
            ("1024M", 1 << 30, "1GiB"),
            ("0", 0, "0"),
            ("18446744073709551615", u64::MAX, "18446744073709551615"),
        ];
        for (text, bytes, written) in cases {
            let size: Size = text.parse().unwrap();
            assert_eq!((size.bytes(), size.to_string().as_str()), (bytes, written));
        }
    }

    #[test]
    fn an_invalid_size_is_refused() {
        for text in [
            "",
            "K",
            "-1",
            "1.5M",
            "1 M",
            "1MB",
            "1kb",
            "17179869184G",
            "0x10",
            "1M1",
        ] {
            assert!(text.parse::<Size>().is_err(), "{text:?}");
        }
    }
}
