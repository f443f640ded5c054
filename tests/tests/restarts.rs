//! Probe and collector are stopped and restarted under load, over UDP, TCP and TLS. The counters
//! match the losses.
//!
//! Each datagram of the load is a flow of one packet with 30 octets, so records, packets and octets
//! can be compared. No records are pending between the phases. Every phase has its own balance.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use kipfix_tests::certificates::Certificates;
use kipfix_tests::flows::Flows;
use kipfix_tests::netns::{self, Hosts, Namespace};
use kipfix_tests::program::{PATIENCE, Running, eventually, is_installed};
use kipfix_tests::{skip, take_turn};

/// Datagrams of the load in a phase, in bursts.
const BURSTS: u64 = 8;
const BURST: u64 = 400;
/// Octets of an IP packet of the load: headers of 20 and 8 octets, and 2 octets of payload.
const OCTETS: u64 = 30;
/// Duration of an outage. Shorter than the load, so that its end follows the restart.
const OUTAGE: Duration = Duration::from_millis(700);
/// Destination of the load.
const UNUSED: &str = "10.78.0.3";
const PROBE: &str = "127.0.0.1:9473";

#[test]
fn the_counters_match_the_losses_when_either_side_restarts_under_load() {
    if netns::missing() {
        return;
    }
    if !is_installed("tcpdump") {
        return skip("tcpdump is not installed");
    }
    let _turn = take_turn();
    let folder = tempfile::tempdir().unwrap();
    let mut stage = Stage::new(folder.path());

    // A graceful shutdown: the collector reads the records of its exporters. Later records are
    // pending for the next collector over TCP and TLS.
    let [udp, streams @ ..] = stage.during(|stage| {
        stage.collectors(|way| way.running.take().unwrap().terminate());
        sleep(OUTAGE);
        stage.start_collectors();
    });
    for balance in &streams {
        balance.assert_accounted("graceful shutdown");
        assert_eq!(balance.lost, 0, "graceful shutdown: {balance:?}");
        assert_eq!(balance.packets, BURSTS * BURST, "{balance:?}");
    }
    udp.assert_lost_during_outage("graceful shutdown");
    stage.assert_udp_is_reported("graceful shutdown");

    // Killed while the probe is suspended and all records have been read: the counters are exact.
    let [udp, streams @ ..] = stage.during(|stage| {
        stage.probe.signal("STOP");
        stage.wait_for_logs();
        stage.collectors(|way| way.running.take().unwrap().kill());
        stage.probe.signal("CONT");
        sleep(OUTAGE);
        stage.start_collectors();
    });
    for balance in &streams {
        balance.assert_accounted("killed");
        let missing = BURSTS * BURST - balance.packets;
        assert!(missing <= balance.lost, "killed: {balance:?}");
    }
    udp.assert_lost_during_outage("killed");
    stage.assert_udp_is_reported("killed");

    // Killed at any time: records that its host had acknowledged and it had not logged are in no
    // counter. After a reset, records that were acknowledged since the last query of the probe are
    // counted as lost. Each is one burst at most.
    let [udp, streams @ ..] = stage.during(|stage| {
        stage.collectors(|way| way.running.take().unwrap().kill());
        sleep(OUTAGE);
        stage.start_collectors();
    });
    for balance in &streams {
        assert_eq!(balance.received, balance.sent + balance.lost, "{balance:?}");
        assert!(
            balance.sent.abs_diff(balance.logged) <= BURST,
            "{balance:?}"
        );
    }
    udp.assert_lost_during_outage("killed at any time");
    stage.assert_udp_is_reported("killed at any time");

    // The probe is killed: the records that it counted as sent have been read, and those in its
    // kernel are still delivered, so the collectors count no losses.
    let before = stage.settled();
    let load = stage.load();
    stage.wait_for_load(&before);
    let last = stage.counters();
    stage.kill_probe();
    stage.probe = stage.start_probe();
    load.wait(PATIENCE);
    let after = stage.settled();
    for at in 0..3 {
        let sent = last[at].sent - before[at].sent;
        let logged = after[at].logged - before[at].logged - after[at].sent;
        let what = format!(
            "probe killed: {:?} {:?} {:?}",
            before[at], last[at], after[at]
        );
        assert!(sent > 0 && logged >= sent, "{what}");
        assert!(
            logged <= last[at].received - before[at].received + BURST,
            "{what}"
        );
        assert_eq!(
            after[at].received,
            after[at].sent + after[at].lost,
            "{what}"
        );
        assert_eq!(after[at].lost, 0, "{what}");
    }
    for way in &stage.ways {
        let scrape = stage.far.scrape(&way.http);
        let count = |name: &str| scrape.sum(&format!("kipfix_collector_{name}"), &[]);
        assert_eq!(count("sequence_lost_total"), 0, "{}", way.scheme);
        assert_eq!(count("unusable_total"), 0, "{}", way.scheme);
        let restarted = match way.scheme {
            "udp" => count("exporters_restarted_total"),
            _ => count("connections_closed_total"),
        };
        assert_eq!(restarted, 1, "{}", way.scheme);
    }
}

