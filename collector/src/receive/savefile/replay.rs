//! Reads savefiles as if their datagrams were received, as fast as they can be processed. The time of the packets is the
//! clock, so the same files give the same records and counts.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use kipfix_service::exit::Failure;
use kipfix_service::signals::Stop;

use super::{SavedDatagram, Savefile, SavefileCounts, SavefileError};
use crate::clock::Now;
use crate::lock::lock;
use crate::receive::{Ingest, TICK_INTERVAL};

/// Reads one file to its end, to the stop, or until `is_closed` says that nothing more is wanted. A file that cannot be
/// read to its end is reported once on stderr.
///
/// # Errors
/// Nothing of the file could be read.
pub fn replay<I: Ingest>(
    path: &Path,
    ingest: &Mutex<I>,
    is_closed: impl Fn(&I) -> bool,
    counts: &Mutex<SavefileCounts>,
    clock: &AtomicU64,
    stop: &Stop,
) -> Result<(), Failure> {
    let mut last_tick = 0;
    for_each(path, counts, stop, |datagram| {
        let time = datagram.time_milliseconds;
        clock.store(time, Ordering::Relaxed);
        let mut ingest = lock(ingest);
        ingest.datagram(datagram.exporter, datagram.payload, Now::of_packet(time));
        if u128::from(time.abs_diff(last_tick)) >= TICK_INTERVAL.as_millis() {
            last_tick = time;
            ingest.tick(Now::of_packet(time));
        }
        if is_closed(&ingest) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })
}

/// Hands the datagrams of a file to `take`, to the file's end, to the stop, or until it breaks off. A file that cannot
/// be read to its end is reported once on stderr.
///
/// # Errors
/// Nothing of the file could be read.
pub fn for_each(
    path: &Path,
    counts: &Mutex<SavefileCounts>,
    stop: &Stop,
    mut take: impl FnMut(&SavedDatagram<'_>) -> ControlFlow<()>,
) -> Result<(), Failure> {
    let unreadable = |error: SavefileError| {
        let file = path.display();
        Failure::Failed(anyhow::anyhow!("read: cannot use {file:?}: {error}"))
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
                tracing::warn!(file = %path.display(), %error, "savefile used up to an error");
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
