//! Connections: bounded, read by turns, closed with a reason that is counted; TLS with real
//! certificates.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "test code"
)]

mod program;

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use program::{Running, messages};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use socket2::{Domain, Socket, Type};

impl Running {
    fn connect(&self) -> TcpStream {
        TcpStream::connect(self.listen[0]).unwrap()
    }

    /// Connects from an address of the loopback network.
    fn connect_from(&self, address: [u8; 4]) -> TcpStream {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((address, 0)).into()).unwrap();
        socket.connect(&self.listen[0].into()).unwrap();
        patient(socket.into())
    }

    /// Self-metrics that are not 0, by name and labels as they are written, without the prefix.
    fn metrics(&self) -> BTreeMap<String, u64> {
        let answer = self.get("/metrics", "");
        let lines = answer.lines().filter_map(|line| {
            let (name, value) = line.strip_prefix("kipfix_collector_")?.rsplit_once(' ')?;
            let value = value.parse::<u64>().ok().filter(|value| *value > 0)?;
            Some((name.to_owned(), value))
        });
        lines.collect()
    }

    /// Waits until the metrics are these; connections add up in every scrape.
    fn eventually(&self, wanted: &[(&str, u64)]) -> BTreeMap<String, u64> {
        let mut metrics = BTreeMap::new();
        for _ in 0..1500 {
            metrics = self.metrics();
            let sum = |prefix: &str| -> u64 {
                let all = metrics.iter().filter(|(name, _)| name.starts_with(prefix));
                all.map(|(_, value)| value).sum()
            };
            let (accepted, open) = (
                sum("connections_accepted_total"),
                metrics.get("connections"),
            );
            let gone = sum("connections_refused_total") + sum("connections_closed_total");
            assert_eq!(accepted, open.copied().unwrap_or(0) + gone, "{metrics:#?}");
            let is =
                |(name, value): &(&str, u64)| metrics.get(*name).copied().unwrap_or(0) == *value;
            if wanted.iter().all(is) {
                return metrics;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("never {wanted:?}: {metrics:#?}");
    }
}

/// Whether the other side closed the connection, within some seconds.
fn is_closed(stream: &mut impl Read) -> bool {
    // An alert of TLS may come before.
    match stream.read_to_end(&mut Vec::new()) {
        Ok(_) => true,
        Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
    }
}

fn patient(stream: TcpStream) -> TcpStream {
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    stream
}

#[test]
fn messages_over_a_connection_are_counted_however_they_are_cut() {
    let collector = Running::start(&["--listen", "tcp://127.0.0.1:0"]);
    let stream = messages(2000).concat();
    for piece in [1, 1000, 70_000] {
        let mut connection = collector.connect();
        for octets in stream.chunks(piece) {
            connection.write_all(octets).unwrap();
        }
    }
    let metrics = collector.eventually(&[
        ("records_total", 6000),
        ("connections_closed_total{reason=\"closed\"}", 3),
    ]);
    assert_eq!(
        metrics.get("received_bytes_total"),
        Some(&(stream.len() as u64 * 3))
    );
    assert_eq!(metrics.get("sequence_lost_total"), None);
    // Their templates and domains are removed with them.
    assert_eq!(metrics.get("templates"), None);
    assert_eq!(metrics.get("domains"), None);
    assert_eq!(collector.stop(), Some(0));
}

#[test]
fn a_protocol_error_closes_its_connection_with_a_reason() {
    let collector = Running::start(&["--listen", "tcp://127.0.0.1:0", "--read-timeout", "1s"]);
    let whole = messages(10);
    let mut past_the_end = whole[0].clone();
    past_the_end[18..20].copy_from_slice(&[0xff, 0xff]);
    let cases: [(&str, Vec<u8>); 5] = [
        ("not_ipfix", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        ("not_ipfix", [whole.concat(), vec![0, 5, 0, 1]].concat()),
        ("malformed", [0, 10, 0, 15, 0, 0].to_vec()),
        ("malformed", past_the_end),
        ("message_timeout", whole[0][..100].to_vec()),
    ];
    let mut expected = BTreeMap::new();
    for (reason, octets) in cases {
        let mut connection = patient(collector.connect());
        connection.write_all(&octets).unwrap();
        assert!(is_closed(&mut connection), "{reason}");
        *expected.entry(reason).or_insert(0) += 1;
    }
    // In the middle of a Message, and with a reset.
    let mut connection = collector.connect();
    connection.write_all(&whole[0][..100]).unwrap();
    drop(connection);
    for (reason, count) in expected {
        collector.eventually(&[(
            &format!("connections_closed_total{{reason=\"{reason}\"}}"),
            count,
        )]);
    }
    let metrics = collector.eventually(&[("connections_closed_total{reason=\"truncated\"}", 1)]);
    assert_eq!(
        metrics.get("unusable_total{reason=\"set_length\"}"),
        Some(&1)
    );
    assert_eq!(metrics.get("records_total"), Some(&10));
}

#[test]
fn slow_and_hostile_peers_do_not_delay_others() {
    let arguments = ["--listen", "tcp://127.0.0.1:0", "--max-connections", "300"];
    let bounds = [
        "--max-connections-per-address",
        "300",
        "--read-timeout",
        "60s",
    ];
    let collector = Running::start(&[&arguments[..], &bounds].concat());
    let whole = messages(3000).concat();
    // A length that is never filled, and one octet at a time.
    let mut hostile = Vec::new();
    for _ in 0..50 {
        let mut connection = collector.connect();
        connection.write_all(&[0, 10, 255, 255]).unwrap();
        connection.write_all(&[0; 30_000]).unwrap();
        hostile.push(connection);
    }
    let mut slow = collector.connect();
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (stopped, slowly) = (Arc::clone(&stop), whole.clone());
    let slow = std::thread::spawn(move || {
        let mut sent = 0;
        for octet in slowly.chunks(1) {
            if stopped.load(std::sync::atomic::Ordering::Relaxed) || slow.write_all(octet).is_err()
            {
                break;
            }
            sent += 1;
            std::thread::sleep(Duration::from_millis(5));
        }
        sent
    });
    // A thousand idle connections: the oldest are closed.
    let mut idle: Vec<TcpStream> = (0..1000).map(|_| collector.connect()).collect();
    let began = kipfix_collector::clock::monotonic();
    let mut good = collector.connect();
    good.write_all(&whole).unwrap();
    let metrics = collector.eventually(&[("records_total", 3000)]);
    // Much less than the timeout of the reads that do not end.
    assert!(
        began.elapsed() < Duration::from_secs(30),
        "{:?}",
        began.elapsed()
    );
    assert!(metrics["connections"] <= 300, "{metrics:#?}");
    // The first idle ones are closed. The one that sent Messages stays.
    assert!(is_closed(&mut idle[0]));
    good.write_all(&messages(10).concat()).unwrap();
    collector.eventually(&[("records_total", 3010)]);
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(slow.join().unwrap() > 0);
    let status = std::fs::read_to_string(format!("/proc/{}/status", collector.child.id())).unwrap();
    let peak = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .unwrap();
    let kib: u64 = peak.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(kib < 400_000, "{peak}");
    drop((hostile, idle));
}

#[test]
fn connections_with_messages_are_not_displaced() {
    let arguments = [
        "--listen",
        "tcp://127.0.0.1:0",
        "--max-connections-per-address",
        "2",
    ];
    let collector = Running::start(&arguments);
    let mut good: Vec<TcpStream> = (0..2).map(|_| patient(collector.connect())).collect();
    for (at, connection) in good.iter_mut().enumerate() {
        connection.write_all(&messages(5).concat()).unwrap();
        collector.eventually(&[("records_total", (at as u64 + 1) * 5)]);
    }
    assert!(is_closed(&mut patient(collector.connect())));
    collector.eventually(&[(
        "connections_refused_total{reason=\"too_many_per_address\"}",
        1,
    )]);
    drop(good.pop());
    collector.eventually(&[("connections", 1)]);
    let mut third = collector.connect();
    third.write_all(&messages(5).concat()).unwrap();
    collector.eventually(&[("records_total", 15), ("connections", 2)]);
}

#[test]
fn an_address_with_many_connections_does_not_keep_others_out() {
    let arguments = ["--listen", "tcp://127.0.0.1:0", "--max-connections", "4"];
    let collector = Running::start(&arguments);
    let mut records = 0;
    let mut connect_from = |address: [u8; 4]| {
        let mut connection = collector.connect_from(address);
        connection.write_all(&messages(5).concat()).unwrap();
        records += 5;
        collector.eventually(&[("records_total", records)]);
        connection
    };
    let mut many: Vec<TcpStream> = (0..4).map(|_| connect_from([127, 0, 0, 2])).collect();
    let _others: Vec<TcpStream> = (0..2).map(|_| connect_from([127, 0, 0, 3])).collect();
    let displaced = "connections_closed_total{reason=\"displaced\"}";
    collector.eventually(&[("connections", 4), (displaced, 2)]);
    assert!(is_closed(&mut many[0]));
    assert!(is_closed(&mut many[1]));
    // Both addresses have the same share.
    assert!(is_closed(&mut collector.connect_from([127, 0, 0, 3])));
    let refused = "connections_refused_total{reason=\"too_many\"}";
    collector.eventually(&[("connections", 4), (displaced, 2), (refused, 1)]);
}

#[test]
fn a_connection_without_a_message_is_closed() {
    let arguments = ["--listen", "tcp://127.0.0.1:0", "--connection-idle", "1s"];
    let collector = Running::start(&arguments);
    let mut connection = patient(collector.connect());
    connection.write_all(&messages(5).concat()).unwrap();
    assert!(is_closed(&mut connection));
    collector.eventually(&[
        ("connections_closed_total{reason=\"idle\"}", 1),
        ("records_total", 5),
    ]);
}

#[test]
fn exporters_that_are_not_allowed_are_refused_and_counted() {
    let listen = ["--listen", "tcp://127.0.0.1:0", "--listen", "udp://[::]:0"];
    let allow = [
        "--allow-exporters",
        "127.0.0.0/30",
        "--allow-exporters",
        "2001:db8::/32",
    ];
    let collector = Running::start(&[&listen[..], &allow].concat());
    let port = collector.listen[1].port();
    for address in ["127.0.0.1", "127.0.0.9"] {
        let exporter = UdpSocket::bind((address, 0)).unwrap();
        for message in messages(10) {
            exporter.send_to(&message, ("127.0.0.1", port)).unwrap();
        }
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let from: SocketAddr = format!("{address}:0").parse().unwrap();
        socket.bind(&from.into()).unwrap();
        socket.connect(&collector.listen[0].into()).unwrap();
        let mut stream: TcpStream = socket.into();
        // Refused, it may be closed before anything is written.
        stream.write_all(&messages(7).concat()).ok();
    }
    let sent = messages(10).len() as u64;
    let metrics = collector.eventually(&[
        ("records_total", 17),
        ("datagrams_refused_total{reason=\"not_allowed\"}", sent),
        ("connections_refused_total{reason=\"not_allowed\"}", 1),
    ]);
    assert_eq!(metrics.get("datagrams_total"), Some(&sent));
}

#[test]
fn messages_received_before_the_stop_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("flows.json");
    let target = format!("file:{}", log.display());
    let collector = Running::start(&["--listen", "tcp://127.0.0.1:0", "--flow-log", &target]);
    let mut connections: Vec<TcpStream> = (0..8).map(|_| collector.connect()).collect();
    let whole = messages(500).concat();
    for connection in &mut connections {
        connection.write_all(&whole).unwrap();
    }
    assert_eq!(collector.stop(), Some(0));
    let lines = std::fs::read_to_string(log).unwrap();
    assert_eq!(lines.lines().count(), 8 * 500);
}

#[test]
fn an_exporter_may_send_its_remaining_messages_after_the_stop() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("flows.json");
    let target = format!("file:{}", log.display());
    let collector = Running::start(&["--listen", "tcp://127.0.0.1:0", "--flow-log", &target]);
    let mut connection = collector.connect();
    let all = messages(500);
    let (first, rest) = all.split_at(all.len() / 2);
    connection.write_all(&first.concat()).unwrap();
    let stopping = std::thread::spawn(move || collector.stop());
    // The collector has closed its direction of the connection, the exporter has not.
    assert_eq!(connection.read(&mut [0; 1]).unwrap(), 0);
    connection.write_all(&rest.concat()).unwrap();
    drop(connection);
    assert_eq!(stopping.join().unwrap(), Some(0));
    assert_eq!(std::fs::read_to_string(log).unwrap().lines().count(), 500);
}

