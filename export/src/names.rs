//! Host names of targets. They are looked up in a thread of their own, because the system's resolver may
//! take its time and the records must not wait for it; and again every 30 s, because a Service may move.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kipfix_service::signals::Stop;
use tracing::{info, warn};

const AGAIN: Duration = Duration::from_secs(30);
/// A name that is not there yet, as at the start of a cluster, is tried sooner.
const AGAIN_SOON: Duration = Duration::from_secs(1);
/// Addresses of one name at the most.
const MAX_ADDRESSES: usize = 1024;

/// Where a target is, as far as known. Clones share what is known.
#[derive(Clone, Debug)]
pub struct Name(Arc<Known>);

#[derive(Debug)]
struct Known {
    host: Box<str>,
    port: u16,
    /// In the resolver's order, which is that of preference (RFC 6724), but the first stays while it is valid.
    addresses: Mutex<Vec<SocketAddr>>,
    revision: AtomicU64,
}

impl Name {
    /// A name that was not looked up yet, or an address, which needs no look-up.
    #[must_use]
    pub fn new(host: &str, port: u16) -> Self {
        let address = host.parse::<IpAddr>().ok();
        Self::known(host, port, address.map(|ip| SocketAddr::new(ip, port)))
    }

    /// One address of the host `host`, for good.
    #[must_use]
    pub fn fixed(host: &str, address: SocketAddr) -> Self {
        Self::known(host, address.port(), Some(address))
    }

    fn known(host: &str, port: u16, address: Option<SocketAddr>) -> Self {
        Self(Arc::new(Known {
            host: host.into(),
            port,
            addresses: Mutex::new(address.into_iter().collect()),
            revision: AtomicU64::new(1),
        }))
    }

    /// The name as it was given.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.0.host
    }

    /// The address to use where one is enough: it is kept as long as the resolver still has it.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.lock().first().copied()
    }

    /// All addresses last found.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.lock().clone()
    }

    /// Changes, never back, whenever the addresses do; at least 1.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.0.revision.load(Ordering::Acquire)
    }

    /// The target is elsewhere, without a look-up.
    #[cfg(test)]
    pub(crate) fn move_to(&self, addresses: &[SocketAddr]) {
        self.set(addresses.to_vec());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<SocketAddr>> {
        let addresses = &self.0.addresses;
        addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_address(&self) -> bool {
        self.0.host.parse::<IpAddr>().is_ok()
    }

    fn set(&self, mut found: Vec<SocketAddr>) {
        found.truncate(MAX_ADDRESSES);
        let mut known = self.lock();
        if let Some(current) = known.first()
            && let Some(at) = found.iter().position(|address| address == current)
        {
            found.swap(0, at);
        }
        let same = known.len() == found.len() && known.iter().all(|a| found.contains(a));
        if !same {
            info!(host = self.host(), addresses = ?found, "export target's name resolved");
            *known = found;
            self.0.revision.fetch_add(1, Ordering::Release);
        }
    }

    /// Asks the system's resolver. What the resolver cannot confirm just now is kept.
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
                warn!(host = self.host(), %error, "export target's name is not known yet");
            }
            Err(_) => {}
        }
        self.address().is_some()
    }
}

/// Keeps looking the names up until the stop; does nothing where all are addresses.
///
/// # Errors
/// The thread cannot be made.
pub fn watch(names: Vec<Name>, stop: Stop) -> std::io::Result<()> {
    let names: Vec<_> = names
        .into_iter()
        .filter(|name| !name.is_address())
        .collect();
    if names.is_empty() {
        return Ok(());
    }
    std::thread::Builder::new()
        .name("names".to_owned())
        .spawn(move || {
            for round in 0_u64.. {
                // Every name is looked up, also behind one that fails; failure is said once.
                let known = names.iter().filter(|name| name.look_up(round == 0)).count();
                let pause = if known == names.len() {
                    AGAIN
                } else {
                    AGAIN_SOON
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
        let name = Name::new("collector.example", 4739);
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
