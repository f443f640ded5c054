//! Tests of the source itself. `make check` runs them.
//!
//! - [`layers`]: a stage imports the stages before it, never one after it, and modules do not
//!   import each other in a circle.
//! - [`words`]: the words of `words.txt` do not appear in documents, help texts, metric
//!   descriptions, log messages or comments.
//! - [`names`]: the metrics and flags in documents exist.
//!
//! [`source`] splits a Rust file into code, comments and string literals. [`modules`] reads the
//! module tree of a crate and resolves paths in it.

pub mod layers;
pub mod modules;
pub mod names;
pub mod source;
pub mod words;

use std::path::{Path, PathBuf};
use std::{fs, io};

/// The root directory of the workspace.
#[must_use]
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Lists all files below `directory` in order of their paths, without hidden files and `target`.
///
/// # Errors
///
/// If a directory cannot be read.
pub fn files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with('.') && !matches!(&*name, ".ci" | ".github")
                || matches!(&*name, "target" | "node_modules")
            {
                continue;
            }
            if entry.file_type()?.is_dir() {
                open.push(entry.path());
            } else {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}
