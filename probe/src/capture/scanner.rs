//! Lists the links and default routes of the node again and again, in a thread of its own: the
//! kernel dumps all routes for it, which takes seconds on a node with a full routing table.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kipfix_service::signals::Stop;
use kipfix_service::sync::lock;

use super::netlink::{self, Link};

/// Interval between scans.
pub(super) const SCAN_INTERVAL: Duration = Duration::from_secs(10);

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

/// The latest scan of the thread.
#[derive(Clone, Debug, Default)]
pub(super) struct Scanner(Arc<Mutex<Option<io::Result<NodeLinks>>>>);

impl Scanner {
    /// Starts the thread, which ends at the stop.
    pub(super) fn start(with_routes: bool, stop: Stop) -> io::Result<Self> {
        let scanner = Self::default();
        let latest = scanner.clone();
        std::thread::Builder::new()
            .name("interfaces".to_owned())
            .spawn(move || {
                while !stop.wait_timeout(SCAN_INTERVAL) {
                    let scan = NodeLinks::scan(with_routes);
                    *lock(&latest.0) = Some(scan);
                }
            })?;
        Ok(scanner)
    }

    /// Takes the latest scan, if there is a new one.
    pub(super) fn take(&self) -> Option<io::Result<NodeLinks>> {
        lock(&self.0).take()
    }
}
