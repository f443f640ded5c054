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

use crate::receive::udp::{Batch, UdpReceiver};
use crate::worker::Worker;

/// A worker gives up on what waited too long so often.
const TICK: Duration = Duration::from_millis(1000);
/// Batches from one socket before the others have their turn.
const BATCHES_IN_TURN: usize = 16;
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

/// Receives until the stop, then what still waits in the sockets.
///
/// # Errors
/// A socket or poll failed.
pub fn receive(
    worker: &Mutex<Worker>,
    sockets: &[Arc<UdpReceiver>],
    stop: &Stop,
) -> io::Result<()> {
    let mut batch = Batch::default();
    let mut ticked = monotonic();
    while !stop.is_set() {
        wait(sockets, stop)?;
        for socket in sockets {
            drain(worker, socket, &mut batch, BATCHES_IN_TURN)?;
        }
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
            more |= drain(worker, socket, &mut batch, BATCHES_IN_TURN)?;
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

/// Whether more may wait in the socket.
fn drain(
    worker: &Mutex<Worker>,
    socket: &UdpReceiver,
    batch: &mut Batch,
    batches: usize,
) -> io::Result<bool> {
    for _ in 0..batches {
        let now = now_milliseconds();
        let mut worker = lock(worker);
        let datagrams = batch.receive(socket, |exporter, datagram| {
            worker.receive(exporter, datagram, now);
        })?;
        worker.flush_log();
        if !Batch::is_whole(datagrams) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn lock(worker: &Mutex<Worker>) -> std::sync::MutexGuard<'_, Worker> {
    worker.lock().unwrap_or_else(PoisonError::into_inner)
}
