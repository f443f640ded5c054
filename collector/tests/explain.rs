//! `--explain` as people run it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

fn explain(input: &[u8], more: &[&str]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_kipfix-collector"))
        .env_remove("RUST_LOG")
        .args(["--read", "-", "--explain"])
        .args(more)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Who ends for bad settings does not read.
    child.stdin.take().unwrap().write_all(input).ok();
    child.wait_with_output().unwrap()
}

fn text(octets: &[u8]) -> &str {
    std::str::from_utf8(octets).unwrap()
}

/// An IPFIX file: a Message with a template and a record, and one with a Set that cannot be.
fn file() -> Vec<u8> {
    let mut file = vec![0, 10, 0, 36, 0x65, 0x53, 0xf1, 0, 0, 0, 0, 0, 0, 0, 0, 7];
    file.extend([0, 2, 0, 12, 1, 44, 0, 1, 0, 1, 0, 4]);
    file.extend([1, 44, 0, 8, 0, 0, 5, 220]);
    file.extend([0, 10, 0, 20, 0x65, 0x53, 0xf1, 0, 0, 0, 0, 1, 0, 0, 0, 7]);
    file.extend([0, 2, 0, 3]);
    file
}

#[test]
fn a_dump_with_problems_is_a_success() {
    let output = explain(&file(), &[]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let dump = text(&output.stdout);
    for line in [
        "#1  (file)  36 octets  IPFIX",
        "octetDeltaCount   1500 octets",
        "!    18  set-length: the length is 3 octets",
        "Summary: 2 datagrams, 2 Messages, 1 templates, 1 records",
    ] {
        assert!(dump.contains(line), "{line} is not in\n{dump}");
    }
}

#[test]
fn another_decoder_reads_the_same_records() {
    let output = explain(&file(), &["--compare"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let dump = text(&output.stdout);
    for line in [
        "  netflow_parser: 1 records, the same",
        "  netflow_parser reads 1 records of 1, 1 of them the same; 0 datagrams are errors",
    ] {
        assert!(dump.contains(line), "{line} is not in\n{dump}");
    }
}

#[test]
fn netflow_v1_is_not_compared() {
    let mut datagram = vec![0, 1, 0, 1];
    datagram.extend([0; 12 + 48]);
    let length = |octets: usize| u8::try_from(octets).unwrap();
    // Raw IP (101), one frame.
    let mut file = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    file.extend([255, 255, 0, 0, 101, 0, 0, 0]);
    let octets = length(datagram.len() + 28);
    file.extend([1, 0, 0, 0, 0, 0, 0, 0, octets, 0, 0, 0, octets, 0, 0, 0]);
    file.extend([0x45, 0, 0, octets, 0, 0, 0, 0, 64, 17, 0, 0]);
    file.extend([192, 0, 2, 1, 192, 0, 2, 2, 0x9c, 0x40, 8, 7]);
    file.extend([0, length(datagram.len() + 8), 0, 0]);
    file.extend(datagram);
    let dump = explain(&file, &["--compare"]);
    let dump = text(&dump.stdout);
    for line in [
        "  netflow_parser: does not read NetFlow v1",
        "1 Messages, 0 templates, 1 records",
        "  netflow_parser reads 0 records of 0, 0 of them the same; 0 datagrams are errors",
    ] {
        assert!(dump.contains(line), "{line} is not in\n{dump}");
    }
}

#[test]
fn conflicting_settings_are_refused() {
    let alone = Command::new(env!("CARGO_BIN_EXE_kipfix-collector"))
        .arg("--explain")
        .output()
        .unwrap();
    assert_eq!(alone.status.code(), Some(64));
    assert!(text(&alone.stderr).contains("invalid explain true: only allowed with read"));
    for more in [
        ["--flow-log", "stdout:"],
        ["--http", "127.0.0.1:0"],
        ["--listen", "udp://127.0.0.1:0"],
    ] {
        let output = explain(&file(), &more);
        assert_eq!(output.status.code(), Some(64), "{more:?}");
        assert!(
            text(&output.stderr).contains("invalid explain true: not allowed with"),
            "{}",
            text(&output.stderr)
        );
    }
}

#[test]
fn a_closed_stdout_is_not_a_failure() {
    let mut file = Vec::new();
    for _ in 0..20_000 {
        file.extend(self::file());
    }
    let mut child = Command::new(env!("CARGO_BIN_EXE_kipfix-collector"))
        .args(["--read", "-", "--explain"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    child.stdin.take().unwrap().write_all(&file).ok();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}

#[test]
fn an_unknown_format_is_a_failure() {
    let output = explain(b"nothing of the kind", &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("neither a pcap"),
        "{}",
        text(&output.stderr)
    );
}