#[test]
fn an_exporter_killed_under_load_loses_only_what_it_had_not_sent() {
    let collector = Running::start(&["--listen", "tcp://127.0.0.1:0"]);
    let mut sent = 0;
    for round in 0..5_u32 {
        let all = messages(4000);
        let mut connection = collector.connect();
        for message in &all {
            connection.write_all(message).unwrap();
        }
        sent += 4000;
        // Dies in the middle of its next Message.
        let begun = &messages(50 + round)[0];
        connection.write_all(&begun[..begun.len() - 7]).unwrap();
    }
    let metrics = collector.eventually(&[("connections_closed_total{reason=\"truncated\"}", 5)]);
    assert_eq!(metrics.get("records_total"), Some(&sent));
    assert_eq!(metrics.get("sequence_lost_total"), None);
    assert!(
        metrics
            .keys()
            .all(|name| !name.starts_with("unusable_total")),
        "{metrics:#?}"
    );
}

//------------ TLS -------------------------------------------------------------------------------

/// A CA and what it signs.
struct Ca {
    params: CertificateParams,
    key: KeyPair,
    pem: String,
}

impl Ca {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { params, key, pem }
    }

    /// A certificate for `name`, valid until the end of `year`: certificate and key as PEM.
    fn sign(&self, name: &str, year: i32) -> (String, String) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(year, 12, 31);
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let key = KeyPair::generate().unwrap();
        let issuer = Issuer::from_params(&self.params, &self.key);
        let certificate = params.signed_by(&key, &issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}

