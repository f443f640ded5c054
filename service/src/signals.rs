//! SIGTERM and SIGINT as a flag that every thread and task can wait for, and SIGHUP as a count. The
//! first signal requests a graceful shutdown. The second one ends the process at once with exit
//! code 1, because data was lost. SIGPIPE stays ignored, which is the default of Rust: a closed
//! pipe is a counted write error.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tokio::sync::watch;

use crate::sync::lock;

/// The shutdown flag of the process. Clones share one state. It cannot be unset.
///
/// A thread that sleeps uses [`Stop::wait_timeout`]. A thread that polls sockets adds [`AsFd`],
/// which becomes readable at shutdown. A task awaits [`Stop::wait`]. A loop checks
/// [`Stop::is_set`], which is one atomic load.
#[derive(Clone, Debug)]
pub struct Stop(Arc<State>);

#[derive(Debug)]
struct State {
    set: AtomicBool,
    /// Reads end-of-file after shutdown was requested.
    readable: UnixStream,
    /// Closed when shutdown is requested.
    open_until_stop: Mutex<Option<UnixStream>>,
    tasks: watch::Sender<bool>,
}

/// Asks to stop when it is dropped: no thread ends, or panics, alone.
#[derive(Debug)]
pub struct StopAtEnd(Stop);

impl AsRef<Stop> for StopAtEnd {
    fn as_ref(&self) -> &Stop {
        &self.0
    }
}

impl Drop for StopAtEnd {
    fn drop(&mut self) {
        self.0.set();
    }
}

impl Stop {
    /// Creates a flag that only [`Stop::set`] sets.
    ///
    /// # Errors
    /// If no file descriptor is available.
    pub fn new() -> io::Result<Self> {
        let (readable, open) = UnixStream::pair()?;
        Ok(Self(Arc::new(State {
            set: AtomicBool::new(false),
            readable,
            open_until_stop: Mutex::new(Some(open)),
            tasks: watch::Sender::new(false),
        })))
    }

    /// A value for a thread that must not end before the others.
    #[must_use]
    pub fn at_end(&self) -> StopAtEnd {
        StopAtEnd(self.clone())
    }

    /// Creates a flag that SIGTERM and SIGINT set, too. Call it once, before other threads start.
    ///
    /// # Errors
    /// If no file descriptor or thread is available.
    pub fn on_signals() -> io::Result<Self> {
        let stop = Self::new()?;
        let mut signals = Signals::new([SIGTERM, SIGINT])?;
        let on_signal = stop.clone();
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                let mut asked = false;
                for signal in signals.forever() {
                    if asked {
                        std::process::exit(1);
                    }
                    asked = true;
                    tracing::info!(signal, "shutdown requested");
                    on_signal.set();
                }
            })?;
        Ok(stop)
    }

    /// Requests shutdown, like the first signal.
    pub fn set(&self) {
        self.0.set.store(true, Ordering::Release);
        drop(lock(&self.0.open_until_stop).take());
        self.0.tasks.send_replace(true);
    }

    /// Returns whether shutdown was requested.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.set.load(Ordering::Acquire)
    }

    /// Sleeps for `duration` or until shutdown. Returns whether shutdown was requested.
    pub fn wait_timeout(&self, duration: Duration) -> bool {
        let timeout = PollTimeout::try_from(duration).unwrap_or(PollTimeout::MAX);
        // It returns early if interrupted (EINTR): callers wait in loops.
        nix::poll::poll(&mut [PollFd::new(self.as_fd(), PollFlags::POLLIN)], timeout).ok();
        self.is_set()
    }

    /// Waits for shutdown, in any runtime.
    pub async fn wait(&self) {
        // `self` owns the sender, so there is no error.
        self.0.tasks.subscribe().wait_for(|set| *set).await.ok();
    }
}

impl AsFd for Stop {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.readable.as_fd()
    }
}

/// The SIGHUPs that the process has received. Each clone remembers which of them it has taken, so
/// that several threads can react to the same signal. The default never receives any.
#[derive(Clone, Debug, Default)]
pub struct Hangups {
    received: Arc<AtomicU64>,
    taken: u64,
}

impl Hangups {
    /// Counts SIGHUPs from now on, instead of ending the process. Call it once, before other
    /// threads start.
    ///
    /// # Errors
    /// If no file descriptor or thread is available.
    pub fn on_signals() -> io::Result<Self> {
        let hangups = Self::default();
        let mut signals = Signals::new([SIGHUP])?;
        let received = Arc::clone(&hangups.received);
        std::thread::Builder::new()
            .name("hangups".to_owned())
            .spawn(move || {
                for _ in signals.forever() {
                    received.fetch_add(1, Ordering::AcqRel);
                }
            })?;
        Ok(hangups)
    }

    /// Returns whether this clone has not yet taken the last signal, and takes it.
    pub fn take(&mut self) -> bool {
        let received = self.received.load(Ordering::Acquire);
        std::mem::replace(&mut self.taken, received) != received
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn a_stop_wakes_a_sleeping_thread_and_stays() {
        let stop = Stop::new().unwrap();
        assert!(!stop.wait_timeout(Duration::from_millis(1)));
        let sleeper = std::thread::spawn({
            let stop = stop.clone();
            move || stop.wait_timeout(LONG)
        });
        stop.set();
        stop.set();
        assert!(sleeper.join().unwrap());
        assert!(stop.is_set() && stop.wait_timeout(LONG));
    }

    #[test]
    fn a_stop_wakes_tasks_before_and_after_it_is_set() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let stop = Stop::new().unwrap();
        runtime.block_on(async {
            tokio::join!(stop.wait(), stop.wait(), async { stop.set() });
            stop.wait().await;
        });
    }

    #[test]
    fn sigterm_sets_the_flag() {
        let stop = Stop::on_signals().unwrap();
        assert!(!stop.is_set());
        nix::sys::signal::raise(nix::sys::signal::Signal::SIGTERM).unwrap();
        while !stop.wait_timeout(LONG) {}
    }

    #[test]
    fn every_clone_takes_a_hangup_once() {
        let mut hangups = Hangups::on_signals().unwrap();
        let mut other = hangups.clone();
        assert!(!hangups.take());
        nix::sys::signal::raise(nix::sys::signal::Signal::SIGHUP).unwrap();
        while !hangups.take() {
            std::thread::yield_now();
        }
        assert!(!hangups.take());
        assert!(other.take() && !other.take());
    }
}
