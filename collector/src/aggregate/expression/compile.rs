//! Syntax tree → predicate: literals are converted to the type of their field, regular expressions
//! are compiled.

use std::cmp::Ordering;

use flowproto::Address;
use flowproto::protocol;
use regex::{Regex, RegexBuilder};

use super::syntax::{Comparison, Literal, Located, Operand, Tree};
use super::{ExpressionError, MAX_REGEXES};
use crate::aggregate::field::{Field, FieldSource, FieldType, Value};
use crate::aggregate::field_values;
use crate::interval_map::parse_network;

/// Maximum size of a compiled regular expression, octets.
const REGEX_OCTETS: usize = 256 << 10;
/// Maximum nesting of a regular expression.
const REGEX_DEPTH: u32 = 32;

/// A compiled expression.
#[derive(Clone, Debug)]
pub enum Predicate {
    /// One of these is true.
    Any(Box<[Self]>),
    /// All of these are true.
    All(Box<[Self]>),
    /// It is not true.
    Not(Box<Self>),
    /// The value of a field passes a test.
    Test(Field, Test),
    /// Two fields have the same value.
    Same(Field, Field),
}

/// A test of one value.
#[derive(Clone, Debug)]
pub enum Test {
    /// There is no value.
    Absent,
    /// It is one of these texts, which are sorted.
    Texts(Box<[Box<str>]>),
    /// It is one of these numbers, which are sorted.
    Numbers(Box<[u64]>),
    /// It is a number below this one.
    Less(u64),
    /// It is a number above this one.
    Greater(u64),
    /// It is an address of one of these networks: their first and last addresses.
    Networks(Box<[(Address, Address)]>),
    /// The regular expression matches the text of the value.
    Regex(Regex),
}

impl Predicate {
    pub(super) fn compile(tree: &Tree) -> Result<Self, ExpressionError> {
        Compiler::default().tree(tree)
    }

    pub(super) fn matches(&self, source: &impl FieldSource) -> bool {
        match self {
            Self::Any(parts) => parts.iter().any(|part| part.matches(source)),
            Self::All(parts) => parts.iter().all(|part| part.matches(source)),
            Self::Not(part) => !part.matches(source),
            Self::Test(field, test) => test.accepts(source.value(field)),
            Self::Same(one, other) => source.value(one) == source.value(other),
        }
    }

    pub(super) fn collect_fields<'a>(&'a self, out: &mut Vec<&'a Field>) {
        match self {
            Self::Any(parts) | Self::All(parts) => {
                for part in parts {
                    part.collect_fields(out);
                }
            }
            Self::Not(part) => part.collect_fields(out),
            Self::Test(field, _) => out.push(field),
            Self::Same(one, other) => out.extend([one, other]),
        }
    }

    fn not(self) -> Self {
        Self::Not(Box::new(self))
    }
}

impl Test {
    fn accepts(&self, value: Value<'_>) -> bool {
        match (self, value) {
            (Self::Absent, value) => value == Value::Absent,
            (Self::Regex(regex), Value::Absent) => regex.is_match(""),
            (Self::Regex(regex), Value::Text(text)) => regex.is_match(text),
            (Self::Regex(regex), value) => regex.is_match(&value.to_string()),
            (Self::Texts(texts), Value::Text(text)) => {
                texts.binary_search_by(|known| (**known).cmp(text)).is_ok()
            }
            (_, Value::Number(number)) => self.accepts_number(number),
            (_, Value::Protocol(number)) => self.accepts_number(number.into()),
            (Self::Networks(networks), Value::Address(address)) => {
                // IPv4 lies within the range of `::/0`.
                networks.iter().any(|(first, last)| {
                    first.is_ipv4() == address.is_ipv4() && (*first..=*last).contains(&address)
                })
            }
            _ => false,
        }
    }

    fn accepts_number(&self, number: u64) -> bool {
        match self {
            Self::Numbers(numbers) => numbers.binary_search(&number).is_ok(),
            Self::Less(limit) => number < *limit,
            Self::Greater(limit) => number > *limit,
            _ => false,
        }
    }
}

#[derive(Default)]
struct Compiler {
    regexes: usize,
}

