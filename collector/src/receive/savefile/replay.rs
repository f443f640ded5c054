//! Reads savefiles as if their datagrams were received, as fast as they can be processed. The time
//! of the packets is the clock, so the same files give the same records and counts.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use kipfix_service::exit::Failure;
use kipfix_service::signals::Stop;
use kipfix_service::sync::lock;

use super::{SavedDatagram, Savefile, SavefileCounts, SavefileError, SkipReason};
use crate::clock::Now;
use crate::receive::{Ingest, TICK_INTERVAL};

/// Reads one file to its end, to the stop, or until `is_closed` is true.
///
/// # Errors
/// The file could not be read, or not to its end. What was read until then was processed.
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

/// Hands the datagrams of a file to `take`, to the file's end, to the stop, or until it breaks off.
///
/// # Errors
/// The file could not be read, or not to its end. What was read until then was handed over.
pub fn for_each(
    path: &Path,
    counts: &Mutex<SavefileCounts>,
    stop: &Stop,
    mut take: impl FnMut(&SavedDatagram<'_>) -> ControlFlow<()>,
) -> Result<(), Failure> {
    let failure = |what: &str, error: SavefileError| {
        let file = path.display();
        Failure::Failed(anyhow::anyhow!("read: cannot {what} {file:?}: {error}"))
    };
    let mut savefile = match Savefile::open(path, stop) {
        Ok(savefile) => savefile,
        Err(_) if stop.is_set() => return Ok(()),
        Err(error) => return Err(failure("use", error)),
    };
    let mut read = *lock(counts);
    let before = read;
    let outcome = loop {
        if stop.is_set() {
            break Ok(());
        }
        match savefile.next(&mut read) {
            Ok(Some(datagram)) => {
                if take(&datagram).is_break() {
                    break Ok(());
                }
            }
            Ok(None) => break Ok(()),
            Err(_) if stop.is_set() => break Ok(()),
            Err(error @ SavefileError::LinkType(_)) => break Err(failure("use", error)),
            Err(error) if read.datagrams + read.frames == before.datagrams + before.frames => {
                break Err(failure("use", error));
            }
            Err(error) => break Err(failure("read to the end", error)),
        }
        *lock(counts) = read;
    };
    *lock(counts) = read;
    let duplicates = read.skipped[SkipReason::Duplicate] - before.skipped[SkipReason::Duplicate];
    if duplicates > 0 {
        tracing::warn!(
            file = %path.display(),
            duplicates,
            "several interfaces of the capture have the same datagrams: each is read once"
        );
    }
    if outcome.is_ok() && read.frames > before.frames && read.datagrams == before.datagrams {
        tracing::warn!(
            file = %path.display(),
            frames = read.frames - before.frames,
            "no frame of the capture has a datagram of IPFIX or NetFlow v1, v5, v7 or v9: other versions, sFlow, IPFIX \
             over TCP and datagrams inside tunnels are not read"
        );
    }
    outcome
}
