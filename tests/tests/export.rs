//! Our export in every version and over every transport, under other people's decoders: what they read is what
//! was in the capture.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use kipfix_tests::flows::{Flows, Nfcapd};
use kipfix_tests::program::{self, Running, collector, free_udp_port, is_installed, probe};
use kipfix_tests::sink::{Sink, StreamSink, write_capture};
use kipfix_tests::{skip, take_turn, traffic};

const VERSIONS: [&str; 3] = ["ipfix", "9", "5"];

fn capture() -> (tempfile::TempDir, PathBuf, traffic::Truth) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("traffic.pcap");
    let truth = traffic::write(&path, 1500);
    (folder, path, truth)
}

fn missing(test: &str, programs: &[&str]) -> bool {
    let absent = programs.iter().find(|program| !is_installed(program));
    if let Some(program) = absent {
        skip(test, &format!("{program} is not installed"));
    }
    absent.is_some()
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

/// The datagrams of one version.
fn datagrams(path: &Path, version: &str) -> Vec<Vec<u8>> {
    let sink = Sink::start();
    let port = sink.port;
    export(
        path,
        &[&format!(
            "udp://127.0.0.1:{port}?version={version}&rate=20000"
        )],
    );
    sink.finish()
}

/// What our collector reads out of a file.
fn by_our_collector(path: &Path) -> Flows {
    let mut command = collector();
    command.arg("--read").arg(path);
    command.args(["--kubernetes", "off", "--flow-log", "stdout:"]);
    Flows::of_json_lines(&program::text(&mut command))
}

/// What ipfixDump reads out of a file: records by the sums of 1 and 2.
fn by_ipfix_dump(path: &Path) -> (u64, u64) {
    let dump = program::text(Command::new("ipfixDump").arg("--in").arg(path));
    let sum = |name: &str| -> u64 {
        let values = dump.lines().filter_map(|line| {
            let (before, value) = line.split_once(name)?;
            // Not the reverse elements, nor the names in templates.
            let own = !before.ends_with("reverse");
            own.then(|| value.rsplit(':').next()?.trim().parse::<u64>().ok())?
        });
        values.sum()
    };
    (sum("packetDeltaCount"), sum("octetDeltaCount"))
}

#[test]
fn nfcapd_stores_every_version_as_it_was_captured() {
    let test = "nfcapd_stores_every_version_as_it_was_captured";
    if missing(test, &["nfcapd", "nfdump"]) {
        return;
    }
    let _turn = take_turn();
    let (_folder, path, truth) = capture();
    // Addresses, ports, first and last packet as nfdump has them.
    let mut times: Vec<(&str, BTreeSet<String>)> = Vec::new();
    for version in VERSIONS {
        let nfcapd = Nfcapd::start();
        let port = nfcapd.port;
        let target = format!("udp://127.0.0.1:{port}?version={version}&rate=20000");
        export(&path, &[&target]);
        let (flows, summary, lines) = nfcapd.finish_with_times();
        flows.assert_same(
            &carried(&truth, version),
            &format!("nfcapd, version {version}"),
        );
        // nfdump leaves options data out of IPFIX's sequence numbers, which count them (RFC 7011 §3.1, §2): it
        // takes the Message behind them for one that is out of order, at the start and where a template is new.
        let failures = summary
            .lines()
            .find_map(|line| line.strip_prefix("Sequence failures: "))
            .and_then(|count| count.parse::<u32>().ok());
        let allowed = if version == "ipfix" { 8 } else { 0 };
        assert!(
            failures.is_some_and(|count| count <= allowed),
            "version {version}: {failures:?}"
        );
        times.push((version, lines));
    }
    let (_, exact) = &times[0];
    for (version, lines) in &times {
        let wrong: Vec<_> = lines.difference(exact).take(4).collect();
        assert!(wrong.is_empty(), "version {version}: {wrong:#?}");
    }
}

/// nfacctd in the background, to write its sums into a file.
fn nfacctd(folder: &Path, port: u16, out: &Path, more: &str) -> Running {
    let settings = folder.join("nfacctd.conf");
    let lines = [
        "daemonize: false".to_owned(),
        "nfacctd_ip: 127.0.0.1".to_owned(),
        format!("nfacctd_port: {port}"),
        "plugins: print".to_owned(),
        "aggregate: src_host, dst_host, src_port, dst_port, proto".to_owned(),
        "print_output: json".to_owned(),
        "print_refresh_time: 3600".to_owned(),
        "plugin_buffer_size: 10240".to_owned(),
        "plugin_pipe_size: 10240000".to_owned(),
        format!("print_output_file: {}", out.display()),
        more.to_owned(),
    ];
    std::fs::write(&settings, lines.join("\n") + "\n").unwrap();
    let mut nfacctd = Command::new("nfacctd");
    nfacctd.arg("-f").arg(&settings);
    let running = Running::start(nfacctd.stdout(Stdio::null()).stderr(Stdio::null()));
    program::wait_for_udp(running.pid(), port);
    // Its plugin is another process, which has no sign of being ready.
    std::thread::sleep(Duration::from_secs(2));
    running
}

/// Interrupts nfacctd, which then writes what it has.
fn by_nfacctd(nfacctd: Running, out: &Path) -> Flows {
    std::thread::sleep(Duration::from_millis(500));
    nfacctd.interrupt(Duration::from_secs(20));
    // The writer is another process.
    let mut length = 0;
    let done = program::eventually(Duration::from_secs(20), || {
        std::thread::sleep(Duration::from_millis(300));
        let now = std::fs::metadata(out).map_or(0, |file| file.len());
        std::mem::replace(&mut length, now) == now && now > 0
    });
    assert!(done, "nfacctd writes what it has");
    let mut flows = Flows::default();
    let text = std::fs::read_to_string(out).unwrap();
    for line in text.lines().filter(|line| line.starts_with('{')) {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        let address = |name: &str| -> IpAddr { record[name].as_str().unwrap().parse().unwrap() };
        let number = |name: &str| record[name].as_u64().unwrap();
        let protocol = match record["ip_proto"].as_str().unwrap() {
            "tcp" => 6,
            "udp" => 17,
            "icmp" => 1,
            "ipv6-icmp" => 58,
            other => other.parse().unwrap(),
        };
        let (sport, dport) = (number("port_src") as u16, number("port_dst") as u16);
        let key = (address("ip_src"), address("ip_dst"), protocol, sport, dport);
        flows.add(key, number("packets"), number("bytes"));
    }
    flows
}

#[test]
fn nfacctd_sums_every_version_as_it_was_captured() {
    let test = "nfacctd_sums_every_version_as_it_was_captured";
    if missing(test, &["nfacctd"]) {
        return;
    }
    let _turn = take_turn();
    let (folder, path, truth) = capture();
    for version in VERSIONS {
        let (port, out) = (free_udp_port(), folder.path().join(version));
        let nfacctd = nfacctd(folder.path(), port, &out, "");
        let target = format!("udp://127.0.0.1:{port}?version={version}&rate=10000");
        export(&path, &[&target]);
        let flows = by_nfacctd(nfacctd, &out);
        flows.assert_same(
            &carried(&truth, version),
            &format!("nfacctd, version {version}"),
        );
    }
}

#[test]
fn tshark_finds_nothing_wrong_with_any_version() {
    let test = "tshark_finds_nothing_wrong_with_any_version";
    if missing(test, &["tshark"]) {
        return;
    }
    let _turn = take_turn();
    let (folder, path, truth) = capture();
    for version in VERSIONS {
        let datagrams = datagrams(&path, version);
        assert!(datagrams.iter().all(|d| d.len() <= 1400));
        let taken = folder.path().join(format!("{version}.pcap"));
        write_capture(&taken, &datagrams);
        let tshark = |arguments: &[&str]| {
            let mut command = Command::new("tshark");
            command.arg("-r").arg(&taken);
            command.args(["-d", "udp.port==4739,cflow"]).args(arguments);
            program::text(command.stderr(Stdio::null()))
        };
        let bad = "_ws.malformed || _ws.expert.severity >= 6291456";
        assert_eq!(tshark(&["-Y", bad]), "", "version {version}");
        let sum = |field: &str| -> u64 {
            let text = tshark(&["-T", "fields", "-E", "aggregator=,", "-e", field]);
            let cells = text.split([',', '\n']).filter(|cell| !cell.is_empty());
            cells.map(|cell| cell.parse::<u64>().unwrap()).sum()
        };
        assert_eq!(
            (sum("cflow.packets"), sum("cflow.octets")),
            carried(&truth, version).totals(),
            "version {version}"
        );
    }
}

#[test]
fn goflow2_reads_every_version_as_it_was_captured() {
    let test = "goflow2_reads_every_version_as_it_was_captured";
    if missing(test, &["goflow2"]) {
        return;
    }
    let _turn = take_turn();
    let (folder, path, truth) = capture();
    for version in VERSIONS {
        let (port, out) = (free_udp_port(), folder.path().join(version));
        // One worker: several would read records while another one still reads their template.
        let mut goflow2 = Command::new("goflow2");
        goflow2.args([
            "-listen",
            &format!("netflow://127.0.0.1:{port}?count=1&workers=1&queue_size=100000"),
        ]);
        goflow2
            .args(["-addr", "", "-format", "json", "-transport.file"])
            .arg(&out);
        let running = Running::start(goflow2.stdout(Stdio::null()).stderr(Stdio::null()));
        program::wait_for_udp(running.pid(), port);
        let target = format!("udp://127.0.0.1:{port}?version={version}&rate=10000");
        export(&path, &[&target]);
        std::thread::sleep(Duration::from_millis(500));
        running.interrupt(Duration::from_secs(20));
        let mut flows = Flows::default();
        let text = std::fs::read_to_string(&out).unwrap();
        // One object behind the other, whatever is between them.
        for record in serde_json::Deserializer::from_str(&text).into_iter::<serde_json::Value>() {
            let record = record.unwrap();
            let address =
                |name: &str| -> IpAddr { record[name].as_str().unwrap().parse().unwrap() };
            let number = |name: &str| record[name].as_u64().unwrap();
            let protocol = match record["proto"].as_str().unwrap() {
                "TCP" => 6,
                "UDP" => 17,
                "ICMP" => 1,
                "IPv6-ICMP" => 58,
                other => panic!("protocol {other}"),
            };
            let ports = (number("src_port") as u16, number("dst_port") as u16);
            let key = (
                address("src_addr"),
                address("dst_addr"),
                protocol,
                ports.0,
                ports.1,
            );
            flows.add(key, number("packets"), number("bytes"));
            // Times of flows are those of the capture, not of today.
            let start = number("time_flow_start_ns") / 1_000_000_000;
            assert!((1_600_000_000..1_800_000_000).contains(&start), "{record}");
        }
        flows.assert_same(
            &carried(&truth, version),
            &format!("goflow2, version {version}"),
        );
    }
}

#[test]
fn ipfix_over_tcp_and_in_files_is_read_by_ipfix_dump_and_our_collector() {
    let test = "ipfix_over_tcp_and_in_files_is_read_by_ipfix_dump_and_our_collector";
    let _turn = take_turn();
    let (folder, path, truth) = capture();
    let sink = StreamSink::start();
    let (stream, file) = (
        folder.path().join("stream.ipfix"),
        folder.path().join("file.ipfix"),
    );
    let tcp = format!("tcp://127.0.0.1:{}", sink.port);
    export(&path, &[&tcp, &format!("file:{}", file.display())]);
    std::fs::write(&stream, sink.finish()).unwrap();
    for taken in [&stream, &file] {
        by_our_collector(taken).assert_same(&truth.flows, "our collector");
    }
    if missing(test, &["ipfixDump"]) {
        return;
    }
    for taken in [&stream, &file] {
        assert_eq!(
            by_ipfix_dump(taken),
            truth.flows.totals(),
            "{}",
            taken.display()
        );
    }
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
        for (key, (packets, octets)) in by_our_collector(&file.path()).0 {
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
    let mut flows = Flows::of_json_lines(&text);
    let mut biflows = 0;
    for line in text.lines() {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        let Some(packets) = record["reversePacketDeltaCount"].as_u64() else {
            continue;
        };
        biflows += 1;
        let one = Flows::of_json_lines(line);
        let ((a, b, protocol, sport, dport), _) = one.0.into_iter().next().unwrap();
        let octets = record["reverseOctetDeltaCount"].as_u64().unwrap();
        assert!(record["reverseFlowStartMilliseconds"].as_u64().unwrap() > 0);
        flows.add((b, a, protocol, dport, sport), packets, octets);
    }
    assert!(biflows > 1000, "{biflows}");
    flows.assert_same(&truth.flows, "biflows");
    // NetFlow v9 knows no biflows: the two directions go out by themselves.
    let nine = folder.path().join("nine.pcap");
    write_capture(&nine, &sink.finish());
    by_our_collector(&nine).assert_same(&truth.flows, "biflows in NetFlow v9");
    if is_installed("ipfixDump") {
        let dump = program::text(Command::new("ipfixDump").arg("--in").arg(&file));
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
    let test = "a_sample_is_scaled_to_what_was_there_by_our_collector_and_by_nfacctd";
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
        // One packet of ten says how many there were to about 1/√n, and octets to a little more.
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
    if missing(test, &["nfacctd"]) {
        return;
    }
    for version in VERSIONS {
        let (port, out) = (free_udp_port(), folder.path().join(version));
        let nfacctd = nfacctd(folder.path(), port, &out, "nfacctd_renormalize: true");
        let target = format!("udp://127.0.0.1:{port}?version={version}&rate=10000");
        sampled(&["--export", &target]);
        let flows = by_nfacctd(nfacctd, &out);
        let kept = lines
            .lines()
            .filter(|line| version != "5" || !line.contains("IPv6Address"));
        let sample = Flows::of_json_lines(&kept.collect::<Vec<_>>().join("\n")).totals();
        assert_eq!(
            flows.totals(),
            (10 * sample.0, 10 * sample.1),
            "version {version}"
        );
    }
}
