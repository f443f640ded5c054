//! Open vSwitch with the collector.

use std::process::Stdio;
use std::thread;
use std::time::Duration;

use kipfix_tests::collector::Collector;
use kipfix_tests::netns::{self, Namespace};
use kipfix_tests::peers::{self, Reading, missing};
use kipfix_tests::program::{self, Running, eventually};
use kipfix_tests::sink::Sink;
use kipfix_tests::take_turn;

use crate::collect::{Exporter, read};
use crate::judge::Sent;
use crate::page::{Section, keep};
use crate::{IPFIX, NETFLOW_5};

#[test]
fn open_vswitch_is_read_as_it_sends() {
    if missing(&[
        "ovs-vswitchd",
        "ovsdb-server",
        "ovsdb-tool",
        "nfcapd",
        "nfdump",
    ]) || netns::missing()
    {
        return;
    }
    let _turn = take_turn();
    let exporter = Exporter {
        peer: "Open vSwitch",
        release: peers::version("ovs-vswitchd", "--version"),
    };
    let (v5, ipfix) = messages_of_a_switch();

    let (ours, sent) = read(&v5);
    let mut rows = vec![exporter.row(NETFLOW_5, "UDP", &ours, &sent)];
    // It reports each flow at ingress and egress of the bridge (61); --flow-direction counts one of
    // the two. Its IPFIX has running totals (85, 86) in addition to deltas, and nfcapd 1.7.1 stores
    // the totals. So the result is compared with the traffic: 40 datagrams of 20 + 8 + 11 octets, a
    // flow each.
    let collector = Collector::start(&["--kubernetes", "off"]);
    collector.receive(&ipfix);
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

/// The NetFlow v5 and the IPFIX of Open vSwitch while its bridge forwards 40 datagrams of 11
/// octets, each from another port.
fn messages_of_a_switch() -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
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
    assert!(eventually(program::PATIENCE, is_up));
    let vsctl = |line: &str| {
        switch.run(&format!(
            "ovs-vsctl --timeout=60 --db=unix:{dir}/db.sock {line}"
        ));
    };
    vsctl("--no-wait init");
    let _switch = background(format!(
        "ovs-vswitchd unix:{dir}/db.sock --unixctl={dir}/vs.ctl"
    ));

    let [ipfix, netflow] = std::array::from_fn(|_| Sink::start_in(&switch));
    vsctl("add-br br0 -- set bridge br0 datapath_type=netdev");
    vsctl("add-port br0 p1 -- add-port br0 p2");
    vsctl(&format!(
        "-- --id=@i create ipfix targets=\"127.0.0.1:{}\" obs_domain_id=7 obs_point_id=1 sampling=1 \
         cache_active_timeout=1 cache_max_flows=100 -- set bridge br0 ipfix=@i",
        ipfix.port
    ));
    vsctl(&format!(
        "-- --id=@n create netflow targets=\"127.0.0.1:{}\" active_timeout=1 -- set bridge br0 netflow=@n",
        netflow.port
    ));
    let mut calls = left.command("bash -c");
    // All sockets stay open, so that no two of them have the same port.
    calls.arg(
        "for i in $(seq 40); do exec {fd}<>/dev/udp/10.88.0.2/9; echo 0123456789 >&$fd; sleep 0.02; done",
    );
    program::output(&mut calls);
    thread::sleep(Duration::from_secs(3));
    vsctl("-- clear bridge br0 ipfix -- clear bridge br0 netflow");
    vsctl("del-br br0");
    (netflow.finish(), ipfix.finish())
}
