//! Splits a Rust source file into code tokens, comments and string literals.

/// A piece of a source file and the line it starts in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Line number, from 1.
    pub line: usize,
    /// Kind and text.
    pub kind: TokenKind,
}

/// The kinds of tokens that the tests tell apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// An identifier or keyword.
    Identifier(String),
    /// `::`
    PathSeparator,
    /// Any other character of code, except white space.
    Punctuation(char),
    /// One comment without its delimiters: a line, or a whole block comment.
    Comment(String),
    /// The text between the quotes of a string literal, escapes as written.
    Text(String),
}

/// Splits a source file. Text that is not valid Rust gives some tokens, never a panic.
#[must_use]
pub fn tokens(source: &str) -> Vec<Token> {
    let mut lexer = Lexer {
        rest: source,
        line: 1,
        tokens: Vec::new(),
    };
    while lexer.step() {}
    lexer.tokens
}

struct Lexer<'a> {
    rest: &'a str,
    line: usize,
    tokens: Vec<Token>,
}

impl<'a> Lexer<'a> {
    /// Takes `length` octets off the front and counts their lines.
    fn take(&mut self, length: usize) -> &'a str {
        let (front, rest) = self
            .rest
            .split_at_checked(length)
            .unwrap_or((self.rest, ""));
        self.line += front.matches('\n').count();
        self.rest = rest;
        front
    }

    fn push(&mut self, line: usize, kind: TokenKind) {
        self.tokens.push(Token { line, kind });
    }

    fn step(&mut self) -> bool {
        let Some(first) = self.rest.chars().next() else {
            return false;
        };
        let line = self.line;
        if self.rest.starts_with("//") {
            let text = self.take(self.rest.find('\n').unwrap_or(self.rest.len()));
            let text = text.trim_start_matches(['/', '!']);
            self.push(line, TokenKind::Comment(text.to_owned()));
        } else if self.rest.starts_with("/*") {
            let length = block_comment(self.rest);
            let text = self.take(length).trim_matches(['/', '*', '!']);
            self.push(line, TokenKind::Comment(text.to_owned()));
        } else if let Some((prefix, hashes)) = raw_string(self.rest) {
            let end = format!("\"{}", "#".repeat(hashes));
            self.take(prefix);
            let text = self
                .take(self.rest.find(&end).unwrap_or(self.rest.len()))
                .to_owned();
            self.take(end.len());
            self.push(line, TokenKind::Text(text));
        } else if first == '"' {
            self.take(1);
            let text = self.take(string(self.rest)).to_owned();
            self.take(1);
            self.push(line, TokenKind::Text(text));
        } else if first == '\'' {
            let length = character(self.rest);
            self.take(length);
        } else if first.is_alphabetic() || first == '_' {
            let end = self.rest.find(|c: char| !c.is_alphanumeric() && c != '_');
            let name = self.take(end.unwrap_or(self.rest.len())).to_owned();
            self.push(line, TokenKind::Identifier(name));
        } else if self.rest.starts_with("::") {
            self.take(2);
            self.push(line, TokenKind::PathSeparator);
        } else {
            self.take(first.len_utf8());
            if !first.is_whitespace() {
                self.push(line, TokenKind::Punctuation(first));
            }
        }
        true
    }
}

/// The length of a block comment, which may contain others.
fn block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(rest) = text.get(at..) {
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth = depth.saturating_sub(1);
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            match rest.chars().next() {
                Some(next) => at += next.len_utf8(),
                None => break,
            }
        }
    }
    text.len()
}

/// The length of the opening of a raw string (`r#"`, `br"`), and the number of its `#`.
fn raw_string(text: &str) -> Option<(usize, usize)> {
    let after = text.strip_prefix('b').unwrap_or(text).strip_prefix('r')?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    after.trim_start_matches('#').starts_with('"').then(|| {
        let prefix = text.len() - after.len();
        (prefix + hashes + 1, hashes)
    })
}

/// The length of the inside of a string literal.
fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at,
            _ => {}
        }
    }
    text.len()
}

/// The length of a character literal, or of the quote of a lifetime.
fn character(text: &str) -> usize {
    let mut inside = text.chars().skip(1);
    match (inside.next(), inside.next()) {
        (Some('\\'), _) => text
            .get(3..)
            .and_then(|rest| rest.find('\''))
            .map_or(1, |at| at + 4),
        (Some(one), Some('\'')) => one.len_utf8() + 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(source: &str) -> Vec<(usize, TokenKind)> {
        tokens(source)
            .into_iter()
            .map(|token| (token.line, token.kind))
            .collect()
    }

    #[test]
    fn code_comments_and_strings_are_separated() {
        use TokenKind::{Comment, Identifier, PathSeparator, Punctuation, Text};
        let source = "/// Adds.\nuse a::b; // end\nlet c = \"use \\\" d::e\"; /* f /* g */ */ 'h'";
        assert_eq!(
            of(source),
            [
                (1, Comment(" Adds.".into())),
                (2, Identifier("use".into())),
                (2, Identifier("a".into())),
                (2, PathSeparator),
                (2, Identifier("b".into())),
                (2, Punctuation(';')),
                (2, Comment(" end".into())),
                (3, Identifier("let".into())),
                (3, Identifier("c".into())),
                (3, Punctuation('=')),
                (3, Text("use \\\" d::e".into())),
                (3, Punctuation(';')),
                (3, Comment(" f /* g */ ".into())),
            ]
        );
    }

    #[test]
    fn lifetimes_quotes_and_raw_strings_do_not_hide_code() {
        let names = |source| {
            let names = of(source).into_iter().filter_map(|(_, kind)| match kind {
                TokenKind::Identifier(name) => Some(name),
                _ => None,
            });
            names.collect::<Vec<_>>()
        };
        assert_eq!(
            names("f<'a>('\"', '\\'', b'\\\\', \"x\") g"),
            ["f", "a", "b", "g"]
        );
        assert_eq!(names("r#\"a \" b\"# c br\"d\\\" e"), ["c", "e"]);
        assert_eq!(names("'\\u{1F600}' h"), ["h"]);
    }
}
