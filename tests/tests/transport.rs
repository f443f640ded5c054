//! Export over networks: narrow paths, names with several addresses, TLS to an independent server.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::path::Path;
use std::process::Stdio;

use kipfix_tests::certificates::Certificates;
use kipfix_tests::flows::Flows;
use kipfix_tests::netns::{self, Hosts, Namespace};
use kipfix_tests::program::{self, Running, free_tcp_port, is_installed, probe};
use kipfix_tests::{peers, skip, take_turn, traffic};

/// A collector in a namespace that writes its flow log into a file.
fn collector_in(namespace: &Namespace, listen: &str, log: &Path) -> Running {
    let mut command = namespace.ours("kipfix-collector");
    command.args(["--listen", listen, "--kubernetes", "off"]);
    command.args(["--http", "127.0.0.1:0", "--receive-buffer", "64MiB"]);
    command
        .arg("--flow-log")
        .arg(format!("file:{}", log.display()));
    let running = Running::start(command.stderr(Stdio::null()));
    let address = listen.strip_prefix("udp://").unwrap().parse().unwrap();
    program::wait_for_udp_on(running.pid(), address);
    running
}

fn flows_of(log: &Path) -> Flows {
    Flows::of_json_lines(&std::fs::read_to_string(log).unwrap())
}

#[test]
fn a_narrow_path_gets_shorter_messages_and_nothing_is_lost() {
    if netns::missing() {
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
    assert!(program::eventually(program::PATIENCE, || taken.exists()));
    let collecting = collector_in(&far, "udp://0.0.0.0:4739", &log);

    let mut command = near.ours("kipfix-probe");
    command.arg("--read").arg(&path);
    command.args(["--export", "udp://10.77.1.2:4739?mtu=1400&rate=20000"]);
    program::output(&mut command);
    program::wait_for_udp_read(collecting.pid(), 4739);
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

#[test]
fn a_name_with_several_addresses_spreads_flows_and_keeps_both_directions_together() {
    if netns::missing() {
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
    for running in collectors {
        program::wait_for_udp_read(running.pid(), 4739);
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

#[test]
fn openssl_accepts_ipfix_over_tls_only_from_a_client_with_a_certificate() {
    if !is_installed("openssl") {
        skip("openssl is not installed");
        return;
    }
    let _turn = take_turn();
    let folder = tempfile::tempdir().unwrap();
    let certificates = Certificates::new();
    let path = folder.path().join("t.pcap");
    let truth = traffic::write(&path, 500);
    let authority = format!("ca={}", certificates.path("ca.crt").display());
    for (client, accepted) in [(certificates.of_client(), true), (authority, false)] {
        let port = free_tcp_port();
        let taken = folder.path().join(format!("taken-{accepted}.ipfix"));
        let running = peers::openssl(&certificates, port, &["-tls1_3"], &taken);
        let target = format!("tls://localhost:{port}?{client}");
        let mut command = probe();
        command.arg("--read").arg(&path).args(["--export", &target]);
        let output = command.output().unwrap();
        let log = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.success(), accepted, "{log}");
        if accepted {
            // It ends after one connection, when it has written all of its data.
            running.wait(program::PATIENCE);
            Flows::of_collector(&taken).assert_same(&truth.flows, "over TLS");
        } else {
            drop(running);
            assert_eq!(std::fs::read(&taken).unwrap(), b"");
            let refusals = log.matches("certificate_refused").count();
            assert_eq!(refusals, 1, "logged once: {log}");
            assert!(log.contains("sent=0"), "{log}");
        }
    }
}
