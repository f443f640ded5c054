//! Other people's collectors: what they read of flow export.
//!
//! Each is started, told where to listen, and ended; then it says what it has.

mod goflow2;
mod ipfix_dump;
mod nfacctd;
mod nfcapd;
mod openssl;
mod tshark;

use std::collections::BTreeSet;

pub use goflow2::Goflow2;
pub use ipfix_dump::ipfix_dump;
pub use nfacctd::Nfacctd;
pub use nfcapd::{Nfcapd, NfcapdReading};
pub use openssl::openssl;
pub use tshark::tshark;

use crate::flows::Flows;
use crate::program::is_installed;
use crate::skip;

/// What a peer read.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// Flow records.
    pub records: u64,
    /// Packets and octets of all of them.
    pub totals: (u64, u64),
    /// The same for every flow, by those that show flows.
    pub flows: Option<Flows>,
    /// What it says of sequence numbers.
    pub sequence: Sequence,
}

impl Reading {
    /// What was read of every flow.
    fn of_flows(records: u64, flows: Flows, sequence: Sequence) -> Self {
        Self {
            records,
            totals: flows.totals(),
            flows: Some(flows),
            sequence,
        }
    }
}

/// What a peer says of the sequence numbers of Messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Sequence {
    /// Nothing.
    #[default]
    Untold,
    /// How often one was not what it expected.
    Failures(u64),
    /// Which ones it read.
    Numbers(BTreeSet<u64>),
}

/// True, and said, where one of these programs is not installed.
pub fn missing(test: &str, programs: &[&str]) -> bool {
    let absent = programs.iter().find(|program| !is_installed(program));
    if let Some(program) = absent {
        skip(test, &format!("{program} is not installed"));
    }
    absent.is_some()
}

/// The version that a program says it has, of what it prints when asked: the first word that begins with a digit,
/// or with a v and a digit.
pub fn version(program: &str, flag: &str) -> String {
    let asked = std::process::Command::new(program).arg(flag).output();
    let output = asked.unwrap_or_else(|e| panic!("{program} {flag}: {e}"));
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    let mut words = said.split([' ', '\t', '\n', ',', '(', ')']);
    let begins = |word: &&str| {
        let word = word.strip_prefix('v').unwrap_or(word);
        word.contains('.') && word.starts_with(|first: char| first.is_ascii_digit())
    };
    let word = words.find(begins).unwrap_or_default();
    // Builds and their commits are nobody's business.
    let release = word.split(['-', '+', '~']).next().unwrap_or_default();
    release.trim_matches(['v', '.']).to_owned()
}
