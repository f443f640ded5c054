//! Rules as promtool wants them, each alert with tests of its own and a page to read.

use std::path::Path;
use std::process::Command;

use kipfix_tests::pages::anchor_of;
use kipfix_tests::{program, skip};

use crate::{page, rules};

#[test]
fn rules_are_as_promtool_wants_them() {
    if !program::is_installed("promtool") {
        return skip("promtool is not installed");
    }
    for rules in rules() {
        check(&rules);
    }
}

/// Checks a file of rules with promtool, with the tests next to it.
fn check(rules: &Path) {
    let name = rules.file_name().unwrap().to_str().unwrap();
    let tests = rules.with_file_name(name.replace(".rules.", ".test."));
    program::output(Command::new("promtool").args(["check", "rules"]).arg(rules));
    program::output(Command::new("promtool").args(["test", "rules"]).arg(&tests));
    // Every alert is in the tests, and the page that its runbook names has that section.
    let text = std::fs::read_to_string(rules).unwrap();
    let tested = std::fs::read_to_string(&tests).unwrap();
    let named = |key: &str| {
        let lines = text.lines().filter_map(move |line| line.split_once(key));
        lines
            .map(|(_, value)| value.trim().to_owned())
            .collect::<Vec<_>>()
    };
    for alert in named("- alert: ") {
        let count = tested.matches(&format!("alertname: {alert}")).count();
        assert!(
            count >= 2,
            "{alert} needs a test that it fires and one that it does not"
        );
    }
    for place in named("runbook: ") {
        let (path, anchor) = place.split_once('#').unwrap();
        let text = std::fs::read_to_string(page(path)).unwrap();
        let anchors: Vec<String> = text
            .lines()
            .filter_map(|line| line.strip_prefix("## "))
            .map(anchor_of)
            .collect();
        assert!(anchors.iter().any(|a| a == anchor), "{place}: {anchors:?}");
    }
}
