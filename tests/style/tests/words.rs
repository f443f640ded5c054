//! The words of `tests/style/words.txt` do not appear in what people read.
#![allow(clippy::unwrap_used, reason = "test code")]

use kipfix_style::words::WordList;
use kipfix_style::{files, workspace};
use std::fs;
use std::path::Path;

/// Extensions of files that are read by people.
const TEXTS: [&str; 10] = [
    "md", "rs", "yaml", "yml", "json", "sh", "txt", "tpl", "service", "toml",
];

/// Files without an extension that are read by people.
const NAMES: [&str; 3] = ["Makefile", "Dockerfile", "run"];

/// Not checked: the list and its tests, fuzz inputs, and references that are generated from checked
/// texts.
const SKIPPED: [&str; 5] = [
    "tests/style",
    "fuzz/corpus",
    "fuzz/kept",
    "docs/metrics.md",
    "docs/settings.md",
];

/// The crates that have tests of their own below.
const CRATES: [&str; 4] = ["flowproto", "probe", "collector", "export"];

fn check(directory: &str, skipped: &[&str]) {
    let root = workspace();
    let list = WordList::new(include_str!("../words.txt")).unwrap();
    let mut found = Vec::new();
    for file in files(&root.join(directory)).unwrap() {
        let name = file.strip_prefix(&root).unwrap();
        let extension = name.extension().and_then(|extension| extension.to_str());
        let wanted = match extension {
            // Generated from grafana/source.
            Some("json") if name.starts_with("grafana") => false,
            Some(extension) => TEXTS.contains(&extension),
            None => NAMES.iter().any(|file| name.ends_with(file)),
        };
        if wanted
            && !skipped
                .iter()
                .chain(&SKIPPED)
                .any(|skipped| name.starts_with(skipped))
        {
            let text = fs::read_to_string(&file).unwrap();
            found.extend(list.check_file(Path::new(name), &text));
        }
    }
    assert!(
        found.is_empty(),
        "{} in {directory}:\n{}",
        found.len(),
        found.join("\n")
    );
}

#[test]
fn the_words_of_flowproto() {
    check("flowproto", &[]);
}

#[test]
fn the_words_of_the_probe() {
    check("probe", &[]);
}

#[test]
fn the_words_of_the_collector() {
    check("collector", &[]);
}

#[test]
fn the_words_of_the_export_crate() {
    check("export", &[]);
}

#[test]
fn the_words_of_documents_and_other_crates() {
    check("", &CRATES);
}
