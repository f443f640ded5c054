//! The receive loop of UDP sockets: one thread polls its sockets and hands batches of datagrams on.

use std::io;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kipfix_service::signals::Stop;
use kipfix_service::sync::lock;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::senders::Senders;
use super::steering::OtherWorkers;
use super::udp::{Batch, UdpReceiver};
use super::{Ingest, TICK_INTERVAL};
use crate::clock::{monotonic, now};

/// Batches taken from one socket before the others have their turn.
const BATCHES_PER_TURN: usize = 16;
/// Datagrams that a receive delay should collect.
const DATAGRAMS_PER_DELAY: f64 = 16.0;
/// After a turn with more datagrams there is no delay.
const MAX_DATAGRAMS_BEFORE_DELAY: usize = 24;
/// A delay that collects fewer datagrams saves nothing.
const MIN_DATAGRAMS_PER_DELAY: f64 = 4.0;
/// Longest receive delay. The receive buffer holds what arrives in the meantime.
const MAX_RECEIVE_DELAY: Duration = Duration::from_millis(4);
/// A delay collects at most this share of a receive buffer, because datagrams arrive in bursts …
const BUFFERS_PER_DELAY: f64 = 1.0 / 16.0;
/// … of datagrams of this length, in octets.
const DATAGRAM_OCTETS: f64 = 1500.0;
/// On shutdown, what is in the sockets is read for this long at most.
const SHUTDOWN_READ_TIMEOUT: Duration = Duration::from_secs(3);

/// Receives from the exporters that may send, until the stop, then what is still in the sockets.
/// Datagrams of exporters that have another worker go to that one.
///
/// # Errors
/// A socket or poll failed.
pub fn receive<I: Ingest>(
    ingest: &Mutex<I>,
    mut others: OtherWorkers<I>,
    sockets: &[Arc<UdpReceiver>],
    senders: &Senders,
    stop: &Stop,
) -> io::Result<()> {
    let mut batch = Batch::default();
    let mut drain = |socket: &UdpReceiver| drain(ingest, &mut others, socket, senders, &mut batch);
    let mut last_tick = monotonic();
    let buffers = sockets.iter().map(|socket| socket.receive_buffer_octets());
    let mut pace = Pace::new(last_tick, buffers.min().unwrap_or_default());
    while !stop.is_set() {
        match pace.delay() {
            Some(delay) => std::thread::sleep(delay),
            None => wait(sockets, stop)?,
        }
        let mut datagrams = 0;
        for socket in sockets {
            datagrams += drain(socket)?;
        }
        pace.update(datagrams, monotonic());
        if last_tick.elapsed() >= TICK_INTERVAL {
            last_tick = monotonic();
            lock(ingest).tick(now());
        }
    }
    let stopping = monotonic();
    let mut is_empty = false;
    while !is_empty && stopping.elapsed() < SHUTDOWN_READ_TIMEOUT {
        is_empty = true;
        for socket in sockets {
            is_empty &= drain(socket)? == 0;
        }
    }
    Ok(())
}

/// Waits until a socket is readable, until the stop, or until the next tick.
fn wait(sockets: &[Arc<UdpReceiver>], stop: &Stop) -> io::Result<()> {
    let mut descriptors: Vec<PollFd<'_>> = sockets
        .iter()
        .map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN))
        .collect();
    descriptors.push(PollFd::new(stop.as_fd(), PollFlags::POLLIN));
    let timeout = PollTimeout::try_from(TICK_INTERVAL).unwrap_or(PollTimeout::MAX);
    match poll(&mut descriptors, timeout) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Adaptive receive batching: at high rates a short sleep is cheaper than a wake-up for every few
/// datagrams, and records of a large batch cost less than those of a small one.
#[derive(Debug)]
struct Pace {
    receive_delay: Option<Duration>,
    /// Datagrams of the last turn.
    latest: usize,
    /// Datagrams of the window.
    datagrams: usize,
    window_start: Instant,
    /// Datagrams that a delay should collect.
    datagrams_per_delay: f64,
}

impl Pace {
    const WINDOW: Duration = Duration::from_millis(100);

    /// `buffer_octets`: the size of the smallest receive buffer.
    fn new(now: Instant, buffer_octets: usize) -> Self {
        let octets = f64::from(u32::try_from(buffer_octets).unwrap_or(u32::MAX));
        let datagrams_per_delay = octets * BUFFERS_PER_DELAY / DATAGRAM_OCTETS;
        Self {
            receive_delay: None,
            latest: 0,
            datagrams: 0,
            window_start: now,
            datagrams_per_delay: datagrams_per_delay.min(DATAGRAMS_PER_DELAY),
        }
    }

