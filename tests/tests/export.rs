//! Export features that `interop` does not cover: rotated files, biflows, what a version
//! cannot carry, samples.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::path::{Path, PathBuf};

use kipfix_tests::flows::Flows;
use kipfix_tests::peers::{Nfacctd, missing};
use kipfix_tests::program::{self, collector, is_installed, probe};
use kipfix_tests::sink::{Sink, write_capture};
use kipfix_tests::{take_turn, traffic};

const VERSIONS: [&str; 3] = ["ipfix", "9", "5"];

fn capture() -> (tempfile::TempDir, PathBuf, traffic::Truth) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("traffic.pcap");
    let truth = traffic::write(&path, 1500);
    (folder, path, truth)
}

/// What of the truth a version can carry: NetFlow v5 has no IPv6.
fn carried(truth: &traffic::Truth, version: &str) -> Flows {
    let flows = truth.flows.0.iter();
    let kept = flows.filter(|((source, ..), _)| version != "5" || source.is_ipv4());
    Flows(kept.map(|(key, sums)| (*key, *sums)).collect())
}

/// Runs the probe over a capture.
fn export(path: &Path, targets: &[&str]) {
    let mut command = probe();
    command.arg("--read").arg(path);
    for target in targets {
        command.args(["--export", target]);
    }
    program::output(&mut command);
}

#[test]
fn rotated_files_can_be_read_one_by_one() {
    let _turn = take_turn();
    let (folder, path, truth) = capture();
    let out = tempfile::tempdir().unwrap();
    let target = format!(
        "file:{}?rotate-size=64KiB",
        out.path().join("flows.ipfix").display()
    );
    export(&path, &[&target]);
    let mut all = Flows::default();
    let mut files = 0;
    for entry in std::fs::read_dir(out.path()).unwrap() {
        let file = entry.unwrap();
        let name = file.file_name().into_string().unwrap();
        assert!(
            name.starts_with("flows.2") && name.ends_with(".ipfix"),
            "{name}"
        );
        files += 1;
        for (key, (packets, octets)) in Flows::of_collector(&file.path()).0 {
            all.add(key, packets, octets);
        }
    }
    assert!(files > 3, "{files} files");
    all.assert_same(&truth.flows, "rotated files");
    drop(folder);
}

#[test]
fn a_biflow_is_read_by_others_and_holds_both_directions() {
    let _turn = take_turn();
    let (folder, path, truth) = capture();
    let file = folder.path().join("biflow.ipfix");
    let mut command = probe();
    command.arg("--read").arg(&path).arg("--biflow");
    let sink = Sink::start();
    let nine = format!("udp://127.0.0.1:{}?version=9&rate=20000", sink.port);
    command.args([
        "--export",
        &format!("file:{}", file.display()),
        "--export",
        &nine,
    ]);
    program::output(&mut command);
    let mut log = collector();
    log.arg("--read").arg(&file);
    log.args(["--kubernetes", "off", "--flow-log", "stdout:"]);
    let text = program::text(&mut log);
    let mut biflows = 0;
    for line in text.lines() {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        if record["reversePacketDeltaCount"].is_u64() {
            biflows += 1;
            assert!(record["reverseFlowStartMilliseconds"].as_u64().unwrap() > 0);
        }
    }
    assert!(biflows > 1000, "{biflows}");
    Flows::of_json_lines(&text).assert_same(&truth.flows, "biflows");
    // NetFlow v9 has no biflows: each direction is a record.
    let nine = folder.path().join("nine.pcap");
    write_capture(&nine, &sink.finish());
    Flows::of_collector(&nine).assert_same(&truth.flows, "biflows in NetFlow v9");
    if is_installed("ipfixDump") {
        let dump = program::text(
            std::process::Command::new("ipfixDump")
                .arg("--in")
                .arg(&file),
        );
        assert!(dump.contains("reverseOctetDeltaCount"));
    }
}

