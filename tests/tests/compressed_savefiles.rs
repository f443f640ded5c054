//! Savefiles that `gzip` and `zstd` have compressed, read by both daemons as the plain ones.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use kipfix_tests::program::{self, collector, probe};
use kipfix_tests::traffic;

/// Compresses a file with a tool, next to it.
fn compressed(tool: &str, path: &Path) -> PathBuf {
    let compressed = path.with_extension(format!("{tool}.compressed"));
    let output = Command::new(tool).arg("-c").arg(path).output().unwrap();
    assert!(output.status.success(), "{tool}");
    std::fs::write(&compressed, output.stdout).unwrap();
    compressed
}

/// What a daemon prints about a file, which is read by its name or from stdin.
fn read(mut command: Command, path: &Path, is_stdin: bool) -> Output {
    command.arg("--read");
    if is_stdin {
        command.arg("-").stdin(File::open(path).unwrap());
    } else {
        command.arg(path).stdin(Stdio::null());
    }
    command.output().unwrap()
}

fn metering() -> Command {
    let mut command = probe();
    command.args(["--export", "stdout:"]);
    command
}

fn collecting() -> Command {
    let mut command = collector();
    command.args(["--kubernetes", "off", "--flow-log", "stdout:"]);
    command
}

/// A capture, and a file with the IPFIX Messages of its records.
fn captures(folder: &Path) -> [PathBuf; 2] {
    let capture = folder.join("traffic.pcap");
    traffic::write(&capture, 500);
    let messages = folder.join("traffic.ipfix");
    let target = format!("file:{}", messages.display());
    let mut export = probe();
    export
        .arg("--read")
        .arg(&capture)
        .args(["--export", &target]);
    program::output(&mut export);
    [capture, messages]
}

#[test]
fn a_compressed_file_gives_the_same_records_as_the_plain_one() {
    let folder = tempfile::tempdir().unwrap();
    let [capture, messages] = captures(folder.path());
    for (command, path) in [
        (metering as fn() -> Command, capture),
        (collecting, messages),
    ] {
        let plain = read(command(), &path, false);
        assert!(plain.status.success() && plain.stdout.len() > 1000);
        for tool in ["gzip", "zstd"] {
            for is_stdin in [false, true] {
                let output = read(command(), &compressed(tool, &path), is_stdin);
                assert_eq!(output.status.code(), Some(0));
                assert!(output.stdout == plain.stdout, "{tool} {is_stdin}");
            }
        }
    }
}

#[test]
fn a_truncated_compressed_file_is_used_up_to_its_end_and_the_exit_code_is_1() {
    let folder = tempfile::tempdir().unwrap();
    let [capture, messages] = captures(folder.path());
    for (command, path) in [
        (metering as fn() -> Command, capture),
        (collecting, messages),
    ] {
        for tool in ["gzip", "zstd"] {
            let compressed = compressed(tool, &path);
            let whole = std::fs::read(&compressed).unwrap();
            std::fs::write(&compressed, whole.split_at(whole.len() - 3).0).unwrap();
            let output = read(command(), &compressed, false);
            let message = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{message}");
            let wanted = format!("truncated: the {tool} data ends early");
            assert!(message.contains(&wanted), "{message}");
            assert!(output.stdout.len() > 1000);
        }
    }
}

#[test]
fn a_file_of_another_compression_is_refused_with_the_command_that_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    let [capture, messages] = captures(folder.path());
    for (command, path) in [
        (metering as fn() -> Command, capture),
        (collecting, messages),
    ] {
        let output = read(command(), &compressed("xz", &path), false);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert!(message.contains("\"xz -dc FILE\""), "{message}");
    }
}
