//! Other people's exporters into our collector, and our export under other people's decoders.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use kipfix_tests::flows::{Flows, Nfcapd};
use kipfix_tests::netns::{self, Namespace};
use kipfix_tests::program::{self, Running, collector, is_installed, probe};
use kipfix_tests::sink::{Sink, write_capture};
use kipfix_tests::{skip, take_turn, traffic};

/// What nfcapd makes of datagrams, sent slowly enough for its socket buffer.
fn by_nfcapd(datagrams: &[Vec<u8>]) -> Flows {
    let nfcapd = Nfcapd::start();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for datagram in datagrams {
        socket
            .send_to(datagram, ("127.0.0.1", nfcapd.port))
            .unwrap();
        thread::sleep(Duration::from_micros(200));
    }
    nfcapd.finish().0
}

/// What our collector makes of the same datagrams. All of them came, so by their sequence numbers,
/// whatever these count, nothing was lost.
fn by_our_collector(datagrams: &[Vec<u8>]) -> Flows {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("export.pcap");
    write_capture(&path, datagrams);
    let mut command = collector();
    command.arg("--read").arg(&path);
    command.args(["--kubernetes", "off", "--flow-log", "stdout:"]);
    let text = program::text(command.arg("--print-metrics"));
    for name in [
        "sequence_lost",
        "sequence_gaps",
        "messages_old",
        "messages_late",
    ] {
        let line = format!("kipfix_collector_{name}_total 0");
        let said = text
            .lines()
            .find(|said| said.contains(name) && !said.starts_with('#'));
        assert!(text.lines().any(|said| said == line), "{said:?}");
    }
    let flows = Flows::of_json_lines(&text);
    // What is counted is what was sent: no total beside a delta, nothing twice.
    let counted = |name: &str| -> u64 {
        let prefix = format!("kipfix_{name}_total{{");
        let lines = text.lines().filter(|line| line.starts_with(&prefix));
        lines
            .map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap())
            .sum()
    };
    assert!(
        counted("packets") >= flows.totals().0,
        "{} packets counted",
        counted("packets")
    );
    flows
}

fn capture() -> (tempfile::TempDir, PathBuf, traffic::Truth) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("traffic.pcap");
    let truth = traffic::write(&path, 1500);
    (folder, path, truth)
}

fn missing(test: &str, programs: &[&str]) -> bool {
    let absent = programs.iter().find(|program| !is_installed(program));
    if let Some(program) = absent {
        skip(test, &format!("{program} is not installed"));
    }
    absent.is_some()
}

#[test]
fn softflowd_is_read_as_nfcapd_reads_it() {
    if missing(
        "softflowd_is_read_as_nfcapd_reads_it",
        &["softflowd", "nfcapd", "nfdump"],
    ) {
        return;
    }
    let _turn = take_turn();
    let (folder, path, _) = capture();
    for version in ["5", "9", "10"] {
        let sink = Sink::start();
        let mut softflowd = Command::new("softflowd");
        softflowd.args(["-v", version, "-m", "100000", "-c", "none"]);
        softflowd.arg("-n").arg(format!("127.0.0.1:{}", sink.port));
        softflowd
            .arg("-p")
            .arg(folder.path().join("pid"))
            .arg("-r")
            .arg(&path);
        program::output(&mut softflowd);
        let datagrams = sink.finish();
        assert!(!datagrams.is_empty());
        by_our_collector(&datagrams).assert_same(
            &by_nfcapd(&datagrams),
            &format!("softflowd version {version}"),
        );
    }
}

#[test]
fn pmacctd_is_read_as_nfcapd_reads_it() {
    if missing(
        "pmacctd_is_read_as_nfcapd_reads_it",
        &["pmacctd", "nfcapd", "nfdump"],
    ) {
        return;
    }
    let _turn = take_turn();
    let (folder, path, _) = capture();
    for version in ["5", "9", "10"] {
        let sink = Sink::start();
        let settings = folder.path().join("pmacctd.conf");
        let lines = [
            "daemonize: false".to_owned(),
            format!("pcap_savefile: {}", path.display()),
            "plugins: nfprobe".to_owned(),
            format!("nfprobe_receiver: 127.0.0.1:{}", sink.port),
            format!("nfprobe_version: {version}"),
            "nfprobe_timeouts: expint=3600".to_owned(),
        ];
        std::fs::write(&settings, lines.join("\n") + "\n").unwrap();
        let mut pmacctd = Command::new("pmacctd");
        pmacctd
            .arg("-f")
            .arg(&settings)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        program::output(&mut pmacctd);
        let datagrams = sink.finish();
        assert!(!datagrams.is_empty());
        by_our_collector(&datagrams).assert_same(
            &by_nfcapd(&datagrams),
            &format!("pmacctd version {version}"),
        );
    }
}

