//! The export of the probe in one run: to readers, and to sinks whose datagrams other readers get.

use std::collections::BTreeSet;

use kipfix_tests::collector::Collector;
use kipfix_tests::flows::Flows;
use kipfix_tests::peers::{
    self, Ipfixcol2, Language, Libraries, Nfacctd, Nfcapd, Reading, Sequence, Suite, missing,
};
use kipfix_tests::program::{self, probe};
use kipfix_tests::sink::{Sink, write_capture};
use kipfix_tests::{take_turn, traffic};

use crate::judge::Sent;
use crate::page::{Row, Section, keep};
use crate::readers::{self, EXPORTS, Times, VERSIONS, capture_of, udp};
use crate::{IPFIX, NETFLOW_5, at_once};

#[test]
fn our_export_is_read_as_it_was_captured() {
    let _turn = take_turn();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("traffic.pcap");
    let truth = traffic::write(&path, 1500);
    let sinks = EXPORTS.map(|version| (version, Sink::start()));
    let times = Times::default();
    let readers = readers::all(folder.path(), &times);

    let mut command = probe();
    command
        .arg("--read")
        .arg(&path)
        .args(["--export", "stdout:"]);
    let of_sinks = sinks
        .iter()
        .filter_map(|(version, sink)| udp(version, sink.port));
    let of_readers = readers.iter().filter_map(|reader| reader.target.clone());
    for target in of_sinks.chain(of_readers) {
        command.args(["--export", &target]);
    }
    let metered = program::text(&mut command);
    let sent = sinks.map(|(version, sink)| {
        let datagrams = sink.finish();
        assert!(datagrams.iter().all(|datagram| datagram.len() <= 1400));
        write_capture(&capture_of(folder.path(), version), &datagrams);
        (
            version,
            sent(&metered, &truth.flows, sequence_numbers(&datagrams)),
        )
    });
    let rows = at_once(readers, |reader| {
        let (_, sent) = sent
            .iter()
            .find(|(version, _)| *version == reader.version)
            .unwrap();
        Row {
            peer: reader.peer,
            version: reader.version,
            transport: reader.transport,
            cells: sent.judge(&(reader.finish)(), reader.version),
            release: reader.release,
        }
    });
    keep(Section::Export, &rows);
    times.assert_same();
}

/// A reader that reports no missing Message must be able to detect one.
#[test]
fn readers_that_look_at_sequence_numbers_miss_what_is_missing() {
    let _turn = take_turn();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("traffic.pcap");
    traffic::write(&path, 600);
    let sinks = VERSIONS.map(|(version, _)| (version, Sink::start()));
    let mut command = probe();
    command.arg("--read").arg(&path);
    for (version, sink) in &sinks {
        command.args(["--export", &udp(version, sink.port).unwrap()]);
    }
    program::output(&mut command);
    let with_nfacctd = !missing(&["nfacctd"]);
    let with_nfdump = !missing(&["nfcapd", "nfdump"]);
    let with_tshark = !missing(&["tshark"]);
    let with_ipfix_dump = !missing(&["ipfixDump"]);
    let unstable = Suite::unstable();
    let python = Libraries::of(Language::Python);
    at_once(sinks, |(version, sink)| {
        let mut datagrams = sink.finish();
        assert!(datagrams.len() > 6);
        datagrams.remove(datagrams.len() / 2);
        let noticed = |reader: &str, reading: &Reading| {
            let is_reported = matches!(reading.sequence, Sequence::Failures(count) if count > 0);
            assert!(is_reported, "{reader}, {version}: {:?}", reading.sequence);
        };
        let ours = Collector::start(&["--kubernetes", "off"]);
        ours.receive(&datagrams);
        noticed("kipfix-collector", &ours.finish());
        if with_nfdump {
            let nfcapd = Nfcapd::start();
            nfcapd.receiver.receive(&datagrams);
            noticed("nfdump", &nfcapd.finish().reading());
        }
        if with_nfacctd {
            let nfacctd = Nfacctd::start(&[]);
            nfacctd.receiver.receive(&datagrams);
            noticed("nfacctd", &nfacctd.finish());
        }
        if let Some(unstable) = &unstable {
            let nfcapd = Nfcapd::of(unstable.clone());
            let nfacctd = Nfacctd::of(unstable, &[]);
            let ipfixcol2 = Ipfixcol2::of(unstable);
            for receiver in [&nfcapd.receiver, &nfacctd.receiver, &ipfixcol2.receiver] {
                receiver.receive(&datagrams);
            }
            noticed("nfdump of Debian unstable", &nfcapd.finish().reading());
            noticed("nfacctd of Debian unstable", &nfacctd.finish());
            noticed("ipfixcol2", &ipfixcol2.finish());
        }
        let capture = capture_of(folder.path(), version);
        write_capture(&capture, &datagrams);
        if let Some(python) = &python {
            noticed("netflume", &python.read("netflume", &capture));
        }
        if with_tshark && version != NETFLOW_5 {
            noticed("tshark", &peers::tshark(&capture));
        }
        if with_ipfix_dump && version == IPFIX {
            let file = folder.path().join("missing.ipfix");
            std::fs::write(&file, datagrams.concat()).unwrap();
            noticed("ipfixDump", &peers::ipfix_dump(&file));
        }
    });
}

/// What the probe metered, and what of it each version can carry.
fn sent(metered: &str, truth: &Flows, numbers: BTreeSet<u64>) -> Sent {
    let reading = |lines: &mut dyn Iterator<Item = &str>| {
        let lines: Vec<&str> = lines.collect();
        let flows = Flows::of_json_lines(&lines.join("\n"));
        Reading {
            records: lines.len() as u64,
            totals: flows.totals(),
            flows: Some(flows),
            sequence: Sequence::Numbers(numbers.clone()),
        }
    };
    let all = reading(&mut metered.lines());
    all.flows.as_ref().unwrap().assert_same(truth, "stdout:");
    let ipv4 = reading(&mut metered.lines().filter(|line| !line.contains("IPv6Address")));
    assert!(ipv4.records < all.records);
    Sent {
        all,
        ipv4: Some(ipv4),
    }
}

/// The sequence numbers of Messages: where they are is a matter of the version.
fn sequence_numbers(datagrams: &[Vec<u8>]) -> BTreeSet<u64> {
    let number = |datagram: &Vec<u8>| {
        let at = match datagram[1] {
            10 => 8,
            9 => 12,
            5 => 16,
            other => panic!("version {other}"),
        };
        u32::from_be_bytes(datagram[at..at + 4].try_into().unwrap()).into()
    };
    datagrams.iter().map(number).collect()
}
