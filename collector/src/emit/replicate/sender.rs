//! The thread of one target: empties its queue and sends many datagrams with one system call.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::time::Duration;

use kipfix_export::names::TargetName;
use kipfix_service::signals::Stop;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, sendmmsg};

use super::LossReason;
use super::counts::Counts;
use super::datagrams::Datagrams;
use super::sockets::{Outlet, Sockets};
use crate::emit::double_buffer::{ConsumerGuard, DoubleBuffer};
use crate::emit::own_address::is_own;

/// Maximum number of datagrams of one system call.
const BATCH: usize = 64;
/// Minimum interval between two datagrams from a savefile.
const PACE: Duration = Duration::from_micros(50);
/// How often a closed queue is noticed if nothing is added.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

type Headers = MultiHeaders<SockaddrStorage>;

pub(super) struct Sender {
    name: TargetName,
    sockets: Sockets,
    /// Addresses on which this process listens.
    listening: Vec<SocketAddr>,
    /// Revision of the name's addresses; 0 before the first.
    revision: u64,
    target: Option<SocketAddr>,
    has_warned: bool,
    is_paced: bool,
}

impl Sender {
    /// With `is_paced`, datagrams are spread, because a savefile is faster than any receiver's
    /// buffer.
    pub(super) fn new(
        name: TargetName,
        sockets: Sockets,
        listening: Vec<SocketAddr>,
        is_paced: bool,
    ) -> Self {
        Self {
            name,
            sockets,
            listening,
            revision: 0,
            target: None,
            has_warned: false,
            is_paced,
        }
    }

    /// Sends datagrams until the queue is closed and empty.
    pub(super) fn run(mut self, queue: &DoubleBuffer<Datagrams>, counts: &Counts, stop: Stop) {
        let _guard = ConsumerGuard(queue, stop);
        let mut datagrams = Datagrams::default();
        // Created here because it cannot move to another thread.
        let mut headers = MultiHeaders::preallocate(BATCH, None);
        while queue.swap(&mut datagrams, POLL_INTERVAL) {
            self.update_target();
            self.send_all(&datagrams, &mut headers, counts);
            datagrams.clear();
        }
    }

    /// Takes the current address of the target.
    fn update_target(&mut self) {
        let revision = self.name.revision();
        if revision == self.revision {
            return;
        }
        self.revision = revision;
        let found = self.name.address();
        let target = found.filter(|address| !is_own(*address, &self.listening));
        if let (Some(own), None) = (found, target) {
            tracing::error!(
                target = self.name.host(),
                address = %own,
                "replicate target resolves to this collector; nothing is sent to it"
            );
        }
        if target != self.target {
            self.target = target;
            self.sockets.clear();
        }
    }

    fn send_all(&mut self, datagrams: &Datagrams, headers: &mut Headers, counts: &Counts) {
        let mut run: [&[u8]; BATCH] = [&[]; BATCH];
        let mut length = 0;
        let mut of = None;
        for (exporter, datagram) in datagrams.iter() {
            if length == BATCH || of.is_some_and(|of| of != exporter) {
                self.send_run(of, run.get(..length).unwrap_or_default(), headers, counts);
                length = 0;
            }
            of = Some(exporter);
            if let Some(place) = run.get_mut(length) {
                *place = datagram;
                length += 1;
            }
        }
        self.send_run(of, run.get(..length).unwrap_or_default(), headers, counts);
    }

    /// Sends datagrams of one exporter.
    fn send_run(
        &mut self,
        exporter: Option<SocketAddr>,
        run: &[&[u8]],
        headers: &mut Headers,
        counts: &Counts,
    ) {
        let Some(exporter) = exporter else { return };
        let Some(target) = self.target else {
            counts.on_lost(LossReason::Unresolved, run.len(), octets(run));
            return;
        };
        let outlet = match self.sockets.outlet(exporter, target) {
            Ok(outlet) => outlet,
            Err(error) => {
                counts.on_lost(LossReason::SendFailed, run.len(), octets(run));
                return warn_once(&mut self.has_warned, target, &error);
            }
        };
        if self.is_paced {
            std::thread::sleep(PACE.saturating_mul(u32::try_from(run.len()).unwrap_or(u32::MAX)));
        }
        let mut rest = run;
        let mut refused = false;
        while !rest.is_empty() {
            match send(outlet, headers, rest) {
                Ok(sent) => {
                    let (gone, left) = rest.split_at_checked(sent.max(1)).unwrap_or((rest, &[]));
                    counts.on_sent(gone.len(), octets(gone), outlet.is_source_replaced);
                    rest = left;
                    refused = false;
                }
                Err(Errno::EINTR) => {}
                // The kernel reports that an earlier datagram was refused, and has not sent this
                // one.
                Err(Errno::ECONNREFUSED) if !refused => refused = true,
                Err(errno) => {
                    let reason = if errno == Errno::EMSGSIZE {
                        LossReason::TooLong
                    } else {
                        LossReason::SendFailed
                    };
                    let (lost, left) = rest.split_at_checked(1).unwrap_or((rest, &[]));
                    counts.on_lost(reason, lost.len(), octets(lost));
                    rest = left;
                    refused = false;
                    warn_once(&mut self.has_warned, target, &errno.into());
                }
            }
        }
    }
}

/// Sends as many datagrams as the kernel takes. Returns their number.
fn send(outlet: &Outlet, headers: &mut Headers, run: &[&[u8]]) -> Result<usize, Errno> {
    let slices: [[IoSlice<'_>; 1]; BATCH] =
        std::array::from_fn(|at| [IoSlice::new(run.get(at).copied().unwrap_or_default())]);
    let addresses: [Option<SockaddrStorage>; BATCH] = [None; BATCH];
    let sent = sendmmsg(
        outlet.socket.as_raw_fd(),
        headers,
        slices.iter().take(run.len()),
        addresses,
        [],
        MsgFlags::empty(),
    )?;
    Ok(sent.count())
}

fn octets(run: &[&[u8]]) -> usize {
    run.iter().map(|datagram| datagram.len()).sum()
}

/// Logs a failure once. The counters have the number.
fn warn_once(has_warned: &mut bool, target: SocketAddr, error: &io::Error) {
    if !*has_warned {
        *has_warned = true;
        tracing::warn!(%target, %error, "cannot send to a replicate target (logged once; see replicate_lost_total)");
    }
}
