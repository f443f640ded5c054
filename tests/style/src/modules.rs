//! The module tree of a crate, and where the paths in its files lead.

use crate::source::{Token, TokenKind, tokens};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};

/// A module's path below the crate root, for example `["capture", "live"]`. The root is empty.
pub type ModulePath = Vec<String>;

/// The modules of one crate, without those that are compiled for tests only.
#[derive(Debug, Default)]
pub struct Modules {
    modules: BTreeMap<ModulePath, Module>,
}

#[derive(Debug, Default)]
struct Module {
    file: String,
    /// Names that `use` declarations introduce, and the paths they stand for.
    aliases: BTreeMap<String, Vec<String>>,
    /// All paths that begin at `crate`, `self` or `super`.
    paths: Vec<(usize, Vec<String>)>,
}

/// A path in one module that leads to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// The file and line of the path.
    pub place: String,
    /// The module that the path is in.
    pub from: ModulePath,
    /// The module that owns the imported item.
    pub to: ModulePath,
}

impl Modules {
    /// Reads the files of a crate, given as (path below `src`, text).
    #[must_use]
    pub fn new<'a>(files: impl IntoIterator<Item = (&'a Path, &'a str)>) -> Self {
        let mut modules = BTreeMap::new();
        let mut test_only = BTreeSet::new();
        for (file, text) in files {
            let Some(path) = module_path(file) else {
                continue;
            };
            let tokens = tokens(text)
                .into_iter()
                .filter(|token| !matches!(token.kind, TokenKind::Comment(_) | TokenKind::Text(_)))
                .collect::<Vec<_>>();
            let tokens = without_tests(&tokens, &path, &mut test_only);
            let mut module = Module {
                file: file.display().to_string(),
                ..Module::default()
            };
            module.read(&tokens);
            modules.insert(path, module);
        }
        modules.retain(|path, _| !test_only.iter().any(|test| path.starts_with(test)));
        Self { modules }
    }

    /// The modules directly below the crate root.
    #[must_use]
    pub fn stages(&self) -> BTreeSet<&str> {
        self.modules
            .keys()
            .filter_map(|path| path.first())
            .map(String::as_str)
            .collect()
    }

    /// All paths that lead from one module to another one.
    #[must_use]
    pub fn imports(&self) -> Vec<Import> {
        let mut imports = Vec::new();
        for (from, module) in &self.modules {
            for (line, path) in &module.paths {
                let Some(to) = self.resolve(from, path, 8) else {
                    continue;
                };
                if to != *from {
                    let place = format!("{}:{line}", module.file);
                    imports.push(Import {
                        place,
                        from: from.clone(),
                        to,
                    });
                }
            }
        }
        imports
    }

    /// The module that owns what `path` names when written in the module `from`. Re-exports are
    /// followed, `depth` of them at most.
    fn resolve(&self, from: &[String], path: &[String], depth: usize) -> Option<ModulePath> {
        let mut module = from.to_vec();
        let mut rest = path.iter();
        let mut rooted = false;
        for segment in rest.by_ref() {
            match segment.as_str() {
                "crate" => module.clear(),
                "self" => {}
                "super" => drop(module.pop()),
                name => {
                    let mut child = module.clone();
                    child.push(name.to_owned());
                    if self.modules.contains_key(&child) {
                        module = child;
                    } else if let Some(alias) = self
                        .modules
                        .get(&module)
                        .and_then(|module| module.aliases.get(name))
                    {
                        let alias = alias.iter().chain(rest).cloned().collect::<Vec<_>>();
                        // What comes from another crate belongs to the module that re-exports it.
                        let target = (depth > 0).then(|| self.resolve(&module, &alias, depth - 1));
                        return Some(target.flatten().unwrap_or(module));
                    } else {
                        return rooted.then_some(module);
                    }
                }
            }
            rooted = true;
        }
        Some(module)
    }
}

impl Module {
    fn read(&mut self, tokens: &[&Token]) {
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            match identifier(token) {
                Some("use") => {
                    let mut found = Vec::new();
                    at = use_tree(tokens, at + 1, &[], &mut found);
                    for (line, path, name) in found {
                        self.aliases.insert(name, path.clone());
                        self.paths.push((line, path));
                    }
                }
                Some("crate" | "self" | "super") => {
                    let mut path = Vec::new();
                    at = simple_path(tokens, at, &mut path);
                    if path.len() > 1 {
                        self.paths.push((token.line, path));
                    }
                }
                _ => at += 1,
            }
        }
    }
}

