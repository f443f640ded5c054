//! Our export, in one run of the probe to everybody at once, as others and our own collector read it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kipfix_tests::certificates::Certificates;
use kipfix_tests::collector::Collector;
use kipfix_tests::flows::Flows;
use kipfix_tests::peers::{self, Goflow2, Nfacctd, Nfcapd, Reading, Sequence, missing};
use kipfix_tests::program::{self, free_tcp_port, probe};
use kipfix_tests::sink::{Sink, StreamSink, write_capture};
use kipfix_tests::{take_turn, traffic};

use crate::judge::Sent;
use crate::page::{Row, Section, keep};
use crate::{IPFIX, NETFLOW_5, NETFLOW_9, at_once, send};

const VERSIONS: [(&str, &str); 3] = [(IPFIX, "ipfix"), (NETFLOW_9, "9"), (NETFLOW_5, "5")];

/// Somebody who reads.
struct Reader {
    peer: &'static str,
    release: String,
    version: &'static str,
    transport: &'static str,
    /// The export target of the probe, if no other process listens.
    target: Option<String>,
    finish: Box<dyn FnOnce() -> Reading + Send>,
}

/// What takes UDP of a version at a port, for a reader of it.
fn udp(version: &str, port: u16) -> Option<String> {
    let (_, number) = VERSIONS.into_iter().find(|(name, _)| *name == version)?;
    // No receiver here is asked for more than it has room for.
    Some(format!(
        "udp://127.0.0.1:{port}?version={number}&rate=20000"
    ))
}