impl Compiler {
    fn tree(&mut self, tree: &Tree) -> Result<Predicate, ExpressionError> {
        let all = |compiler: &mut Self, trees: &[Tree]| -> Result<Box<[Predicate]>, _> {
            trees.iter().map(|tree| compiler.tree(tree)).collect()
        };
        Ok(match tree {
            Tree::Any(trees) => Predicate::Any(all(self, trees)?),
            Tree::All(trees) => Predicate::All(all(self, trees)?),
            Tree::Not(tree) => self.tree(tree)?.not(),
            Tree::In(field, literals) => equal_to(&field.value, literals)?,
            Tree::Compare(field, comparison, Operand::Field(other)) => {
                same(field, comparison, other)?
            }
            Tree::Compare(field, comparison, Operand::Literal(literal)) => {
                self.comparison(&field.value, comparison, literal)?
            }
        })
    }

    fn comparison(
        &mut self,
        field: &Field,
        comparison: &Located<Comparison>,
        literal: &Located<Literal>,
    ) -> Result<Predicate, ExpressionError> {
        let literals = std::slice::from_ref(literal);
        match comparison.value {
            Comparison::Equal => equal_to(field, literals),
            Comparison::NotEqual => Ok(equal_to(field, literals)?.not()),
            Comparison::Matches => self.regex(field, literal),
            Comparison::MatchesNot => Ok(self.regex(field, literal)?.not()),
            Comparison::Less => order(field, comparison, literal, Ordering::Less),
            Comparison::Greater => order(field, comparison, literal, Ordering::Greater),
            // An absent value is neither.
            Comparison::LessOrEqual => {
                let less = order(field, comparison, literal, Ordering::Less)?;
                Ok(Predicate::Any([less, equal_to(field, literals)?].into()))
            }
            Comparison::GreaterOrEqual => {
                let greater = order(field, comparison, literal, Ordering::Greater)?;
                Ok(Predicate::Any([greater, equal_to(field, literals)?].into()))
            }
        }
    }

    fn regex(
        &mut self,
        field: &Field,
        literal: &Located<Literal>,
    ) -> Result<Predicate, ExpressionError> {
        let at = |reason: String| ExpressionError::new(literal.column, reason);
        let Literal::Text(text) = &literal.value else {
            return Err(at("expected a regular expression in double quotes".into()));
        };
        self.regexes += 1;
        if self.regexes > MAX_REGEXES {
            let reason = format!("too many regular expressions: {MAX_REGEXES} are allowed");
            return Err(at(reason));
        }
        // On its own first, so that no parenthesis of the text closes the group that is added.
        let regex = build(text).and_then(|_| build(&format!(r"\A(?:{text})\z")));
        let regex = regex.map_err(|error| at(regex_reason(text, &error)))?;
        Ok(Predicate::Test(field.clone(), Test::Regex(regex)))
    }
}

fn build(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern)
        .size_limit(REGEX_OCTETS)
        .dfa_size_limit(REGEX_OCTETS)
        .nest_limit(REGEX_DEPTH)
        .build()
}

/// The last line of the error is its reason; the lines before it show the pattern.
fn regex_reason(text: &str, error: &regex::Error) -> String {
    let error = error.to_string();
    let reason = error.lines().last().unwrap_or_default();
    let reason = reason.trim().trim_start_matches("error: ");
    format!("invalid regular expression {text:?}: {reason}")
}

/// A value is equal to one of the literals.
fn equal_to(field: &Field, literals: &[Located<Literal>]) -> Result<Predicate, ExpressionError> {
    let is_empty = |literal: &&Located<Literal>| literal.value == Literal::Text(String::new());
    let absent = literals.iter().any(|literal| is_empty(&literal));
    let present: Vec<_> = literals.iter().filter(|l| !is_empty(l)).collect();
    let test = |test| Predicate::Test(field.clone(), test);
    let mut tests = Vec::new();
    if absent {
        tests.push(test(Test::Absent));
    }
    if !present.is_empty() {
        tests.push(test(present_test(field, &present)?));
    }
    Ok(match tests.len() {
        1 => tests.remove(0),
        _ => Predicate::Any(tests.into()),
    })
}

