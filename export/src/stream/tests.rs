//! Stream targets against servers of the test: delivery, losses, refusals.

mod shutdown;

use std::io::Read as _;
use std::os::fd::AsRawFd as _;
use std::sync::Arc;

use nix::sys::socket::{MsgFlags, recv};

use super::*;
use crate::counters::{ConnectionFailure, TargetCounters};
use crate::names::TargetName;
use crate::queued::{OverflowPolicy, QueuedExporter};
use crate::shutdown::ShutdownDeadline;
use crate::test_encoding::Plain;
use flowproto::FlowRecord;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection};
use socket2::{Domain, Socket, Type};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

fn exporter(port: u16, host: &str, credentials: Option<Credentials>) -> StreamExporter<Plain> {
    let settings = StreamSettings {
        credentials,
        records_per_second: 0,
        offline: false,
    };
    let destination = Destination {
        name: TargetName::fixed(host, ([127, 0, 0, 1], port).into()),
        deadline: ShutdownDeadline::default(),
        own_endpoints: Arc::default(),
        counters: TargetCounters::for_tests(),
    };
    StreamExporter::new(destination, Plain, settings)
}

/// The sequence number and the octets of every complete IPFIX Message in a stream.
fn messages(mut stream: &[u8]) -> Vec<(u32, Vec<u8>)> {
    let mut messages = Vec::new();
    while let Some(head) = stream.get(..16) {
        assert_eq!(head[..2], [0, 10], "start of a Message");
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let Some(message) = stream.get(..length) else {
            break;
        };
        let sequence = u32::from_be_bytes(head[8..12].try_into().unwrap());
        messages.push((sequence, message.to_vec()));
        stream = &stream[length..];
    }
    messages
}

/// Returns the number of flow records in a stream of Messages.
fn records(stream: &[u8]) -> u64 {
    struct Count(u64);
    impl flowproto::collector::RecordSink for Count {
        fn message(&mut self, _: &flowproto::collector::Message<'_>) {}
        fn record(
            &mut self,
            _: &flowproto::collector::Message<'_>,
            _: &FlowRecord,
            _: flowproto::collector::Fields<'_>,
        ) {
            self.0 += 1;
        }
    }
    let mut process = flowproto::collector::CollectingProcess::new(Default::default());
    let mut count = Count(0);
    for (_, message) in messages(stream) {
        process.receive("192.0.2.1:1".parse().unwrap(), &message, 0, &mut count);
    }
    process.expire(u64::MAX);
    assert_eq!(process.counters().sequence.gaps, 0);
    assert_eq!(process.counters().unusable.total(), 0);
    count.0
}

#[test]
fn every_connection_starts_with_templates_and_sequence_0_and_ends_with_withdrawals() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut target = exporter(listener.local_addr().unwrap().port(), "127.0.0.1", None);
    let counters = target.dialer.destination.counters.clone();
    target.export(&vec![FlowRecord::default(); 500], 1000);
    let (mut first, _) = listener.accept().unwrap();
    let reader = std::thread::spawn(move || {
        let mut taken = vec![0; 20_000];
        first.read_exact(&mut taken).unwrap();
        taken
    });
    let taken = reader.join().unwrap();
    let sequences: Vec<u32> = messages(&taken).iter().map(|(s, _)| *s).collect();
    assert_eq!(sequences[0], 0);
    assert!(sequences.is_sorted(), "{sequences:?}");
    // The other side has closed: the next records take a new connection.
    let reader = std::thread::spawn(move || {
        let mut taken = Vec::new();
        listener
            .accept()
            .unwrap()
            .0
            .read_to_end(&mut taken)
            .unwrap();
        taken
    });
    let start = monotonic();
    while target.connection.as_mut().unwrap().poll_peer().is_ok() {
        assert!(start.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(1));
    }
    target.export(&vec![FlowRecord::default(); 500], 2000);
    target.finish(2000);
    let taken = reader.join().unwrap();
    assert_eq!(records(&taken), 500);
    let messages = messages(&taken);
    assert_eq!((messages[0].0, &messages[0].1[16..18]), (0, &[0, 2][..]));
    // The last counts, All Templates Withdrawal, All Options Templates Withdrawal (RFC 7011 §8.1).
    let end = &messages.last().unwrap().1;
    assert_eq!(end[16..20], [2, 8, 0, 56]);
    let withdrawals = [0, 2, 0, 8, 0, 2, 0, 0, 0, 3, 0, 8, 0, 3, 0, 0];
    assert!(end.ends_with(&withdrawals), "{end:?}");
    let lost = counters.lost_for(LossReason::ConnectionLost);
    assert_eq!(counters.sent() + lost, 1000);
    assert!(lost <= 500);
    assert_eq!(counters.failures_for(ConnectionFailure::Closed), 1);
}

