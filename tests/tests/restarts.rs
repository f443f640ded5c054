//! Either side ends under load and comes back, over UDP, TCP and TLS at once: what is lost is what the counters
//! say.
//!
//! Each datagram of the load is a flow of its own, of one packet of 30 octets, so records, packets and octets
//! can be held against each other. Between the phases nothing is on its way, and every phase has a balance of its
//! own.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use kipfix_tests::certificates::Certificates;
use kipfix_tests::flows::Flows;
use kipfix_tests::netns::{self, Hosts, Namespace};
use kipfix_tests::program::{Running, eventually, is_installed};
use kipfix_tests::scrape::Scrape;
use kipfix_tests::{skip, take_turn};

/// Datagrams of the load in a phase, in bursts.
const BURSTS: u64 = 8;
const BURST: u64 = 400;
/// What an IP packet of the load has: headers of 20 and 8 octets, and 2 more.
const OCTETS: u64 = 30;
/// Where the load goes.
const NOBODY: &str = "10.78.0.3";
const PROBE: &str = "127.0.0.1:9473";

#[test]
fn either_side_ends_under_load_and_what_is_lost_is_what_the_counters_say() {
    let test = "either_side_ends_under_load_and_what_is_lost_is_what_the_counters_say";
    if netns::missing(test) {
        return;
    }
    if !is_installed("tcpdump") {
        return skip(test, "tcpdump is not installed");
    }
    let _turn = take_turn();
    let folder = tempfile::tempdir().unwrap();
    let mut stage = Stage::new(folder.path());

    // Asked to stop, a collector takes what its exporters have for it. What comes while it is away waits for the
    // next one, where there is a connection to wait for.
    let [udp, streams @ ..] = stage.during(|stage| {
        stage.collectors(|way| way.running.take().unwrap().terminate());
        sleep(Duration::from_millis(700));
        stage.start_collectors();
    });
    for balance in &streams {
        balance.assert_told("asked to stop");
        assert_eq!(balance.lost, 0, "asked to stop: {balance:?}");
        assert_eq!(balance.packets, BURSTS * BURST, "{balance:?}");
    }
    udp.assert_gone_while_away("asked to stop");
    stage.assert_udp_is_reported("asked to stop");

    // Killed while the probe is held up, so that all that was sent has been read: the counters are exact.
    let [udp, streams @ ..] = stage.during(|stage| {
        stage.probe.signal("STOP");
        stage.wait_for_logs();
        stage.collectors(|way| way.running.take().unwrap().kill());
        stage.probe.signal("CONT");
        sleep(Duration::from_millis(700));
        stage.start_collectors();
    });
    for balance in &streams {
        balance.assert_told("killed");
        let missing = BURSTS * BURST - balance.packets;
        assert!(missing <= balance.lost, "killed: {balance:?}");
    }
    udp.assert_gone_while_away("killed");
    stage.assert_udp_is_reported("killed");

    // Killed at any moment: what its host had acknowledged and it had not logged, nobody can know, so the counters say
    // less than was lost by that. And where the connection was reset, nobody can ask what was acknowledged since the
    // probe's last look, so they say more by that. Either is what was under way, a burst at the most.
    let [udp, streams @ ..] = stage.during(|stage| {
        stage.collectors(|way| way.running.take().unwrap().kill());
        sleep(Duration::from_millis(700));
        stage.start_collectors();
    });
    for balance in &streams {
        assert_eq!(balance.received, balance.sent + balance.lost, "{balance:?}");
        assert!(
            balance.sent.abs_diff(balance.logged) <= BURST,
            "{balance:?}"
        );
    }
    udp.assert_gone_while_away("killed at any moment");
    stage.assert_udp_is_reported("killed at any moment");

    // The probe killed: what it had counted as sent has been read, and what it gave to its kernel is still
    // delivered, so that no collector misses anything.
    let before = stage.settled();
    let load = stage.load();
    sleep(Duration::from_millis(1500));
    let last = stage.ledgers();
    stage.kill_probe();
    sleep(Duration::from_millis(700));
    stage.probe = stage.start_probe();
    load.wait(Duration::from_secs(60));
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
        let scrape = way.scrape(&stage.far);
        let count = |name: &str| scrape.sum(&format!("kipfix_collector_{name}"), &[]);
        assert_eq!(count("sequence_lost_total"), 0, "{}", way.scheme);
        assert_eq!(count("unusable_total"), 0, "{}", way.scheme);
        let began_anew = match way.scheme {
            "udp" => count("exporters_restarted_total"),
            _ => count("connections_closed_total"),
        };
        assert_eq!(began_anew, 1, "{}", way.scheme);
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

/// From the probe to a collector of its own.
struct Way {
    scheme: &'static str,
    listen: String,
    target: String,
    http: String,
    folder: PathBuf,
    lives: usize,
    running: Option<Running>,
}

/// What was counted so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Ledger {
    received: u64,
    sent: u64,
    lost: u64,
    waiting: u64,
    /// Records in the logs of all lives of the collector.
    logged: u64,
}

