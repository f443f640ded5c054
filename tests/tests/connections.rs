//! Other people's exporters over connections: TCP, and TLS by OpenSSL.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use kipfix_tests::flows::Flows;
use kipfix_tests::program::{self, Running, collector, free_tcp_port, is_installed};
use kipfix_tests::scrape::Scrape;
use kipfix_tests::{skip, take_turn, traffic};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// A collector that listens for connections, and its flow log.
struct Collector {
    running: Running,
    http: SocketAddr,
    log: std::path::PathBuf,
}

impl Collector {
    fn start(folder: &Path, name: &str, listen: &str) -> Self {
        let http = SocketAddr::from(([127, 0, 0, 1], free_tcp_port()));
        let log = folder.join(format!("{name}.json"));
        let mut command = collector();
        command.args(["--listen", listen, "--kubernetes", "off", "--http"]);
        command.arg(http.to_string()).arg("--flow-log");
        command.arg(format!("file:{}", log.display()));
        let running = Running::start(command.stderr(Stdio::null()));
        let up = || std::net::TcpStream::connect(http).is_ok();
        assert!(program::eventually(Duration::from_secs(10), up));
        Self { running, http, log }
    }

    /// Waits until the one connection has ended; then what came over it.
    fn flows(self, reason: &str) -> Flows {
        let ended = || {
            let name = "kipfix_collector_connections_closed_total";
            Scrape::of(self.http).sum(name, &[reason]) == 1
        };
        assert!(program::eventually(Duration::from_secs(20), ended));
        let scrape = Scrape::of(self.http);
        for name in ["sequence_lost_total", "unusable_total"] {
            assert_eq!(
                scrape.sum(&format!("kipfix_collector_{name}"), &[]),
                0,
                "{name}"
            );
        }
        assert_eq!(self.running.terminate().0, Some(0));
        Flows::of_json_lines(&std::fs::read_to_string(&self.log).unwrap())
    }
}

/// softflowd reads a capture and exports it to a port of this host.
fn softflowd(folder: &Path, capture: &Path, transport: &str, version: &str, port: u16) {
    let mut command = Command::new("softflowd");
    command.args(["-v", version, "-P", transport, "-m", "100000", "-c", "none"]);
    command.arg("-n").arg(format!("127.0.0.1:{port}"));
    command
        .arg("-p")
        .arg(folder.join("pid"))
        .arg("-r")
        .arg(capture);
    program::output(&mut command);
}

/// What is sent over UDP, as our collector reads it.
fn over_udp(folder: &Path, capture: &Path) -> Flows {
    let port = program::free_udp_port();
    let ours = Collector::start(folder, "udp", &format!("udp://127.0.0.1:{port}"));
    program::wait_for_udp(ours.running.pid(), port);
    softflowd(folder, capture, "udp", "10", port);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(ours.running.terminate().0, Some(0));
    Flows::of_json_lines(&std::fs::read_to_string(&ours.log).unwrap())
}

#[test]
fn softflowd_over_tcp_and_tls_is_read_as_over_udp() {
    let test = "softflowd_over_tcp_and_tls_is_read_as_over_udp";
    if let Some(absent) = ["softflowd", "openssl"].iter().find(|p| !is_installed(p)) {
        return skip(test, &format!("{absent} is not installed"));
    }
    let _turn = take_turn();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let capture = folder.join("traffic.pcap");
    traffic::write(&capture, 1500);
    let truth = over_udp(folder, &capture);
    assert!(truth.0.len() > 1000);

    let port = free_tcp_port();
    let ours = Collector::start(folder, "tcp", &format!("tcp://127.0.0.1:{port}"));
    softflowd(folder, &capture, "tcp", "10", port);
    ours.flows("closed")
        .assert_same(&truth, "softflowd over TCP");

    certificates(folder);
    for version in ["-tls1_2", "-tls1_3"] {
        let port = free_tcp_port();
        let at = folder.display();
        let files = format!("cert={at}/server.crt&key={at}/server.key&client-ca={at}/ca.crt");
        let listen = format!("tls://127.0.0.1:{port}?{files}&client-name=probe");
        let ours = Collector::start(folder, version, &listen);
        through_openssl(folder, &capture, version, port);
        ours.flows("closed")
            .assert_same(&truth, &format!("softflowd over TLS, {version}"));
    }
}

/// softflowd speaks TCP to this test, which hands it on within TLS.
fn through_openssl(folder: &Path, capture: &Path, version: &str, port: u16) {
    let between = TcpListener::bind("127.0.0.1:0").unwrap();
    let plain = between.local_addr().unwrap().port();
    let mut openssl = Command::new("openssl");
    // Octets are octets, and their end is the end.
    openssl.args(["s_client", "-quiet", "-no_ign_eof", "-nocommands"]);
    openssl.args(["-verify_return_error", version, "-connect"]);
    openssl.arg(format!("127.0.0.1:{port}"));
    openssl.args(["-verify_hostname", "localhost"]);
    for (flag, file) in [
        ("-CAfile", "ca.crt"),
        ("-cert", "probe.crt"),
        ("-key", "probe.key"),
    ] {
        openssl.arg(flag).arg(folder.join(file));
    }
    let mut openssl = openssl
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut within = openssl.stdin.take().unwrap();
    let handing_on = std::thread::spawn(move || {
        let (mut exporter, _) = between.accept().unwrap();
        std::io::copy(&mut exporter, &mut within).unwrap();
    });
    softflowd(folder, capture, "tcp", "10", plain);
    handing_on.join().unwrap();
    openssl.wait().unwrap();
}

/// A CA, and what it signed for both sides.
fn certificates(folder: &Path) {
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.distinguished_name.push(DnType::CommonName, "ca");
    let ca_key = KeyPair::generate().unwrap();
    let put = |name: &str, text: String| std::fs::write(folder.join(name), text).unwrap();
    put("ca.crt", ca.self_signed(&ca_key).unwrap().pem());
    let issuer = Issuer::from_params(&ca, &ca_key);
    for (file, name) in [("server", "localhost"), ("probe", "probe")] {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        put(
            &format!("{file}.crt"),
            params.signed_by(&key, &issuer).unwrap().pem(),
        );
        put(&format!("{file}.key"), key.serialize_pem());
    }
}