const LATER: i32 = 2040;
const PAST: i32 = 2021;

/// A folder with the collector's files.
struct Files(tempfile::TempDir);

impl Files {
    fn new(ours: &Ca, clients: &Ca) -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        files.put("ca.crt", &clients.pem);
        files.put_certificate(&ours.sign("localhost", LATER));
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn put(&self, name: &str, text: &str) {
        // As a mounted secret changes: the name leads to another file at once.
        let new = self.path("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, self.path(name)).unwrap();
    }

    fn put_certificate(&self, (certificate, key): &(String, String)) {
        self.put("tls.key", key);
        self.put("tls.crt", certificate);
    }

    fn url(&self, more: &str) -> String {
        let folder = self.0.path().display();
        format!("tls://127.0.0.1:0?cert={folder}/tls.crt&key={folder}/tls.key{more}")
    }

    fn mutual(&self) -> String {
        self.url(&format!("&client-ca={}", self.path("ca.crt").display()))
    }
}

/// An exporter over TLS: who it trusts, what it shows, whom it expects.
struct Client<'a> {
    trusts: &'a Ca,
    shows: Option<(String, String)>,
    expects: &'static str,
    version: &'static rustls::SupportedProtocolVersion,
}

impl Client<'_> {
    /// Connects, sends and waits for the other side to close or the records to be counted.
    fn send(
        &self,
        collector: &Running,
        octets: &[u8],
    ) -> std::io::Result<StreamOwned<ClientConnection, TcpStream>> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(self.trusts.pem.as_bytes()).unwrap())
            .unwrap();
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[self.version])
            .unwrap()
            .with_root_certificates(roots);
        let config = match &self.shows {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => builder
                .with_client_auth_cert(
                    vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
                    PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
                )
                .unwrap(),
        };
        let name = ServerName::try_from(self.expects).unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut stream = StreamOwned::new(connection, patient(collector.connect()));
        stream.write_all(octets)?;
        stream.flush()?;
        Ok(stream)
    }
}

