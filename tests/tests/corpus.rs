//! Real captures and datagrams from elsewhere, judged by their own checkers.

use std::process::Command;

use kipfix_tests::program::binary;
use kipfix_tests::{shared, take_turn};

fn check(script: &str, flag: &str, program: &str, more: &[&str]) {
    let (Some(script), Some(corpus), Some(registry)) = (
        shared(&format!("corpus/check/{script}")),
        shared("corpus"),
        shared("registry"),
    ) else {
        return;
    };
    let _turn = take_turn();
    let mut command = Command::new("python3");
    command
        .arg(script)
        .arg(flag)
        .arg(binary(program))
        .arg("--corpus")
        .arg(&corpus)
        .args(more);
    if program == "kipfix-collector" {
        command.arg("--registry").arg(registry);
    }
    let output = command.output().expect("python3 runs");
    let text = String::from_utf8_lossy(&output.stdout);
    println!("{}", text.lines().last().unwrap_or_default());
    assert!(
        output.status.success(),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn every_flow_export_of_the_corpus_is_read_right() {
    check("check_flow.py", "--collector", "kipfix-collector", &[]);
}

#[test]
fn every_capture_of_the_corpus_is_metered_right() {
    check("check_packets.py", "--probe", "kipfix-probe", &[]);
}
