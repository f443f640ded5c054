//! The readers of the export: other tools, libraries, and the collector.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use kipfix_tests::certificates::Certificates;
use kipfix_tests::collector::Collector;
use kipfix_tests::peers::{
    self, Fastnetmon, Goflow2, Ipfixcol2, Language, Libraries, Nfacctd, Nfcapd, Ra, Reading, Suite,
    missing,
};
use kipfix_tests::program::{PATIENCE, free_tcp_port};
use kipfix_tests::sink::StreamSink;

use crate::{IPFIX, NETFLOW_5, NETFLOW_9, udp_payloads};

/// The versions, and their names in the URL of a target.
pub(crate) const VERSIONS: [(&str, &str); 3] =
    [(IPFIX, "ipfix"), (NETFLOW_9, "9"), (NETFLOW_5, "5")];

/// A reader of the export.
pub(crate) struct Reader {
    pub(crate) peer: &'static str,
    pub(crate) release: String,
    pub(crate) version: &'static str,
    pub(crate) transport: &'static str,
    /// The export target of the probe, if no other process listens.
    pub(crate) target: Option<String>,
    pub(crate) finish: Box<dyn FnOnce() -> Reading + Send>,
}

/// IPFIX with registered elements only.
const REGISTERED: &str = "IPFIX, `profile=registered`";

/// The exports that are captured.
pub(crate) const EXPORTS: [&str; 4] = [IPFIX, NETFLOW_9, NETFLOW_5, REGISTERED];

/// The export target for a version and a port.
pub(crate) fn udp(version: &str, port: u16) -> Option<String> {
    if version == REGISTERED {
        let target = udp(IPFIX, port)?;
        return Some(target + "&profile=registered");
    }
    let (_, number) = VERSIONS.into_iter().find(|(name, _)| *name == version)?;
    // A rate that a collector can follow, also on a busy machine.
    Some(format!("udp://127.0.0.1:{port}?version={number}&rate=5000"))
}

/// Starts all readers that can run on this machine. Sinks write the captures of `folder` before
/// they are read. Programs that receive UDP get the datagrams of the captures as fast as they read:
/// their socket buffers may be small.
pub(crate) fn all(folder: &Path, times: &Times) -> Vec<Reader> {
    let versions = VERSIONS.map(|(version, _)| version);
    let mut readers = ours(folder);
    let installed = Suite::installed();
    if !missing(&["nfcapd", "nfdump"]) {
        let of_nfcapd = |version| nfcapd("nfdump", &installed, version, folder, Some(times));
        readers.extend(versions.map(of_nfcapd));
    }
    if !missing(&["tshark"]) {
        readers.extend(versions.map(|version| tshark(version, folder)));
    }
    if !missing(&["ipfixDump"]) {
        readers.extend(ipfix_dump(folder));
    }
    if let Some(program) = Goflow2::program() {
        readers.extend(versions.map(|version| goflow2(version, folder, &program)));
    }
    if !missing(&["nfacctd"]) {
        let peer = "pmacct (nfacctd)";
        readers.extend(versions.map(|version| nfacctd(peer, &installed, version, folder)));
    }
    if let Some(unstable) = Suite::unstable() {
        let peer = "nfdump, Debian unstable";
        readers.extend(versions.map(|version| nfcapd(peer, &unstable, version, folder, None)));
        let peer = "pmacct (nfacctd), Debian unstable";
        readers.extend(versions.map(|version| nfacctd(peer, &unstable, version, folder)));
        readers.extend(versions.map(|version| ipfixcol2(&unstable, version, folder)));
    }
    if let Some(libraries) = Libraries::of(Language::Python) {
        let netflow = ("netflow (PyPI)", "netflow");
        let of_netflow = |version| library(&libraries, netflow, version, folder);
        readers.extend([REGISTERED, NETFLOW_9, NETFLOW_5].map(of_netflow));
        let netflume = ("netflume (PyPI)", "netflume");
        readers.extend(versions.map(|version| library(&libraries, netflume, version, folder)));
        let ipfix = ("ipfix (PyPI)", "ipfix");
        readers.push(library(&libraries, ipfix, IPFIX, folder));
    }
    if let Some(libraries) = Libraries::of(Language::Node) {
        let node = ("node-netflowv9 (npm)", "node-netflowv9");
        let of_node = |version| library(&libraries, node, version, folder);
        readers.extend([NETFLOW_9, NETFLOW_5].map(of_node));
    }
    if !missing(&["ra"]) {
        readers.extend([NETFLOW_9, NETFLOW_5].map(|version| ra(version, folder)));
    }
    if !missing(&["fastnetmon"]) {
        readers.extend(versions.map(|version| fastnetmon(version, folder)));
    }
    readers
}

/// The capture of what a sink received in a version.
pub(crate) fn capture_of(folder: &Path, version: &str) -> PathBuf {
    folder.join(format!("{version}.pcap"))
}

