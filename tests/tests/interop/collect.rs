//! Other people's exporters into our collector, which reads what nfdump reads of the same datagrams.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use kipfix_tests::certificates::Certificates;
use kipfix_tests::collector::Collector;
use kipfix_tests::netns::{self, Namespace};
use kipfix_tests::peers::{self, Nfcapd, Reading, missing};
use kipfix_tests::program::{self, Running, eventually, free_tcp_port};
use kipfix_tests::sink::Sink;
use kipfix_tests::{take_turn, traffic};

use crate::judge::Sent;
use crate::page::{Row, Section, keep};
use crate::{IPFIX, NETFLOW_5, NETFLOW_9, at_once, send};

/// What softflowd and pmacctd call the versions.
const VERSIONS: [(&str, &str); 3] = [(NETFLOW_5, "5"), (NETFLOW_9, "9"), (IPFIX, "10")];

/// An exporter that was tried.
struct Exporter {
    peer: &'static str,
    release: String,
}

impl Exporter {
    fn row(
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

fn capture(folder: &Path) -> PathBuf {
    let path = folder.join("traffic.pcap");
    traffic::write(&path, 1500);
    path
}

/// What our collector and nfcapd make of the same datagrams.
fn read(datagrams: &[Vec<u8>]) -> (Reading, Sent) {
    assert!(!datagrams.is_empty());
    let (ours, nfcapd) = (Collector::start(&["--kubernetes", "off"]), Nfcapd::start());
    send(datagrams, ours.port());
    send(datagrams, nfcapd.port);
    let sent = Sent {
        all: nfcapd.finish().reading(),
        ipv4: None,
    };
    // The counted octets equal those sent: totals are not added to deltas. Sampled octets are scaled.
    let scrape = ours.scrape();
    let counted = scrape.sum("kipfix_packets_total", &[]);
    assert!(counted >= sent.all.totals.0, "{counted} packets counted");
    (ours.finish(), sent)
}

/// softflowd reads a capture and exports it to a port of this host.
fn softflowd(folder: &Path, capture: &Path, transport: &str, version: &str, port: u16) {
    let mut command = Command::new("softflowd");
    command.args(["-v", version, "-P", transport, "-m", "100000", "-c", "none"]);
    command.arg("-n").arg(format!("127.0.0.1:{port}"));
    let own = |name: &str| folder.join(format!("{transport}-{version}.{name}"));
    command.arg("-p").arg(own("pid"));
    program::output(command.arg("-r").arg(capture));
}

#[test]
fn softflowd_is_read_as_it_sends() {
    let test = "softflowd_is_read_as_it_sends";
    if missing(test, &["softflowd", "nfcapd", "nfdump", "openssl"]) {
        return;
    }
    let _turn = take_turn();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let capture = capture(folder);
    let exporter = Exporter {
        peer: "softflowd",
        release: peers::version("softflowd", "-h"),
    };
    let rows = at_once(VERSIONS, |(version, number)| {
        let sink = Sink::start();
        softflowd(folder, &capture, "udp", number, sink.port);
        let (read, sent) = read(&sink.finish());
        let mut rows = vec![exporter.row(version, "UDP", &read, &sent)];
        // softflowd sends the same content over all transports.
        if version == IPFIX {
            for (transport, read) in over_connections(folder, &capture) {
                rows.push(exporter.row(version, transport, &read, &sent));
            }
        }
        rows
    });
    let rows: Vec<Row> = rows.into_iter().flatten().collect();
    keep(Section::Collect, &rows);
}

/// What our collector reads of softflowd's IPFIX over TCP, and over TLS by OpenSSL.
fn over_connections(folder: &Path, capture: &Path) -> Vec<(&'static str, Reading)> {
    let port = free_tcp_port();
    let tcp = connected(&format!("tcp://127.0.0.1:{port}"), || {
        softflowd(folder, capture, "tcp", "10", port);
    });
    let certificates = Certificates::new();
    let tls = |version| {
        let port = free_tcp_port();
        let query = certificates.of_server();
        let listen = format!("tls://127.0.0.1:{port}?{query}&client-name=probe");
        connected(&listen, || {
            through_openssl(&certificates, version, port, |plain| {
                softflowd(folder, capture, "tcp", "10", plain);
            });
        })
    };
    vec![
        ("TCP", tcp),
        ("TLS 1.2 (OpenSSL)", tls("-tls1_2")),
        ("TLS 1.3 (OpenSSL)", tls("-tls1_3")),
    ]
}

/// What our collector reads of one connection, which `export` makes and closes as it should be.
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

/// `export` speaks TCP to this port, which OpenSSL hands on within TLS.
fn through_openssl(
    certificates: &Certificates,
    version: &str,
    port: u16,
    export: impl FnOnce(u16),
) {
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
    let test = "pmacctd_is_read_as_it_sends";
    if missing(test, &["pmacctd", "nfcapd", "nfdump"]) {
        return;
    }
    let _turn = take_turn();
    let folder = tempfile::tempdir().unwrap();
    let capture = capture(folder.path());
    let exporter = Exporter {
        peer: "pmacct (pmacctd)",
        release: peers::version("pmacctd", "-V"),
    };
    let rows = at_once(VERSIONS, |(version, number)| {
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
        let mut pmacctd = Command::new("pmacctd");
        pmacctd.arg("-f").arg(&settings);
        program::output(pmacctd.stdout(Stdio::null()).stderr(Stdio::null()));
        let (read, sent) = read(&sink.finish());
        exporter.row(version, "UDP", &read, &sent)
    });
    keep(Section::Collect, &rows);
}

#[test]
fn open_vswitch_is_read_as_it_sends() {
    let test = "open_vswitch_is_read_as_it_sends";
    let programs = [
        "ovs-vswitchd",
        "ovsdb-server",
        "ovsdb-tool",
        "nfcapd",
        "nfdump",
    ];
    if missing(test, &programs) {
        return;
    }
    if netns::missing(test) {
        return;
    }
    let _turn = take_turn();
    let exporter = Exporter {
        peer: "Open vSwitch",
        release: peers::version("ovs-vswitchd", "--version"),
    };
    let (v5, ipfix) = of_a_switch();

    let (ours, sent) = read(&v5);
    let mut rows = vec![exporter.row(NETFLOW_5, "UDP", &ours, &sent)];
    // It reports each flow at ingress and egress of the bridge (61); --flow-direction counts one of the two. Its
    // IPFIX has running totals (85, 86) in addition to deltas, and nfcapd 1.7.1 stores the totals: so
    // what was sent is the judge, 40 datagrams of 20 + 8 + 11 octets, a flow each.
    let collector = Collector::start(&["--kubernetes", "off"]);
    send(&ipfix, collector.port());
    let ours = collector.finish_with(|record| {
        record["sourceIPv4Address"] == "10.88.0.1" && record["destinationTransportPort"] == 9
    });
    let mut flows = ours.flows.clone().unwrap_or_default();
    flows.0.values_mut().for_each(|sums| *sums = (2, 78));
    let sent = Sent {
        all: Reading {
            records: 80,
            totals: (80, 40 * 78),
            flows: Some(flows),
            ..Reading::default()
        },
        ipv4: None,
    };
    rows.push(exporter.row(IPFIX, "UDP", &ours, &sent));
    keep(Section::Collect, &rows);
}

/// What Open vSwitch sends as NetFlow v5 and as IPFIX while 40 datagrams of 11 octets go through its bridge, each
/// from a port of its own.
fn of_a_switch() -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().display();
    let (switch, left, right) = (
        Namespace::new("ovs"),
        Namespace::new("l"),
        Namespace::new("r"),
    );
    for (side, port, address) in [(&left, "p1", "10.88.0.1"), (&right, "p2", "10.88.0.2")] {
        netns::link((side, "eth0"), (&switch, port));
        let name = side.name();
        netns::run(&format!("ip -n {name} addr add {address}/24 dev eth0"));
    }
    netns::run(&format!(
        "ovsdb-tool create {dir}/conf.db /usr/share/openvswitch/vswitch.ovsschema"
    ));
    let background = |line: String| {
        let mut command = switch.command(&line);
        command.env("OVS_RUNDIR", folder.path());
        Running::start(command.stdout(Stdio::null()).stderr(Stdio::null()))
    };
    let _database = background(format!(
        "ovsdb-server {dir}/conf.db --remote=punix:{dir}/db.sock --unixctl={dir}/db.ctl"
    ));
    let is_up = || folder.path().join("db.sock").exists();
    assert!(eventually(Duration::from_secs(10), is_up));
    let vsctl = |line: &str| {
        switch.run(&format!(
            "ovs-vsctl --timeout=20 --db=unix:{dir}/db.sock {line}"
        ));
    };
    vsctl("--no-wait init");
    let _switch = background(format!(
        "ovs-vswitchd unix:{dir}/db.sock --unixctl={dir}/vs.ctl"
    ));

    // The exporter sends inside the namespace, so its datagrams are taken from there by a capture.
    let taken = folder.path().join("export.pcap");
    let mut tcpdump = switch.command(&format!("tcpdump -i lo -U -w {} udp", taken.display()));
    let tcpdump = Running::start(tcpdump.stdout(Stdio::null()).stderr(Stdio::null()));
    assert!(eventually(Duration::from_secs(10), || taken.exists()));
    // If no process listens, the kernel refuses every other datagram, and its sequence numbers show real losses.
    let mut listener = switch.ours("kipfix-collector");
    listener.args(["--listen", "udp://127.0.0.1:4739", "--listen"]);
    listener.args(["udp://127.0.0.1:2055", "--kubernetes", "off"]);
    let listener = Running::start(listener.stderr(Stdio::null()));
    program::wait_for_udp(listener.pid(), 2055);
    vsctl("add-br br0 -- set bridge br0 datapath_type=netdev");
    vsctl("add-port br0 p1 -- add-port br0 p2");
    vsctl(
        "-- --id=@i create ipfix targets=\"127.0.0.1:4739\" obs_domain_id=7 obs_point_id=1 sampling=1 \
         cache_active_timeout=1 cache_max_flows=100 -- set bridge br0 ipfix=@i",
    );
    vsctl(
        "-- --id=@n create netflow targets=\"127.0.0.1:2055\" active_timeout=1 -- set bridge br0 netflow=@n",
    );
    let mut calls = left.command("bash -c");
    calls.arg("for i in $(seq 40); do echo 0123456789 > /dev/udp/10.88.0.2/9; sleep 0.02; done");
    program::output(&mut calls);
    thread::sleep(Duration::from_secs(3));
    vsctl("-- clear bridge br0 ipfix -- clear bridge br0 netflow");
    vsctl("del-br br0");
    thread::sleep(Duration::from_millis(500));
    tcpdump.terminate();
    (udp_payloads(&taken, 2055), udp_payloads(&taken, 4739))
}

/// The payloads to a UDP port in a capture.
fn udp_payloads(path: &Path, port: u16) -> Vec<Vec<u8>> {
    let bytes = std::fs::read(path).unwrap();
    let mut reader = pcap_file::pcap::PcapReader::new(&bytes[..]).unwrap();
    let mut payloads = Vec::new();
    while let Some(Ok(packet)) = reader.next_packet() {
        let sliced = etherparse::SlicedPacket::from_ethernet(&packet.data).unwrap();
        if let Some(etherparse::TransportSlice::Udp(udp)) = sliced.transport
            && udp.destination_port() == port
        {
            payloads.push(udp.payload().to_vec());
        }
    }
    payloads
}