#[test]
fn exporters_with_a_certificate_of_our_ca_are_read_over_both_versions_of_tls() {
    let (ours, clients) = (Ca::new("ours"), Ca::new("clients"));
    let files = Files::new(&ours, &clients);
    let collector = Running::start(&["--listen", &files.mutual()]);
    for (at, version) in [&rustls::version::TLS12, &rustls::version::TLS13]
        .into_iter()
        .enumerate()
    {
        let client = Client {
            trusts: &ours,
            shows: Some(clients.sign("probe", LATER)),
            expects: "localhost",
            version,
        };
        let mut stream = client.send(&collector, &messages(3000).concat()).unwrap();
        stream.conn.send_close_notify();
        stream.flush().unwrap();
        let records = 3000 * (at as u64 + 1);
        collector.eventually(&[
            ("records_total", records),
            ("connections_closed_total{reason=\"closed\"}", at as u64 + 1),
        ]);
    }
    assert_eq!(collector.stop(), Some(0));
}

#[test]
fn unauthorized_exporters_are_refused_with_a_reason_before_decoding() {
    let (ours, clients, others) = (Ca::new("ours"), Ca::new("clients"), Ca::new("others"));
    let files = Files::new(&ours, &clients);
    let url = format!("{}&client-name=probe.example", files.mutual());
    let collector = Running::start(&["--listen", &url, "--read-timeout", "1s"]);
    let (good, version) = (
        Some(clients.sign("probe.example", LATER)),
        &rustls::version::TLS13,
    );
    let trusted = |shows| Client {
        trusts: &ours,
        shows,
        expects: "localhost",
        version,
    };
    let cases = [
        ("no_certificate", trusted(None)),
        (
            "unknown_ca",
            trusted(Some(others.sign("probe.example", LATER))),
        ),
        (
            "expired",
            trusted(Some(clients.sign("probe.example", PAST))),
        ),
        ("name", trusted(Some(clients.sign("other.example", LATER)))),
        (
            "refused_by_exporter",
            Client {
                trusts: &others,
                ..trusted(good.clone())
            },
        ),
        (
            "refused_by_exporter",
            Client {
                expects: "collector.example",
                ..trusted(good.clone())
            },
        ),
    ];
    let octets = messages(100).concat();
    let mut expected = BTreeMap::new();
    for (reason, client) in &cases {
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            let client = Client {
                shows: client.shows.clone(),
                version,
                ..*client
            };
            // Refused at once, or at the first look for an answer.
            let closed = match client.send(&collector, &octets) {
                Ok(mut stream) => is_closed(&mut stream),
                Err(_) => true,
            };
            assert!(closed, "{reason}");
            *expected.entry(*reason).or_insert(0) += 1;
        }
    }
    // No TLS at all, and nothing at all.
    let mut plain = patient(collector.connect());
    plain.write_all(&octets).unwrap();
    assert!(is_closed(&mut plain));
    expected.insert("not_tls", 1);
    assert!(is_closed(&mut patient(collector.connect())));
    expected.insert("handshake_timeout", 1);
    for (reason, count) in expected {
        collector.eventually(&[(
            &format!("connections_refused_total{{reason=\"{reason}\"}}"),
            count,
        )]);
    }
    let metrics = collector.metrics();
    for name in [
        "records_total",
        "received_bytes_total",
        "templates_read_total",
    ] {
        assert_eq!(metrics.get(name), None, "{metrics:#?}");
    }
    // Who has the right still can.
    let _stream = trusted(good).send(&collector, &octets).unwrap();
    collector.eventually(&[("records_total", 100)]);
}

