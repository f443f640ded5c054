//! How our export gets to where it is to go: narrow paths, names with several addresses, TLS to somebody else's
//! server.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use kipfix_tests::flows::Flows;
use kipfix_tests::netns::{self, Namespace};
use kipfix_tests::program::{self, Running, collector, free_tcp_port, is_installed, probe};
use kipfix_tests::scrape::Scrape;
use kipfix_tests::{skip, take_turn, traffic};

fn no_namespaces(test: &str) -> bool {
    let allowed = netns::allowed();
    if !allowed {
        skip(test, "needs root for network namespaces");
    }
    !allowed
}

/// A collector in a namespace that writes its flow log into a file.
fn collector_in(namespace: &Namespace, listen: &str, log: &Path) -> Running {
    let mut command = namespace.ours("kipfix-collector");
    command.args(["--listen", listen, "--kubernetes", "off"]);
    command.args(["--http", "127.0.0.1:0", "--receive-buffer", "64MiB"]);
    command
        .arg("--flow-log")
        .arg(format!("file:{}", log.display()));
    let running = Running::start(command.stderr(Stdio::null()));
    let port = listen.rsplit(':').next().unwrap().parse().unwrap();
    program::wait_for_udp(running.pid(), port);
    running
}

fn flows_of(log: &Path) -> Flows {
    Flows::of_json_lines(&std::fs::read_to_string(log).unwrap())
}

#[test]
fn a_narrow_path_gets_shorter_messages_and_nothing_is_lost() {
    let test = "a_narrow_path_gets_shorter_messages_and_nothing_is_lost";
    if no_namespaces(test) {
        return;
    }
    let _turn = take_turn();
    let folder = tempfile::tempdir().unwrap();
    let (path, log) = (folder.path().join("t.pcap"), folder.path().join("log"));
    let truth = traffic::write(&path, 300);
    let (near, far) = (Namespace::new("near"), Namespace::new("far"));
    netns::link((&near, "eth0"), (&far, "eth0"));
    netns::run(&format!(
        "ip -n {} addr add 10.77.0.1/24 dev eth0",
        near.name()
    ));
    netns::run(&format!(
        "ip -n {} addr add 10.77.0.2/24 dev eth0",
        far.name()
    ));
    netns::run(&format!(
        "ip -n {} addr add 10.77.1.2/32 dev lo",
        far.name()
    ));
    near.run("ip route add 10.77.1.2/32 via 10.77.0.2 mtu 800");
    let taken = folder.path().join("taken.pcap");
    let mut tcpdump = far.command(&format!(
        "tcpdump --immediate-mode -i eth0 -U -w {} udp",
        taken.display()
    ));
    let tcpdump = Running::start(tcpdump.stdout(Stdio::null()).stderr(Stdio::null()));
    assert!(program::eventually(Duration::from_secs(10), || taken.exists()));
    let collecting = collector_in(&far, "udp://0.0.0.0:4739", &log);

    let mut command = near.ours("kipfix-probe");
    command.arg("--read").arg(&path);
    command.args(["--export", "udp://10.77.1.2:4739?mtu=1400&rate=20000"]);
    program::output(&mut command);
    std::thread::sleep(Duration::from_millis(500));
    collecting.terminate();
    tcpdump.terminate();

    flows_of(&log).assert_same(&truth.flows, "over a path of 800 octets");
    let bytes = std::fs::read(&taken).unwrap();
    let mut reader = pcap_file::pcap::PcapReader::new(&bytes[..]).unwrap();
    let mut lengths = Vec::new();
    while let Some(Ok(packet)) = reader.next_packet() {
        let sliced = etherparse::SlicedPacket::from_ethernet(&packet.data).unwrap();
        assert!(!sliced.is_ip_payload_fragmented());
        lengths.push(packet.orig_len - 14);
    }
    assert!(lengths.len() > 20);
    assert!(lengths.iter().all(|length| *length <= 800), "{lengths:?}");
    assert!(lengths.iter().any(|length| *length > 700), "{lengths:?}");
}

/// What names mean in a namespace, for as long as this lives.
struct Hosts(std::path::PathBuf);

