//! nfcapd and nfdump.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;

use super::{Reading, Receiver, Sequence, Suite};
use crate::flows::Flows;
use crate::program;

/// A running nfcapd.
pub struct Nfcapd {
    suite: Suite,
    /// Where it receives.
    pub receiver: Receiver,
}

/// The records that nfcapd stored.
pub struct NfcapdReading {
    suite: Suite,
    folder: tempfile::TempDir,
}

impl Nfcapd {
    /// Starts the installed one.
    pub fn start() -> Self {
        Self::of(Suite::installed())
    }

    /// Starts it with a large socket buffer.
    pub fn of(suite: Suite) -> Self {
        let receiver = Receiver::start(|folder, port| {
            let mut command = suite.command("nfcapd");
            command.args(["-b", "127.0.0.1", "-t", "3600", "-B", "16777216", "-p"]);
            command.arg(port.to_string()).arg("-w").arg(folder);
            command.stdout(Stdio::null()).stderr(Stdio::null());
            command
        });
        Self { suite, receiver }
    }

    /// Stops it.
    pub fn finish(self) -> NfcapdReading {
        let folder = self.receiver.end(|running, _| drop(running.terminate()));
        NfcapdReading {
            suite: self.suite,
            folder,
        }
    }
}

impl NfcapdReading {
    /// The directory of its files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Sums per flow.
    pub fn flows(&self) -> Flows {
        Flows::of_nfdump(self.suite.command("nfdump").arg("-R").arg(self.folder()))
    }

    /// One line of nfdump per record in a format (`%sa` …), sorted, without blanks.
    pub fn lines(&self, format: &str) -> BTreeSet<String> {
        let mut nfdump = self.suite.command("nfdump");
        nfdump.args(["-6", "-q", "-N", "-o", &format!("fmt:{format}"), "-R"]);
        let text = program::text(nfdump.arg(self.folder()));
        text.lines().map(str::to_owned).collect()
    }

    /// Summarises the records.
    pub fn reading(&self) -> Reading {
        let mut summary = self.suite.command("nfdump");
        let summary = program::text(summary.arg("-I").arg("-R").arg(self.folder()));
        let number = |name: &str| -> u64 {
            let mut lines = summary.lines();
            let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            value
                .and_then(|value| value.trim().parse().ok())
                .unwrap_or_else(|| panic!("no {name} in\n{summary}"))
        };
        Reading::of_flows(
            number("Flows"),
            self.flows(),
            Sequence::Failures(number("Sequence failures")),
        )
    }
}
