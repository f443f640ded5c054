//! Offline: savefiles through the same path as what is received, as fast as they can be read. The
//! packets' time is the clock, so that the same files give the same records and counts.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use kipfix_service::exit::Failure;
use kipfix_service::signals::Stop;

use crate::receive::savefile::{SavedDatagram, Savefile, SavefileCounts, SavefileError};
use crate::worker::Worker;

/// Packet time between two ticks of a worker, milliseconds.
const TICK_MILLISECONDS: u64 = 1000;

/// Reads one file to its end, to the stop, or until nobody reads the flow log any more. A file that
/// cannot be read to its end is said once on stderr.
///
/// # Errors
/// Nothing of the file could be read at all.
pub fn read(
    path: &Path,
    worker: &Mutex<Worker>,
    counts: &Mutex<SavefileCounts>,
    clock: &AtomicU64,
    stop: &Stop,
) -> Result<(), Failure> {
    let mut ticked = 0;
    each(path, counts, stop, |datagram| {
        let now = datagram.time_milliseconds;
        clock.store(now, Ordering::Relaxed);
        let mut worker = lock(worker);
        worker.receive(datagram.exporter, datagram.payload, now);
        if now.abs_diff(ticked) >= TICK_MILLISECONDS {
            ticked = now;
            worker.tick(now);
        }
        if worker.log_is_closed() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })
}

/// Hands the datagrams of a file to `take`, to the file's end, to the stop, or until it breaks off. A file
/// that cannot be read to its end is said once on stderr.
///
/// # Errors
/// Nothing of the file could be read at all.
pub fn each(
    path: &Path,
    counts: &Mutex<SavefileCounts>,
    stop: &Stop,
    mut take: impl FnMut(&SavedDatagram<'_>) -> ControlFlow<()>,
) -> Result<(), Failure> {
    let unreadable = |error: SavefileError| {
        Failure::Failed(anyhow::anyhow!(
            "read: {:?} cannot be used: {error}",
            path.display()
        ))
    };
    let mut savefile = match Savefile::open(path, stop) {
        Ok(savefile) => savefile,
        Err(_) if stop.is_set() => return Ok(()),
        Err(error) => return Err(unreadable(error)),
    };
    let mut read = *lock(counts);
    let before = read.datagrams + read.frames;
    while !stop.is_set() {
        let datagram = match savefile.next(&mut read) {
            Ok(Some(datagram)) => datagram,
            Ok(None) => break,
            Err(_) if stop.is_set() => break,
            Err(error) if read.datagrams + read.frames == before => return Err(unreadable(error)),
            Err(error) => {
                tracing::warn!(file = %path.display(), %error, "savefile used as far as it can be read");
                break;
            }
        };
        if take(&datagram).is_break() {
            break;
        }
        *lock(counts) = read;
    }
    *lock(counts) = read;
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
