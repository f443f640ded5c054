//! What the end-to-end tests share: they run the real binaries against real peers.
//!
//! * [`program`]: our binaries and other people's, started, awaited, ended by pid;
//! * [`traffic`]: captures with known truth, made here;
//! * [`flows`]: per-flow sums, from a truth, from nfdump, from JSON lines;
//! * [`peers`]: other people's collectors, and what they read;
//! * [`sink`]: receivers of flow export that keep what they get;
//! * [`scrape`]: `/metrics` of a running daemon;
//! * [`collector`]: our collector, told of flows one by one;
//! * [`dashboards`]: what Grafana asks of Prometheus;
//! * [`pages`]: README, and the pages of `docs/`;
//! * [`certificates`]: for both sides of TLS;
//! * [`netns`]: network namespaces that go when the test does;
//! * [`api_server`], [`cluster`], [`objects`]: a real Kubernetes API server, a client of it, and what is
//!   in it;
//! * [`nodes`]: a real cluster of several nodes on this machine, its kubectl and helm;
//! * [`images`]: what its pods run, beside our own images;
//! * [`prometheus`]: a real Prometheus, and PromQL;
//! * [`schemas`]: what an API server says of itself, for kubeconform;
//! * [`fill`], [`churn`]: a cluster of any size in it, and pods that come and go with a known truth.
//!
//! A test that cannot run here says so with [`skip`]; it never passes in silence.
#![allow(
    clippy::disallowed_methods,
    reason = "tests wait for real processes in real time"
)]

pub mod api_server;
pub mod certificates;
pub mod churn;
pub mod cluster;
pub mod collector;
pub(crate) mod control_plane;
pub mod dashboards;
pub mod fill;
pub mod flows;
pub mod images;
pub mod netns;
pub mod nodes;
pub mod objects;
pub mod pages;
pub mod peers;
pub mod program;
pub mod prometheus;
pub mod schemas;
pub mod scrape;
pub mod sink;
pub mod traffic;

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Says that a test does not run here and why: on standard error, and in the file named by
/// `KIPFIX_SKIPPED`, from which `make test` prints it at the end.
pub fn skip(test: &str, reason: &str) {
    eprintln!("skipped: {test}: {reason}");
    if let Ok(path) = std::env::var("KIPFIX_SKIPPED") {
        let file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path);
        let written = file.and_then(|mut f| writeln!(f, "skipped: {test}: {reason}"));
        written.expect("the list of skipped tests can be written");
    }
}

/// Data that some workplaces have beside the checkout (`KIPFIX_SHARED`, else `../shared`): corpus and
/// traffic generator. `None`, said by [`skip`], where it is absent.
pub fn shared(test: &str, path: &str) -> Option<PathBuf> {
    let root = std::env::var_os("KIPFIX_SHARED").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared"),
        PathBuf::from,
    );
    let path = root.join(path);
    if path.exists() {
        return Some(path);
    }
    skip(test, &format!("{} is not here", path.display()));
    None
}

/// Tests that load the machine, or count what a receiver without flow control gets, take turns, but for the
/// cluster's (`e2e`), beside which some run. The lock holds between processes too, because every test file is one.
pub struct Turn(
    #[allow(dead_code, reason = "held, not read")] MutexGuard<'static, ()>,
    #[allow(dead_code, reason = "held, not read")] std::fs::File,
);

/// Waits until no other test holds the machine.
pub fn take_turn() -> Turn {
    static MACHINE: Mutex<()> = Mutex::new(());
    let within = MACHINE.lock().unwrap_or_else(PoisonError::into_inner);
    let path = std::env::temp_dir().join("kipfix-tests.lock");
    let file = std::fs::File::create(path).expect("a lock file can be made");
    file.lock().expect("the lock file can be locked");
    Turn(within, file)
}
