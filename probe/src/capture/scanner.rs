//! Lists the links and default routes of the node in a thread of its own: the kernel dumps all
//! routes for it, which takes seconds on a node with a full routing table.
//!
//! A change that the kernel reports starts a scan at once, and one is made every 10 s in any case.

use std::io;
use std::os::fd::AsFd as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kipfix_service::signals::Stop;
use kipfix_service::sync::lock;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::netlink::{self, Link, LinkEvents};

/// Longest interval between scans.
const SCAN_INTERVAL: Duration = Duration::from_secs(10);
/// Shortest interval between scans. Changes often come together.
const MIN_SCAN_INTERVAL: Duration = Duration::from_millis(500);

/// The links of the node, and the ifIndex of those with a default route.
#[derive(Debug)]
pub(super) struct NodeLinks {
    pub(super) links: Vec<Link>,
    pub(super) default_routes: Vec<u32>,
}

impl NodeLinks {
    /// Lists the links, and the default routes if they are needed.
    pub(super) fn scan(with_routes: bool) -> io::Result<Self> {
        let default_routes = if with_routes {
            netlink::default_route_interfaces()?
        } else {
            Vec::new()
        };
        Ok(Self {
            links: netlink::links()?,
            default_routes,
        })
    }
}

/// The latest scan of the thread. Clones share the thread, and each of them takes every scan.
#[derive(Clone, Debug, Default)]
pub(super) struct Scanner {
    latest: Arc<Mutex<Option<Scan>>>,
    /// The latest scan that was taken.
    taken: Option<Scan>,
}

type Scan = Arc<io::Result<NodeLinks>>;

impl Scanner {
    /// Starts the thread, which ends at the stop.
    pub(super) fn start(with_routes: bool, stop: Stop) -> io::Result<Self> {
        let events = LinkEvents::open()
            .inspect_err(
                |error| tracing::warn!(%error, "interfaces are looked for every 10 s only"),
            )
            .ok();
        Self::spawn(
            move || !wait(&stop, events.as_ref()),
            move || NodeLinks::scan(with_routes),
        )
    }

    /// Starts a thread that scans each time that `is_due` returns true.
    fn spawn(
        is_due: impl Fn() -> bool + Send + 'static,
        scan: impl Fn() -> io::Result<NodeLinks> + Send + 'static,
    ) -> io::Result<Self> {
        let scanner = Self::default();
        let latest = Arc::clone(&scanner.latest);
        std::thread::Builder::new()
            .name("interfaces".to_owned())
            .spawn(move || {
                while is_due() {
                    let scan = scan();
                    *lock(&latest) = Some(Arc::new(scan));
                }
            })?;
        Ok(scanner)
    }

    /// Takes the latest scan, if there is a new one. It is there soon after a change.
    pub(super) fn take(&mut self) -> Option<Scan> {
        let latest = lock(&self.latest).clone()?;
        let is_taken = |taken: &Scan| Arc::ptr_eq(taken, &latest);
        if self.taken.as_ref().is_some_and(is_taken) {
            return None;
        }
        self.taken = Some(Arc::clone(&latest));
        Some(latest)
    }
}

/// Waits for a change of links or routes, for the scan interval at most. True if the stop is set.
fn wait(stop: &Stop, events: Option<&LinkEvents>) -> bool {
    let Some(events) = events else {
        return stop.wait_timeout(SCAN_INTERVAL);
    };
    if stop.wait_timeout(MIN_SCAN_INTERVAL) {
        return true;
    }
    let mut fds = [stop.as_fd(), events.as_fd()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
    let timeout = PollTimeout::try_from(SCAN_INTERVAL - MIN_SCAN_INTERVAL);
    // If interrupted or failed, a scan is made early.
    poll(&mut fds, timeout.unwrap_or(PollTimeout::ZERO)).ok();
    // What is reported from here on starts another scan.
    events.clear();
    stop.is_set()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;
    use std::thread;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    #[test]
    fn a_scan_that_takes_long_does_not_hold_up_the_thread_that_takes_scans() {
        let (begin, begun) = sync_channel(1);
        let (finish, finished) = sync_channel(1);
        let (due, is_due) = sync_channel(1);
        let mut scanner = Scanner::spawn(
            move || is_due.recv().is_ok(),
            move || {
                begin
                    .send(thread::current().name().map(str::to_owned))
                    .unwrap();
                // A dump of the routes, until the test ends it.
                finished.recv_timeout(PATIENCE).map_err(io::Error::other)?;
                Ok(NodeLinks {
                    links: Vec::new(),
                    default_routes: vec![7],
                })
            },
        )
        .unwrap();
        assert!(scanner.take().is_none(), "no scan was due");
        for _ in 0..2 {
            due.send(()).unwrap();
            let scanning = begun.recv_timeout(PATIENCE).unwrap();
            assert_eq!(scanning.as_deref(), Some("interfaces"));
            // The metering loop goes on during the scan.
            for _ in 0..1000 {
                assert!(scanner.take().is_none());
            }
            finish.send(()).unwrap();
            let scan = std::iter::repeat_with(|| {
                thread::yield_now();
                scanner.take()
            });
            let scan = scan.flatten().next().unwrap();
            assert_eq!(scan.as_ref().as_ref().unwrap().default_routes, [7]);
            assert!(scanner.take().is_none(), "it was taken");
        }
    }
}
