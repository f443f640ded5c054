//! Other exporters with the collector, which reads the same as nfdump: from the same datagrams,
//! except for softflowd's NetFlow v1.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use kipfix_tests::certificates::Certificates;
use kipfix_tests::collector::Collector;
use kipfix_tests::peers::{Nfcapd, Reading, Suite, missing};
use kipfix_tests::program::{self, eventually, free_tcp_port};
use kipfix_tests::sink::Sink;
use kipfix_tests::{take_turn, traffic};

use crate::judge::Sent;
use crate::page::{Row, Section, keep};
use crate::{IPFIX, NETFLOW_1, NETFLOW_5, NETFLOW_9, at_once};

/// What softflowd and pmacctd call the versions.
const VERSIONS: [(&str, &str); 3] = [(NETFLOW_5, "5"), (NETFLOW_9, "9"), (IPFIX, "10")];

/// An exporter that was tried.
pub(crate) struct Exporter {
    pub(crate) peer: &'static str,
    pub(crate) release: String,
}

impl Exporter {
    pub(crate) fn row(
        &self,
        version: &'static str,
        transport: &'static str,
        read: &Reading,
        sent: &Sent,
    ) -> Row {
        Row {
            peer: self.peer,
            version,
            transport,
            cells: sent.judge(read, version),
            release: self.release.clone(),
        }
    }
}

pub(crate) fn capture(folder: &Path) -> PathBuf {
    let path = folder.join("traffic.pcap");
    traffic::write(&path, 1500);
    path
}

/// The results of the collector and of nfcapd for the same datagrams.
pub(crate) fn read(datagrams: &[Vec<u8>]) -> (Reading, Sent) {
    assert!(!datagrams.is_empty());
    let (ours, nfcapd) = (Collector::start(&["--kubernetes", "off"]), Nfcapd::start());
    ours.receive(datagrams);
    nfcapd.receiver.receive(datagrams);
    let sent = Sent {
        all: nfcapd.finish().reading(),
        ipv4: None,
    };
    // The counted octets equal those sent: totals are not added to deltas. Sampled octets are
    // scaled.
    let mut counted = 0;
    let is_counted = || {
        counted = ours.scrape().sum("kipfix_packets_total", &[]);
        counted >= sent.all.totals.0
    };
    let is_counted = eventually(program::PATIENCE, is_counted);
    assert!(is_counted, "{counted} packets counted");
    (ours.finish(), sent)
}

/// softflowd reads a capture and exports it to a port of this host.
fn softflowd(
    suite: &Suite,
    (folder, capture): (&Path, &Path),
    (transport, version): (&str, &str),
    port: u16,
) {
    let mut command = suite.command("softflowd");
    command.args(["-v", version, "-P", transport, "-m", "100000", "-c", "none"]);
    command.arg("-n").arg(format!("127.0.0.1:{port}"));
    let own = |name: &str| folder.join(format!("{transport}-{version}.{name}"));
    command.arg("-p").arg(own("pid"));
    program::output(command.arg("-r").arg(capture));
}

#[test]
fn softflowd_is_read_as_it_sends() {
    if missing(&["softflowd", "nfcapd", "nfdump", "openssl"]) {
        return;
    }
    let _turn = take_turn();
    keep(
        Section::Collect,
        &of_softflowd("softflowd", &Suite::installed()),
    );
    if let Some(suite) = Suite::unstable() {
        let rows = of_softflowd("softflowd, Debian unstable", &suite);
        keep(Section::Collect, &rows);
    }
}

fn of_softflowd(peer: &'static str, suite: &Suite) -> Vec<Row> {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let capture = capture(folder);
    let exporter = Exporter {
        peer,
        release: suite.release("softflowd", "softflowd", "-h"),
    };
    let versions = VERSIONS.into_iter().chain([(NETFLOW_1, "1")]);
    let rows = at_once(versions, |(version, number)| {
        let sink = Sink::start();
        softflowd(suite, (folder, &capture), ("udp", number), sink.port);
        let (read, mut sent) = read(&sink.finish());
        if version == NETFLOW_1 {
            // softflowd sends up to 30 records a datagram, and nfcapd refuses those of more than 24. The flows are
            // those of its v5.
            let (sink, own) = (Sink::start(), tempfile::tempdir().unwrap());
            softflowd(suite, (own.path(), &capture), ("udp", "5"), sink.port);
            sent = self::read(&sink.finish()).1;
        }
        let mut rows = vec![exporter.row(version, "UDP", &read, &sent)];
        // softflowd sends the same content over all transports.
        if version == IPFIX {
            for (transport, read) in over_connections(suite, folder, &capture) {
                rows.push(exporter.row(version, transport, &read, &sent));
            }
        }
        rows
    });
    rows.into_iter().flatten().collect()
}

