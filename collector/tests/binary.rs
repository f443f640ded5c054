//! The program as people run it: listening, scraped and stopped; and reading, printed and done.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

mod program;

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, UdpSocket};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use program::{Running, messages, program};

fn run(arguments: &[&str]) -> Output {
    program()
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn text(octets: &[u8]) -> &str {
    std::str::from_utf8(octets).unwrap()
}

impl Running {
    fn eventually(&self, wanted: &str) -> String {
        let mut answer = String::new();
        for _ in 0..1000 {
            answer = self.get("/metrics", "");
            if answer.contains(wanted) {
                return answer;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("no {wanted} in\n{answer}");
    }
}

#[test]
fn what_is_sent_is_scraped_at_once_and_a_stop_ends_it_cleanly() {
    for workers in ["1", "3"] {
        let running = Running::start(&["--listen", "udp://127.0.0.1:0", "--workers", workers]);
        let exporter = UdpSocket::bind("127.0.0.1:0").unwrap();
        for message in messages(50) {
            exporter.send_to(&message, running.listen[0]).unwrap();
        }
        let scrape = running.eventually("kipfix_collector_records_counted_total 50\n");
        assert!(scrape.contains("text/plain; version=0.0.4"));
        assert!(
            scrape.contains("class=\"external_to_external\"} 5000\n"),
            "{scrape}"
        );
        let open = running.get(
            "/metrics",
            "Accept: application/openmetrics-text; version=1.0.0\r\n",
        );
        assert!(open.contains("# TYPE kipfix_bytes counter\n"));
        assert!(open.contains("# TYPE kipfix_bytes counter\n") && !open.contains("_created"));
        assert!(open.trim_end().ends_with("# EOF"), "{open}");
        assert!(running.get("/livez", "").starts_with("HTTP/1.0 200"));
        assert!(running.get("/readyz", "").starts_with("HTTP/1.0 200"));
        assert_eq!(running.stop(), Some(0));
    }
}

#[test]
fn nothing_of_an_exporter_is_lost_while_it_is_assigned_to_a_worker() {
    const EXPORTERS: u8 = 100;
    let running = Running::start(&["--listen", "udp://127.0.0.1:0", "--workers", "4"]);
    // Templates are only in the first Message.
    let messages = messages(60);
    assert!(messages.len() > 2);
    for number in 1..=EXPORTERS {
        let exporter = UdpSocket::bind(format!("127.0.2.{number}:0")).unwrap();
        for message in &messages {
            exporter.send_to(message, running.listen[0]).unwrap();
        }
    }
    let records = 60 * u32::from(EXPORTERS);
    running.eventually(&format!(
        "kipfix_collector_records_counted_total {records}\n"
    ));
    assert_eq!(running.stop(), Some(0));
}

#[test]
fn a_savefile_is_printed_record_by_record_and_then_its_metrics() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("export.ipfix");
    std::fs::write(&path, messages(3).concat()).unwrap();
    let file = path.to_str().unwrap();
    let arguments = [
        "--read",
        file,
        "--kubernetes",
        "off",
        "--flow-log",
        "stdout:",
        "--print-metrics",
    ];
    let first = run(&arguments);
    assert_eq!(first.status.code(), Some(0));
    let out = text(&first.stdout);
    let lines: Vec<&str> = out.lines().collect();
    for line in &lines[..3] {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(record["octetDeltaCount"], 100);
        assert_eq!(record.get("counted"), None);
    }
    assert!(lines[3].starts_with("# HELP kipfix_collector_"));
    assert!(out.contains("kipfix_collector_records_counted_total 3\n"));
    // The same file gives the same text, but for how long that took.
    let stable = |output: &Output| -> Vec<String> {
        let lines = text(&output.stdout).lines();
        lines
            .filter(|line| !line.contains("scrape_duration_seconds"))
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(stable(&first), stable(&run(&arguments)));
}

#[test]
fn the_file_of_exporters_scales_the_records_of_an_exporter() {
    let folder = tempfile::tempdir().unwrap();
    let (export, exporters) = (
        folder.path().join("export.ipfix"),
        folder.path().join("x.yaml"),
    );
    std::fs::write(&export, messages(3).concat()).unwrap();
    // The Messages of an IPFIX file have no sender.
    std::fs::write(&exporters, "exporters:\n- {cidr: 0.0.0.0, sampling: 20}\n").unwrap();
    let [export, exporters] = [&export, &exporters].map(|path| path.to_str().unwrap());
    let output = run(&[
        "--read",
        export,
        "--kubernetes",
        "off",
        "--exporters",
        exporters,
        "--print-metrics",
    ]);
    let out = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(out.contains("} 6000\n"), "{out}");
}

#[test]
fn a_savefile_that_is_not_read_to_its_end_is_used_and_fails() {
    let folder = tempfile::tempdir().unwrap();
    let (cut, whole) = (
        folder.path().join("cut.ipfix"),
        folder.path().join("whole.ipfix"),
    );
    let messages = messages(300);
    let octets = messages.concat();
    std::fs::write(&cut, &octets[..octets.len() - 3]).unwrap();
    std::fs::write(&whole, &octets).unwrap();
    let [cut, whole] = [&cut, &whole].map(|path| path.to_str().unwrap());
    let read = |files: &[&str], more: &[&str]| {
        let mut arguments = vec!["--kubernetes", "off"];
        arguments.extend(files.iter().flat_map(|file| ["--read", file]));
        arguments.extend(more);
        run(&arguments)
    };
    let output = read(&[cut, whole], &["--print-metrics"]);
    assert_eq!(output.status.code(), Some(1));
    let error = text(&output.stderr).lines().last().unwrap();
    for word in [
        "kipfix-collector: read",
        "cut.ipfix",
        "truncated in a Message",
    ] {
        assert!(error.contains(word), "{error} lacks {word}");
    }
    let out = text(&output.stdout);
    let records = out
        .lines()
        .find_map(|line| line.strip_prefix("kipfix_collector_records_total "))
        .unwrap();
    let records: u64 = records.parse().unwrap();
    assert!(records > 300 && records < 600, "{records}");

    let output = read(&[cut], &["--explain"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("sourceIPv4Address"));
    assert_eq!(read(&[whole], &["--explain"]).status.code(), Some(0));
}

#[test]
fn records_that_a_target_did_not_accept_are_logged_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("export.ipfix");
    std::fs::write(&path, messages(300).concat()).unwrap();
    let end = |target: &str| {
        let path = path.to_str().unwrap();
        let output = run(&["--kubernetes", "off", "--read", path, "--forward", target]);
        assert_eq!(output.status.code(), Some(0));
        text(&output.stderr).to_owned()
    };
    let file = format!("file:{}", folder.path().join("forwarded.ipfix").display());
    assert!(!end(&file).contains("records were lost"));
    // A port that is closed again.
    let port = UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let log = end(&format!("udp://127.0.0.1:{port}"));
    let line = log.lines().find(|line| line.contains("records were lost"));
    let line = line.unwrap_or_else(|| panic!("not logged: {log}"));
    assert!(line.contains(&format!(":{port}")), "{line}");
}

#[test]
fn a_stop_ends_the_wait_for_a_pipe_without_a_writer() {
    let mut child = program()
        .args([
            "--read",
            "-",
            "--flow-log",
            "stdout:",
            "--log-format",
            "json",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // All output is read, so that the collector waits for its input and not for a full pipe.
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let (sender, first) = std::sync::mpsc::sync_channel(1);
    let reader = std::thread::spawn(move || {
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        sender.send(line).unwrap();
        std::io::copy(&mut lines, &mut std::io::sink()).unwrap();
    });
    let mut pipe = child.stdin.take().unwrap();
    // More than a buffer of the flow log: that one is written before the pipe ends.
    for message in (0..8).flat_map(|_| messages(200)) {
        pipe.write_all(&message).unwrap();
    }
    pipe.flush().unwrap();
    let line = first.recv_timeout(Duration::from_secs(20)).unwrap();
    assert!(line.contains("octetDeltaCount"), "{line}");
    let terminated = Command::new("kill")
        .args(["-TERM", &child.id().to_string()])
        .status();
    assert!(terminated.unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    drop(pipe);
    reader.join().unwrap();
}

#[test]
fn mistakes_are_one_sentence_with_the_right_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("inventory.yaml");
    std::fs::write(&broken, "nodes:\n- {name: a, address: 10.0.0.1}\n").unwrap();
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let url = format!("udp://{}", taken.local_addr().unwrap());
    // What a file has is checked before a port is opened.
    let taken_http = TcpListener::bind("127.0.0.1:0").unwrap();
    let http = taken_http.local_addr().unwrap().to_string();
    let cases: [(&[&str], i32, &[&str]); 9] = [
        (
            &["--listen", "tcp://x:1"],
            64,
            &["--listen", "tcp://x:1", "udp://ADDRESS:PORT"],
        ),
        (
            &["--listen", &url, "--http", "127.0.0.1:0"],
            1,
            &["listen", &url, "in use"],
        ),
        (
            &["--inventory", broken.to_str().unwrap()],
            64,
            &["line 2", "address", "addresses"],
        ),
        (
            &["--inventory", "/nonexistent"],
            64,
            &["inventory", "/nonexistent"],
        ),
        (
            &["--exporters", broken.to_str().unwrap(), "--http", &http],
            64,
            &["exporters", "line 1", "nodes"],
        ),
        (
            &["--geoip", "/nonexistent", "--http", &http],
            64,
            &["geoip: /nonexistent: cannot be read"],
        ),
        (
            &["--kubernetes", "/nonexistent", "--http", &http],
            64,
            &["kubernetes", "/nonexistent", "auto, off"],
        ),
        (&["--read", "/nonexistent"], 1, &["read", "/nonexistent"]),
        (
            &["--read", broken.to_str().unwrap()],
            1,
            &["read", "IPFIX file"],
        ),
    ];
    for (arguments, code, words) in cases {
        let output = run(arguments);
        let sentence = text(&output.stderr);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}: {sentence}"
        );
        let last = sentence.lines().last().unwrap();
        assert!(last.starts_with("kipfix-collector: "), "{sentence}");
        for word in words {
            assert!(last.contains(word), "{last} lacks {word}");
        }
    }
}

#[test]
fn a_full_disk_under_the_flow_log_is_logged_once_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("export.ipfix");
    std::fs::write(&path, messages(3).concat()).unwrap();
    let file = path.to_str().unwrap();
    let output = run(&[
        "--read",
        file,
        "--flow-log",
        "file:/dev/full",
        "--print-metrics",
    ]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        text(&output.stderr)
            .matches("cannot write the flow log")
            .count(),
        1
    );
    let failed = "kipfix_collector_flow_log_dropped_total{reason=\"write_failed\"} 3\n";
    assert!(text(&output.stdout).contains(failed));
}