/// Start and end of flows, as nfdump shows them, by version.
#[derive(Clone, Default)]
pub(crate) struct Times(Arc<Mutex<BTreeMap<&'static str, BTreeSet<String>>>>);

impl Times {
    /// Panics if a version has other times than IPFIX.
    pub(crate) fn assert_same(&self) {
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

fn nfcapd(
    peer: &'static str,
    suite: &Suite,
    version: &'static str,
    folder: &Path,
    times: Option<&Times>,
) -> Reader {
    let (nfcapd, times) = (Nfcapd::of(suite.clone()), times.cloned());
    let capture = capture_of(folder, version);
    Reader {
        peer,
        release: suite.release("nfdump", "nfcapd", "-V"),
        version,
        transport: "UDP",
        target: None,
        finish: Box::new(move || {
            nfcapd.receiver.receive(&udp_payloads(&capture, 4739));
            let stored = nfcapd.finish();
            if let Some(times) = times {
                let lines = stored.lines("%sa %da %sp %dp %pr %pkt %byt %tsr %ter");
                times.0.lock().unwrap().insert(version, lines);
            }
            stored.reading()
        }),
    }
}

fn nfacctd(peer: &'static str, suite: &Suite, version: &'static str, folder: &Path) -> Reader {
    let (nfacctd, capture) = (Nfacctd::of(suite, &[]), capture_of(folder, version));
    Reader {
        peer,
        release: suite.release("pmacct", "nfacctd", "-V"),
        version,
        transport: "UDP",
        target: None,
        finish: Box::new(move || {
            nfacctd.receiver.receive(&udp_payloads(&capture, 4739));
            nfacctd.finish()
        }),
    }
}

fn ipfixcol2(suite: &Suite, version: &'static str, folder: &Path) -> Reader {
    let (ipfixcol2, capture) = (Ipfixcol2::of(suite), capture_of(folder, version));
    Reader {
        peer: "ipfixcol2",
        release: suite.release("ipfixcol2", "ipfixcol2", "-V"),
        version,
        transport: "UDP",
        target: None,
        finish: Box::new(move || {
            ipfixcol2.receiver.receive(&udp_payloads(&capture, 4739));
            ipfixcol2.finish()
        }),
    }
}

fn ra(version: &'static str, folder: &Path) -> Reader {
    let (ra, capture) = (Ra::start(), capture_of(folder, version));
    Reader {
        peer: "argus (ra)",
        release: peers::version("ra", "-h"),
        version,
        transport: "UDP",
        target: None,
        finish: Box::new(move || {
            ra.receiver.receive(&udp_payloads(&capture, 4739));
            ra.finish()
        }),
    }
}

fn fastnetmon(version: &'static str, folder: &Path) -> Reader {
    let (fastnetmon, capture) = (Fastnetmon::start(), capture_of(folder, version));
    Reader {
        peer: "fastnetmon",
        release: peers::version("fastnetmon", "--version"),
        version,
        transport: "UDP",
        target: None,
        finish: Box::new(move || {
            fastnetmon.receiver.receive(&udp_payloads(&capture, 4739));
            fastnetmon.finish()
        }),
    }
}

/// A library reads the datagrams of a sink.
fn library(
    libraries: &Libraries,
    (peer, library): (&'static str, &'static str),
    version: &'static str,
    folder: &Path,
) -> Reader {
    let (libraries, capture) = (libraries.clone(), capture_of(folder, version));
    Reader {
        peer,
        release: libraries.release(library),
        version,
        transport: "UDP",
        target: None,
        finish: Box::new(move || libraries.read(library, &capture)),
    }
}

/// goflow2 receives the datagrams of a sink: the numbers that it reports are compared with those.
fn goflow2(version: &'static str, folder: &Path, program: &PathBuf) -> Reader {
    let (goflow2, capture) = (Goflow2::start(program), capture_of(folder, version));
    Reader {
        peer: "goflow2",
        release: peers::version(program.to_str().unwrap(), "-v"),
        version,
        transport: "UDP",
        target: None,
        finish: Box::new(move || {
            goflow2.receiver.receive(&udp_payloads(&capture, 4739));
            goflow2.finish()
        }),
    }
}

/// tshark reads the datagrams of a sink.
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

/// ipfixDump reads a file, the stream of a TCP connection, and the one that OpenSSL decrypts.
fn ipfix_dump(folder: &Path) -> Vec<Reader> {
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
    if !missing(&["openssl"]) {
        let certificates = Certificates::new();
        let (port, decrypted) = (free_tcp_port(), folder.join("decrypted.ipfix"));
        let server = peers::openssl(&certificates, port, &[], &decrypted);
        readers.push(reader(
            "TLS (OpenSSL)",
            format!("tls://localhost:{port}?{}", certificates.of_client()),
            Box::new(move || {
                server.wait(PATIENCE);
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
    for version in EXPORTS {
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