fn present_test(field: &Field, literals: &[&Located<Literal>]) -> Result<Test, ExpressionError> {
    fn all<T>(
        literals: &[&Located<Literal>],
        value: impl Fn(&Located<Literal>) -> Result<T, ExpressionError>,
    ) -> Result<Vec<T>, ExpressionError> {
        literals.iter().map(|literal| value(literal)).collect()
    }
    let numbers = |mut numbers: Vec<u64>| {
        numbers.sort_unstable();
        Test::Numbers(numbers.into())
    };
    Ok(match field.value_type() {
        FieldType::Text => {
            let mut texts = all(literals, |literal| text(field, literal))?;
            texts.sort_unstable();
            Test::Texts(texts.into())
        }
        FieldType::Number => numbers(all(literals, |literal| number(field, literal))?),
        FieldType::Protocol => numbers(all(literals, protocol)?),
        FieldType::Address => Test::Networks(all(literals, network)?.into()),
    })
}

fn text(field: &Field, literal: &Located<Literal>) -> Result<Box<str>, ExpressionError> {
    match &literal.value {
        Literal::Text(text) => match field_values::all(field) {
            Some(values) if !values.contains(&text.as_str()) => {
                let values = values.join(", ");
                let reason = format!("invalid {field} {text:?}: must be one of {values}");
                Err(ExpressionError::new(literal.column, reason))
            }
            _ => Ok(text.as_str().into()),
        },
        Literal::Number(number) => {
            let reason = format!("{field} is a text: expected \"{number}\" in double quotes");
            Err(ExpressionError::new(literal.column, reason))
        }
    }
}

fn number(field: &Field, literal: &Located<Literal>) -> Result<u64, ExpressionError> {
    match &literal.value {
        Literal::Number(number) => Ok(*number),
        Literal::Text(text) => {
            let reason = format!("{field} is a number: expected a number, found {text:?}");
            Err(ExpressionError::new(literal.column, reason))
        }
    }
}

fn protocol(literal: &Located<Literal>) -> Result<u64, ExpressionError> {
    let number = match &literal.value {
        Literal::Number(number) => u8::try_from(*number).ok(),
        Literal::Text(text) => protocol::number(text).or_else(|| text.parse().ok()),
    };
    number.map(u64::from).ok_or_else(|| {
        let reason =
            "invalid protocol: must be 0–255 or a name such as \"tcp\", \"udp\" or \"icmp\"";
        ExpressionError::new(literal.column, reason)
    })
}

/// First and last address of a network, or an address twice.
fn network(literal: &Located<Literal>) -> Result<(Address, Address), ExpressionError> {
    let network = match &literal.value {
        Literal::Text(text) => parse_network(text),
        Literal::Number(_) => None,
    };
    let range = network.map(|net| (Address::from(net.network()), Address::from(net.broadcast())));
    range.ok_or_else(|| {
        let reason = "invalid address: must be an address or a CIDR in double quotes";
        ExpressionError::new(literal.column, reason)
    })
}

fn order(
    field: &Field,
    comparison: &Located<Comparison>,
    literal: &Located<Literal>,
    ordering: Ordering,
) -> Result<Predicate, ExpressionError> {
    if field.value_type() != FieldType::Number {
        let reason = format!(
            "{} needs a number, and {field} is not one",
            comparison.value
        );
        return Err(ExpressionError::new(comparison.column, reason));
    }
    let limit = number(field, literal)?;
    let test = match ordering {
        Ordering::Less => Test::Less(limit),
        _ => Test::Greater(limit),
    };
    Ok(Predicate::Test(field.clone(), test))
}

fn same(
    field: &Located<Field>,
    comparison: &Located<Comparison>,
    other: &Located<Field>,
) -> Result<Predicate, ExpressionError> {
    let is_equal = match comparison.value {
        Comparison::Equal => true,
        Comparison::NotEqual => false,
        other => {
            let reason = format!("{other} needs a literal; fields are compared by == and !=");
            return Err(ExpressionError::new(comparison.column, reason));
        }
    };
    if field.value.value_type() != other.value.value_type() {
        let reason = format!(
            "{} and {} have values of different types",
            field.value, other.value
        );
        return Err(ExpressionError::new(other.column, reason));
    }
    let same = Predicate::Same(field.value.clone(), other.value.clone());
    Ok(if is_equal { same } else { same.not() })
}