/// Two namespaces, a probe in one and a collector for each transport in the other.
struct Stage {
    probe: Running,
    ways: Vec<Way>,
    near: Namespace,
    far: Namespace,
    _hosts: Hosts,
    _certificates: Certificates,
}

/// The path from the probe to one collector.
struct Way {
    scheme: &'static str,
    listen: String,
    target: String,
    http: String,
    folder: PathBuf,
    lives: usize,
    running: Option<Running>,
}

/// Counters of one path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counters {
    received: u64,
    sent: u64,
    lost: u64,
    waiting: u64,
    /// Records in the logs of all lives of the collector.
    logged: u64,
}

/// Differences of the counters in a phase.
#[derive(Debug)]
#[expect(dead_code, reason = "part of failure messages")]
struct Balance {
    scheme: &'static str,
    received: u64,
    sent: u64,
    lost: u64,
    logged: u64,
    /// Of the load.
    packets: u64,
}

impl Balance {
    /// Every record is either in a log or counted as lost.
    fn assert_accounted(&self, what: &str) {
        assert!(self.received >= BURSTS * BURST, "{what}: {self:?}");
        assert_eq!(self.received, self.sent + self.lost, "{what}: {self:?}");
        assert_eq!(self.logged, self.sent, "{what}: {self:?}");
    }

    /// A host reports a closed UDP port about once per second, so the probe counts fewer losses
    /// than there are.
    fn assert_lost_during_outage(&self, what: &str) {
        assert_eq!(self.received, self.sent + self.lost, "{what}: {self:?}");
        assert!(self.lost > 0, "{what}: {self:?}");
        assert!(self.logged <= self.sent, "{what}: {self:?}");
    }
}

impl Stage {
    fn new(folder: &Path) -> Self {
        let (near, far) = (Namespace::new("near"), Namespace::new("far"));
        netns::link((&near, "eth0"), (&far, "eth0"));
        for (namespace, address) in [(&near, "10.78.0.1/24"), (&far, "10.78.0.2/24")] {
            let name = namespace.name();
            netns::run(&format!("ip -n {name} addr add {address} dev eth0"));
        }
        // The load goes to an unused address: hosts limit the rate of refusals, and those for the
        // collectors matter.
        netns::run(&format!(
            "ip -n {} neigh add {UNUSED} lladdr 02:00:00:00:00:09 dev eth0 nud permanent",
            near.name()
        ));
        // The certificate is for this name.
        let hosts = Hosts::new(&near, "10.78.0.2 localhost\n");
        let certificates = Certificates::new();
        let queries = |scheme: &str| match scheme {
            "tls" => (
                format!("?{}", certificates.of_server()),
                format!("?{}", certificates.of_client()),
            ),
            _ => <(String, String)>::default(),
        };
        let ways = ["udp", "tcp", "tls"]
            .into_iter()
            .zip(4739..)
            .map(|(scheme, port)| {
                let (server, client) = queries(scheme);
                Way {
                    scheme,
                    listen: format!("{scheme}://0.0.0.0:{port}{server}"),
                    target: format!("{scheme}://localhost:{port}{client}"),
                    http: format!("127.0.0.1:{}", port + 1000),
                    folder: folder.to_owned(),
                    lives: 0,
                    running: None,
                }
            });
        let mut ways: Vec<Way> = ways.collect();
        ways.iter_mut().for_each(|way| way.start(&far));
        let probe = start_probe(&near, &ways);
        Self {
            probe,
            ways,
            near,
            far,
            _hosts: hosts,
            _certificates: certificates,
        }
    }

