//! Checks the order of a crate's stages, cycles between modules, and the size of files.

use crate::files;
use crate::modules::{Import, ModulePath, Modules};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::{fs, io};

/// Maximum length of a source file, in lines.
pub const MAX_FILE_LINES: usize = 500;

/// Maximum length of `main.rs`, in lines.
pub const MAX_MAIN_LINES: usize = 80;

/// The order of the modules directly below a crate's root, from the first to the last. A module
/// imports modules of earlier rows only. The first row holds leaves, which may import each other.
pub type Order<'a> = &'a [&'a [&'a str]];

/// Checks the crate in `directory` and returns one line for each violation.
///
/// # Errors
///
/// If a file cannot be read.
pub fn check(directory: &Path, order: Order<'_>) -> io::Result<Vec<String>> {
    let source = directory.join("src");
    let mut texts = Vec::new();
    for file in files(&source)? {
        if file.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&file)?;
            texts.push((file.strip_prefix(&source).unwrap_or(&file).to_owned(), text));
        }
    }
    let modules = Modules::new(
        texts
            .iter()
            .map(|(file, text)| (file.as_path(), text.as_str())),
    );
    let mut violations = sizes(&texts);
    violations.extend(stage_order(&modules, order));
    violations.extend(cycles(&modules.imports()));
    Ok(violations)
}

/// Files that are longer than allowed.
fn sizes<P: AsRef<Path>>(files: &[(P, String)]) -> Vec<String> {
    let long = files.iter().filter_map(|(file, text)| {
        let file = file.as_ref();
        let max = if file == Path::new("main.rs") {
            MAX_MAIN_LINES
        } else {
            MAX_FILE_LINES
        };
        let lines = text.lines().count();
        let file = file.display();
        (lines > max).then(|| format!("{file}: {lines} lines, the maximum is {max}"))
    });
    long.collect()
}

/// Imports that lead to a later stage, to one of the same row, or to the crate root, and modules
/// that the order does not list.
#[must_use]
pub fn stage_order(modules: &Modules, order: Order<'_>) -> Vec<String> {
    if order.is_empty() {
        return Vec::new();
    }
    let row = |stage: &str| order.iter().position(|row| row.contains(&stage));
    let mut violations = BTreeSet::new();
    for stage in modules.stages() {
        if row(stage).is_none() {
            violations.insert(format!("{stage}: not in the order of stages"));
        }
    }
    for import in modules.imports() {
        let Some(from) = import.from.first() else {
            continue;
        };
        let Some(to) = import.to.first() else {
            violations.insert(format!("{}: {from} imports the crate root", import.place));
            continue;
        };
        let (Some(from_row), Some(to_row)) = (row(from), row(to)) else {
            continue;
        };
        if from != to && to_row >= from_row && to_row > 0 {
            violations.insert(format!("{}: {from} imports {to}", import.place));
        }
    }
    violations.into_iter().collect()
}

/// Cycles between modules. A module and the modules below it are one unit for their neighbours;
/// imports between a module and its own parts are not looked at.
#[must_use]
pub fn cycles(imports: &[Import]) -> Vec<String> {
    let mut folders: BTreeMap<ModulePath, BTreeMap<&str, BTreeMap<&str, &str>>> = BTreeMap::new();
    for Import { place, from, to } in imports {
        let shared = from
            .iter()
            .zip(to)
            .take_while(|(from, to)| from == to)
            .count();
        let (Some(one), Some(other)) = (from.get(shared), to.get(shared)) else {
            continue;
        };
        let folder = from.iter().take(shared).cloned().collect();
        let targets = folders.entry(folder).or_default().entry(one).or_default();
        targets.entry(other).or_insert(place);
    }
    let mut found = Vec::new();
    for (folder, graph) in &folders {
        for component in components(graph) {
            let name = if folder.is_empty() {
                "crate".to_owned()
            } else {
                folder.join("::")
            };
            let edges = component.iter().flat_map(|from| {
                let targets = graph.get(from).into_iter().flatten();
                targets
                    .filter(|(to, _)| component.contains(*to))
                    .map(move |(to, place)| format!("\n    {from} -> {to} ({place})"))
            });
            found.push(format!("{name}: a cycle:{}", edges.collect::<String>()));
        }
    }
    found
}

/// The strongly connected components with more than one member.
fn components<'a>(graph: &BTreeMap<&'a str, BTreeMap<&'a str, &'a str>>) -> Vec<BTreeSet<&'a str>> {
    let reachable = |from: &'a str| {
        let mut reached = BTreeSet::new();
        let mut open = vec![from];
        while let Some(next) = open.pop() {
            for to in graph.get(next).into_iter().flat_map(BTreeMap::keys) {
                if reached.insert(*to) {
                    open.push(to);
                }
            }
        }
        reached
    };
    let reached: BTreeMap<_, _> = graph.keys().map(|from| (*from, reachable(from))).collect();
    let mut components = BTreeSet::new();
    for (from, targets) in &reached {
        if targets.contains(from) {
            let back = |to: &&&str| reached.get(*to).is_some_and(|back| back.contains(from));
            components.insert(
                targets
                    .iter()
                    .filter(back)
                    .copied()
                    .collect::<BTreeSet<_>>(),
            );
        }
    }
    components.into_iter().collect()
}
