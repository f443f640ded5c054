//! `--explain` for datagrams of third-party exporters, compared with tshark.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use kipfix_tests::program::{self, collector, is_installed};
use kipfix_tests::{shared, skip};

fn captures() -> Vec<PathBuf> {
    let Some(folder) = shared("corpus/flow") else {
        return Vec::new();
    };
    let mut captures: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "pcap"))
        .collect();
    captures.sort();
    captures
}

fn explained(capture: &Path) -> String {
    program::text(collector().arg("--read").arg(capture).arg("--explain"))
}

/// The number in front of a word in the summary.
fn counted(dump: &str, word: &str) -> usize {
    let summary = dump
        .lines()
        .find(|line| line.starts_with("Summary:"))
        .unwrap();
    let words: Vec<&str> = summary.split([' ', ',']).collect();
    let at = words.iter().position(|w| *w == word).unwrap();
    words[at - 1].parse().unwrap()
}

#[test]
fn every_capture_of_the_corpus_is_explained_to_its_end() {
    for capture in captures() {
        let dump = explained(&capture);
        let name = capture.display();
        // What the flow log has, the dump has, but for records that waited for their template, and
        // those of Messages that the decoder takes no record of.
        let log = program::text(collector().arg("--read").arg(&capture).args([
            "--kubernetes",
            "off",
            "--flow-log",
            "stdout:",
        ]));
        let (records, lines) = (counted(&dump, "records"), log.lines().count());
        let other = [
            "no-template",
            "message-cut-off",
            "flow-count",
            "set-overrun",
        ];
        let waited = other.iter().any(|problem| dump.contains(problem));
        assert!(
            records == lines || waited,
            "{name}: {records} records, {lines} lines"
        );
        assert!(!dump.chars().any(|c| c.is_control() && c != '\n'), "{name}");
    }
}

#[test]
fn tshark_sees_the_same_octets_and_packets() {
    if !is_installed("tshark") {
        skip("tshark is not installed");
        return;
    }
    // Biflow records (whose way back tshark names as the way there), datagrams that tshark does not
    // read to their end, and Messages whose sequence numbers fall, after which templates are not
    // used, stay out.
    let other = [
        "biflow",
        "ipfix_vmware_vds",
        "v9_netflow9",
        "v9_h3c",
        "v9_invalid01",
    ];
    for capture in captures() {
        let name = capture.display().to_string();
        if other.iter().any(|part| name.contains(part)) {
            continue;
        }
        let mut tshark = Command::new("tshark");
        tshark
            .arg("-r")
            .arg(&capture)
            .args(["-d", "udp.port==1-65535,cflow", "-T", "fields"])
            .args(["-E", "aggregator=,", "-E", "separator=;"])
            .args(["-e", "cflow.octets", "-e", "cflow.packets"]);
        let text = program::text(tshark.stderr(Stdio::null()));
        let theirs = |column: usize| -> u64 {
            let cells = text.lines().filter_map(|line| line.split(';').nth(column));
            cells
                .flat_map(|cell| cell.split(','))
                .filter(|value| !value.is_empty())
                .map(|value| value.parse::<u64>().unwrap())
                .sum()
        };
        let dump = explained(&capture);
        if dump.contains("of an earlier Message") {
            // tshark does not read records before their template.
            continue;
        }
        let ours = |field: &str, unit: &str| -> u64 {
            let values = dump.lines().filter_map(|line| {
                let rest = line.get(9..)?.trim_start().strip_prefix(field)?;
                rest.trim_start()
                    .strip_suffix(unit)?
                    .trim_end()
                    .parse::<u64>()
                    .ok()
            });
            values.sum()
        };
        assert_eq!(
            (
                ours("octetDeltaCount ", "octets"),
                ours("packetDeltaCount ", "packets")
            ),
            (theirs(0), theirs(1)),
            "{name}"
        );
    }
}
