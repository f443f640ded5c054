//! The thread of one target: empties its mailbox and sends, many datagrams a system call.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::time::Duration;

use kipfix_export::names::TargetName;
use kipfix_service::signals::Stop;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, sendmmsg};

use super::Lost;
use super::counts::Counts;
use super::datagrams::Datagrams;
use super::sockets::{Outlet, Sockets};
use crate::emit::is_own;
use crate::emit::mailbox::{Emptier, Mailbox};

/// Datagrams a system call takes at the most.
const BATCH: usize = 64;
/// Where datagrams come from a savefile, one leaves so often at the most.
const PACE: Duration = Duration::from_micros(50);
/// How soon the end is noticed where nothing comes.
const PATIENCE: Duration = Duration::from_secs(1);

type Headers = MultiHeaders<SockaddrStorage>;

pub(super) struct Sender {
    name: TargetName,
    sockets: Sockets,
    /// Where this process receives.
    listening: Vec<SocketAddr>,
    /// Of the name's addresses; 0 before the first.
    revision: u64,
    target: Option<SocketAddr>,
    complained: bool,
    is_paced: bool,
}

impl Sender {
    /// `is_paced`: a savefile is faster than any receiver's buffer.
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
            complained: false,
            is_paced,
        }
    }

    /// Sends what comes until the mailbox is closed and empty.
    pub(super) fn run(mut self, mailbox: &Mailbox<Datagrams>, counts: &Counts, stop: Stop) {
        let _emptier = Emptier(mailbox, stop);
        let mut datagrams = Datagrams::default();
        // Made here, since it must not move to another thread.
        let mut headers = MultiHeaders::preallocate(BATCH, None);
        while mailbox.take(&mut datagrams, PATIENCE) {
            self.follow();
            self.send_all(&datagrams, &mut headers, counts);
            datagrams.clear();
        }
    }

    /// Goes where the target is now.
    fn follow(&mut self) {
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
                "the name of a target of replicate is this collector itself: nothing is sent there"
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
            counts.lost(Lost::Unresolved, run.len(), octets(run));
            return;
        };
        let outlet = match self.sockets.outlet(exporter, target) {
            Ok(outlet) => outlet,
            Err(error) => {
                counts.lost(Lost::SendFailed, run.len(), octets(run));
                return complain(&mut self.complained, target, &error);
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
                    counts.sent(gone.len(), octets(gone), outlet.readdressed);
                    rest = left;
                    refused = false;
                }
                Err(Errno::EINTR) => {}
                // The kernel tells of an earlier datagram that nobody listened, and has not sent this one.
                Err(Errno::ECONNREFUSED) if !refused => refused = true,
                Err(errno) => {
                    let reason = if errno == Errno::EMSGSIZE {
                        Lost::TooLong
                    } else {
                        Lost::SendFailed
                    };
                    let (lost, left) = rest.split_at_checked(1).unwrap_or((rest, &[]));
                    counts.lost(reason, lost.len(), octets(lost));
                    rest = left;
                    refused = false;
                    complain(&mut self.complained, target, &errno.into());
                }
            }
        }
    }
}

/// Sends so many of the first ones as the kernel takes; how many that were.
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

/// Says once what is wrong; the counters say how often.
fn complain(complained: &mut bool, target: SocketAddr, error: &io::Error) {
    if !*complained {
        *complained = true;
        tracing::warn!(%target, %error, "datagrams cannot be passed on; said once, counted always");
    }
}
