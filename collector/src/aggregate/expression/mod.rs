//! Expressions that select edges or records:
//!
//! ```text
//! src.namespace == "shop" && dst.class =~ "external.*" && port in [53, 443]
//! ```
//!
//! | | |
//! |---|---|
//! | `FIELD == LITERAL`, `!=` | equal, not equal; the literal `""` is equal to an absent value |
//! | `FIELD =~ "REGEX"`, `!~` | the whole value matches, or does not; `(?i)` ignores case |
//! | `FIELD < NUMBER`, `<=`, `>`, `>=` | of number fields; an absent value is none of these |
//! | `FIELD in [LITERAL, …]` | equal to one of them |
//! | `FIELD == FIELD`, `!=` | the values of two fields of one type; two absent values are equal |
//! | `!A`, `A && B`, `A \|\| B`, `(A)` | `!` binds tightest, then `&&` |
//!
//! Regular expressions have the syntax of the `regex` crate. Literals are numbers, or texts in
//! double quotes with the escapes `\\`, `\"` and `\n`. An address is compared with an address or a
//! CIDR that contains it; a protocol with its name or number.
//!
//! An expression is parsed and checked once. Its evaluation allocates nothing for texts and
//! numbers.

mod compile;
mod label_value;
mod matchers;
mod syntax;

use std::fmt;
use std::str::FromStr;

use super::field::{Field, FieldSource};
pub use compile::{Predicate, Test};
pub use label_value::LabelValue;
pub use matchers::{Alternative, MatchedValues, Matcher, MatcherError};
use syntax::{Parser, Tree};

/// Maximum length of an expression, octets.
pub const MAX_OCTETS: usize = 4096;
/// Maximum depth of parentheses and negations.
pub const MAX_DEPTH: usize = 32;
/// Maximum number of regular expressions in an expression.
pub const MAX_REGEXES: usize = 16;
/// Maximum number of fields in a list of fields.
pub const MAX_FIELDS: usize = 64;

/// A mistake in an expression or a list of fields.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason} (column {column})")]
pub struct ExpressionError {
    /// Column of the mistake in characters, counted from 1.
    pub column: usize,
    /// What is wrong, and what is allowed.
    pub reason: String,
}

impl ExpressionError {
    fn new(column: usize, reason: impl Into<String>) -> Self {
        Self {
            column,
            reason: reason.into(),
        }
    }
}

/// A checked expression, ready to be evaluated.
#[derive(Clone, Debug)]
pub struct Expression {
    text: String,
    predicate: Predicate,
}

impl Expression {
    /// True if it selects what `source` describes.
    #[must_use]
    pub fn matches(&self, source: &impl FieldSource) -> bool {
        self.predicate.matches(source)
    }

    /// The fields that it reads, in the order of the text. A field may occur several times.
    pub fn fields(&self) -> impl Iterator<Item = &Field> {
        let mut fields = Vec::new();
        self.predicate.collect_fields(&mut fields);
        fields.into_iter()
    }

    /// The expression as a tree, for engines that evaluate it on their own.
    #[must_use]
    pub const fn predicate(&self) -> &Predicate {
        &self.predicate
    }

    /// The text that it was made from.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl FromStr for Expression {
    type Err = ExpressionError;

    fn from_str(text: &str) -> Result<Self, ExpressionError> {
        let tree = Tree::parse(text)?;
        Ok(Self {
            predicate: Predicate::compile(&tree)?,
            text: text.to_owned(),
        })
    }
}

kipfix_service::text_setting!(Expression);

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Two expressions are equal if their texts are.
impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Expression {}

impl FromStr for Field {
    type Err = ExpressionError;

    fn from_str(text: &str) -> Result<Self, ExpressionError> {
        let mut parser = Parser::new(text)?;
        let field = parser.field()?;
        parser.end()?;
        Ok(field.value)
    }
}

/// Parses a list of fields, separated by commas.
///
/// # Errors
/// An unknown field, more than [`MAX_FIELDS`], or no field.
pub fn parse_fields(text: &str) -> Result<Vec<Field>, ExpressionError> {
    let mut parser = Parser::new(text)?;
    let mut fields = Vec::new();
    loop {
        let field = parser.field()?;
        if fields.len() >= MAX_FIELDS {
            let reason = format!("too many fields: {MAX_FIELDS} are allowed");
            return Err(ExpressionError::new(field.column, reason));
        }
        fields.push(field.value);
        if !parser.comma()? {
            break;
        }
    }
    parser.end()?;
    Ok(fields)
}

#[cfg(test)]
mod tests;
