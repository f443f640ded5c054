//! Captures with known truth, metered by the probe, received by nfcapd and by our collector: every
//! flow has its packets and octets, exactly.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use kipfix_tests::collector::Collector;
use kipfix_tests::flows::Flows;
use kipfix_tests::peers::Nfcapd;
use kipfix_tests::program::{self, probe};
use kipfix_tests::sink::Sink;
use kipfix_tests::traffic::{self, Truth};
use kipfix_tests::{shared, skip, take_turn};

fn capture(folder: &Path) -> (PathBuf, Truth) {
    let path = folder.join("traffic.pcap");
    let truth = traffic::write(&path, 3000);
    (path, truth)
}

fn json_lines(path: &Path) -> String {
    program::text(
        probe()
            .arg("--read")
            .arg(path)
            .args(["--export", "stdout:"]),
    )
}

#[test]
fn the_probe_meters_a_capture_exactly() {
    let folder = tempfile::tempdir().unwrap();
    let (path, truth) = capture(folder.path());
    let text = json_lines(&path);
    Flows::of_json_lines(&text).assert_same(&truth.flows, "stdout:");

    let records: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let connections = records
        .iter()
        .filter_map(|r| r["newConnectionDeltaCount"].as_u64());
    assert_eq!(connections.sum::<u64>(), truth.connections);
    // Clients have the high ports: every TCP record has the correct initiator.
    for record in records.iter().filter(|r| r["protocolIdentifier"] == 6) {
        let from_client = record["sourceTransportPort"].as_u64().unwrap() >= 20_000;
        assert_eq!(
            record["biflowDirection"],
            if from_client { 1 } else { 2 },
            "{record}"
        );
        assert_eq!(record["flowEndReason"], 3, "{record}");
    }
}

#[test]
fn the_same_capture_gives_the_same_records() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = capture(folder.path());
    assert!(json_lines(&path) == json_lines(&path), "two runs differ");
}

#[test]
fn standard_input_is_read_like_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let (path, truth) = capture(folder.path());
    let mut command = probe();
    command.args(["--read", "-", "--export", "stdout:"]);
    command.stdin(std::fs::File::open(&path).unwrap());
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    Flows::of_json_lines(&text).assert_same(&truth.flows, "stdin");
}

#[test]
fn a_tiny_flow_cache_evicts_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (path, truth) = capture(folder.path());
    let mut command = probe();
    command
        .arg("--read")
        .arg(&path)
        .args(["--export", "stdout:", "--max-flows", "16"]);
    Flows::of_json_lines(&program::text(&mut command)).assert_same(&truth.flows, "16 entries");
}

#[test]
fn nfcapd_and_our_collector_get_exactly_what_the_probe_metered() {
    let _turn = take_turn();
    let folder = tempfile::tempdir().unwrap();
    let (path, truth) = capture(folder.path());
    through_both(&path, &truth.flows, "traffic made here");
}

/// Sends a capture's records to nfcapd and to our collector and compares both with the truth. A
/// sink receives the datagrams for nfcapd, which gets them as fast as it reads: its socket buffer
/// may be small.
fn through_both(path: &Path, truth: &Flows, what: &str) {
    let (sink, nfcapd) = (Sink::start(), Nfcapd::start());
    let ours = Collector::start(&["--kubernetes", "off", "--receive-buffer", "64MiB"]);
    let mut command = probe();
    command.arg("--read").arg(path);
    for port in [sink.port, ours.port()] {
        let target = format!("udp://127.0.0.1:{port}?rate=100000");
        command.args(["--export", &target]);
    }
    program::output(&mut command);
    let (logged, scrape) = ours.finish_scraped();
    nfcapd.receiver.receive(&sink.finish());
    let stored = nfcapd.finish().flows();
    let logged = logged.flows.unwrap();
    logged.assert_same(truth, &format!("{what}: flow log of our collector"));
    stored.assert_same(truth, &format!("{what}: nfdump"));
    // No inventory: everything is outside, and still every octet is in the scrape.
    assert_eq!(
        scrape.sum("kipfix_bytes_total", &[]),
        truth.totals().1,
        "{what}: scrape"
    );
    assert_eq!(
        scrape.sum("kipfix_packets_total", &[]),
        truth.totals().0,
        "{what}: scrape"
    );
}