#[test]
fn a_peer_that_closes_its_direction_and_reads_on_receives_everything() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut target = exporter(listener.local_addr().unwrap().port(), "127.0.0.1", None);
    let counters = target.dialer.destination.counters.clone();
    // The last records are in a Message that is not full.
    target.export(&vec![FlowRecord::default(); 500], 1000);
    let (first, _) = listener.accept().unwrap();
    first.shutdown(std::net::Shutdown::Write).unwrap();
    let read_to_end = |mut socket: TcpStream| {
        std::thread::spawn(move || {
            let mut taken = Vec::new();
            socket.read_to_end(&mut taken).unwrap();
            taken
        })
    };
    let reader = read_to_end(first.try_clone().unwrap());
    let start = monotonic();
    while target.connection.as_mut().unwrap().poll_peer().is_ok() {
        assert!(start.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(1));
    }
    target.export(&vec![FlowRecord::default(); 3], 2000);
    let second = read_to_end(listener.accept().unwrap().0);
    target.finish(2000);
    assert_eq!(records(&reader.join().unwrap()), 500);
    assert_eq!(records(&second.join().unwrap()), 3);
    assert_eq!((counters.sent(), counters.total_lost()), (503, 0));
    assert_eq!(counters.failures_for(ConnectionFailure::Closed), 1);
}

/// Reads for a while, stops reading so that the other side has to stop sending, and dies. Returns
/// what it read, and what its kernel had acknowledged.
fn die(mut socket: TcpStream, mut tls: Option<ServerConnection>) -> Vec<u8> {
    let (mut stream, mut buffer) = (Vec::new(), vec![0; 8 << 20]);
    let mut decrypted = |octets: &[u8]| match &mut tls {
        None => octets.to_vec(),
        Some(tls) => decrypt(tls, octets),
    };
    while stream.len() < 200_000 {
        let read = socket.read(&mut buffer[..4096]).unwrap();
        stream.extend(decrypted(&buffer[..read]));
    }
    // Octets that do not fit wait on the other side without an acknowledgement.
    std::thread::sleep(Duration::from_millis(800));
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_PEEK;
    let unread = recv(socket.as_raw_fd(), &mut buffer, flags).unwrap_or_default();
    assert!(unread < buffer.len());
    stream.extend(decrypted(&buffer[..unread]));
    stream
}

/// Decrypts octets of the wire.
fn decrypt(tls: &mut ServerConnection, mut octets: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    while !octets.is_empty() {
        tls.read_tls(&mut octets).unwrap();
        let state = tls.process_new_packets().unwrap();
        let mut part = vec![0; state.plaintext_bytes_to_read()];
        tls.reader().read_exact(&mut part).unwrap();
        plain.extend(part);
    }
    plain
}

