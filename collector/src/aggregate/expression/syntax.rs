//! Text → syntax tree. The grammar, lowest precedence first:
//!
//! ```text
//! or         = and { "||" and }
//! and        = unary { "&&" unary }
//! unary      = "!" unary | "(" or ")" | comparison
//! comparison = field ( "==" | "!=" | "=~" | "!~" | "<" | "<=" | ">" | ">=" ) ( literal | field )
//!            | field "in" "[" literal { "," literal } "]"
//! field      = name { "." name } [ "[" text "]" ]
//! literal    = number | text
//! ```

use std::fmt;

use kipfix_service::similar::{hint, similar};

use super::{ExpressionError, MAX_DEPTH, MAX_OCTETS};
use crate::aggregate::field::{Field, Quoted};

/// A part of an expression with the column where it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Located<T> {
    pub(super) value: T,
    pub(super) column: usize,
}

/// An operator between a field and what it is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Matches,
    MatchesNot,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    const NAMES: [(&'static str, Self); 8] = [
        ("==", Self::Equal),
        ("!=", Self::NotEqual),
        ("=~", Self::Matches),
        ("!~", Self::MatchesNot),
        ("<", Self::Less),
        ("<=", Self::LessOrEqual),
        (">", Self::Greater),
        (">=", Self::GreaterOrEqual),
    ];
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names = Self::NAMES.iter();
        let name = names.find(|(_, comparison)| comparison == self);
        f.write_str(name.map_or("", |(name, _)| *name))
    }
}

/// A constant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Literal {
    Number(u64),
    Text(String),
}

/// What a field is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Operand {
    Literal(Located<Literal>),
    Field(Located<Field>),
}

/// An expression as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tree {
    Any(Vec<Self>),
    All(Vec<Self>),
    Not(Box<Self>),
    Compare(Located<Field>, Located<Comparison>, Operand),
    In(Located<Field>, Vec<Located<Literal>>),
}

impl Tree {
    pub(super) fn parse(text: &str) -> Result<Self, ExpressionError> {
        let mut parser = Parser::new(text)?;
        let tree = parser.any(0)?;
        parser.end()?;
        Ok(tree)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    /// A name, with the dots in it.
    Name(String),
    Number(u64),
    Text(String),
    Comparison(Comparison),
    /// `&&`, `||`, `!`, `(`, `)`, `[`, `]`, `,`, `+`, `??`
    Sign(&'static str),
    End,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => Quoted(text).fmt(f),
            Self::Comparison(comparison) => comparison.fmt(f),
            Self::Sign(sign) => f.write_str(sign),
            Self::End => f.write_str("the end"),
        }
    }
}

/// A parser that looks one token ahead.
pub(super) struct Parser<'a> {
    rest: std::iter::Peekable<std::iter::Enumerate<std::str::Chars<'a>>>,
    /// Column of the end.
    end: usize,
    next: Located<Token>,
}

impl<'a> Parser<'a> {
    pub(super) fn new(text: &'a str) -> Result<Self, ExpressionError> {
        let end = text.chars().count() + 1;
        if text.len() > MAX_OCTETS {
            let reason = format!("too long: {MAX_OCTETS} octets are allowed");
            return Err(ExpressionError::new(end, reason));
        }
        let mut parser = Self {
            rest: text.chars().enumerate().peekable(),
            end,
            next: Located {
                value: Token::End,
                column: 1,
            },
        };
        parser.advance()?;
        Ok(parser)
    }

    /// Checks that nothing is left.
    pub(super) fn end(&self) -> Result<(), ExpressionError> {
        match self.next.value {
            Token::End => Ok(()),
            _ => Err(self.expected("the end")),
        }
    }

    /// Skips a comma. False if there is none.
    pub(super) fn comma(&mut self) -> Result<bool, ExpressionError> {
        self.take_sign(",")
    }

    /// Column of the next token.
    pub(super) const fn column(&self) -> usize {
        self.next.column
    }

    /// True if the next token is this sign.
    pub(super) fn is_sign(&self, sign: &'static str) -> bool {
        self.next.value == Token::Sign(sign)
    }

    /// True if the next token is a name.
    pub(super) const fn is_name(&self) -> bool {
        matches!(self.next.value, Token::Name(_))
    }

    /// True if the next token compares what is before it.
    pub(super) fn is_comparison(&self) -> bool {
        match &self.next.value {
            Token::Comparison(_) => true,
            Token::Name(name) => name == "in",
            _ => false,
        }
    }

    /// Parses a text in double quotes.
    pub(super) fn text_literal(&mut self, expected: &str) -> Result<String, ExpressionError> {
        match &self.next.value {
            Token::Text(text) => {
                let text = text.clone();
                self.advance()?;
                Ok(text)
            }
            _ => Err(self.expected(expected)),
        }
    }

