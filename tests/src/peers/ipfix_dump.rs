//! ipfixDump of libfixbuf.

use std::path::Path;
use std::process::Command;

use super::{Reading, Sequence};
use crate::program;

/// Reads an IPFIX file with ipfixDump.
pub fn ipfix_dump(file: &Path) -> Reading {
    let output = program::output(Command::new("ipfixDump").arg("--in").arg(file));
    let dump = String::from_utf8_lossy(&output.stdout);
    let printed = String::from_utf8_lossy(&output.stderr);
    let values = |name: &str| -> Vec<u64> {
        let values = dump.lines().filter_map(|line| {
            let (before, value) = line.split_once(name)?;
            // Without reverse elements and names in templates.
            let own = !before.ends_with("reverse");
            own.then(|| value.rsplit(':').next()?.trim().parse::<u64>().ok())?
        });
        values.collect()
    };
    let octets = values("octetDeltaCount");
    Reading {
        records: octets.len() as u64,
        totals: (values("packetDeltaCount").iter().sum(), octets.iter().sum()),
        flows: None,
        sequence: Sequence::Failures(printed.matches("sequence").count() as u64),
    }
}
