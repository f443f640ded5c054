//! Expression → alternatives of label matchers, for engines that select by labels.

use std::collections::BTreeSet;

use super::Expression;
use super::compile::{Predicate, Test};
use crate::aggregate::field::Field;

/// Maximum number of alternatives.
const MAX_ALTERNATIVES: usize = 32;

/// A test of the text of one field. An absent value is the empty text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matcher {
    /// The field.
    pub field: Field,
    /// The values that match.
    pub values: MatchedValues,
    /// All other values match instead.
    pub is_negative: bool,
}

/// The values that a matcher selects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MatchedValues {
    /// One of these texts.
    OneOf(BTreeSet<String>),
    /// A regular expression matches the whole text.
    Regex(String),
}

/// Matchers, all of which must match.
pub type Alternative = Vec<Matcher>;

/// Why an expression cannot be written as matchers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MatcherError {
    /// It compares two fields.
    #[error("two fields cannot be compared")]
    TwoFields,
    /// It compares a number by order, or an address with a network.
    #[error("only ==, !=, =~, !~ and in are possible")]
    Comparison,
    /// It has too many alternatives.
    #[error("it has more than {MAX_ALTERNATIVES} alternatives")]
    TooManyAlternatives,
}

impl Matcher {
    /// True if every value that it selects is also selected by `other`, as far as that is certain.
    #[must_use]
    pub fn implies(&self, other: &Self) -> bool {
        if self.field != other.field || self.is_negative != other.is_negative {
            return false;
        }
        match (&self.values, &other.values) {
            (MatchedValues::OneOf(own), MatchedValues::OneOf(others)) if self.is_negative => {
                others.is_subset(own)
            }
            (MatchedValues::OneOf(own), MatchedValues::OneOf(others)) => own.is_subset(others),
            (own, others) => own == others,
        }
    }
}

impl Expression {
    /// The expression as alternatives of matchers: at least one alternative must match.
    ///
    /// # Errors
    /// Matchers cannot express it.
    pub fn to_alternatives(&self) -> Result<Vec<Alternative>, MatcherError> {
        alternatives(&self.predicate, false)
    }
}

fn alternatives(
    predicate: &Predicate,
    is_negative: bool,
) -> Result<Vec<Alternative>, MatcherError> {
    match (predicate, is_negative) {
        (Predicate::Not(part), _) => alternatives(part, !is_negative),
        // One of them, or one of them does not match.
        (Predicate::Any(parts), false) | (Predicate::All(parts), true) => {
            let mut all = Vec::new();
            for part in parts {
                all.extend(alternatives(part, is_negative)?);
                check(&all)?;
            }
            Ok(all)
        }
        (Predicate::All(parts), false) | (Predicate::Any(parts), true) => {
            let mut all = vec![Vec::new()];
            for part in parts {
                let more = alternatives(part, is_negative)?;
                let joined = all.iter().flat_map(|begin| {
                    more.iter()
                        .map(|end| begin.iter().chain(end).cloned().collect())
                });
                all = joined.take(MAX_ALTERNATIVES + 1).collect();
                check(&all)?;
            }
            Ok(all)
        }
        (Predicate::Test(field, test), _) => Ok(vec![vec![Matcher {
            field: field.clone(),
            values: values(field, test)?,
            is_negative,
        }]]),
        (Predicate::Same(..), _) => Err(MatcherError::TwoFields),
    }
}

const fn check(alternatives: &[Alternative]) -> Result<(), MatcherError> {
    if alternatives.len() > MAX_ALTERNATIVES {
        return Err(MatcherError::TooManyAlternatives);
    }
    Ok(())
}

fn values(field: &Field, test: &Test) -> Result<MatchedValues, MatcherError> {
    use crate::aggregate::field::{FieldType, Value};
    Ok(MatchedValues::OneOf(match test {
        Test::Absent => [String::new()].into(),
        Test::Texts(texts) => texts.iter().map(|text| text.as_ref().to_owned()).collect(),
        Test::Numbers(numbers) if field.value_type() == FieldType::Protocol => {
            let protocols = numbers
                .iter()
                .filter_map(|number| u8::try_from(*number).ok());
            protocols
                .map(|protocol| Value::Protocol(protocol).to_string())
                .collect()
        }
        Test::Numbers(numbers) => numbers.iter().map(ToString::to_string).collect(),
        Test::Regex(regex) => {
            // As it was written: the compiler adds anchors and a group.
            let text = regex.as_str();
            let text = text
                .strip_prefix(r"\A(?:")
                .and_then(|text| text.strip_suffix(r")\z"));
            return Ok(MatchedValues::Regex(text.unwrap_or_default().to_owned()));
        }
        Test::Less(_) | Test::Greater(_) | Test::Networks(_) => {
            return Err(MatcherError::Comparison);
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Alternatives, as text.
    fn shown(expression: &str) -> String {
        let expression: Expression = expression.parse().unwrap();
        let alternatives = match expression.to_alternatives() {
            Ok(alternatives) => alternatives,
            Err(error) => return error.to_string(),
        };
        let matcher = |matcher: &Matcher| {
            let sign = if matcher.is_negative { "!" } else { "" };
            match &matcher.values {
                MatchedValues::OneOf(texts) => {
                    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
                    format!("{sign}{} in {}", matcher.field, texts.join("|"))
                }
                MatchedValues::Regex(text) => format!("{sign}{} ~ {text}", matcher.field),
            }
        };
        let all = alternatives.iter().map(|all| {
            let all: Vec<String> = all.iter().map(matcher).collect();
            all.join(", ")
        });
        all.collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn an_expression_becomes_alternatives_of_matchers() {
        for (expression, wanted) in [
            (r#"src.namespace == "shop""#, "src.namespace in shop"),
            (r#"src.namespace != """#, "!src.namespace in "),
            (
                r#"src.namespace in ["a", "b", ""]"#,
                "src.namespace in ; src.namespace in a|b",
            ),
            (r#"src.workload =~ "(?i)web.*""#, "src.workload ~ (?i)web.*"),
            (r#"protocol == "TCP""#, "protocol in tcp"),
            (
                r#"scope == "internal" && (src.pod == "a" || dst.pod !~ "b")"#,
                "scope in internal, src.pod in a; scope in internal, !dst.pod ~ b",
            ),
            (
                r#"!(scope == "internal" && (src.pod == "a" || dst.pod == "b"))"#,
                "!scope in internal; !src.pod in a, !dst.pod in b",
            ),
            ("port > 5", "only ==, !=, =~, !~ and in are possible"),
            ("src.zone == dst.zone", "two fields cannot be compared"),
        ] {
            assert_eq!(shown(expression), wanted, "{expression}");
        }
        let wide = [r#"(src.pod == "a" || dst.pod == "b")"#; 6].join(" && ");
        assert_eq!(shown(&wide), "it has more than 32 alternatives");
    }

    #[test]
    fn a_matcher_implies_one_that_selects_more() {
        let matcher = |text: &str| {
            let expression: Expression = text.parse().unwrap();
            expression.to_alternatives().unwrap()[0][0].clone()
        };
        let both = matcher(r#"direction in ["egress", "ingress"]"#);
        assert!(matcher(r#"direction == "egress""#).implies(&both));
        assert!(both.implies(&both));
        for other in [
            r#"direction in ["egress", "internal"]"#,
            r#"direction != "egress""#,
            r#"direction =~ "egress""#,
            r#"src.pod == "egress""#,
        ] {
            assert!(!matcher(other).implies(&both), "{other}");
        }
        let narrow = matcher(r#"direction != "egress""#);
        assert!(both.implies(&both) && !narrow.implies(&both));
    }
}