#[test]
fn open_vswitch_is_read_as_nfcapd_reads_it() {
    let test = "open_vswitch_is_read_as_nfcapd_reads_it";
    if missing(
        test,
        &[
            "ovs-vswitchd",
            "ovsdb-server",
            "ovsdb-tool",
            "nfcapd",
            "nfdump",
        ],
    ) {
        return;
    }
    if !netns::allowed() {
        skip(test, "needs root for network namespaces");
        return;
    }
    let _turn = take_turn();
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().display();
    let (switch, left, right) = (
        Namespace::new("ovs"),
        Namespace::new("l"),
        Namespace::new("r"),
    );
    netns::link((&left, "eth0"), (&switch, "p1"));
    netns::link((&right, "eth0"), (&switch, "p2"));
    netns::run(&format!(
        "ip -n {} addr add 10.88.0.1/24 dev eth0",
        left.name()
    ));
    netns::run(&format!(
        "ip -n {} addr add 10.88.0.2/24 dev eth0",
        right.name()
    ));
    netns::run(&format!(
        "ovsdb-tool create {dir}/conf.db /usr/share/openvswitch/vswitch.ovsschema"
    ));

    let background = |line: String| {
        let mut command = switch.command(&line);
        command
            .env("OVS_RUNDIR", folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Running::start(&mut command)
    };
    let _database = background(format!(
        "ovsdb-server {dir}/conf.db --remote=punix:{dir}/db.sock --unixctl={dir}/db.ctl"
    ));
    assert!(program::eventually(Duration::from_secs(10), || folder
        .path()
        .join("db.sock")
        .exists()));
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
    assert!(program::eventually(Duration::from_secs(10), || taken.exists()));
    // Where nobody listened, the kernel would refuse every other datagram, and what its sequence numbers
    // told would be true losses.
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
    let mut calls = Command::new("ip");
    calls.args(["netns", "exec", left.name(), "bash", "-c"]);
    calls.arg("for i in $(seq 40); do echo 0123456789 > /dev/udp/10.88.0.2/9; sleep 0.02; done");
    program::output(&mut calls);
    thread::sleep(Duration::from_secs(3));
    vsctl("-- clear bridge br0 ipfix -- clear bridge br0 netflow");
    vsctl("del-br br0");
    thread::sleep(Duration::from_millis(500));
    tcpdump.terminate();

    let v5 = udp_payloads(&taken, 2055);
    assert!(!v5.is_empty(), "Open vSwitch sent no NetFlow v5");
    by_our_collector(&v5).assert_same(&by_nfcapd(&v5), "Open vSwitch, NetFlow v5");
    // It tells of each flow where it enters and where it leaves the bridge (61); --flow-direction counts one
    // of the two. Its IPFIX carries running totals (85, 86) beside the deltas, and nfcapd 1.7.1 stores the totals: so
    // what was sent is the judge, 40 datagrams of 20 + 8 + 11 octets, a flow each.
    let ipfix = by_our_collector(&udp_payloads(&taken, 4739));
    let sent = ipfix.0.iter().filter(|((from, _, protocol, _, to), _)| {
        from.to_string() == "10.88.0.1" && *protocol == 17 && *to == 9
    });
    let sums: Vec<(u64, u64)> = sent.map(|(_, sums)| *sums).collect();
    assert_eq!(sums, [(2, 78); 40]);
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

/// What the probe sends for the test traffic.
fn our_export() -> (Vec<Vec<u8>>, traffic::Truth) {
    let (_folder, path, truth) = capture();
    let sink = Sink::start();
    let target = format!("udp://127.0.0.1:{}?rate=20000", sink.port);
    program::output(probe().arg("--read").arg(&path).args(["--export", &target]));
    (sink.finish(), truth)
}

#[test]
fn tshark_decodes_all_that_the_probe_sends() {
    if missing("tshark_decodes_all_that_the_probe_sends", &["tshark"]) {
        return;
    }
    let _turn = take_turn();
    let (datagrams, truth) = our_export();
    assert!(datagrams.iter().all(|d| d.len() <= 1400));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ours.pcap");
    write_capture(&path, &datagrams);
    let tshark = |arguments: &[&str]| {
        let mut command = Command::new("tshark");
        command
            .arg("-r")
            .arg(&path)
            .args(["-d", "udp.port==4739,cflow"])
            .args(arguments);
        program::text(command.stderr(Stdio::null()))
    };
    assert_eq!(
        tshark(&["-Y", "_ws.malformed || _ws.expert.severity >= 6291456"]),
        ""
    );
    let sum = |field: &str| -> u64 {
        let text = tshark(&["-T", "fields", "-E", "aggregator=,", "-e", field]);
        text.split([',', '\n'])
            .filter(|cell| !cell.is_empty())
            .map(|c| c.parse::<u64>().unwrap())
            .sum()
    };
    assert_eq!(
        (sum("cflow.packets"), sum("cflow.octets")),
        truth.flows.totals()
    );
    // The sequence number of each Message is the number of Data Records before it.
    let text = tshark(&["-T", "fields", "-E", "occurrence=f", "-e", "cflow.sequence"]);
    let sequences: Vec<u64> = text.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(sequences.len(), datagrams.len());
    assert_eq!(sequences[0], 0);
    assert!(sequences.windows(2).all(|pair| pair[0] <= pair[1]));
}

#[test]
fn ipfix_dump_accepts_all_that_the_probe_sends() {
    if missing(
        "ipfix_dump_accepts_all_that_the_probe_sends",
        &["ipfixDump"],
    ) {
        return;
    }
    let _turn = take_turn();
    let (datagrams, truth) = our_export();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ours.ipfix");
    std::fs::write(&path, datagrams.concat()).unwrap();
    let dump = program::text(Command::new("ipfixDump").arg("--in").arg(&path));
    let octets = dump.lines().filter_map(|line| {
        line.split_once("octetDeltaCount")?
            .1
            .rsplit(':')
            .next()?
            .trim()
            .parse::<u64>()
            .ok()
    });
    assert_eq!(octets.sum::<u64>(), truth.flows.totals().1);
}
