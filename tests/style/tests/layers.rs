//! A stage imports the stages before it, never one after it. Modules do not import each other in a
//! circle. Files stay short.
//!
//! This file holds the order of the stages of each crate.
#![allow(clippy::unwrap_used, reason = "test code")]

use kipfix_style::layers::{Order, check, cycles, stage_order};
use kipfix_style::modules::Modules;
use kipfix_style::workspace;
use std::path::Path;

/// No fixed order, but no cycles.
const ANY: Order<'_> = &[];

const PROBE: Order<'_> = &[
    &["sampling"],
    &["capture"],
    &["decode"],
    &["connection", "duplicates", "inspect", "translation"],
    &["tcp"],
    &["cache"],
    &["pipeline", "export"],
    &["metrics", "settings"],
    &["metering"],
    &["wiring"],
    &["top"],
];

const COLLECTOR: Order<'_> = &[
    &["clock", "http_client", "interval_map"],
    &["inventory"],
    &["dense_map", "snapshots"],
    &["receive"],
    &["pipeline"],
    &["aggregate"],
    &["emit"],
    &["recent"],
    &["history", "outputs", "top"],
    &["metrics", "settings", "explain"],
    &["serve"],
    &["api"],
    &["wiring"],
];

fn holds(directory: &str, order: Order<'_>) {
    let violations = check(&workspace().join(directory), order).unwrap();
    assert!(
        violations.is_empty(),
        "{directory}:\n{}",
        violations.join("\n")
    );
}

#[test]
fn the_stages_of_the_probe_are_in_order() {
    holds("probe", PROBE);
}

#[test]
fn the_stages_of_the_collector_are_in_order() {
    holds("collector", COLLECTOR);
}

#[test]
fn no_crate_has_a_cycle() {
    let manifest = std::fs::read_to_string(workspace().join("Cargo.toml")).unwrap();
    let (_, list) = manifest.split_once("members = [").unwrap();
    let (list, _) = list.split_once(']').unwrap();
    let members: Vec<&str> = list.split('"').skip(1).step_by(2).collect();
    assert!(members.contains(&"tests/style"), "{members:?}");
    for directory in members {
        holds(directory, ANY);
    }
}

fn tree<'a>(files: &'a [(&'a str, &'a str)]) -> Modules {
    Modules::new(files.iter().map(|(file, text)| (Path::new(*file), *text)))
}

#[test]
fn a_cycle_between_modules_is_found() {
    let modules = tree(&[
        ("lib.rs", "mod a; mod b; mod c;"),
        ("a.rs", "use crate::b::{self, B};\nfn f() { crate::c::g() }"),
        ("b.rs", "// use crate::a;\nconst B: &str = \"crate::a\";"),
        ("c/mod.rs", "mod d;\npub use d::D;"),
        ("c/d.rs", "\nuse super::super::a::A;"),
    ]);
    let found = cycles(&modules.imports());
    assert_eq!(
        found,
        ["crate: a cycle:\n    a -> c (a.rs:2)\n    c -> a (c/d.rs:2)"]
    );
}

#[test]
fn a_cycle_inside_a_folder_is_found_through_re_exports() {
    let modules = tree(&[
        ("c/mod.rs", "mod d; mod e;\npub use {d::D, e::E as F};"),
        ("c/d.rs", "use super::F;"),
        ("c/e.rs", "fn f(_: crate::c::D) {}"),
    ]);
    let found = cycles(&modules.imports());
    assert_eq!(
        found,
        ["c: a cycle:\n    d -> e (c/d.rs:1)\n    e -> d (c/e.rs:1)"]
    );
}

#[test]
fn imports_of_tests_are_not_looked_at() {
    let modules = tree(&[
        (
            "a.rs",
            "#[cfg(test)]\nmod tests { use crate::b::B; }\n#[cfg(test)]\nmod more;",
        ),
        ("a/more.rs", "use crate::b::B;"),
        ("b.rs", "use crate::a::A;"),
    ]);
    assert_eq!(cycles(&modules.imports()), Vec::<String>::new());
    assert_eq!(modules.imports().len(), 1);
}

#[test]
fn a_stage_that_imports_a_later_one_is_found() {
    let modules = tree(&[
        ("lib.rs", "pub struct Root;"),
        ("leaf.rs", "use crate::other_leaf::X; use crate::first::Y;"),
        ("other_leaf.rs", ""),
        ("first.rs", "use crate::leaf::X;\nuse crate::second;"),
        ("second.rs", "use crate::{first::X, Root};"),
        ("unknown.rs", ""),
    ]);
    assert_eq!(
        stage_order(
            &modules,
            &[&["leaf", "other_leaf"], &["first"], &["second"]]
        ),
        [
            "first.rs:2: first imports second",
            "leaf.rs:1: leaf imports first",
            "second.rs:1: second imports the crate root",
            "unknown: not in the order of stages",
        ]
    );
}

#[test]
fn stages_of_one_row_do_not_import_each_other() {
    let modules = tree(&[("a.rs", "use crate::b::B;"), ("b.rs", ""), ("leaf.rs", "")]);
    let found = stage_order(&modules, &[&["leaf"], &["a", "b"]]);
    assert_eq!(found, ["a.rs:1: a imports b"]);
}

#[test]
fn long_files_are_found() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("long-files");
    std::fs::create_dir_all(directory.join("src")).unwrap();
    std::fs::write(directory.join("src/main.rs"), "\n".repeat(81)).unwrap();
    std::fs::write(directory.join("src/a.rs"), "\n".repeat(501)).unwrap();
    std::fs::write(directory.join("src/b.rs"), "\n".repeat(500)).unwrap();
    assert_eq!(
        check(&directory, ANY).unwrap(),
        [
            "a.rs: 501 lines, the maximum is 500",
            "main.rs: 81 lines, the maximum is 80"
        ]
    );
}
