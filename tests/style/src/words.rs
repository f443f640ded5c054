//! Checks texts against the project's word list, `tests/style/words.txt`.

use crate::source::{TokenKind, tokens};
use regex::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};
use std::collections::BTreeSet;
use std::path::Path;

/// The word list.
#[derive(Debug)]
pub struct WordList {
    entries: Vec<Entry>,
    /// The patterns of the entries.
    patterns: RegexSet,
}

#[derive(Debug)]
struct Entry {
    pattern: Regex,
    allowed: Option<Regex>,
    replacement: String,
}

/// An error in the word list.
#[derive(Debug)]
pub struct BadEntry {
    line: usize,
    reason: String,
}

impl std::fmt::Display for BadEntry {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "words.txt:{}: {}", self.line, self.reason)
    }
}

impl std::error::Error for BadEntry {}

impl WordList {
    /// Parses the list. Lines have the form `PATTERN [!EXCEPTION] -> REPLACEMENT`, where `PATTERN`
    /// and `EXCEPTION` are regular expressions for whole words in any case. Empty lines and lines
    /// that start with `#` are skipped.
    ///
    /// # Errors
    ///
    /// If a line has another form or a pattern is invalid.
    pub fn new(text: &str) -> Result<Self, BadEntry> {
        let mut entries = Vec::new();
        for (number, line) in text.lines().enumerate() {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let bad = |reason: String| BadEntry {
                line: number + 1,
                reason,
            };
            let (patterns, replacement) = line
                .split_once(" -> ")
                .ok_or_else(|| bad("missing ` -> `".to_owned()))?;
            let (pattern, allowed) = match patterns.split_once(" !") {
                Some((pattern, allowed)) => (pattern, Some(allowed)),
                None => (patterns, None),
            };
            let compile = |pattern: &str| {
                // A space stands for any white space: texts are wrapped.
                let pattern = pattern.trim().replace(' ', r"\s+");
                RegexBuilder::new(&format!(r"\b(?:{pattern})\b"))
                    .unicode(false)
                    .case_insensitive(true)
                    .build()
                    .map_err(|error| bad(error.to_string()))
            };
            entries.push(Entry {
                pattern: compile(pattern)?,
                allowed: allowed.map(compile).transpose()?,
                replacement: replacement.trim().to_owned(),
            });
        }
        let patterns = RegexSetBuilder::new(entries.iter().map(|entry| entry.pattern.as_str()))
            .unicode(false)
            .case_insensitive(true)
            .build()
            .map_err(|error| BadEntry {
                line: 0,
                reason: error.to_string(),
            })?;
        Ok(Self { entries, patterns })
    }

    /// Checks a text whose first line has the number `line`. Returns `NAME:LINE: …` for each word
    /// of the list.
    #[must_use]
    pub fn check(&self, name: &Path, line: usize, text: &str) -> Vec<String> {
        let mut found = Vec::new();
        let matching = self.patterns.matches(text);
        for entry in matching.iter().filter_map(|at| self.entries.get(at)) {
            let allowed = |start: usize, end: usize| {
                let mut exceptions = entry
                    .allowed
                    .iter()
                    .flat_map(|allowed| allowed.find_iter(text));
                exceptions.any(|exception| exception.start() <= start && exception.end() >= end)
            };
            for word in entry.pattern.find_iter(text) {
                if allowed(word.start(), word.end()) {
                    continue;
                }
                let before = text.get(..word.start()).unwrap_or_default();
                let line = line + before.matches('\n').count();
                found.push((line, word.as_str(), &entry.replacement));
            }
        }
        found.sort();
        let name = name.display();
        let report = |(line, word, instead)| format!("{name}:{line}: \"{word}\": use {instead}");
        found.into_iter().map(report).collect()
    }

    /// Checks a file by its kind: of Rust sources the comments, string literals and identifiers, of
    /// other files the whole text.
    #[must_use]
    pub fn check_file(&self, name: &Path, text: &str) -> Vec<String> {
        if name.extension().is_none_or(|extension| extension != "rs") {
            return self.check(name, 1, text);
        }
        let mut found = Vec::new();
        for (line, text) in prose(text) {
            found.extend(self.check(name, line, &text));
        }
        found
    }
}

/// Names of the standard library that the list would not allow.
const STANDARD_NAMES: [&str; 2] = ["is_none", "is_none_or"];

/// The comments, string literals and identifiers of a Rust file. Adjacent comment lines are joined,
/// so that a phrase is found across lines. The name of a test is a phrase, too.
fn prose(source: &str) -> Vec<(usize, String)> {
    let mut texts: Vec<(usize, String)> = Vec::new();
    let mut comment_end = 0;
    // Each name is checked once.
    let mut names = BTreeSet::from(STANDARD_NAMES.map(str::to_owned));
    for token in tokens(source) {
        match token.kind {
            TokenKind::Comment(text) => match texts.last_mut() {
                Some((_, last)) if comment_end == token.line => {
                    last.push('\n');
                    last.push_str(&text);
                    comment_end += 1;
                }
                _ => {
                    comment_end = token.line + text.matches('\n').count() + 1;
                    texts.push((token.line, text));
                }
            },
            TokenKind::Text(text) => {
                comment_end = 0;
                texts.push((token.line, without_placeholders(&text)));
            }
            TokenKind::Identifier(name) => {
                comment_end = 0;
                if names.insert(name.clone()) {
                    texts.push((token.line, name.replace('_', " ")));
                }
            }
            _ => comment_end = 0,
        }
    }
    texts
}

/// Replaces the placeholders of a format string, which are code, by blanks.
fn without_placeholders(text: &str) -> String {
    let mut depth = 0_usize;
    let replace = |character| {
        match character {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ if depth == 0 => return character,
            _ => {}
        }
        if character == '\n' { character } else { ' ' }
    };
    text.chars().map(replace).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_with_their_line_across_wrapped_lines() {
        let list = WordList::new("# list\n\nanew -> again\nat the most -> maximum\n").unwrap();
        let text = "Read Anew.\nRenewed, at the\nmost twice.";
        assert_eq!(
            list.check(Path::new("a.md"), 1, text),
            [
                "a.md:1: \"Anew\": use again",
                "a.md:2: \"at the\nmost\": use maximum"
            ]
        );
    }

    #[test]
    fn exceptions_are_not_reported() {
        let list = WordList::new("is no !there is no|is no longer -> `invalid …`\n").unwrap();
        let text = "there is no port; it is no longer open; 80x is no port";
        assert_eq!(list.check(Path::new("a"), 1, text).len(), 1);
    }

    #[test]
    fn comments_texts_and_identifiers_are_checked() {
        let list = WordList::new("told -> notified\n").unwrap();
        let source =
            "//! It is\n//! told.\nfn is_told() { warn!(\"told {count}\"); }\n// x\n\n/* told */\n";
        assert_eq!(
            list.check_file(Path::new("a.rs"), source),
            [
                "a.rs:2: \"told\": use notified",
                "a.rs:3: \"told\": use notified",
                "a.rs:3: \"told\": use notified",
                "a.rs:6: \"told\": use notified"
            ]
        );
    }

    #[test]
    fn a_line_without_replacement_is_an_error() {
        let error = WordList::new("anew -> again\n\ntold\n").unwrap_err();
        assert_eq!(error.to_string(), "words.txt:3: missing ` -> `");
    }
}
