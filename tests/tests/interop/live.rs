//! Exporters that only capture live, with the collector. A capture is replayed between two
//! interfaces of a namespace.

use std::process::Stdio;
use std::time::Duration;

use kipfix_tests::netns::{self, Namespace};
use kipfix_tests::peers::{self, Suite, missing};
use kipfix_tests::program::{self, Running};
use kipfix_tests::sink::Sink;
use kipfix_tests::take_turn;

use crate::collect::{Exporter, capture, read};
use crate::page::{Section, keep};
use crate::{IPFIX, NETFLOW_1, NETFLOW_5};

/// A capture is replayed at this rate, packets per second.
const RATE: u32 = 20_000;

/// The datagrams that a program exports to a port while a capture is replayed to an interface.
/// `command` makes the command line from both.
fn exported(command: impl FnOnce(&str, u16) -> String) -> Vec<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let capture = capture(folder.path());
    let namespace = Namespace::new("live");
    netns::link((&namespace, "left"), (&namespace, "right"));
    let name = namespace.name();
    for interface in ["left", "right"] {
        netns::run(&format!("ip -n {name} link set {interface} mtu 9000"));
    }
    // The resolver of ipfixprobe finds no address if there are only those of the loopback
    // interface.
    netns::run(&format!("ip -n {name} address add 192.0.2.1/24 dev left"));
    let sink = Sink::start_in(&namespace);
    let mut exporter = namespace.command(&command("right", sink.port));
    let exporter = Running::start(exporter.stdout(Stdio::null()).stderr(Stdio::null()));
    program::wait_for_capture(exporter.pid());
    let capture = capture.display();
    namespace.run(&format!(
        "tcpreplay --quiet --pps {RATE} --intf1 left {capture}"
    ));
    // The exporters read blocks of packets, the last one after a timeout.
    std::thread::sleep(Duration::from_millis(1000));
    exporter.terminate();
    sink.finish()
}

#[test]
fn ipfixprobe_is_read_as_it_sends() {
    if missing(&["tcpreplay", "nfcapd", "nfdump"]) || netns::missing() {
        return;
    }
    let Some(suite) = Suite::unstable() else {
        return;
    };
    let _turn = take_turn();
    let exporter = Exporter {
        peer: "ipfixprobe",
        release: suite.release("ipfixprobe", "ipfixprobe", "-V"),
    };
    let program = suite.path("ipfixprobe");
    let plugins = suite.plugins("ipfixprobe");
    let (program, plugins) = (program.display(), plugins.display());
    // A record per direction, and biflows (RFC 5103).
    let kinds = [(IPFIX, ";split"), ("IPFIX, biflows", "")];
    let rows = kinds.map(|(version, split)| {
        let datagrams = exported(|interface, port| {
            format!(
                "{program} -L {plugins} -i raw;ifc={interface} -s cache;size=17{split} \
                 -o ipfix;udp;host=127.0.0.1;port={port}"
            )
        });
        let (read, sent) = read(&datagrams);
        exporter.row(version, "UDP", &read, &sent)
    });
    keep(Section::Collect, &rows);
}

#[test]
fn fprobe_is_read_as_it_sends() {
    let programs = ["fprobe", "tcpreplay", "nfcapd", "nfdump"];
    if missing(&programs) || netns::missing() {
        return;
    }
    let _turn = take_turn();
    let exporter = Exporter {
        peer: "fprobe",
        release: peers::version("fprobe", "-h"),
    };
    let versions = [(NETFLOW_1, "1"), (NETFLOW_5, "5"), ("NetFlow v7", "7")];
    let rows = versions.map(|(version, number)| {
        // In the foreground, with room for all flows when it ends.
        let datagrams = exported(|interface, port| {
            format!("fprobe -p -i {interface} -n {number} -l 2 -B 16384 -q 10000 127.0.0.1:{port}")
        });
        let (read, sent) = read(&datagrams);
        exporter.row(version, "UDP", &read, &sent)
    });
    keep(Section::Collect, &rows);
}