/// What was counted in a phase.
#[derive(Debug)]
#[expect(dead_code, reason = "the scheme is shown where something is wrong")]
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
    fn assert_told(&self, what: &str) {
        assert!(self.received >= BURSTS * BURST, "{what}: {self:?}");
        assert_eq!(self.received, self.sent + self.lost, "{what}: {self:?}");
        assert_eq!(self.logged, self.sent, "{what}: {self:?}");
    }

    /// Over UDP a host refuses what comes for nobody, but says so about once a second only: the probe counts less as
    /// lost than was lost.
    fn assert_gone_while_away(&self, what: &str) {
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
        // The load goes to nobody, who does not answer: hosts limit how often they refuse, and the collectors' hosts
        // are to refuse for the collectors alone.
        netns::run(&format!(
            "ip -n {} neigh add {NOBODY} lladdr 02:00:00:00:00:09 dev eth0 nud permanent",
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
        assert!(eventually(Duration::from_secs(5), || !self
            .probe
            .is_alive()));
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
               for i in $(seq {BURST}); do echo x > /dev/udp/{NOBODY}/$((1000 + i)); done; sleep 0.2; \
             done"
        ));
        Running::start(load.stderr(Stdio::null()))
    }

    fn ledgers(&self) -> Vec<Ledger> {
        let scrape = Scrape::in_namespace(self.near.name(), PROBE.parse().unwrap());
        let ledgers = self.ways.iter().map(|way| {
            let target = format!("target=\"{}:", way.scheme);
            let of =
                |name: &str| scrape.sum(&format!("kipfix_probe_target_records_{name}"), &[&target]);
            Ledger {
                received: of("received_total"),
                sent: of("sent_total"),
                lost: of("lost_total"),
                waiting: of("waiting"),
                logged: way.lines().lines().count() as u64,
            }
        });
        ledgers.collect()
    }

    /// Waits until nothing is on its way.
    fn settled(&self) -> Vec<Ledger> {
        let mut last = Vec::new();
        let is_settled = || {
            sleep(Duration::from_millis(800));
            let before = std::mem::replace(&mut last, self.ledgers());
            let is_even = |ledger: &Ledger| {
                ledger.waiting == 0 && ledger.received == ledger.sent + ledger.lost
            };
            before == last && last.iter().all(is_even)
        };
        let settled = eventually(Duration::from_secs(30), is_settled);
        assert!(settled, "{last:?}");
        last
    }

    /// All of what was lost over UDP is what the probe says in options data that it has exported, less what the
    /// collectors have: the collector of today has both.
    fn assert_udp_is_reported(&self, what: &str) {
        let sent = self.ledgers()[0].received;
        let mut said = 0;
        let is_said = || {
            let scrape = self.ways[0].scrape(&self.far);
            let of = "statistic=\"exported_records\"";
            said = scrape.sum("kipfix_collector_exporter_reported", &[of]);
            said == sent
        };
        let is_told = eventually(Duration::from_secs(15), is_said);
        assert!(is_told, "{what}: {said} reported, {sent} exported");
    }

    /// Waits until the collectors have nothing more to log.
    fn wait_for_logs(&self) {
        let (mut last, mut quiet) = (Vec::new(), 0);
        let is_quiet = || {
            sleep(Duration::from_millis(300));
            let lengths = self.ways.iter().map(|way| way.lines().len()).collect();
            let is_same = std::mem::replace(&mut last, lengths) == last;
            quiet = if is_same { quiet + 1 } else { 0 };
            // A machine with much to do may keep a collector from reading for a while.
            quiet == 5
        };
        assert!(eventually(Duration::from_secs(20), is_quiet));
    }

    /// Lets something happen in the middle of a load.
    fn during(&mut self, event: impl FnOnce(&mut Self)) -> [Balance; 3] {
        let before = self.settled();
        let packets: Vec<u64> = self.ways.iter().map(Way::packets_of_load).collect();
        let load = self.load();
        sleep(Duration::from_millis(1500));
        event(self);
        load.wait(Duration::from_secs(60));
        let after = self.settled();
        let dropped = Scrape::in_namespace(self.near.name(), PROBE.parse().unwrap());
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
    assert!(eventually(Duration::from_secs(10), connected));
    let has_targets = || {
        let scrape = Scrape::in_namespace(near.name(), PROBE.parse().unwrap());
        scrape.sum("kipfix_probe_target_connections", &[]) == 3
    };
    assert!(eventually(Duration::from_secs(10), has_targets));
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
            to.to_string() == NOBODY
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

    fn scrape(&self, far: &Namespace) -> Scrape {
        Scrape::in_namespace(far.name(), self.http.parse().unwrap())
    }
}
