//! Host names of targets. A thread of their own resolves them, because the system's resolver may
//! block, and again every 30 s, because the addresses of a Service may change.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use kipfix_service::signals::Stop;
use kipfix_service::sync::lock;
use tracing::{info, warn};

/// Interval between look-ups.
const REFRESH_INTERVAL: Duration = Duration::from_secs(30);
/// Interval between look-ups of a name without an address, as while a cluster starts.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// Maximum time of the first look-up, if it is required.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Interval at which the result of that is read.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// Maximum number of addresses of one name.
const MAX_ADDRESSES: usize = 1024;

/// The host and port of a target, with the resolved addresses. Clones share them.
#[derive(Clone, Debug)]
pub struct TargetName(Arc<Resolution>);

#[derive(Debug)]
struct Resolution {
    host: Box<str>,
    port: u16,
    /// In the order of the resolver, which is that of preference (RFC 6724), except that the first
    /// one stays first while the resolver has it.
    addresses: Mutex<Vec<SocketAddr>>,
    revision: AtomicU64,
}

impl TargetName {
    /// Creates a name that is not resolved yet, or an address, which is.
    #[must_use]
    pub fn new(host: &str, port: u16) -> Self {
        let address = host.parse::<IpAddr>().ok();
        Self::resolved(host, port, address.map(|ip| SocketAddr::new(ip, port)))
    }

    /// Creates a name that keeps one address of `host`.
    #[must_use]
    pub fn fixed(host: &str, address: SocketAddr) -> Self {
        Self::resolved(host, address.port(), Some(address))
    }

    fn resolved(host: &str, port: u16, address: Option<SocketAddr>) -> Self {
        Self(Arc::new(Resolution {
            host: host.into(),
            port,
            addresses: Mutex::new(address.into_iter().collect()),
            revision: AtomicU64::new(1),
        }))
    }

    /// The host as given.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.0.host
    }

    /// The address to use if one is enough. It stays the same while the resolver has it.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.lock().first().copied()
    }

    /// All addresses of the last look-up.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.lock().clone()
    }

    /// A number that increases whenever the addresses change; at least 1.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.0.revision.load(Ordering::Acquire)
    }

    /// Sets other addresses, without a look-up.
    #[cfg(test)]
    pub(crate) fn move_to(&self, addresses: &[SocketAddr]) {
        self.set(addresses.to_vec());
    }

    fn lock(&self) -> MutexGuard<'_, Vec<SocketAddr>> {
        lock(&self.0.addresses)
    }

    fn is_address(&self) -> bool {
        self.0.host.parse::<IpAddr>().is_ok()
    }

    fn set(&self, mut found: Vec<SocketAddr>) {
        found.truncate(MAX_ADDRESSES);
        let mut current = self.lock();
        if let Some(first) = current.first()
            && let Some(at) = found.iter().position(|address| address == first)
        {
            found.swap(0, at);
        }
        let same = current.len() == found.len() && current.iter().all(|a| found.contains(a));
        if !same {
            info!(host = self.host(), addresses = ?found, "resolved export target");
            *current = found;
            self.0.revision.fetch_add(1, Ordering::Release);
        }
    }

    /// Looks the name up. Keeps the addresses if that fails. True if there is an address.
    fn look_up(&self, first: bool) -> bool {
        match (self.host(), self.0.port).to_socket_addrs() {
            Ok(found) => {
                let mut addresses: Vec<SocketAddr> = Vec::new();
                for address in found {
                    if !addresses.contains(&address) {
                        addresses.push(address);
                    }
                }
                if !addresses.is_empty() {
                    self.set(addresses);
                }
            }
            Err(error) if first && self.address().is_none() => {
                warn!(host = self.host(), %error, "cannot resolve export target yet");
            }
            Err(_) => {}
        }
        self.address().is_some()
    }
}

/// The first resolution of the names of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstResolution {
    /// Targets without an address lose records until they have one.
    Awaited,
    /// All names must be resolved before the first record.
    Required,
}

/// Resolves names periodically until the stop, in a thread of their own.
///
/// # Errors
/// A name is not resolved within 10 s although that is required, or the thread cannot be created.
pub fn watch(
    names: Vec<TargetName>,
    setting: &str,
    first: FirstResolution,
    stop: &Stop,
) -> anyhow::Result<()> {
    let mut names = names;
    names.retain(|name| !name.is_address());
    if names.is_empty() {
        return Ok(());
    }
    start(names.clone(), stop.clone()).context("cannot start the names thread")?;
    if first == FirstResolution::Awaited {
        return Ok(());
    }
    let mut left = RESOLVE_TIMEOUT;
    while let Some(unknown) = names.iter().find(|name| name.address().is_none()) {
        if left.is_zero() || stop.wait_timeout(POLL_INTERVAL) {
            let host = unknown.host();
            return Err(anyhow!(
                "{setting}: cannot resolve host {host:?}: must be an address or a name that resolves"
            ));
        }
        left = left.saturating_sub(POLL_INTERVAL);
    }
    Ok(())
}

fn start(names: Vec<TargetName>, stop: Stop) -> std::io::Result<()> {
    std::thread::Builder::new()
        .name("names".to_owned())
        .spawn(move || {
            for round in 0_u64.. {
                // `count` looks every name up, also after one that fails.
                let resolved = names.iter().filter(|name| name.look_up(round == 0)).count();
                let pause = if resolved == names.len() {
                    REFRESH_INTERVAL
                } else {
                    RETRY_INTERVAL
                };
                if stop.wait_timeout(pause) {
                    break;
                }
            }
        })
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_in_use_stays_while_the_resolver_has_it() {
        let address = |last: u8| SocketAddr::from(([192, 0, 2, last], 4739));
        let name = TargetName::new("collector.example", 4739);
        assert_eq!((name.address(), name.revision()), (None, 1));
        name.set(vec![address(2), address(1)]);
        let seen = name.revision();
        name.set(vec![address(1), address(2)]);
        assert_eq!((name.address(), name.revision()), (Some(address(2)), seen));
        name.set(vec![address(3), address(1)]);
        assert_eq!(name.address(), Some(address(3)));
        assert!(name.revision() > seen);
    }
}