/// The module path of a file below `src`; `None` for `main.rs` and for `…_tests.rs`.
fn module_path(file: &Path) -> Option<ModulePath> {
    let mut path = file
        .components()
        .map(|part| match part {
            Component::Normal(name) => name.to_str().map(str::to_owned),
            _ => None,
        })
        .collect::<Option<ModulePath>>()?;
    let name = path.pop()?;
    match name.strip_suffix(".rs")? {
        "main" if path.is_empty() => return None,
        name if name.ends_with("_tests") => return None,
        "lib" if path.is_empty() => {}
        "mod" => {}
        name => path.push(name.to_owned()),
    }
    Some(path)
}

fn identifier(token: &Token) -> Option<&str> {
    match &token.kind {
        TokenKind::Identifier(name) => Some(name),
        _ => None,
    }
}

fn is(token: Option<&&Token>, character: char) -> bool {
    token.is_some_and(|token| token.kind == TokenKind::Punctuation(character))
}

/// Reads `a::b::c` from `at` on and returns where it ends.
fn simple_path(tokens: &[&Token], mut at: usize, path: &mut Vec<String>) -> usize {
    while let Some(name) = tokens.get(at).and_then(|token| identifier(token)) {
        path.push(name.to_owned());
        at += 1;
        if tokens
            .get(at)
            .is_none_or(|token| token.kind != TokenKind::PathSeparator)
        {
            break;
        }
        at += 1;
    }
    at
}

/// Reads the tree of a `use` declaration from `at` on: (line, path, name it introduces) of each
/// leaf. Returns where it ends.
fn use_tree(
    tokens: &[&Token],
    at: usize,
    prefix: &[String],
    found: &mut Vec<(usize, Vec<String>, String)>,
) -> usize {
    let line = tokens.get(at).map_or(0, |token| token.line);
    let mut path = prefix.to_vec();
    let mut at = simple_path(tokens, at, &mut path);
    if is(tokens.get(at), '{') {
        at += 1;
        while at < tokens.len() && !is(tokens.get(at), '}') {
            let next = use_tree(tokens, at, &path, found);
            at = next.max(at + usize::from(is(tokens.get(next), ',') || next == at));
            if is(tokens.get(at), ',') {
                at += 1;
            }
        }
        return at + 1;
    }
    if path.last().is_some_and(|last| last == "self") && path.len() > 1 {
        path.pop();
    }
    let mut name = path.last().cloned().unwrap_or_default();
    if is(tokens.get(at), '*') {
        name = "*".to_owned();
        at += 1;
    } else if tokens.get(at).and_then(|token| identifier(token)) == Some("as") {
        if let Some(alias) = tokens.get(at + 1).and_then(|token| identifier(token)) {
            alias.clone_into(&mut name);
        }
        at += 2;
    }
    found.push((line, path, name));
    at
}

/// The tokens without items under `#[cfg(test)]`. Modules that are declared there and have a file
/// of their own are added to `test_only`.
fn without_tests<'a>(
    tokens: &'a [Token],
    path: &[String],
    test_only: &mut BTreeSet<ModulePath>,
) -> Vec<&'a Token> {
    let mut kept = Vec::new();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        if !is_cfg_test(tokens.get(at..).unwrap_or_default()) {
            kept.push(token);
            at += 1;
            continue;
        }
        let mut depth = 0_usize;
        let mut module = None;
        for (number, token) in tokens.iter().enumerate().skip(at + 7) {
            at = number + 1;
            match &token.kind {
                TokenKind::Punctuation('{') => depth += 1,
                TokenKind::Punctuation('}') => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        break;
                    }
                }
                TokenKind::Punctuation(';') if depth == 0 => {
                    if let Some(name) = module {
                        test_only.insert([path, &[name]].concat());
                    }
                    break;
                }
                TokenKind::Identifier(word) if word == "mod" && depth == 0 => {
                    module = tokens
                        .get(number + 1)
                        .and_then(identifier)
                        .map(str::to_owned);
                }
                _ => {}
            }
        }
    }
    kept
}

/// Whether the tokens begin with `#[cfg(test)]`.
fn is_cfg_test(tokens: &[Token]) -> bool {
    let attribute = [None, None, Some("cfg"), None, Some("test"), None, None];
    let punctuation = ['#', '[', ' ', '(', ' ', ')', ']'];
    tokens.len() >= attribute.len()
        && tokens.iter().zip(attribute).zip(punctuation).all(
            |((token, name), character)| match name {
                Some(name) => identifier(token) == Some(name),
                None => token.kind == TokenKind::Punctuation(character),
            },
        )
}