/// Builds the generator of `../shared/bench` outside the checkout and makes a capture with it.
fn generated(name: &str, arguments: &str) -> Option<(PathBuf, Flows)> {
    let source = shared("bench/gen")?;
    let cache = program::binary("kipfix-probe")
        .ancestors()
        .nth(2)?
        .join("bench-data");
    std::fs::create_dir_all(&cache).unwrap();
    let pcapgen = cache.join("target/release/pcapgen");
    if !pcapgen.exists() {
        let sources = cache.join("gen");
        drop(std::fs::remove_dir_all(&sources));
        program::output(Command::new("cp").arg("-r").arg(&source).arg(&sources));
        program::output(Command::new("chmod").args(["-R", "u+w"]).arg(&sources));
        // It is below the workspace, but not a member.
        let manifest = sources.join("Cargo.toml");
        let text = std::fs::read_to_string(&manifest).unwrap() + "\n[workspace]\n";
        std::fs::write(&manifest, text).unwrap();
        program::output(
            Command::new("cargo")
                .args(["build", "--release", "--quiet", "--bin", "pcapgen"])
                .stdin(Stdio::null())
                .current_dir(&sources)
                .env("CARGO_TARGET_DIR", cache.join("target")),
        );
    }
    let pcap = cache.join(format!("{name}.pcap"));
    let csv = cache.join(format!("{name}.flows.csv"));
    if !csv.exists() {
        let mut command = Command::new(&pcapgen);
        command
            .arg("--out")
            .arg(&pcap)
            .arg("--truth")
            .arg(cache.join(format!("{name}.json")));
        command
            .arg("--flows-csv")
            .arg(cache.join("partial.csv"))
            .args(arguments.split(' '));
        program::output(&mut command);
        std::fs::rename(cache.join("partial.csv"), &csv).unwrap();
    }
    // view, source, destination, ports, protocol, packets, octets
    let mut flows = Flows::default();
    for line in std::fs::read_to_string(&csv)
        .unwrap()
        .lines()
        .filter(|l| l.starts_with("inner,"))
    {
        let cells: Vec<&str> = line.split(',').collect();
        let number = |at: usize| cells[at].parse::<u64>().unwrap();
        let key = (
            cells[1].parse().unwrap(),
            cells[2].parse().unwrap(),
            number(5) as u8,
            number(3) as u16,
            number(4) as u16,
        );
        flows.add(key, number(6), number(7));
    }
    Some((pcap, flows))
}

#[test]
fn generated_traffic_is_metered_exactly_and_arrives_exactly() {
    let _turn = take_turn();
    // The same seeds as the bench's own captures.
    let captures: BTreeMap<&str, &str> = [
        ("small", "--seed 1 --flows 1000 --packets 10000"),
        (
            "headers",
            "--seed 2 --flows 100000 --packets 2000000 --snaplen 160",
        ),
        (
            "many",
            "--seed 3 --flows 1000000 --packets 2000000 --snaplen 160",
        ),
    ]
    .into();
    for (name, arguments) in captures {
        let Some((path, truth)) = generated(name, arguments) else {
            return;
        };
        through_both(&path, &truth, name);
    }
}

#[test]
fn generated_traffic_with_payload_is_metered_exactly() {
    let _turn = take_turn();
    let arguments = "--seed 2 --flows 100000 --packets 2000000";
    let Some((path, truth)) = generated("medium", arguments) else {
        return;
    };
    Flows::of_json_lines(&json_lines(&path)).assert_same(&truth, "medium");
    if truth.0.is_empty() {
        skip("the generator wrote no flows");
    }
}
