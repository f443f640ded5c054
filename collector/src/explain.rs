//! `--explain`: prints what is in savefiles, octet by octet, and every violation of the protocol.
//! Nothing is counted, enriched or served. With `--compare`, another decoder reads the same, too.

mod compare;

use std::io::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Mutex;

pub use compare::Comparison;
use flowproto::explain::{Captured, Explainer};
use kipfix_service::exit::{Failure, check_stdout};
use kipfix_service::signals::Stop;

use crate::receive::savefile::{SavefileCounts, for_each};

/// Prints every savefile, then a summary of all of them. Ends without an error if the reader of
/// stdout has gone.
///
/// # Errors
/// A file could not be read to its end, or stdout cannot be written.
pub fn run(
    files: &[PathBuf],
    mut explainer: Explainer,
    mut comparison: Option<Comparison>,
    stop: &Stop,
) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let counts = Mutex::new(SavefileCounts::default());
    let mut text = Vec::new();
    let mut written = Ok(());
    let mut incomplete = Ok(());
    for path in files {
        if files.len() > 1 {
            text.extend_from_slice(format!("File {}\n\n", path.display()).as_bytes());
        }
        let read = for_each(path, &counts, stop, |datagram| {
            let captured = Captured {
                exporter: datagram.exporter,
                time_milliseconds: datagram.is_captured.then_some(datagram.time_milliseconds),
                octets: datagram.payload,
            };
            explainer.explain(&captured, &mut text);
            if let Some(comparison) = &mut comparison {
                comparison.datagram(&captured, &mut text);
            }
            written = out.write_all(&text);
            text.clear();
            if written.is_ok() {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        });
        incomplete = incomplete.and(read);
        if written.is_err() {
            break;
        }
    }
    explainer.summarize(&mut text);
    if let Some(comparison) = &comparison {
        comparison.summarize(&mut text);
    }
    let counts = counts.into_inner().unwrap_or_default();
    write_skipped(&counts, &mut text);
    let outcome = written
        .and_then(|()| out.write_all(&text))
        .and_then(|()| out.flush());
    check_stdout(outcome, "explain: cannot write stdout")?;
    incomplete
}

/// Appends the number of frames that are not in the dump.
fn write_skipped(counts: &SavefileCounts, text: &mut Vec<u8>) {
    let reasons: Vec<String> = counts
        .skipped
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(reason, count)| format!("{} {count}", <&str>::from(reason)))
        .collect();
    if !reasons.is_empty() {
        let line = format!(
            "\n  Of {} frames, these have no datagram of flow export, or a copy: {}\n",
            counts.frames,
            reasons.join(", ")
        );
        text.extend_from_slice(line.as_bytes());
    }
}
