//! Makes the connections of a stream target: addresses in turn, with an exponential back-off.

use std::hash::{BuildHasher as _, RandomState};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::connection::{Connection, Failure};
use crate::clock::monotonic;
use crate::counters::ConnectionFailure;
use crate::destination::Destination;
use crate::own_endpoints::OwnEndpoint;
use crate::tls::Credentials;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const MIN_BACKOFF: Duration = Duration::from_millis(100);
const MAX_BACKOFF: Duration = Duration::from_secs(10);
/// A connection that lasted this long resets the back-off and the warnings.
const STABLE_AFTER: Duration = Duration::from_secs(30);

/// What a target has without a connection.
#[derive(Debug)]
pub(super) struct Dialer {
    pub(super) destination: Destination,
    /// Index of the address of the next attempt.
    next_address: usize,
    backoff: Duration,
    /// When the last connection ended, or the first attempt was made.
    pub(super) disconnected: Option<Instant>,
    reported: Option<ConnectionFailure>,
}

impl Dialer {
    pub(super) fn new(destination: Destination) -> Self {
        Self {
            destination,
            next_address: 0,
            backoff: MIN_BACKOFF,
            disconnected: None,
            reported: None,
        }
    }

    /// Connects to one of the addresses.
    pub(super) fn dial(
        &mut self,
        credentials: Option<&Credentials>,
    ) -> Result<Connection, Failure> {
        let addresses = self.destination.name.addresses();
        let at = self
            .next_address
            .checked_rem(addresses.len())
            .unwrap_or_default();
        let Some(remote) = addresses.get(at).copied() else {
            let unresolved =
                anyhow::anyhow!("cannot resolve host {:?}", self.destination.name.host());
            return Err(Failure::new(ConnectionFailure::Unresolved, unresolved));
        };
        // The next attempt is to the next address. After a connection it is to the first one again.
        self.next_address = at.saturating_add(1);
        let timeout = self
            .destination
            .deadline
            .left()
            .map_or(CONNECT_TIMEOUT, |left| {
                left.clamp(Duration::from_millis(1), CONNECT_TIMEOUT)
            });
        let socket = TcpStream::connect_timeout(&remote, timeout)?;
        let local = socket.local_addr()?;
        self.destination
            .own_endpoints
            .replace(None, Some(OwnEndpoint::tcp(local)));
        let host = self.destination.name.host();
        let connection = Connection::new(socket, (local, remote), &self.destination)
            .and_then(|connection| connection.secure(credentials, host));
        match connection {
            Ok(connection) => {
                info!(to = %remote, source = %local, tls = credentials.is_some(), "exporting");
                self.destination.counters.connected();
                self.next_address = 0;
                self.disconnected = None;
                Ok(connection)
            }
            Err(failure) => {
                self.destination
                    .own_endpoints
                    .replace(Some(OwnEndpoint::tcp(local)), None);
                Err(failure)
            }
        }
    }

    pub(super) fn on_disconnect(&mut self, connection: &Connection) {
        self.destination.counters.disconnected();
        self.destination
            .own_endpoints
            .replace(Some(OwnEndpoint::tcp(connection.local)), None);
        self.disconnected = Some(monotonic());
        if connection.since.elapsed() >= STABLE_AFTER {
            self.backoff = MIN_BACKOFF;
            self.reported = None;
        }
    }

    /// Counts a failure, and logs it if its reason differs from the last one.
    pub(super) fn report(&mut self, failure: &Failure) {
        self.destination.counters.connection_failed(failure.reason);
        if self.reported != Some(failure.reason) {
            self.reported = Some(failure.reason);
            warn!(
                host = self.destination.name.host(),
                reason = <&str>::from(failure.reason),
                error = format!("{:#}", failure.error),
                "cannot reach the export target, retrying (logged once, see \
                 target_connection_failures_total)"
            );
        }
    }

    /// Waits before the next attempt, twice as long each time.
    pub(super) fn back_off(&mut self) {
        self.destination.deadline.sleep(jittered(self.backoff));
        self.backoff = self.backoff.saturating_mul(2).min(MAX_BACKOFF);
    }
}

/// The back-off less a random part of up to a quarter, so that probes that lost the same collector
/// do not return at the same moment.
fn jittered(backoff: Duration) -> Duration {
    // A new RandomState has random keys, so that the hash of anything is a random number.
    let random = RandomState::new().hash_one(0) % 256;
    let jitter = backoff.as_millis() / 4 * u128::from(random) / 256;
    let jitter = Duration::from_millis(u64::try_from(jitter).unwrap_or_default());
    backoff.saturating_sub(jitter)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn exporters_that_lose_a_collector_at_the_same_moment_return_at_different_ones() {
        for backoff in [MIN_BACKOFF, MAX_BACKOFF] {
            let pauses: HashSet<Duration> = (0..200).map(|_| jittered(backoff)).collect();
            // Of 25 different ones for the shortest back-off and 256 for the longest.
            assert!(pauses.len() > 10, "{pauses:?}");
            let shortest = backoff * 3 / 4;
            assert!(
                pauses
                    .iter()
                    .all(|pause| *pause > shortest && *pause <= backoff),
                "{pauses:?}"
            );
        }
    }
}
