//! `--explain`: what is in savefiles, octet by octet, on stdout, and what is wrong with it. Nothing is
//! counted, enriched or served: it is for people who want to know what an exporter really sends.

use std::io::{ErrorKind, Write};
use std::ops::ControlFlow;
use std::sync::Mutex;

use anyhow::anyhow;
use flowproto::explain::{Bounds, Captured, Explainer};
use kipfix_service::exit::Failure;
use kipfix_service::signals::Stop;

use crate::offline;
use crate::receive::savefile::{NotUsed, SavefileCounts};
use crate::settings::Settings;

/// Dumps every savefile, then what was wrong in all of them. Ends quietly where nobody reads on.
///
/// # Errors
/// Nothing of a file could be read at all, or stdout cannot be written to.
pub fn run(settings: &Settings, stop: &Stop) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let mut explainer = Explainer::new(Bounds {
        domains: settings.max_domains,
        templates_per_domain: settings.max_templates,
    });
    let counts = Mutex::new(SavefileCounts::default());
    let mut text = Vec::new();
    let mut written = Ok(());
    for path in &settings.read {
        if settings.read.len() > 1 {
            text.extend_from_slice(format!("File {}\n\n", path.display()).as_bytes());
        }
        offline::each(path, &counts, stop, |datagram| {
            let captured = Captured {
                exporter: datagram.exporter,
                time_milliseconds: datagram.is_captured.then_some(datagram.time_milliseconds),
                octets: datagram.payload,
            };
            explainer.explain(&captured, &mut text);
            written = out.write_all(&text);
            text.clear();
            if written.is_ok() {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        })?;
        if written.is_err() {
            break;
        }
    }
    explainer.summarize(&mut text);
    let counts = counts.into_inner().unwrap_or_default();
    say_not_used(&counts, &mut text);
    let outcome = written
        .and_then(|()| out.write_all(&text))
        .and_then(|()| out.flush());
    match outcome {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(anyhow!("explain: stdout cannot be written: {error}").into())
        }
        _ => Ok(()),
    }
}

/// Frames that are no flow export: a dump that leaves them out must say so.
fn say_not_used(counts: &SavefileCounts, text: &mut Vec<u8>) {
    let reasons: Vec<String> = NotUsed::ALL
        .iter()
        .zip(counts.not_used)
        .filter(|(_, count)| *count > 0)
        .map(|(reason, count)| format!("{} {count}", reason.as_str()))
        .collect();
    if !reasons.is_empty() {
        let line = format!(
            "\n  Of {} frames, these hold no datagram of flow export: {}\n",
            counts.frames,
            reasons.join(", ")
        );
        text.extend_from_slice(line.as_bytes());
    }
}
