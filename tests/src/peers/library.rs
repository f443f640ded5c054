//! Libraries of PyPI and npm: decoders, behind `tests/library_reader.py` and `.js`, and gRPC.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::{Reading, Sequence, missing};
use crate::flows::Flows;
use crate::program;
use crate::skip;

/// The interpreter of a library, with its installed modules.
#[derive(Clone, Debug)]
pub struct Libraries {
    language: Language,
    modules: PathBuf,
}

/// The language of a library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// Libraries from PyPI.
    Python,
    /// gRPC from PyPI.
    Grpc,
    /// Libraries from the npm registry.
    Node,
}

impl Libraries {
    /// The libraries that `tests/libraries.sh` installs. Calls [`skip`] and returns `None` if that
    /// is not possible.
    pub fn of(language: Language) -> Option<Self> {
        let (interpreter, script) = match language {
            Language::Python => ("python3", "libraries.sh python"),
            Language::Grpc => ("python3", "libraries.sh grpc"),
            Language::Node => ("node", "libraries.sh node"),
        };
        if missing(&[interpreter]) {
            return None;
        }
        let modules = program::built_by(script);
        let modules = modules.map_err(|reason| skip(&reason)).ok()?;
        Some(Self { language, modules })
    }

    /// The folder of the modules.
    #[must_use]
    pub fn modules(&self) -> &Path {
        &self.modules
    }

    /// The installed release of a library.
    ///
    /// # Panics
    /// If it is not installed.
    pub fn release(&self, library: &str) -> String {
        if self.language == Language::Node {
            let path = self.modules.join(library).join("package.json");
            let package = std::fs::read_to_string(path).expect("a package");
            let package: Value = serde_json::from_str(&package).expect("JSON");
            return package["version"].as_str().expect("a version").to_owned();
        }
        let entries = std::fs::read_dir(&self.modules).expect("modules");
        let mut names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let version = names.find_map(|name| {
            let name = name.strip_suffix(".dist-info")?;
            let version = name.strip_prefix(library)?.strip_prefix('-')?;
            Some(version.to_owned())
        });
        version.unwrap_or_else(|| panic!("{library} is not installed"))
    }

    /// Reads a capture of [`write_capture`](crate::sink::write_capture) with a library.
    pub fn read(&self, library: &str, capture: &Path) -> Reading {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/");
        let mut command = match self.language {
            Language::Python | Language::Grpc => {
                let mut command = Command::new("python3");
                command.env("PYTHONPATH", &self.modules);
                command.arg(folder.to_owned() + "library_reader.py");
                command.arg(library);
                command
            }
            Language::Node => {
                let mut command = Command::new("node");
                command.env("NODE_PATH", &self.modules);
                command.arg(folder.to_owned() + "library_reader.js");
                command
            }
        };
        let text = program::text(command.arg(capture));
        let (records, last) = text.trim_end().rsplit_once('\n').unwrap_or(("", &text));
        let last: Value = serde_json::from_str(last).expect("JSON");
        let sequence = match last["sequenceFailures"].as_u64() {
            Some(failures) => Sequence::Failures(failures),
            None => {
                let numbers = last["sequenceNumbers"].as_array().expect("numbers");
                let numbers = numbers.iter().filter_map(Value::as_u64);
                Sequence::Numbers(numbers.collect::<BTreeSet<_>>())
            }
        };
        Reading::of_flows(
            records.lines().count() as u64,
            Flows::of_json_lines(records),
            sequence,
        )
    }
}
