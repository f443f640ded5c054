//! Expressions whose value is a text: the values of labels.
//!
//! ```text
//! value  = choice | or
//! choice = join { "??" join }
//! join   = part { "+" part }
//! part   = field | text
//! ```

use std::fmt::Write as _;
use std::str::FromStr;

use super::compile::Predicate;
use super::syntax::{Parser, Tree};
use super::{ExpressionError, MAX_FIELDS};
use crate::aggregate::field::{Field, FieldSource, Value};

/// The value of a label.
///
/// | | |
/// |---|---|
/// | `FIELD` | the value of the field; empty if it is absent |
/// | `"TEXT"` | a constant |
/// | `A + B` | one after the other; absent if one of them is |
/// | `A ?? B` | the first of them that is not absent |
/// | any [`Expression`](super::Expression) | `true` or `false` |
#[derive(Clone, Debug)]
pub struct LabelValue {
    text: String,
    value: TextValue,
}

#[derive(Clone, Debug)]
enum TextValue {
    Condition(Predicate),
    /// Alternatives, each of which is several parts in a row.
    Choice(Box<[Box<[Part]>]>),
}

#[derive(Clone, Debug)]
enum Part {
    Field(Field),
    Text(Box<str>),
}

impl LabelValue {
    /// Appends the value. Nothing if it is absent.
    pub fn write(&self, source: &impl FieldSource, out: &mut String) {
        match &self.value {
            TextValue::Condition(predicate) => {
                out.push_str(if predicate.matches(source) {
                    "true"
                } else {
                    "false"
                });
            }
            TextValue::Choice(alternatives) => {
                let begin = out.len();
                for parts in alternatives {
                    if parts.iter().all(|part| part.write(source, out)) {
                        return;
                    }
                    out.truncate(begin);
                }
            }
        }
    }

    /// True if it is `true` or `false`.
    #[must_use]
    pub const fn is_condition(&self) -> bool {
        matches!(self.value, TextValue::Condition(_))
    }

    /// The fields that it reads. A field may occur several times.
    pub fn fields(&self) -> impl Iterator<Item = &Field> {
        let mut fields = Vec::new();
        match &self.value {
            TextValue::Condition(predicate) => predicate.collect_fields(&mut fields),
            TextValue::Choice(alternatives) => {
                fields.extend(alternatives.iter().flatten().filter_map(|part| match part {
                    Part::Field(field) => Some(field),
                    Part::Text(_) => None,
                }));
            }
        }
        fields.into_iter()
    }

    /// The last field of a choice between fields: the one that names the value where no better one
    /// is known.
    #[must_use]
    pub fn as_choice(&self) -> Option<&Field> {
        let TextValue::Choice(alternatives) = &self.value else {
            return None;
        };
        let field = |parts: &[Part]| matches!(parts, [Part::Field(_)]);
        if !alternatives.iter().all(|parts| field(parts)) {
            return None;
        }
        match alternatives.last()?.as_ref() {
            [Part::Field(field)] => Some(field),
            _ => None,
        }
    }

    /// The only field that it is, if it is one.
    #[must_use]
    pub fn as_field(&self) -> Option<&Field> {
        match &self.value {
            TextValue::Choice(alternatives) => match alternatives.as_ref() {
                [parts] => match parts.as_ref() {
                    [Part::Field(field)] => Some(field),
                    _ => None,
                },
                _ => None,
            },
            TextValue::Condition(_) => None,
        }
    }
}

impl Part {
    /// Appends the value. False if it is absent.
    fn write(&self, source: &impl FieldSource, out: &mut String) -> bool {
        match self {
            Self::Text(text) => out.push_str(text),
            Self::Field(field) => match source.value(field) {
                Value::Absent => return false,
                Value::Text(text) => out.push_str(text),
                // Writing to a String cannot fail.
                value => write!(out, "{value}").unwrap_or_default(),
            },
        }
        true
    }
}

impl FromStr for LabelValue {
    type Err = ExpressionError;

    fn from_str(text: &str) -> Result<Self, ExpressionError> {
        let value = if is_condition(text)? {
            TextValue::Condition(Predicate::compile(&Tree::parse(text)?)?)
        } else {
            TextValue::Choice(choice(text)?)
        };
        Ok(Self {
            text: text.to_owned(),
            value,
        })
    }
}

/// Two values are equal if their texts are.
impl PartialEq for LabelValue {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for LabelValue {}

/// True if it begins as a comparison does.
fn is_condition(text: &str) -> Result<bool, ExpressionError> {
    let mut parser = Parser::new(text)?;
    if parser.is_sign("!") || parser.is_sign("(") {
        return Ok(true);
    }
    if !parser.is_name() {
        return Ok(false);
    }
    parser.field()?;
    Ok(parser.is_comparison())
}

fn choice(text: &str) -> Result<Box<[Box<[Part]>]>, ExpressionError> {
    let mut parser = Parser::new(text)?;
    let mut alternatives = vec![join(&mut parser)?];
    while parser.take_sign("??")? {
        if alternatives.len() >= MAX_FIELDS {
            let reason = format!("too many alternatives: {MAX_FIELDS} are allowed");
            return Err(ExpressionError::new(parser.column(), reason));
        }
        alternatives.push(join(&mut parser)?);
    }
    parser.end()?;
    Ok(alternatives.into())
}

fn join(parser: &mut Parser<'_>) -> Result<Box<[Part]>, ExpressionError> {
    let mut parts = vec![part(parser)?];
    while parser.take_sign("+")? {
        if parts.len() >= MAX_FIELDS {
            let reason = format!("too many parts: {MAX_FIELDS} are allowed");
            return Err(ExpressionError::new(parser.column(), reason));
        }
        parts.push(part(parser)?);
    }
    Ok(parts.into())
}

fn part(parser: &mut Parser<'_>) -> Result<Part, ExpressionError> {
    if parser.is_name() {
        return Ok(Part::Field(parser.field()?.value));
    }
    let text = parser.text_literal("a field or a text in double quotes")?;
    Ok(Part::Text(text.into()))
}