    fn start_probe(&self) -> Running {
        start_probe(&self.near, &self.ways)
    }

    /// Kills the probe. The next one is to be put in its place.
    fn kill_probe(&mut self) {
        self.probe.signal("KILL");
        assert!(eventually(PATIENCE, || !self.probe.is_alive()));
    }

    /// Does the same with all collectors.
    fn collectors<T>(&mut self, act: impl Fn(&mut Way) -> T) {
        for way in &mut self.ways {
            act(way);
        }
    }

    fn start_collectors(&mut self) {
        for way in &mut self.ways {
            way.start(&self.far);
        }
    }

    /// Starts the load.
    fn load(&self) -> Running {
        let mut load = self.near.command("bash -c");
        load.arg(format!(
            "for burst in $(seq {BURSTS}); do \
               for i in $(seq {BURST}); do echo x > /dev/udp/{UNUSED}/$((1000 + i)); done; sleep 0.2; \
             done"
        ));
        Running::start(load.stderr(Stdio::null()))
    }

    fn counters(&self) -> Vec<Counters> {
        let scrape = self.near.scrape(PROBE);
        let counters = self.ways.iter().map(|way| {
            let target = format!("target=\"{}:", way.scheme);
            let of =
                |name: &str| scrape.sum(&format!("kipfix_probe_target_records_{name}"), &[&target]);
            Counters {
                received: of("received_total"),
                sent: of("sent_total"),
                lost: of("lost_total"),
                waiting: of("waiting"),
                logged: way.lines().lines().count() as u64,
            }
        });
        counters.collect()
    }

    /// Waits until no record is pending.
    fn settled(&self) -> Vec<Counters> {
        let mut last = Vec::new();
        let is_settled = || {
            sleep(Duration::from_millis(800));
            let before = std::mem::replace(&mut last, self.counters());
            let is_complete = |counters: &Counters| {
                counters.waiting == 0 && counters.received == counters.sent + counters.lost
            };
            before == last && last.iter().all(is_complete)
        };
        let settled = eventually(PATIENCE, is_settled);
        assert!(settled, "{last:?}");
        last
    }

    /// The losses over UDP are the exported records in the options data of the probe minus the
    /// records of the collectors. The current collector has both.
    fn assert_udp_is_reported(&self, what: &str) {
        let (mut reported, mut sent) = (0, 0);
        let is_equal = || {
            // A record of the host itself may follow at any time.
            sent = self.counters()[0].received;
            let scrape = self.far.scrape(&self.ways[0].http);
            let of = "statistic=\"exported_records\"";
            reported = scrape.sum("kipfix_collector_exporter_reported", &[of]);
            reported == sent
        };
        let equal = eventually(PATIENCE, is_equal);
        assert!(equal, "{what}: {reported} reported, {sent} exported");
    }

    /// Waits until the flow logs of the collectors do not grow any more.
    fn wait_for_logs(&self) {
        let (mut last, mut quiet) = (Vec::new(), 0);
        let is_quiet = || {
            sleep(Duration::from_millis(300));
            let lengths = self.ways.iter().map(|way| way.lines().len()).collect();
            let is_same = std::mem::replace(&mut last, lengths) == last;
            quiet = if is_same { quiet + 1 } else { 0 };
            // On a loaded machine, a collector may not run for a while.
            quiet == 5
        };
        assert!(eventually(PATIENCE, is_quiet));
    }

