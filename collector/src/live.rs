//! Live: one thread a worker that polls its sockets, and the clock.
//!
//! This is where time enters; everything after it is told what time it is.

use std::io;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use kipfix_service::signals::Stop;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::receive::senders::Senders;
use crate::receive::udp::{Batch, UdpReceiver};
use crate::worker::Worker;

/// A worker gives up on what waited too long so often.
pub(crate) const TICK: Duration = Duration::from_millis(1000);
/// Batches from one socket before the others have their turn.
const BATCHES_IN_TURN: usize = 16;
/// Datagrams that are to gather in a nap.
const DATAGRAMS_A_NAP: f64 = 8.0;
/// Longest nap; the receive buffer holds what comes meanwhile.
const LONGEST_NAP: Duration = Duration::from_millis(1);
/// Fewer datagrams a second are waited for one by one: a timer costs more than their wake-ups do.
const BUSY_RATE: f64 = 20_000.0;
/// At the stop, what waits in the sockets is read for so long at the most.
const LAST_READ: Duration = Duration::from_secs(3);

/// Wall clock, milliseconds since the epoch.
#[must_use]
pub fn now_milliseconds() -> u64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "the shell where wall time enters"
    )]
    let now = SystemTime::now();
    let since = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Monotonic clock.
#[must_use]
pub fn monotonic() -> Instant {
    #[expect(
        clippy::disallowed_methods,
        reason = "the shell where monotonic time enters"
    )]
    Instant::now()
}

/// Receives what `senders` may send, until the stop, then what still waits in the sockets.
///
/// # Errors
/// A socket or poll failed.
pub fn receive(
    worker: &Mutex<Worker>,
    sockets: &[Arc<UdpReceiver>],
    senders: &Senders,
    stop: &Stop,
) -> io::Result<()> {
    let mut batch = Batch::default();
    let mut ticked = monotonic();
    let mut pace = Pace::new(ticked);
    while !stop.is_set() {
        match pace.nap {
            Some(nap) => std::thread::sleep(nap),
            None => wait(sockets, stop)?,
        }
        for socket in sockets {
            pace.datagrams += drain(worker, socket, senders, &mut batch, BATCHES_IN_TURN)?;
        }
        pace.measure(monotonic());
        if ticked.elapsed() >= TICK {
            ticked = monotonic();
            lock(worker).tick(now_milliseconds());
        }
    }
    let stopping = monotonic();
    let mut more = true;
    while more && stopping.elapsed() < LAST_READ {
        more = false;
        for socket in sockets {
            more |= drain(worker, socket, senders, &mut batch, BATCHES_IN_TURN)? > 0;
        }
    }
    Ok(())
}

fn wait(sockets: &[Arc<UdpReceiver>], stop: &Stop) -> io::Result<()> {
    let mut descriptors: Vec<PollFd<'_>> = sockets
        .iter()
        .map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN))
        .collect();
    descriptors.push(PollFd::new(stop.as_fd(), PollFlags::POLLIN));
    let timeout = PollTimeout::try_from(TICK).unwrap_or(PollTimeout::MAX);
    match poll(&mut descriptors, timeout) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Waking up costs more than a datagram does: where many come, a nap lets some gather, and nobody asks
/// the kernel to be woken.
#[derive(Debug)]
struct Pace {
    nap: Option<Duration>,
    datagrams: usize,
    since: Instant,
}

impl Pace {
    const WINDOW: Duration = Duration::from_millis(100);

    const fn new(now: Instant) -> Self {
        Self {
            nap: None,
            datagrams: 0,
            since: now,
        }
    }

    /// Sets the nap by the rate, once in a window.
    fn measure(&mut self, now: Instant) {
        let window = now.duration_since(self.since);
        if window < Self::WINDOW {
            return;
        }
        let datagrams = f64::from(u32::try_from(self.datagrams).unwrap_or(u32::MAX));
        let rate = datagrams / window.as_secs_f64();
        self.nap = (rate >= BUSY_RATE)
            .then(|| LONGEST_NAP.min(Duration::from_secs_f64(DATAGRAMS_A_NAP / rate)));
        self.datagrams = 0;
        self.since = now;
    }
}

/// Receives what waits in the socket; how many datagrams that were.
fn drain(
    worker: &Mutex<Worker>,
    socket: &UdpReceiver,
    senders: &Senders,
    batch: &mut Batch,
    batches: usize,
) -> io::Result<usize> {
    let mut sum = 0;
    for _ in 0..batches {
        let now = now_milliseconds();
        let mut worker = lock(worker);
        let datagrams = batch.receive(socket, |exporter, datagram| {
            if senders.allow(exporter.ip(), |address| worker.is_node(address)) {
                worker.receive(exporter, datagram, now);
            } else {
                senders.refuse_datagram(exporter.ip());
            }
        })?;
        worker.flush();
        sum += datagrams;
        if !Batch::is_whole(datagrams) {
            break;
        }
    }
    Ok(sum)
}

fn lock(worker: &Mutex<Worker>) -> std::sync::MutexGuard<'_, Worker> {
    worker.lock().unwrap_or_else(PoisonError::into_inner)
}
