//! The commands of README and of the quickstart are run, and their output has the documented form.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use etherparse::PacketBuilder;
use flowproto::exporter::{ExportSession, ExportSettings};
use flowproto::record::FlowKey;
use flowproto::{Address, FlowRecord};
use kipfix_tests::pages::anchor_of;
use kipfix_tests::{program, skip, take_turn, traffic};
use pcap_file::pcap::{PcapPacket, PcapWriter};

/// Commands that this test does not run: start of the command, and where it is tested.
const ELSEWHERE: [(&str, &str); 17] = [
    ("make demo", "below"),
    ("make images", "tests/packages.rs"),
    ("make deb", "tests/packages.rs"),
    ("sudo apt install ./target/debian", "tests/packages.rs"),
    ("sudo systemctl", "needs systemd"),
    ("ls target/images", "tests/packages.rs"),
    ("skopeo", "needs a registry"),
    ("helm", "the tests on a cluster"),
    ("kubectl", "the tests on a cluster"),
    ("curl", "the tests on a cluster"),
    ("softflowd", "tests/interop"),
    ("pmacctd", "tests/interop"),
    ("ovs-vsctl", "tests/interop"),
    ("goflow2", "tests/interop"),
    ("tshark", "tests/interop"),
    ("tcpdump", "needs live traffic"),
    (
        "kipfix-collector --read export.pcap --kubernetes off",
        "tests/explain.rs",
    ),
];

#[derive(Clone)]
struct Block {
    language: String,
    text: String,
}

fn blocks(page: &str) -> Vec<Block> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(page);
    let text = std::fs::read_to_string(path).unwrap();
    let parts = text.split("```").skip(1).step_by(2);
    parts
        .map(|part| {
            let (language, text) = part.split_once('\n').unwrap();
            Block {
                language: language.to_owned(),
                text: text.to_owned(),
            }
        })
        .collect()
}

/// Replaces every number and every group of numbers by one sign: values differ from run to run.
fn shape(line: &str) -> String {
    let mut shape = String::new();
    for word in line.split_whitespace() {
        let mut word_shape = String::new();
        for character in word.chars() {
            let character = if character.is_ascii_digit() {
                '#'
            } else {
                character
            };
            if character != '#' || !word_shape.ends_with('#') {
                word_shape.push(character);
            }
        }
        if word_shape != "#" || !shape.ends_with('#') {
            shape += " ";
            shape += &word_shape;
        }
    }
    shape.trim().to_owned()
}

/// Checks that the documented lines, except `…`, have the shapes of lines of the output, in its
/// order.
fn assert_shown<'a>(shown: impl Iterator<Item = &'a str>, output: &str) {
    let shapes: Vec<String> = output.lines().map(shape).collect();
    let mut from = 0;
    for line in shown.filter(|line| !line.trim().is_empty() && line.trim() != "…") {
        let wanted = shape(line);
        let at = shapes.iter().skip(from).position(|line| *line == wanted);
        let at = at
            .unwrap_or_else(|| panic!("documented but not printed:\n  {line}\noutput:\n{output}"));
        from += at + 1;
    }
}

/// Writes an export with one record: a client in the office of the inventory, and the web server.
fn export(path: &Path) {
    let address = |text: &str| Address::from(text.parse::<std::net::IpAddr>().unwrap());
    let record = FlowRecord {
        key: FlowKey {
            source_address: address("192.0.2.7"),
            destination_address: address("10.1.1.10"),
            source_port: 40_000,
            destination_port: 443,
            protocol_identifier: 6,
        },
        octet_delta_count: 19_260,
        packet_delta_count: 21,
        flow_start_milliseconds: 1_700_000_000_000,
        flow_end_milliseconds: 1_700_000_001_000,
        new_connection_delta_count: Some(1),
        ..FlowRecord::default()
    };
    let mut writer = PcapWriter::new(std::fs::File::create(path).unwrap()).unwrap();
    let mut session = ExportSession::new(ExportSettings {
        observation_domain_name: "node-a".into(),
        ..ExportSettings::default()
    });
    let now = 1_700_000_002_000;
    let mut write = |message: flowproto::exporter::OutgoingMessage<'_>| {
        let mut frame = Vec::new();
        PacketBuilder::ethernet2([2; 6], [4; 6])
            .ipv4([10, 9, 0, 1], [10, 9, 0, 100], 64)
            .udp(50_000, 4739)
            .write(&mut frame, message.octets)
            .unwrap();
        let length = u32::try_from(frame.len()).unwrap();
        let packet = PcapPacket::new(Duration::from_millis(now), length, &frame);
        writer.write_packet(&packet).unwrap();
    };
    session.add(&record, now, &mut write).unwrap();
    session.flush(now, &mut write);
}

