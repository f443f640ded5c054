//! The harness of the end-to-end tests, which run the real binaries with real peers.
//!
//! * [`program`]: processes of kipfix and of peers;
//! * [`traffic`]: generated captures with known flows;
//! * [`flows`]: sums per flow, from generated traffic, nfdump or JSON lines;
//! * [`peers`]: third-party collectors and their results;
//! * [`sink`]: receivers that keep flow export;
//! * [`scrape`]: `/metrics` of a running daemon;
//! * [`collector`]: a running collector that receives single flows;
//! * [`forwarding`]: a running collector with a forward target;
//! * [`dashboards`]: the queries of the dashboards;
//! * [`pages`]: Markdown pages;
//! * [`certificates`]: certificates for both sides of TLS;
//! * [`netns`]: network namespaces; [`http_metering`]: a client and a server in two of them;
//! * [`api_server`], [`cluster`], [`objects`]: a real Kubernetes API server, its client and its
//!   objects;
//! * [`nodes`]: a real cluster of several nodes on this machine, with kubectl and helm;
//! * [`images`]: the images of its pods;
//! * [`prometheus`]: a real Prometheus;
//! * [`schemas`]: JSON schemas of an API server, for kubeconform;
//! * [`fill`], [`churn`]: clusters of any size, and pods that are created and deleted at a known
//!   time.
//!
//! A test that cannot run on a machine calls [`skip`]. CI fails if `.ci/skips.txt` does not list
//! it.
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
pub mod forwarding;
pub mod http_metering;
pub mod images;
pub mod netns;
pub mod nodes;
pub mod objects;
pub mod one_pod;
pub mod openapi;
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

/// Reports that a test cannot run on this machine: on standard error, and in the file
/// `KIPFIX_SKIPPED`, which `make test` evaluates.
pub fn skip(reason: &str) {
    // The thread of a test has its name, with the modules that it is in.
    let thread = std::thread::current();
    let name = thread.name().and_then(|name| name.rsplit("::").next());
    skip_test(name.unwrap_or_default(), reason);
}

/// Like [`skip`], for a test whose thread does not have its name.
pub fn skip_test(test: &str, reason: &str) {
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

/// Optional data outside the checkout (`KIPFIX_SHARED`, otherwise `../shared`): a corpus and a
/// traffic generator. If it is absent, calls [`skip`] and returns `None`.
pub fn shared(path: &str) -> Option<PathBuf> {
    let root = std::env::var_os("KIPFIX_SHARED").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared"),
        PathBuf::from,
    );
    let path = root.join(path);
    if path.exists() {
        return Some(path);
    }
    skip(&format!("{} is not here", path.display()));
    None
}

/// A lock for tests that load the machine or that use receivers without flow control. It also works
/// between processes, because every test file is one. The cluster tests (`e2e`) do not take it.
pub struct Turn(
    #[allow(dead_code, reason = "held, not read")] MutexGuard<'static, ()>,
    #[allow(dead_code, reason = "held, not read")] std::fs::File,
);

/// Waits for the lock.
pub fn take_turn() -> Turn {
    static MACHINE: Mutex<()> = Mutex::new(());
    let within = MACHINE.lock().unwrap_or_else(PoisonError::into_inner);
    let path = std::env::temp_dir().join("kipfix-tests.lock");
    let file = std::fs::File::create(path).expect("a lock file can be made");
    file.lock().expect("the lock file can be locked");
    Turn(within, file)
}
