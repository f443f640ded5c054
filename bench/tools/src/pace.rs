//! How fast records are sent.

use std::fs::File;
use std::io::Read as _;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

/// Longest wait at a time, so that a signal is noticed.
const MAX_WAIT: Duration = Duration::from_millis(50);

/// What decides when the next records may be sent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// As fast as they can be sent.
    Unpaced,
    /// Records per second.
    Rate(f64),
    /// As fast as the receiver reads: at most this many octets wait in its socket.
    ClosedLoop(u64),
}

impl Pace {
    /// Waits, for at most [`MAX_WAIT`], until more may be sent; false if that is not the case yet.
    pub(crate) fn wait(
        self,
        records: u64,
        start: Instant,
        queue: &mut ReceiverQueue,
    ) -> Result<bool> {
        match self {
            Self::Unpaced => Ok(true),
            Self::Rate(rate) => {
                let due = Duration::from_secs_f64(records as f64 / rate);
                let wait = due.saturating_sub(start.elapsed());
                thread::sleep(wait.min(MAX_WAIT));
                Ok(wait <= MAX_WAIT)
            }
            Self::ClosedLoop(limit) => {
                let end = Instant::now() + MAX_WAIT;
                while queue.state()?.octets >= limit {
                    if Instant::now() > end {
                        return Ok(false);
                    }
                    std::hint::spin_loop();
                }
                Ok(true)
            }
        }
    }
}

/// The sockets bound to a UDP port.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct QueueState {
    /// Octets that wait in the fullest of them.
    pub(crate) octets: u64,
    /// Datagrams that the kernel dropped.
    pub(crate) drops: u64,
}

/// Reads the state of a receiver's sockets from the kernel's table.
pub(crate) struct ReceiverQueue {
    port: u16,
    /// End of the local address in the table.
    suffix: String,
    buffer: String,
}

impl ReceiverQueue {
    pub(crate) fn new(port: u16) -> Self {
        Self {
            port,
            suffix: format!(":{port:04X}"),
            buffer: String::new(),
        }
    }

    /// Fails if no socket is bound to the port.
    pub(crate) fn state(&mut self) -> Result<QueueState> {
        let mut state = None;
        for table in ["/proc/self/net/udp", "/proc/self/net/udp6"] {
            self.buffer.clear();
            let Ok(mut file) = File::open(table) else {
                continue;
            };
            file.read_to_string(&mut self.buffer)?;
            for line in self.buffer.lines() {
                if let Some((octets, drops)) = parse_line(line, &self.suffix) {
                    let state: &mut QueueState = state.get_or_insert_default();
                    state.octets = state.octets.max(octets);
                    state.drops += drops;
                }
            }
        }
        state.with_context(|| format!("no receiver is bound to UDP port {}", self.port))
    }
}

/// Receive queue in octets, and drops, of a line whose local address has the suffix.
fn parse_line(line: &str, suffix: &str) -> Option<(u64, u64)> {
    let mut cells = line.split_ascii_whitespace();
    if !cells.nth(1)?.ends_with(suffix) {
        return None;
    }
    let (_, waiting) = cells.nth(2)?.split_once(':')?;
    Some((
        u64::from_str_radix(waiting, 16).ok()?,
        cells.next_back()?.parse().ok()?,
    ))
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn octets_in_a_socket_queue_are_counted() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut queue = ReceiverQueue::new(receiver.local_addr().unwrap().port());
        assert_eq!(queue.state().unwrap().octets, 0);
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        sender
            .send_to(&[1; 100], receiver.local_addr().unwrap())
            .unwrap();
        assert!(queue.state().unwrap().octets >= 100);
        drop(receiver);
        assert!(queue.state().is_err());
    }
}