impl Hosts {
    fn new(namespace: &Namespace, lines: &str) -> Self {
        let folder = Path::new("/etc/netns").join(namespace.name());
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("hosts"), lines).unwrap();
        Self(folder)
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

#[test]
fn a_name_with_several_addresses_spreads_flows_and_keeps_both_directions_together() {
    let test = "a_name_with_several_addresses_spreads_flows_and_keeps_both_directions_together";
    if no_namespaces(test) {
        return;
    }
    let _turn = take_turn();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.pcap");
    let truth = traffic::write(&path, 800);
    let namespace = Namespace::new("spread");
    let _hosts = Hosts::new(
        &namespace,
        "127.0.0.1 localhost\n127.0.1.1 collectors\n127.0.1.2 collectors\n127.0.1.3 collectors\n",
    );
    let logs: Vec<_> = (1..=3)
        .map(|n| folder.path().join(format!("log{n}")))
        .collect();
    let collectors: Vec<Running> = (1..=3)
        .map(|n| collector_in(&namespace, &format!("udp://127.0.1.{n}:4739"), &logs[n - 1]))
        .collect();
    let mut command = namespace.ours("kipfix-probe");
    command.arg("--read").arg(&path);
    command.args(["--export", "udp://collectors:4739?spread=true&rate=20000"]);
    program::output(&mut command);
    std::thread::sleep(Duration::from_millis(500));
    for running in collectors {
        running.terminate();
    }
    let shares: Vec<Flows> = logs.iter().map(|log| flows_of(log)).collect();
    let mut all = Flows::default();
    for (at, share) in shares.iter().enumerate() {
        let part = share.0.len() as f64 / truth.flows.0.len() as f64;
        assert!((0.2..0.5).contains(&part), "address {at}: {part}");
        for ((a, b, protocol, sport, dport), (packets, octets)) in &share.0 {
            all.add((*a, *b, *protocol, *sport, *dport), *packets, *octets);
            let back = (*b, *a, *protocol, *dport, *sport);
            for (other, elsewhere) in shares.iter().enumerate().filter(|(n, _)| *n != at) {
                assert!(
                    !elsewhere.0.contains_key(&back),
                    "{back:?} at {other} and {at}"
                );
            }
        }
    }
    all.assert_same(&truth.flows, "three collectors");
}

/// A certificate authority and certificates by it, made by openssl.
fn certificates(folder: &Path) {
    let openssl = |line: &str| {
        let mut command = program::shell_words(&format!("openssl {line}"));
        program::output(command.current_dir(folder));
    };
    let new = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj";
    openssl(&format!("{new} /CN=authority -keyout ca.key -out ca.pem"));
    for (name, host) in [("server", "localhost"), ("probe", "node-a")] {
        openssl(&format!(
            "{new} /CN={host} -addext subjectAltName=DNS:{host} -addext basicConstraints=critical,CA:FALSE \
             -CA ca.pem -CAkey ca.key -keyout {name}.key -out {name}.pem"
        ));
    }
}

#[test]
fn openssl_takes_ipfix_over_tls_from_who_has_a_certificate_and_from_nobody_else() {
    let test = "openssl_takes_ipfix_over_tls_from_who_has_a_certificate_and_from_nobody_else";
    if !is_installed("openssl") {
        skip(test, "openssl is not installed");
        return;
    }
    let _turn = take_turn();
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    let path = folder.path().join("t.pcap");
    let truth = traffic::write(&path, 500);
    let file = |name: &str| folder.path().join(name).display().to_string();
    for (client, accepted) in [("&cert=PROBE.pem&key=PROBE.key", true), ("", false)] {
        let port = free_tcp_port();
        let taken = folder.path().join(format!("taken-{accepted}.ipfix"));
        let mut server = Command::new("openssl");
        server.args(["s_server", "-quiet", "-naccept", "1", "-tls1_3", "-accept"]);
        server.arg(port.to_string());
        server.args(["-Verify", "1", "-verify_return_error"]);
        for (flag, name) in [
            ("-cert", "server.pem"),
            ("-key", "server.key"),
            ("-CAfile", "ca.pem"),
        ] {
            server.args([flag, &file(name)]);
        }
        server.stdout(std::fs::File::create(&taken).unwrap());
        let (reader, writer) = std::io::pipe().unwrap();
        server.stdin(reader).stderr(Stdio::null());
        let running = Running::start(&mut server);
        std::thread::sleep(Duration::from_millis(500));
        let client = client.replace("PROBE", &file("probe"));
        let target = format!("tls://localhost:{port}?ca={}{client}", file("ca.pem"));
        let mut command = probe();
        command.arg("--read").arg(&path).args(["--export", &target]);
        let output = program::output(&mut command);
        let log = String::from_utf8(output.stderr).unwrap();
        drop(running);
        drop(writer);
        if accepted {
            by_our_collector(&taken).assert_same(&truth.flows, "over TLS");
        } else {
            assert_eq!(std::fs::read(&taken).unwrap(), b"");
            let said = log.matches("certificate_refused").count();
            assert_eq!(said, 1, "said once: {log}");
            assert!(log.contains("sent=0"), "{log}");
        }
    }
}

fn by_our_collector(path: &Path) -> Flows {
    let mut command = collector();
    command.arg("--read").arg(path);
    command.args(["--kubernetes", "off", "--flow-log", "stdout:"]);
    Flows::of_json_lines(&program::text(&mut command))
}

#[test]
fn receivers_that_are_killed_and_come_back_disturb_neither_the_probe_nor_its_ledger() {
    let test = "receivers_that_are_killed_and_come_back_disturb_neither_the_probe_nor_its_ledger";
    if no_namespaces(test) {
        return;
    }
    if !is_installed("openssl") {
        skip(test, "openssl is not installed");
        return;
    }
    let _turn = take_turn();
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (near, far) = (Namespace::new("k1"), Namespace::new("k2"));
    netns::link((&near, "eth0"), (&far, "eth0"));
    for (namespace, address) in [(&near, "10.78.0.1/24"), (&far, "10.78.0.2/24")] {
        let name = namespace.name();
        netns::run(&format!("ip -n {name} addr add {address} dev eth0"));
    }
    // The certificate is for this name.
    let _hosts = Hosts::new(&near, "10.78.0.2 localhost\n");
    let tls_server = |out: &str| {
        let mut server = far.command("openssl s_server -quiet -tls1_3 -accept 4740");
        server.args(["-Verify", "1", "-verify_return_error"]);
        for (flag, name) in [
            ("-cert", "server.pem"),
            ("-key", "server.key"),
            ("-CAfile", "ca.pem"),
        ] {
            server.args([flag, &file(name)]);
        }
        server.stdout(std::fs::File::create(file(out)).unwrap());
        Running::start(server.stdin(Stdio::piped()).stderr(Stdio::null()))
    };
    let logs = [folder.path().join("log1"), folder.path().join("log2")];
    let udp = collector_in(&far, "udp://0.0.0.0:4739", &logs[0]);
    let tls = tls_server("tls1.ipfix");
    std::thread::sleep(Duration::from_millis(500));

    let mut command = near.ours("kipfix-probe");
    command.args([
        "--interface",
        "eth0",
        "--active-timeout",
        "1s",
        "--idle-timeout",
        "500ms",
    ]);
    command.args(["--admin", "127.0.0.1:9473", "--queue", "2000"]);
    command.args(["--export", "udp://10.78.0.2:4739"]);
    let secure = format!(
        "tls://localhost:4740?ca={}&cert={}&key={}",
        file("ca.pem"),
        file("probe.pem"),
        file("probe.key")
    );
    command.args(["--export", &secure]);
    let metering = Running::start(command.stderr(Stdio::null()));
    let admin = "127.0.0.1:9473".parse().unwrap();
    let scrape = || Scrape::in_namespace(near.name(), admin);
    std::thread::sleep(Duration::from_secs(2));
    // Every datagram is a flow of its own.
    let mut load = near.command("bash -c");
    load.arg(
        "for round in $(seq 8); do \
           for i in $(seq 1500); do echo x > /dev/udp/10.78.0.2/$((1000 + i)); done 2>/dev/null; sleep 1; \
         done",
    );
    let load = Running::start(&mut load);
    std::thread::sleep(Duration::from_secs(2));
    // Killed, not asked: both at once.
    udp.kill();
    tls.kill();
    std::thread::sleep(Duration::from_secs(2));
    let udp = collector_in(&far, "udp://0.0.0.0:4739", &logs[1]);
    let _tls = tls_server("tls2.ipfix");
    load.wait(Duration::from_secs(60));
    std::thread::sleep(Duration::from_secs(4));

    let target = |scrape: &Scrape, name: &str, scheme: &str| {
        let label = format!("target=\"{scheme}");
        scrape.sum(&format!("kipfix_probe_target_{name}"), &[&label])
    };
    let settled = program::eventually(Duration::from_secs(20), || {
        let now = scrape();
        ["udp://", "tls://"].iter().all(|scheme| {
            let of = |name: &str| target(&now, name, scheme);
            let received = of("records_received_total");
            received > 1000
                && received == of("records_sent_total") + of("records_lost_total")
                && of("records_waiting") == 0
        })
    });
    let end = scrape();
    let shown = |scheme| {
        [
            "records_received_total",
            "records_sent_total",
            "records_lost_total",
            "records_waiting",
        ]
        .map(|name| target(&end, name, scheme))
    };
    assert!(
        settled,
        "udp {:?}, tls {:?}",
        shown("udp://"),
        shown("tls://")
    );
    assert!(target(&end, "records_lost_total", "udp://") > 0);
    assert!(target(&end, "connection_failures_total", "tls://") > 0);
    // Neither stood in the other's way, nor in that of the capture.
    assert_eq!(end.sum("kipfix_probe_queue_records_lost_total", &[]), 0);
    assert_eq!(end.sum("kipfix_probe_packets_dropped_total", &[]), 0);
    metering.terminate();
    udp.terminate();
    // Who came back has had its templates within seconds, not after the minute of a refresh.
    assert!(!flows_of(&logs[1]).0.is_empty());
    assert!(
        !by_our_collector(&folder.path().join("tls2.ipfix"))
            .0
            .is_empty()
    );
}