    fn any(&mut self, depth: usize) -> Result<Tree, ExpressionError> {
        let first = self.all(depth)?;
        self.chain("||", first, Tree::Any, |parser| parser.all(depth))
    }

    fn all(&mut self, depth: usize) -> Result<Tree, ExpressionError> {
        let first = self.unary(depth)?;
        self.chain("&&", first, Tree::All, |parser| parser.unary(depth))
    }

    fn chain(
        &mut self,
        sign: &'static str,
        first: Tree,
        join: fn(Vec<Tree>) -> Tree,
        mut operand: impl FnMut(&mut Self) -> Result<Tree, ExpressionError>,
    ) -> Result<Tree, ExpressionError> {
        let mut trees = vec![first];
        while self.take_sign(sign)? {
            trees.push(operand(self)?);
        }
        Ok(match trees.len() {
            1 => trees.remove(0),
            _ => join(trees),
        })
    }

    fn unary(&mut self, depth: usize) -> Result<Tree, ExpressionError> {
        if depth >= MAX_DEPTH {
            let reason = format!("too deep: {MAX_DEPTH} levels are allowed");
            return Err(ExpressionError::new(self.next.column, reason));
        }
        if self.take_sign("!")? {
            return Ok(Tree::Not(Box::new(self.unary(depth + 1)?)));
        }
        if self.take_sign("(")? {
            let tree = self.any(depth + 1)?;
            self.sign(")")?;
            return Ok(tree);
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Result<Tree, ExpressionError> {
        let field = self.field()?;
        if self.next.value == Token::Name("in".to_owned()) {
            self.advance()?;
            return Ok(Tree::In(field, self.list()?));
        }
        let Token::Comparison(comparison) = self.next.value else {
            return Err(self.expected("==, !=, =~, !~, <, <=, >, >= or in"));
        };
        let comparison = self.replace(comparison)?;
        let operand = match self.next.value {
            Token::Name(_) => Operand::Field(self.field()?),
            _ => Operand::Literal(self.literal("a number, a text in double quotes or a field")?),
        };
        Ok(Tree::Compare(field, comparison, operand))
    }

    fn list(&mut self) -> Result<Vec<Located<Literal>>, ExpressionError> {
        self.sign("[")?;
        let mut literals = vec![self.literal("a number or a text in double quotes")?];
        while self.take_sign(",")? {
            literals.push(self.literal("a number or a text in double quotes")?);
        }
        self.sign("]")?;
        Ok(literals)
    }

    fn literal(&mut self, expected: &str) -> Result<Located<Literal>, ExpressionError> {
        let literal = match &self.next.value {
            Token::Number(number) => Literal::Number(*number),
            Token::Text(text) => Literal::Text(text.clone()),
            _ => return Err(self.expected(expected)),
        };
        self.replace(literal)
    }

    /// Parses the name of a field.
    pub(super) fn field(&mut self) -> Result<Located<Field>, ExpressionError> {
        let Token::Name(name) = &self.next.value else {
            return Err(self.expected("the name of a field"));
        };
        let Located {
            value: name,
            column,
        } = self.replace(name.clone())?;
        let key = if self.take_sign("[")? {
            let key = self.literal("a key in double quotes")?;
            let Literal::Text(text) = key.value else {
                let reason = "expected a key in double quotes";
                return Err(ExpressionError::new(key.column, reason));
            };
            self.sign("]")?;
            Some(text)
        } else {
            None
        };
        let field = match &key {
            Some(key) => Field::keyed(&name, key),
            None => Field::named(&name),
        };
        match field {
            Some(value) => Ok(Located { value, column }),
            None => Err(ExpressionError::new(column, unknown(&name, key.is_some()))),
        }
    }

    fn sign(&mut self, sign: &'static str) -> Result<(), ExpressionError> {
        if self.take_sign(sign)? {
            Ok(())
        } else {
            Err(self.expected(sign))
        }
    }

    pub(super) fn take_sign(&mut self, sign: &'static str) -> Result<bool, ExpressionError> {
        let is_next = self.is_sign(sign);
        if is_next {
            self.advance()?;
        }
        Ok(is_next)
    }

    fn expected(&self, expected: &str) -> ExpressionError {
        let reason = format!("expected {expected}, found {}", self.next.value);
        ExpressionError::new(self.next.column, reason)
    }

    /// Advances, and returns what the current token was read as.
    fn replace<T>(&mut self, value: T) -> Result<Located<T>, ExpressionError> {
        let column = self.next.column;
        self.advance()?;
        Ok(Located { value, column })
    }

    fn advance(&mut self) -> Result<(), ExpressionError> {
        while self.rest.next_if(|(_, c)| c.is_whitespace()).is_some() {}
        let Some((at, first)) = self.rest.next() else {
            self.next = Located {
                value: Token::End,
                column: self.end,
            };
            return Ok(());
        };
        let column = at + 1;
        let value = match first {
            '"' => Token::Text(self.text(column)?),
            '0'..='9' => self.number(first, column)?,
            c if c.is_ascii_alphabetic() || c == '_' => Token::Name(self.name(first)),
            _ => self.operator(first, column)?,
        };
        self.next = Located { value, column };
        Ok(())
    }

    fn take_while(&mut self, first: char, belongs: impl Fn(char) -> bool) -> String {
        let mut text = String::from(first);
        while let Some((_, c)) = self.rest.next_if(|(_, c)| belongs(*c)) {
            text.push(c);
        }
        text
    }

    fn name(&mut self, first: char) -> String {
        self.take_while(first, |c| c.is_ascii_alphanumeric() || c == '_' || c == '.')
    }

    fn number(&mut self, first: char, column: usize) -> Result<Token, ExpressionError> {
        let digits = self.take_while(first, |c| c.is_ascii_alphanumeric() || c == '_' || c == '.');
        digits.parse().map(Token::Number).map_err(|_| {
            let reason = format!("invalid number {digits}: must be 0–{}", u64::MAX);
            ExpressionError::new(column, reason)
        })
    }

    fn text(&mut self, column: usize) -> Result<String, ExpressionError> {
        let mut text = String::new();
        loop {
            match self.rest.next() {
                None => return Err(ExpressionError::new(column, "text without a closing quote")),
                Some((_, '"')) => return Ok(text),
                Some((at, '\\')) => match self.rest.next() {
                    Some((_, c @ ('\\' | '"'))) => text.push(c),
                    Some((_, 'n')) => text.push('\n'),
                    _ => {
                        let reason = r#"invalid escape: must be \\, \" or \n"#;
                        return Err(ExpressionError::new(at + 1, reason));
                    }
                },
                Some((_, c)) => text.push(c),
            }
        }
    }

    fn operator(&mut self, first: char, column: usize) -> Result<Token, ExpressionError> {
        let mut then = |wanted: char| self.rest.next_if(|(_, c)| *c == wanted).is_some();
        Ok(match first {
            '(' => Token::Sign("("),
            ')' => Token::Sign(")"),
            '[' => Token::Sign("["),
            ']' => Token::Sign("]"),
            ',' => Token::Sign(","),
            '+' => Token::Sign("+"),
            '?' if then('?') => Token::Sign("??"),
            '&' if then('&') => Token::Sign("&&"),
            '|' if then('|') => Token::Sign("||"),
            '!' if then('=') => Token::Comparison(Comparison::NotEqual),
            '!' if then('~') => Token::Comparison(Comparison::MatchesNot),
            '!' => Token::Sign("!"),
            '=' if then('=') => Token::Comparison(Comparison::Equal),
            '=' if then('~') => Token::Comparison(Comparison::Matches),
            '<' if then('=') => Token::Comparison(Comparison::LessOrEqual),
            '<' => Token::Comparison(Comparison::Less),
            '>' if then('=') => Token::Comparison(Comparison::GreaterOrEqual),
            '>' => Token::Comparison(Comparison::Greater),
            '=' => return Err(ExpressionError::new(column, "expected == or =~, found =")),
            '&' => return Err(ExpressionError::new(column, "expected &&, found &")),
            '|' => return Err(ExpressionError::new(column, "expected ||, found |")),
            '?' => return Err(ExpressionError::new(column, "expected ??, found ?")),
            _ => {
                let reason = format!("unexpected character {first:?}");
                return Err(ExpressionError::new(column, reason));
            }
        })
    }
}

/// The sentence about a field that does not exist.
fn unknown(name: &str, has_key: bool) -> String {
    let bare = name.rsplit('.').next().unwrap_or_default();
    let is_of_endpoint = Field::named(&format!("src.{bare}")).is_some();
    let has_side = name.contains('.');
    match (has_key, bare) {
        (false, "label" | "namespace_label") if has_side => {
            format!("unknown field {name}: must have a key, e.g. src.{bare}[\"team\"]")
        }
        (true, _) => format!(
            "unknown field {name} with a key: must be src. or dst. and label or namespace_label"
        ),
        (false, _) if is_of_endpoint && !has_side => {
            format!("unknown field {name}: must be src.{name} or dst.{name}")
        }
        (false, _) if Field::named(bare).is_some() => {
            format!("unknown field {name}: must be {bare}")
        }
        _ => {
            let names: Vec<String> = Field::all().map(|field| field.to_string()).collect();
            let similar = similar(name, names.iter().map(String::as_str));
            let hint = similar.map(hint).unwrap_or_default();
            format!("unknown field {name}{hint}")
        }
    }
}
