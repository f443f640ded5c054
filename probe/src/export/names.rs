//! Host names of targets. They are looked up in a thread of their own, because the system's resolver may
//! take its time and the records must not wait for it; and again every 30 s, because a Service may move.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kipfix_service::signals::Stop;
use tracing::{info, warn};

const AGAIN: Duration = Duration::from_secs(30);
/// A name that is not there yet, as at the start of a cluster, is tried sooner.
const AGAIN_SOON: Duration = Duration::from_secs(1);

/// Where a target is, as far as known.
#[derive(Clone, Debug)]
pub struct Name {
    host: Arc<str>,
    port: u16,
    address: Arc<Mutex<Option<SocketAddr>>>,
}

impl Name {
    /// A name that was not looked up yet, or an address, which needs no look-up.
    #[must_use]
    pub fn new(host: &str, port: u16) -> Self {
        let address = host.parse::<IpAddr>().ok();
        Self {
            host: host.into(),
            port,
            address: Arc::new(Mutex::new(address.map(|ip| SocketAddr::new(ip, port)))),
        }
    }

    /// The name as it was given.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The address last found.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        *self.address.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The target is elsewhere, without a look-up.
    #[cfg(test)]
    pub(super) fn move_to(&self, address: SocketAddr) {
        *self.address.lock().unwrap() = Some(address);
    }

    fn is_address(&self) -> bool {
        self.host.parse::<IpAddr>().is_ok()
    }

    /// Asks the system's resolver. An address that is still valid is kept; one that the resolver cannot
    /// confirm just now, too.
    fn look_up(&self, first: bool) -> bool {
        let found: Vec<_> = match (&*self.host, self.port).to_socket_addrs() {
            Ok(found) => found.collect(),
            Err(error) => {
                let known = self.address().is_some();
                if first && !known {
                    warn!(host = &*self.host, %error, "export target's name is not known yet");
                }
                return known;
            }
        };
        let mut address = self.address.lock().unwrap_or_else(PoisonError::into_inner);
        if address.is_none_or(|current| !found.contains(&current))
            && let Some(first) = found.first()
        {
            info!(host = &*self.host, address = %first, "export target's name resolved");
            *address = Some(*first);
        }
        address.is_some()
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