fn check_losses(config: Option<Arc<ServerConfig>>, target: Listening) {
    let (listener, target) = target;
    let port = listener.local_addr().unwrap().port();
    let counters = target.dialer.destination.counters.clone();
    let deadline = target.dialer.destination.deadline.clone();
    let mut queued = QueuedExporter::start(
        target,
        deadline,
        2000,
        OverflowPolicy::Drop,
        counters.clone(),
    )
    .unwrap();
    let server = std::thread::spawn(move || {
        let accept = |listener: &TcpListener| {
            let (mut socket, _) = listener.accept().unwrap();
            let tls = config.clone().map(|config| {
                let mut tls = ServerConnection::new(config).unwrap();
                while tls.is_handshaking() {
                    tls.complete_io(&mut socket).unwrap();
                }
                tls.write_tls(&mut socket).unwrap();
                tls
            });
            (socket, tls)
        };
        // It reads for a while and dies, the port is closed for a while, and it returns.
        let (socket, tls) = accept(&listener);
        drop(listener);
        // A socket that does not listen refuses connections, and no other program gets its port.
        let bound = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        bound.set_reuse_address(true).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        bound.bind(&address.into()).unwrap();
        let before = die(socket, tls);
        std::thread::sleep(Duration::from_millis(300));
        bound.listen(16).unwrap();
        let listener = TcpListener::from(bound);
        let (mut socket, mut tls) = accept(&listener);
        let mut after = Vec::new();
        match &mut tls {
            None => socket.read_to_end(&mut after).unwrap(),
            Some(tls) => rustls::Stream::new(tls, &mut socket)
                .read_to_end(&mut after)
                .unwrap(),
        };
        (before, after)
    });
    let mut made = 0;
    let start = monotonic();
    while !server.is_finished() && start.elapsed() < Duration::from_secs(60) {
        queued.export(&vec![FlowRecord::default(); 500], 0);
        made += 500;
        std::thread::sleep(Duration::from_millis(1));
        if counters.failures_for(ConnectionFailure::Closed) > 0 && counters.connections() > 0 {
            break;
        }
    }
    for _ in 0..20 {
        queued.export(&vec![FlowRecord::default(); 50], 0);
        made += 50;
    }
    queued.finish(0);
    let (before, after) = server.join().unwrap();
    let (sent, lost) = (counters.sent(), counters.total_lost());
    assert_eq!(sent + lost, made, "every loss is counted");
    assert_eq!(sent, records(&before) + records(&after));
    assert!(counters.lost_for(LossReason::ConnectionLost) > 0);
    assert!(counters.lost_for(LossReason::QueueFull) > 0);
    assert!(records(&after) > 0);
}

type Listening = (TcpListener, StreamExporter<Plain>);

#[test]
fn over_tcp_a_target_that_restarts_has_received_what_the_counters_report() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = exporter(listener.local_addr().unwrap().port(), "127.0.0.1", None);
    check_losses(None, (listener, target));
}

#[test]
fn over_tls_a_target_that_restarts_has_received_what_the_counters_report() {
    let certificates = Certificates::new();
    certificates.issue("server", "collector.example", 2100);
    certificates.issue("probe", "node-a", 2100);
    let path = |name: &str| certificates.path(name);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let credentials = Credentials {
        ca: Some(path("ca.pem")),
        cert: Some(path("probe.pem")),
        key: Some(path("probe.key")),
    };
    let port = listener.local_addr().unwrap().port();
    let target = exporter(port, "collector.example", Some(credentials));
    let config = server_config(&path("server.pem"), &path("server.key"), &path("ca.pem"));
    check_losses(Some(config), (listener, target));
}

#[test]
fn without_diagnostics_of_the_kernel_written_messages_count_as_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut target = exporter(listener.local_addr().unwrap().port(), "127.0.0.1", None);
    let counters = target.dialer.destination.counters.clone();
    target.export(&[FlowRecord::default()], 0);
    target.connection.as_mut().unwrap().without_diagnostics();
    let (mut socket, _) = listener.accept().unwrap();
    // The receiver reads, but its acknowledgements are not known.
    let reader = std::thread::spawn(move || {
        let mut taken = Vec::new();
        socket.read_to_end(&mut taken).unwrap();
        taken
    });
    for _ in 0..50 {
        target.export(&vec![FlowRecord::default(); 1000], 0);
        assert_eq!(target.connection.as_ref().unwrap().unsettled_messages(), 0);
    }
    target.finish(0);
    assert_eq!(records(&reader.join().unwrap()), 50_001);
    assert_eq!((counters.sent(), counters.total_lost()), (50_001, 0));
}