    /// Waits until the probe has exported a part of the load to all targets.
    fn wait_for_load(&self, before: &[Counters]) {
        let is_running = || {
            let mut pairs = self.counters().into_iter().zip(before);
            pairs.all(|(now, before)| now.sent >= before.sent + BURST)
        };
        assert!(eventually(PATIENCE, is_running));
    }

    /// Triggers an event in the middle of a load.
    fn during(&mut self, event: impl FnOnce(&mut Self)) -> [Balance; 3] {
        let before = self.settled();
        let packets: Vec<u64> = self.ways.iter().map(Way::packets_of_load).collect();
        let load = self.load();
        self.wait_for_load(&before);
        event(self);
        load.wait(PATIENCE);
        let after = self.settled();
        let dropped = self.near.scrape(PROBE);
        for name in ["queue_records_lost", "packets_dropped"] {
            assert_eq!(dropped.sum(&format!("kipfix_probe_{name}_total"), &[]), 0);
        }
        let balances = std::array::from_fn(|at| Balance {
            scheme: self.ways[at].scheme,
            received: after[at].received - before[at].received,
            sent: after[at].sent - before[at].sent,
            lost: after[at].lost - before[at].lost,
            logged: after[at].logged - before[at].logged,
            packets: self.ways[at].packets_of_load() - packets[at],
        });
        println!("{balances:#?}");
        balances
    }
}

fn start_probe(near: &Namespace, ways: &[Way]) -> Running {
    let mut command = near.ours("kipfix-probe");
    command.args(["--interface", "eth0", "--admin", PROBE]);
    command.args(["--active-timeout", "1s", "--idle-timeout", "500ms"]);
    for way in ways {
        command.args(["--export", &way.target]);
    }
    let probe = Running::start(command.stderr(Stdio::null()));
    let connected = || {
        let up = near.command(&format!(
            "bash -c exec<>/dev/tcp/{}",
            PROBE.replace(':', "/")
        ));
        let mut up = up;
        up.output().is_ok_and(|output| output.status.success())
    };
    assert!(eventually(PATIENCE, connected));
    let has_targets = || {
        let scrape = near.scrape(PROBE);
        scrape.sum("kipfix_probe_target_connections", &[]) == 3
    };
    assert!(eventually(PATIENCE, has_targets));
    probe
}

impl Way {
    /// Begins another life of the collector.
    fn start(&mut self, far: &Namespace) {
        self.lives += 1;
        let mut command = far.ours("kipfix-collector");
        command.args(["--listen", &self.listen, "--http", &self.http]);
        command.args(["--kubernetes", "off", "--flow-log"]);
        command.arg(format!("file:{}", self.log(self.lives).display()));
        self.running = Some(Running::start(command.stderr(Stdio::null())));
    }

    fn log(&self, life: usize) -> PathBuf {
        self.folder.join(format!("{}-{life}.json", self.scheme))
    }

    /// The whole lines of all lives.
    fn lines(&self) -> String {
        let logs = (1..=self.lives).map(|life| {
            let log = std::fs::read_to_string(self.log(life)).unwrap_or_default();
            // Who is killed may leave half a line.
            log.rsplit_once('\n')
                .map_or_else(String::new, |(whole, _)| format!("{whole}\n"))
        });
        logs.collect()
    }

    /// Packets of the load in the logs; each has the octets that it should have.
    fn packets_of_load(&self) -> u64 {
        let flows = Flows::of_json_lines(&self.lines());
        let of_load = flows.0.iter().filter(|((_, to, protocol, _, port), _)| {
            to.to_string() == UNUSED
                && *protocol == 17
                && (1001..=1000 + BURST).contains(&(*port).into())
        });
        let (mut packets, mut octets) = (0, 0);
        for (_, sums) in of_load {
            packets += sums.0;
            octets += sums.1;
        }
        assert_eq!(octets, OCTETS * packets, "{}", self.scheme);
        packets
    }
}
