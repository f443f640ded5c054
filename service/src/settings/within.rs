//! Ranges of values.

use std::ffi::OsStr;
use std::fmt::Display;
use std::str::FromStr;

use clap::builder::TypedValueParser;
use clap::{Arg, Command};

/// Parser of values in a range. The error is `must be 1–256`, `must be 1s–1h, with a unit` or
/// `must be 1s–1h, as whole numbers with a unit`.
#[derive(Clone, Debug)]
pub struct Within<T> {
    least: T,
    most: T,
    /// A value outside of the range that is allowed too.
    other: Option<T>,
}

/// Returns the parser of the values from `least` to `most`, for the attribute `value_parser` of an
/// argument.
pub const fn within<T>(least: T, most: T) -> Within<T> {
    Within {
        least,
        most,
        other: None,
    }
}

impl<T: Copy + Display + FromStr + PartialOrd> Within<T> {
    /// Allows one more value, for example 0 for "none".
    #[must_use]
    pub const fn or(mut self, other: T) -> Self {
        self.other = Some(other);
        self
    }

    /// Parses a value.
    ///
    /// # Errors
    /// What is allowed: the text is not a value, or not in the range.
    pub fn parse(&self, text: &str) -> Result<T, String> {
        let is_allowed = |value: &T| {
            self.other.as_ref() == Some(value) || (&self.least..=&self.most).contains(&value)
        };
        text.parse().ok().filter(is_allowed).ok_or_else(|| {
            let (least, most) = (self.least, self.most);
            let unit = self.form(text);
            match self.other {
                None => format!("must be {least}–{most}{unit}"),
                Some(other) => format!("must be {other} or {least}–{most}{unit}"),
            }
        })
    }

    /// Returns how values with a unit are written, if a text is not written like that.
    fn form(&self, text: &str) -> &'static str {
        let has_unit = self.most.to_string().ends_with(char::is_alphabetic);
        if !has_unit || text.parse::<T>().is_ok() {
            ""
        } else if text.parse::<u64>().is_ok() {
            ", with a unit"
        } else {
            ", as whole numbers with a unit"
        }
    }
}

impl<T> TypedValueParser for Within<T>
where
    T: Copy + Display + FromStr + PartialOrd + Send + Sync + 'static,
{
    type Value = T;

    fn parse_ref(
        &self,
        command: &Command,
        argument: Option<&Arg>,
        value: &OsStr,
    ) -> Result<T, clap::Error> {
        let range = self.clone();
        let parser = move |text: &str| range.parse(text);
        parser.parse_ref(command, argument, value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Size, Span};

    #[test]
    fn both_ends_of_a_range_are_allowed_and_nothing_beyond() {
        let range = within(1u32, 256);
        assert_eq!(range.parse("1"), Ok(1));
        assert_eq!(range.parse("256"), Ok(256));
        for text in ["0", "257", "-1", "4294967296", "many", ""] {
            assert_eq!(range.parse(text), Err("must be 1–256".into()), "{text:?}");
        }
    }

    #[test]
    fn a_value_outside_of_the_range_is_allowed_by_name() {
        let range = within(Size::mib(1), Size::gib(64)).or(Size::from_bytes(0));
        assert_eq!(range.parse("0"), Ok(Size::from_bytes(0)));
        assert_eq!(range.parse("1M"), Ok(Size::mib(1)));
        let error = "must be 0 or 1MiB–64GiB";
        assert_eq!(range.parse("4096"), Err(error.into()));
    }

    #[test]
    fn a_span_without_a_unit_is_not_in_a_range() {
        let range = within(Span::SECOND, Span::HOUR);
        assert_eq!(range.parse("1m"), Ok(Span::MINUTE));
        assert_eq!(range.parse("60"), Err("must be 1s–1h, with a unit".into()));
        assert_eq!(range.parse("61m"), Err("must be 1s–1h".into()));
        let error = "must be 1s–1h, as whole numbers with a unit";
        for text in ["0.5h", "1 m", "5 minutes", ""] {
            assert_eq!(range.parse(text), Err(error.into()), "{text:?}");
        }
    }
}