#[test]
fn changed_certificates_apply_to_new_connections_and_bad_ones_are_ignored() {
    let (ours, clients) = (Ca::new("ours"), Ca::new("clients"));
    let files = Files::new(&ours, &clients);
    let collector = Running::start(&["--listen", &files.mutual()]);
    let client = |trusts| Client {
        trusts,
        shows: Some(clients.sign("probe", LATER)),
        expects: "localhost",
        version: &rustls::version::TLS13,
    };
    let mut first = client(&ours)
        .send(&collector, &messages(10).concat())
        .unwrap();
    collector.eventually(&[
        ("records_total", 10),
        ("certificate_loads_total{result=\"ok\"}", 1),
    ]);
    // Another CA signs the new one; the connection that is open stays.
    let newer = Ca::new("newer");
    files.put_certificate(&newer.sign("localhost", LATER));
    std::thread::sleep(Duration::from_millis(1100));
    let second = client(&newer)
        .send(&collector, &messages(10).concat())
        .unwrap();
    let metrics = collector.eventually(&[("records_total", 20)]);
    assert!(
        metrics["certificate_loads_total{result=\"ok\"}"] >= 2,
        "{metrics:#?}"
    );
    first.write_all(&messages(10).concat()).unwrap();
    first.flush().unwrap();
    collector.eventually(&[("records_total", 30)]);
    // What cannot be used changes nothing but a counter.
    files.put("tls.crt", "no certificate\n");
    std::thread::sleep(Duration::from_millis(1100));
    let _third = client(&newer)
        .send(&collector, &messages(10).concat())
        .unwrap();
    collector.eventually(&[
        ("records_total", 40),
        ("certificate_loads_total{result=\"failed\"}", 1),
    ]);
    drop(second);
}