#[test]
fn our_export_is_read_as_it_was_captured() {
    let test = "our_export_is_read_as_it_was_captured";
    let _turn = take_turn();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("traffic.pcap");
    let truth = traffic::write(&path, 1500);
    let sinks = VERSIONS.map(|(version, _)| (version, Sink::start()));
    let times = Times::default();
    let mut readers = ours(folder.path());
    if !missing(test, &["nfcapd", "nfdump"]) {
        readers.extend(VERSIONS.map(|(version, _)| nfcapd(version, &times)));
    }
    if !missing(test, &["tshark"]) {
        readers.extend(VERSIONS.map(|(version, _)| tshark(version, folder.path())));
    }
    if !missing(test, &["ipfixDump"]) {
        readers.extend(ipfix_dump(test, folder.path()));
    }
    if let Some(program) = Goflow2::program(test) {
        readers.extend(VERSIONS.map(|(version, _)| goflow2(version, &program)));
    }
    if !missing(test, &["nfacctd"]) {
        readers.extend(VERSIONS.map(|(version, _)| nfacctd(version)));
        Nfacctd::settle();
    }

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

/// That sequence numbers are as they should be is worth something where it would be seen if they were not.
#[test]
fn readers_that_look_at_sequence_numbers_miss_what_is_missing() {
    let test = "readers_that_look_at_sequence_numbers_miss_what_is_missing";
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
    let with_nfacctd = !missing(test, &["nfacctd"]);
    let with_nfdump = !missing(test, &["nfcapd", "nfdump"]);
    let with_tshark = !missing(test, &["tshark"]);
    let with_ipfix_dump = !missing(test, &["ipfixDump"]);
    at_once(sinks, |(version, sink)| {
        let mut datagrams = sink.finish();
        assert!(datagrams.len() > 6);
        datagrams.remove(datagrams.len() / 2);
        let noticed = |reader: &str, reading: &Reading| {
            let told = matches!(reading.sequence, Sequence::Failures(count) if count > 0);
            assert!(told, "{reader}, {version}: {:?}", reading.sequence);
        };
        let ours = Collector::start(&["--kubernetes", "off"]);
        send(&datagrams, ours.port());
        noticed("kipfix-collector", &ours.finish());
        if with_nfdump {
            let nfcapd = Nfcapd::start();
            send(&datagrams, nfcapd.port);
            noticed("nfdump", &nfcapd.finish().reading());
        }
        if with_nfacctd {
            let nfacctd = Nfacctd::start(&[]);
            Nfacctd::settle();
            send(&datagrams, nfacctd.port);
            noticed("nfacctd", &nfacctd.finish());
        }
        if with_tshark && version != NETFLOW_5 {
            let capture = capture_of(folder.path(), version);
            write_capture(&capture, &datagrams);
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

fn capture_of(folder: &Path, version: &str) -> PathBuf {
    folder.join(format!("{version}.pcap"))
}

/// When flows began and ended, as nfdump shows it, by version.
#[derive(Clone, Default)]
struct Times(Arc<Mutex<BTreeMap<&'static str, BTreeSet<String>>>>);

impl Times {
    /// All versions have the same content as IPFIX.
    fn assert_same(&self) {
        let times = self.0.lock().unwrap();
        let Some(exact) = times.get(IPFIX) else {
            return;
        };
        for (version, lines) in times.iter() {
            let wrong: Vec<_> = lines.difference(exact).take(4).collect();
            assert!(wrong.is_empty(), "{version}: {wrong:#?}");
        }
    }
}

fn nfcapd(version: &'static str, times: &Times) -> Reader {
    let (nfcapd, times) = (Nfcapd::start(), times.clone());
    Reader {
        peer: "nfdump",
        release: peers::version("nfcapd", "-V"),
        version,
        transport: "UDP",
        target: udp(version, nfcapd.port),
        finish: Box::new(move || {
            let stored = nfcapd.finish();
            let lines = stored.lines("%sa %da %sp %dp %pr %pkt %byt %tsr %ter");
            times.0.lock().unwrap().insert(version, lines);
            stored.reading()
        }),
    }
}

fn nfacctd(version: &'static str) -> Reader {
    let nfacctd = Nfacctd::start(&[]);
    Reader {
        peer: "pmacct (nfacctd)",
        release: peers::version("nfacctd", "-V"),
        version,
        transport: "UDP",
        target: udp(version, nfacctd.port),
        finish: Box::new(move || nfacctd.finish()),
    }
}

fn goflow2(version: &'static str, program: &PathBuf) -> Reader {
    let goflow2 = Goflow2::start(program);
    Reader {
        peer: "goflow2",
        release: peers::version(program.to_str().unwrap(), "-v"),
        version,
        transport: "UDP",
        target: udp(version, goflow2.port),
        finish: Box::new(move || goflow2.finish()),
    }
}

/// tshark reads what a sink took.
fn tshark(version: &'static str, folder: &Path) -> Reader {
    let capture = capture_of(folder, version);
    Reader {
        peer: "tshark",
        release: peers::version("tshark", "-v"),
        version,
        transport: "UDP",
        target: None,
        finish: Box::new(move || peers::tshark(&capture)),
    }
}

/// ipfixDump reads a file, what a socket took, and what OpenSSL took.
fn ipfix_dump(test: &str, folder: &Path) -> Vec<Reader> {
    let reader = |transport, target, finish| Reader {
        peer: "libfixbuf (ipfixDump)",
        release: peers::version("ipfixDump", "--version"),
        version: IPFIX,
        transport,
        target: Some(target),
        finish,
    };
    let file = folder.join("dumped.ipfix");
    let mut readers = vec![reader(
        "file",
        format!("file:{}", file.display()),
        Box::new(move || peers::ipfix_dump(&file)),
    )];
    let (sink, stream) = (StreamSink::start(), folder.join("stream.ipfix"));
    readers.push(reader(
        "TCP",
        format!("tcp://127.0.0.1:{}", sink.port),
        Box::new(move || {
            std::fs::write(&stream, sink.finish()).unwrap();
            peers::ipfix_dump(&stream)
        }),
    ));
    if !missing(test, &["openssl"]) {
        let certificates = Certificates::new();
        let (port, decrypted) = (free_tcp_port(), folder.join("decrypted.ipfix"));
        let server = peers::openssl(&certificates, port, &[], &decrypted);
        readers.push(reader(
            "TLS (OpenSSL)",
            format!("tls://localhost:{port}?{}", certificates.of_client()),
            Box::new(move || {
                server.wait(Duration::from_secs(10));
                drop(certificates);
                peers::ipfix_dump(&decrypted)
            }),
        ));
    }
    readers
}

/// Our own collector.
fn ours(folder: &Path) -> Vec<Reader> {
    let reader = |version, transport, target, finish| Reader {
        peer: "kipfix-collector",
        release: env!("CARGO_PKG_VERSION").to_owned(),
        version,
        transport,
        target,
        finish,
    };
    let mut readers = Vec::new();
    for (version, _) in VERSIONS {
        let collector = Collector::start(&["--kubernetes", "off"]);
        readers.push(reader(
            version,
            "UDP",
            udp(version, collector.port()),
            Box::new(move || collector.finish()) as Box<dyn FnOnce() -> Reading + Send>,
        ));
    }
    let file = folder.join("ours.ipfix");
    readers.push(reader(
        IPFIX,
        "file",
        Some(format!("file:{}", file.display())),
        Box::new(move || Collector::read(&file)),
    ));
    let port = free_tcp_port();
    let listen = format!("tcp://127.0.0.1:{port}");
    let collector = Collector::start(&["--kubernetes", "off", "--listen", &listen]);
    readers.push(reader(
        IPFIX,
        "TCP",
        Some(listen),
        Box::new(move || collector.finish()),
    ));
    let (port, certificates) = (free_tcp_port(), Certificates::new());
    let listen = format!("tls://127.0.0.1:{port}?{}", certificates.of_server());
    let collector = Collector::start(&["--kubernetes", "off", "--listen", &listen]);
    readers.push(reader(
        IPFIX,
        "TLS",
        Some(format!(
            "tls://localhost:{port}?{}",
            certificates.of_client()
        )),
        Box::new(move || {
            drop(certificates);
            collector.finish()
        }),
    ));
    readers
}
