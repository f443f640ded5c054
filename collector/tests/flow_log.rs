//! The flow log of the running program: rotation, and SIGHUP for logrotate.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

mod program;

use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use program::{Running, messages, program};

impl Running {
    fn wait_for(&self, wanted: &str) {
        for _ in 0..1000 {
            if self.get("/metrics", "").contains(wanted) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("no {wanted} in\n{}", self.get("/metrics", ""));
    }

    fn hang_up(&self) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args(["-HUP", &pid]).status();
        assert!(status.unwrap().success());
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn lines(path: &Path) -> usize {
    std::fs::read_to_string(path).unwrap().lines().count()
}

#[test]
fn a_renamed_file_is_opened_again_on_sighup_and_no_line_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flows.json");
    let target = format!("file:{}", path.display());
    let running = Running::start(&["--listen", "udp://127.0.0.1:0", "--flow-log", &target]);
    let exporter = UdpSocket::bind("127.0.0.1:0").unwrap();
    let messages = messages(60);
    let (first, rest) = messages.split_first().unwrap();
    exporter.send_to(first, running.listen[0]).unwrap();
    let send = |messages: &[Vec<u8>]| {
        for message in messages {
            exporter.send_to(message, running.listen[0]).unwrap();
        }
    };
    let (second, third) = rest.split_at(rest.len() / 2);
    send(second);
    let written = |count: usize| running.wait_for(&format!("flow_log_written_total {count}\n"));
    running.wait_for("kipfix_collector_flow_log_queue_lines 0\n");
    let old = folder.path().join("flows.json.1");
    std::fs::rename(&path, &old).unwrap();
    running.hang_up();
    running.wait_for("kipfix_collector_flow_log_reopened_total 1\n");
    send(third);
    written(60);
    assert_eq!(lines(&old) + lines(&path), 60);
    assert!(lines(&path) > 0);
    assert_eq!(running.stop(), Some(0));
}

#[test]
fn complete_files_are_renamed_and_the_oldest_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let (input, path) = (folder.path().join("in.ipfix"), folder.path().join("log"));
    std::fs::create_dir(&path).unwrap();
    std::fs::write(&input, messages(2000).concat()).unwrap();
    let target = format!("file:{}/flows.json?rotate-size=64K", path.display());
    for (keep, expected) in [("", None), ("&keep=2", Some(3))] {
        let output = program()
            .arg("--read")
            .arg(&input)
            .args(["--flow-log", &format!("{target}{keep}")])
            .args(["--kubernetes", "off", "--print-metrics"])
            .output()
            .unwrap();
        assert!(output.status.success());
        let metrics = String::from_utf8(output.stdout).unwrap();
        assert!(metrics.contains("kipfix_collector_flow_log_written_total 2000\n"));
        let files = files(&path);
        match expected {
            Some(count) => assert_eq!(files.len(), count),
            None => {
                let all: usize = files.iter().map(|file| lines(file)).sum();
                assert_eq!(all, 2000);
                let rotated = files.len() - 1;
                assert!(rotated > 1);
                let rotated = format!("kipfix_collector_flow_log_rotated_total {rotated}\n");
                assert!(metrics.contains(&rotated), "{rotated}");
            }
        }
        for file in files {
            assert!(std::fs::metadata(&file).unwrap().len() <= 64 << 10);
        }
    }
}

#[test]
fn settings_of_the_flow_log_are_applied_and_invalid_ones_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("in.ipfix");
    std::fs::write(&input, messages(4).concat()).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = program();
        command.arg("--read").arg(&input);
        command.args(["--kubernetes", "off", "--flow-log", "stdout:"]);
        command.args(arguments).output().unwrap()
    };
    let output = run(&[
        "--flow-log-format",
        "logfmt",
        "--flow-log-fields",
        "sourceIPv4Address,octetDeltaCount",
        "--flow-log-filter",
        "src.address in [\"10.1.0.1\", \"10.1.0.3\"]",
    ]);
    let text = String::from_utf8(output.stdout).unwrap();
    let line = |host| format!("sourceIPv4Address=10.1.0.{host} octetDeltaCount=100\n");
    assert_eq!(text, [line(1), line(3)].concat());
    for (arguments, parts) in [
        (
            ["--flow-log-filter", "src.pot == 5"],
            &["src.pot", "column 1"][..],
        ),
        (["--flow-log-sample", "0"], &["--flow-log-sample", "1–"]),
        (["--flow-log-format", "xml"], &["xml", "kubezonnet"]),
        (["--flow-log-fields", "a b"], &["--flow-log-fields", "a b"]),
    ] {
        let output = run(&arguments);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}");
        let error = String::from_utf8(output.stderr).unwrap();
        for part in parts {
            assert!(error.contains(part), "{error} lacks {part}");
        }
    }
}