/// The results of the collector for softflowd's IPFIX over TCP, and over TLS by OpenSSL.
fn over_connections(suite: &Suite, folder: &Path, capture: &Path) -> Vec<(&'static str, Reading)> {
    let port = free_tcp_port();
    let tcp = connected(&format!("tcp://127.0.0.1:{port}"), || {
        softflowd(suite, (folder, capture), ("tcp", "10"), port);
    });
    let certificates = Certificates::new();
    let tls = |version| {
        let port = free_tcp_port();
        let query = certificates.of_server();
        let listen = format!("tls://127.0.0.1:{port}?{query}&client-name=probe");
        connected(&listen, || {
            through_openssl(&certificates, version, port, |plain| {
                softflowd(suite, (folder, capture), ("tcp", "10"), plain);
            });
        })
    };
    vec![
        ("TCP", tcp),
        ("TLS 1.2 (OpenSSL)", tls("-tls1_2")),
        ("TLS 1.3 (OpenSSL)", tls("-tls1_3")),
    ]
}

/// The result of the collector for one connection, which `export` opens and closes.
fn connected(listen: &str, export: impl FnOnce()) -> Reading {
    let ours = Collector::start(&["--kubernetes", "off", "--listen", listen]);
    export();
    ours.counts(
        "kipfix_collector_connections_closed_total",
        &["reason=\"closed\""],
        1,
    );
    ours.counts("kipfix_collector_unusable_total", &[], 0);
    ours.finish()
}

/// `export` sends to a port over TCP, and OpenSSL forwards the stream over TLS.
fn through_openssl(
    certificates: &Certificates,
    version: &str,
    port: u16,
    export: impl FnOnce(u16),
) {
    let between = TcpListener::bind("127.0.0.1:0").unwrap();
    let plain = between.local_addr().unwrap().port();
    let mut openssl = Command::new("openssl");
    // No commands within the stream, and its end closes the connection.
    openssl.args(["s_client", "-quiet", "-no_ign_eof", "-nocommands"]);
    openssl.args(["-verify_return_error", version, "-connect"]);
    openssl.arg(format!("127.0.0.1:{port}"));
    openssl.args(["-verify_hostname", "localhost"]);
    for (flag, file) in [
        ("-CAfile", "ca.crt"),
        ("-cert", "probe.crt"),
        ("-key", "probe.key"),
    ] {
        openssl.arg(flag).arg(certificates.path(file));
    }
    openssl.stdin(Stdio::piped());
    openssl.stdout(Stdio::null()).stderr(Stdio::null());
    let mut openssl = openssl.spawn().unwrap();
    let mut within = openssl.stdin.take().unwrap();
    let handing_on = thread::spawn(move || {
        let (mut exporter, _) = between.accept().unwrap();
        std::io::copy(&mut exporter, &mut within).unwrap();
    });
    export(plain);
    handing_on.join().unwrap();
    openssl.wait().unwrap();
}

#[test]
fn pmacctd_is_read_as_it_sends() {
    if missing(&["pmacctd", "nfcapd", "nfdump"]) {
        return;
    }
    let _turn = take_turn();
    keep(
        Section::Collect,
        &of_pmacctd("pmacct (pmacctd)", &Suite::installed()),
    );
    if let Some(suite) = Suite::unstable() {
        let rows = of_pmacctd("pmacct (pmacctd), Debian unstable", &suite);
        keep(Section::Collect, &rows);
    }
}

fn of_pmacctd(peer: &'static str, suite: &Suite) -> Vec<Row> {
    let folder = tempfile::tempdir().unwrap();
    let capture = capture(folder.path());
    let exporter = Exporter {
        peer,
        release: suite.release("pmacct", "pmacctd", "-V"),
    };
    at_once(VERSIONS, |(version, number)| {
        let sink = Sink::start();
        let settings = folder.path().join(format!("pmacctd-{number}.conf"));
        let lines = [
            "daemonize: false".to_owned(),
            format!("pcap_savefile: {}", capture.display()),
            "plugins: nfprobe".to_owned(),
            format!("nfprobe_receiver: 127.0.0.1:{}", sink.port),
            format!("nfprobe_version: {number}"),
            "nfprobe_timeouts: expint=3600".to_owned(),
        ];
        std::fs::write(&settings, lines.join("\n") + "\n").unwrap();
        let mut pmacctd = suite.command("pmacctd");
        pmacctd.arg("-f").arg(&settings);
        // It exits with 1 if it notices that its plugin has ended before it waits for that.
        program::ended(&mut pmacctd);
        let (read, sent) = read(&sink.finish());
        exporter.row(version, "UDP", &read, &sent)
    })
}