#[test]
fn the_documented_commands_print_the_documented_output() {
    for program in ["nfcapd", "nfdump", "jq"] {
        if !program::is_installed(program) {
            return skip(&format!("{program} is not installed"));
        }
    }
    let _turn = take_turn();
    let folder = tempfile::tempdir().unwrap();
    traffic::write(&folder.path().join("capture.pcap"), 60);
    export(&folder.path().join("export.pcap"));
    let blocks = [blocks("README.md"), blocks("docs/quickstart.md")].concat();
    let inventory = blocks
        .iter()
        .find(|block| block.language == "yaml")
        .unwrap();
    std::fs::write(folder.path().join("cluster.yaml"), &inventory.text).unwrap();
    let ours = program::binary("kipfix-probe");
    let path = format!(
        "{}:{}",
        ours.parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    let mut ran = 0;
    for block in blocks.iter().filter(|block| block.language == "console") {
        let commands: Vec<&str> = block
            .text
            .lines()
            .filter_map(|line| line.strip_prefix("$ "))
            .collect();
        if commands
            .iter()
            .any(|command| command.contains("--read export.pcap --kubernetes off"))
        {
            // The capture before it needs live traffic.
            continue;
        }
        let elsewhere = |command: &&str| ELSEWHERE.iter().any(|(is, _)| command.starts_with(is));
        if commands.iter().all(elsewhere) {
            continue;
        }
        // Job control, as in an interactive shell.
        let script = format!("set -m\n{}\n", commands.join("\n"));
        let mut bash = Command::new("bash");
        bash.args(["-c", &script]).current_dir(folder.path());
        bash.env("PATH", &path)
            .env("TZ", "UTC")
            .stdin(Stdio::null());
        let output = bash.output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        let shown = block.text.lines().filter(|line| !line.starts_with("$ "));
        assert!(
            output.status.success(),
            "{script}\n{printed}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert_shown(shown, &printed);
        ran += 1;
    }
    assert!(ran >= 3, "{ran}");
}

#[test]
fn the_demo_prints_what_readme_shows() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/demo/demo.sh");
    let _turn = take_turn();
    let mut demo = Command::new(script);
    // The demo calls cargo. Variables that cargo sets for a test would cause build scripts to run
    // again.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        let of_this_test = [
            "CARGO_PKG_",
            "CARGO_MANIFEST_",
            "CARGO_CRATE_",
            "CARGO_BIN_",
        ];
        if name == "CARGO" || of_this_test.iter().any(|prefix| name.starts_with(prefix)) {
            demo.env_remove(&*name);
        }
    }
    let output = program::text(demo.stderr(Stdio::null()));
    let shown = blocks("README.md")
        .into_iter()
        .find(|block| block.text.contains("FROM"))
        .unwrap();
    assert_shown(shown.text.lines(), &output);
}

#[test]
fn every_link_of_a_page_has_a_target() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut pages: Vec<PathBuf> = [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
    ]
    .map(|page| root.join(page))
    .to_vec();
    let docs = std::fs::read_dir(root.join("docs")).unwrap();
    pages.extend(docs.map(|page| page.unwrap().path()));
    for page in pages
        .iter()
        .filter(|page| page.extension().is_some_and(|e| e == "md"))
    {
        let text = std::fs::read_to_string(page).unwrap();
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split_once(')'))
        {
            let (link, _) = link;
            if link.contains("://") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match path {
                "" => page.clone(),
                path => page.parent().unwrap().join(path),
            };
            assert!(target.exists(), "{}: {link}", page.display());
            if anchor.is_empty() {
                continue;
            }
            let text = std::fs::read_to_string(&target).unwrap();
            let mut headings = text.lines().filter(|line| line.starts_with('#'));
            let found =
                headings.any(|line| anchor_of(line.trim_start_matches('#').trim()) == anchor);
            assert!(found, "{}: {link}: heading not found", page.display());
        }
    }
}

#[test]
fn a_shape_has_no_values() {
    assert_eq!(
        shape("  shop/db   external  2 002 772   1 392"),
        "shop/db external #"
    );
    assert_eq!(shape("bytes{a=\"b1\"} 19260"), "bytes{a=\"b#\"} #");
    assert_eq!(shape("a 10.1.2.3 b"), "a #.#.#.# b");
}