#[test]
fn what_netflow_v5_cannot_carry_is_counted() {
    let _turn = take_turn();
    let (_folder, path, _) = capture();
    let lines = program::text(
        probe()
            .arg("--read")
            .arg(&path)
            .args(["--export", "stdout:"]),
    );
    let six = lines
        .lines()
        .filter(|line| line.contains("IPv6Address"))
        .count();
    let sink = Sink::start();
    let mut command = probe();
    command
        .arg("--read")
        .arg(&path)
        .args(["--log-format", "json"]);
    let target = format!("udp://127.0.0.1:{}?version=5&rate=20000", sink.port);
    let output = program::output(command.args(["--export", &target]));
    sink.finish();
    let log = String::from_utf8(output.stderr).unwrap();
    let last: serde_json::Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    let field = |name: &str| {
        last["fields"][name]
            .as_u64()
            .or(last[name].as_u64())
            .unwrap()
    };
    assert!(six > 0);
    assert_eq!(field("lost"), six as u64, "{last}");
    assert_eq!(field("sent") + field("lost"), lines.lines().count() as u64);
}

/// A scrape's text of our collector for a capture of export.
fn metrics_of(path: &Path) -> kipfix_tests::scrape::Scrape {
    let mut command = collector();
    command.arg("--read").arg(path);
    command.args(["--kubernetes", "off", "--print-metrics"]);
    kipfix_tests::scrape::Scrape::parse(&program::text(&mut command))
}

#[test]
fn a_sample_is_scaled_to_what_was_there_by_our_collector_and_by_nfacctd() {
    let _turn = take_turn();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("traffic.pcap");
    let truth = traffic::write(&path, 6000);
    let sampled = |extra: &[&str]| {
        let mut command = probe();
        command
            .arg("--read")
            .arg(&path)
            .args(["--sampling", "1:10"]);
        program::text(command.args(extra))
    };
    let lines = sampled(&["--export", "stdout:"]);
    for version in VERSIONS {
        let kept = lines
            .lines()
            .filter(|line| version != "5" || !line.contains("IPv6Address"));
        let sample = Flows::of_json_lines(&kept.collect::<Vec<_>>().join("\n")).totals();
        let sink = Sink::start();
        let target = format!("udp://127.0.0.1:{}?version={version}&rate=20000", sink.port);
        sampled(&["--export", &target]);
        let taken = folder.path().join(format!("{version}.pcap"));
        write_capture(&taken, &sink.finish());
        let scrape = metrics_of(&taken);
        let scaled = (
            scrape.sum("kipfix_packets_total", &[]),
            scrape.sum("kipfix_bytes_total", &[]),
        );
        assert_eq!(scaled, (10 * sample.0, 10 * sample.1), "version {version}");
        // The error of 1:10 sampling is about 1/√n for packets, and slightly more for octets.
        let there = carried(&truth, version).totals();
        for (estimate, truth) in [(scaled.0, there.0), (scaled.1, there.1)] {
            let off = estimate.abs_diff(truth) as f64 / truth as f64;
            let sigma = 1.0 / (sample.0 as f64).sqrt();
            assert!(
                off < 5.0 * sigma,
                "version {version}: {estimate} for {truth}"
            );
        }
        // Connections are those whose first packet was selected, and are not scaled.
        let begun = lines.matches("\"newConnectionDeltaCount\":1").count() as u64;
        assert!(0 < begun && begun < truth.connections / 4);
        if version == "ipfix" {
            assert_eq!(scrape.sum("kipfix_connections_total", &[]), begun);
        }
    }
    if missing(&["nfacctd"]) {
        return;
    }
    for version in VERSIONS {
        let nfacctd = Nfacctd::start(&["nfacctd_renormalize: true"]);
        let sink = Sink::start();
        let target = format!("udp://127.0.0.1:{}?version={version}&rate=20000", sink.port);
        sampled(&["--export", &target]);
        nfacctd.receiver.receive(&sink.finish());
        let read = nfacctd.finish();
        let kept = lines
            .lines()
            .filter(|line| version != "5" || !line.contains("IPv6Address"));
        let sample = Flows::of_json_lines(&kept.collect::<Vec<_>>().join("\n")).totals();
        assert_eq!(
            read.totals,
            (10 * sample.0, 10 * sample.1),
            "version {version}"
        );
    }
}