    /// The delay before the next turn. None after a turn with more datagrams than a delay collects:
    /// while they were processed, the next ones have arrived.
    fn delay(&self) -> Option<Duration> {
        let is_behind = self.latest > MAX_DATAGRAMS_BEFORE_DELAY;
        self.receive_delay.filter(|_| !is_behind)
    }

    /// Adds the datagrams of a turn. Sets the delay by the rate of the window, if it ends now.
    fn update(&mut self, datagrams: usize, now: Instant) {
        self.latest = datagrams;
        self.datagrams = self.datagrams.saturating_add(datagrams);
        let window = now.duration_since(self.window_start);
        if window < Self::WINDOW {
            return;
        }
        let datagrams = f64::from(u32::try_from(self.datagrams).unwrap_or(u32::MAX));
        let rate = datagrams / window.as_secs_f64();
        self.receive_delay = self.delay_at(rate);
        self.datagrams = 0;
        self.window_start = now;
    }

    /// The delay at a rate in datagrams per second.
    fn delay_at(&self, rate: f64) -> Option<Duration> {
        let longest = MAX_RECEIVE_DELAY.as_secs_f64();
        let datagrams = self.datagrams_per_delay.min(rate * longest);
        (datagrams >= MIN_DATAGRAMS_PER_DELAY).then(|| Duration::from_secs_f64(datagrams / rate))
    }
}

/// Receives what is in the socket, up to a turn. Returns the number of datagrams.
fn drain<I: Ingest>(
    ingest: &Mutex<I>,
    others: &mut OtherWorkers<I>,
    socket: &UdpReceiver,
    senders: &Senders,
    batch: &mut Batch,
) -> io::Result<usize> {
    let mut sum = 0;
    for _ in 0..BATCHES_PER_TURN {
        let now = now();
        let mut passed_on = Vec::new();
        let mut own = lock(ingest);
        let datagrams = batch.receive(socket, |exporter, octets| {
            let address = exporter.ip();
            if !senders.allow(address, |address| own.is_node(address)) {
                senders.refuse_datagram(address);
            } else if let Some(other) = others.of(address) {
                passed_on.push((other, exporter, octets.to_vec()));
            } else {
                own.datagram(exporter, octets, now);
            }
        })?;
        own.flush();
        // Two workers that wait for each other would wait for ever.
        drop(own);
        for (other, exporter, octets) in passed_on {
            let mut other = lock(&other);
            other.datagram(exporter, &octets, now);
            other.flush();
        }
        sum += datagrams;
        if !Batch::is_full(datagrams) {
            break;
        }
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_is_used_from_a_high_rate_on_and_stays_short() {
        let mut pace = Pace::new(monotonic(), 8 << 20);
        let mut delay = |datagrams, window| {
            let now = pace.window_start + Duration::from_millis(window);
            pace.update(datagrams, now);
            pace.receive_delay
        };
        assert_eq!(delay(50, 99), None);
        assert_eq!(delay(49, 100), None);
        assert_eq!(delay(100, 100), Some(Duration::from_millis(4)));
        assert_eq!(delay(800, 100), Some(Duration::from_millis(2)));
        assert_eq!(delay(16_000, 100), Some(Duration::from_micros(100)));
        assert_eq!(delay(0, 100), None);
    }

    #[test]
    fn there_is_no_delay_after_a_turn_with_many_datagrams() {
        let mut pace = Pace::new(monotonic(), 8 << 20);
        let window = Pace::WINDOW;
        pace.update(800, pace.window_start + window);
        assert_eq!(pace.delay(), None);
        pace.update(MAX_DATAGRAMS_BEFORE_DELAY, pace.window_start);
        assert_eq!(pace.delay(), Some(Duration::from_millis(2)));
        pace.update(MAX_DATAGRAMS_BEFORE_DELAY + 1, pace.window_start);
        assert_eq!(pace.delay(), None);
    }

    #[test]
    fn a_delay_leaves_room_in_a_small_receive_buffer() {
        let pace = |octets| Pace::new(monotonic(), octets);
        assert_eq!(pace(64 << 10).delay_at(100_000.0), None);
        let delay = pace(192_000).delay_at(100_000.0);
        assert_eq!(delay, Some(Duration::from_micros(80)));
    }
}