#[test]
fn without_a_client_ca_any_exporter_may_send_within_tls() {
    let (ours, clients) = (Ca::new("ours"), Ca::new("clients"));
    let files = Files::new(&ours, &clients);
    let collector = Running::start(&["--listen", &files.url("")]);
    let client = Client {
        trusts: &ours,
        shows: None,
        expects: "localhost",
        version: &rustls::version::TLS13,
    };
    let _stream = client.send(&collector, &messages(10).concat()).unwrap();
    collector.eventually(&[("records_total", 10)]);
}

#[test]
fn files_that_cannot_be_used_are_refused_at_the_start() {
    let (ours, clients) = (Ca::new("ours"), Ca::new("clients"));
    let refused = |url: &str, word: &str| {
        let mut command = program::program();
        command.args([
            "--kubernetes",
            "off",
            "--http",
            "127.0.0.1:0",
            "--listen",
            url,
        ]);
        let output = command.output().unwrap();
        let printed = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(64), "{printed}");
        assert!(
            printed.contains("listen") && printed.contains(word),
            "{printed}"
        );
    };
    let break_file = |name: &str| {
        let files = Files::new(&ours, &clients);
        files.put(name, "nothing of use\n");
        refused(&files.mutual(), name);
    };
    ["tls.crt", "tls.key", "ca.crt"]
        .iter()
        .for_each(|name| break_file(name));
    let files = Files::new(&ours, &clients);
    files.put("tls.key", &clients.sign("localhost", LATER).1);
    refused(&files.mutual(), "tls.key");
    refused(
        "tls://127.0.0.1:0?cert=/no/such.crt&key=/no/such.key",
        "/no/such.crt",
    );
    let absent = Path::new("/no/such");
    assert!(!absent.exists());
}
