//! Third-party collectors and decoders, and their results.

pub mod clickhouse;
mod fastnetmon;
mod goflow2;
mod ipfix_dump;
mod ipfixcol2;
pub mod kafka;
mod library;
mod nfacctd;
mod nfcapd;
mod openssl;
mod ra;
mod receiver;
mod suite;
mod tshark;

use std::collections::BTreeSet;
use std::net::UdpSocket;

pub use fastnetmon::Fastnetmon;
pub use goflow2::Goflow2;
pub use ipfix_dump::ipfix_dump;
pub use ipfixcol2::Ipfixcol2;
pub use library::{Language, Libraries};
pub use nfacctd::Nfacctd;
pub use nfcapd::{Nfcapd, NfcapdReading};
pub use openssl::openssl;
pub use ra::Ra;
pub use receiver::Receiver;
pub use suite::Suite;
pub use tshark::tshark;

use crate::flows::Flows;
use crate::program::{self, is_installed};
use crate::skip;

/// The result of a peer.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// Flow records.
    pub records: u64,
    /// Total packets and octets.
    pub totals: (u64, u64),
    /// Packets and octets per flow, if the peer reports them.
    pub flows: Option<Flows>,
    /// Its report on sequence numbers.
    pub sequence: Sequence,
}

impl Reading {
    /// Sums per flow.
    fn of_flows(records: u64, flows: Flows, sequence: Sequence) -> Self {
        Self {
            records,
            totals: flows.totals(),
            flows: Some(flows),
            sequence,
        }
    }
}

/// The report of a peer on sequence numbers of Messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Sequence {
    /// No report.
    #[default]
    Untold,
    /// Number of unexpected values.
    Failures(u64),
    /// The values.
    Numbers(BTreeSet<u64>),
}

/// Sends datagrams to a port of a process, no more at a time than its socket buffer holds.
pub(crate) fn feed(pid: u32, port: u16, datagrams: &[Vec<u8>]) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    for some in datagrams.chunks(32) {
        for datagram in some {
            let sent = socket.send_to(datagram, ("127.0.0.1", port));
            sent.expect("a datagram is sent");
        }
        program::wait_for_udp_read(pid, port);
    }
}

/// Calls [`skip`] and returns true if a program is not installed.
pub fn missing(programs: &[&str]) -> bool {
    let absent = programs.iter().find(|program| !is_installed(program));
    if let Some(program) = absent {
        skip(&format!("{program} is not installed"));
    }
    absent.is_some()
}

/// The version in the output of a program: the first word that starts with a digit, or with v and a
/// digit.
pub fn version(program: &str, flag: &str) -> String {
    let asked = std::process::Command::new(program).arg(flag).output();
    let output = asked.unwrap_or_else(|e| panic!("{program} {flag}: {e}"));
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed).into_owned();
    let mut words = printed.split([' ', '\t', '\n', ',', '(', ')']);
    let begins = |word: &&str| {
        let word = word.strip_prefix('v').unwrap_or(word);
        word.contains('.') && word.starts_with(|first: char| first.is_ascii_digit())
    };
    release(words.find(begins).unwrap_or_default())
}

/// A version without the epoch of a package and the identification of the build.
fn release(version: &str) -> String {
    let upstream = version.rsplit(':').next().unwrap_or_default();
    let release = upstream.split(['-', '+', '~']).next().unwrap_or_default();
    release.trim_matches(['v', '.']).to_owned()
}