/// Certificates of a test.
struct Certificates {
    folder: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Certificates {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = authority.self_signed(&key).unwrap();
        std::fs::write(folder.path().join("ca.pem"), certificate.pem()).unwrap();
        Self {
            folder,
            issuer: Issuer::new(authority, key),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes `NAME.pem` and `NAME.key` for a host, valid until a year.
    fn issue(&self, name: &str, host: &str, until: i32) {
        let mut params = CertificateParams::new([host.to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(self.path(&format!("{name}.pem")), certificate.pem()).unwrap();
        std::fs::write(self.path(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}

/// The configuration of a TLS server that requires client certificates of an authority.
fn server_config(certificate: &Path, key: &Path, client_ca: &Path) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(client_ca).unwrap())
        .unwrap();
    let clients = WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider));
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients.build().unwrap())
        .with_single_cert(
            vec![CertificateDer::from_pem_file(certificate).unwrap()],
            PrivateKeyDer::from_pem_file(key).unwrap(),
        );
    Arc::new(config.unwrap())
}

/// Starts such a server, which reads one connection to its end.
fn server(certificate: &Path, key: &Path, client_ca: &Path) -> (u16, JoinHandle<Vec<u8>>) {
    let config = server_config(certificate, key, client_ca);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut tls = ServerConnection::new(config).unwrap();
        let mut taken = Vec::new();
        rustls::Stream::new(&mut tls, &mut socket)
            .read_to_end(&mut taken)
            .ok();
        tls.write_tls(&mut socket).ok();
        taken
    });
    (port, thread)
}

#[test]
fn tls_with_certificates_on_both_sides_delivers_everything() {
    let certificates = Certificates::new();
    certificates.issue("server", "collector.example", 2100);
    certificates.issue("probe", "node-a", 2100);
    let path = |name: &str| certificates.path(name);
    let (port, server) = server(&path("server.pem"), &path("server.key"), &path("ca.pem"));
    let credentials = Credentials {
        ca: Some(path("ca.pem")),
        cert: Some(path("probe.pem")),
        key: Some(path("probe.key")),
    };
    let mut target = exporter(port, "collector.example", Some(credentials));
    let counters = target.dialer.destination.counters.clone();
    target.export(&vec![FlowRecord::default(); 5000], 1000);
    target.finish(1000);
    assert_eq!(records(&server.join().unwrap()), 5000);
    assert_eq!((counters.sent(), counters.total_lost()), (5000, 0));
}

#[test]
fn connections_that_tls_refuses_have_a_reason_and_send_nothing() {
    let ours = Certificates::new();
    let others = Certificates::new();
    ours.issue("server", "collector.example", 2100);
    ours.issue("expired", "collector.example", 2021);
    ours.issue("probe", "node-a", 2100);
    others.issue("probe", "node-a", 2100);
    let path = |name: &str| ours.path(name);
    let with_client = |ca: PathBuf, client: &Certificates| Credentials {
        ca: Some(ca),
        cert: Some(client.path("probe.pem")),
        key: Some(client.path("probe.key")),
    };
    let good = || with_client(path("ca.pem"), &ours);
    use ConnectionFailure as Reason;
    for (server_certificate, host, credentials, reason) in [
        (
            "server",
            "collector.example",
            with_client(others.path("ca.pem"), &ours),
            Reason::UnknownAuthority,
        ),
        (
            "expired",
            "collector.example",
            good(),
            Reason::CertificateExpired,
        ),
        ("server", "another.example", good(), Reason::WrongName),
        (
            "server",
            "collector.example",
            Credentials {
                ca: Some(path("ca.pem")),
                cert: None,
                key: None,
            },
            Reason::CertificateRefused,
        ),
        (
            "server",
            "collector.example",
            with_client(path("ca.pem"), &others),
            Reason::CertificateRefused,
        ),
        (
            "server",
            "collector.example",
            Credentials {
                ca: Some(path("nothing.pem")),
                cert: None,
                key: None,
            },
            Reason::BadCredentials,
        ),
    ] {
        let certificate = path(&format!("{server_certificate}.pem"));
        let key = path(&format!("{server_certificate}.key"));
        let (port, server) = server(&certificate, &key, &path("ca.pem"));
        let mut target = exporter(port, host, Some(credentials));
        let counters = target.dialer.destination.counters.clone();
        // During the shutdown there is one attempt, and the record is lost.
        target.dialer.destination.deadline.begin();
        target.export(&[FlowRecord::default()], 1000);
        target.finish(1000);
        assert_eq!(counters.failures_for(reason), 1, "{reason:?}");
        assert_eq!(counters.lost_for(LossReason::Unreachable), 1, "{reason:?}");
        assert_eq!(counters.sent(), 0);
        assert_eq!(server.join().unwrap(), b"", "{reason:?}");
    }
}
