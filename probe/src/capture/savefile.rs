//! Frames of a capture file: pcap and pcapng, by libpcap, '-' being stdin.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{anyhow, bail};
use kipfix_service::signals::Stop;
use pcap::{Capture, Offline, Precision};
use tracing::warn;

use crate::cache::{RecordSink, Sighting};
use crate::decode::{Frame, LinkType};
use crate::pipeline::Pipeline;

/// Frames read in a row before the outside is looked at.
const ROUND: u64 = 8192;
/// From a pipe, whose frames may come one by one, the outside is looked at after so long too.
const ROUND_TIME: Duration = Duration::from_millis(200);

/// An open capture file.
pub struct Savefile {
    capture: Capture<Offline>,
    link_type: LinkType,
    name: String,
    is_pipe: bool,
}

impl Savefile {
    /// Opens a file and sets a filter on it.
    ///
    /// # Errors
    /// It cannot be read, is no capture file, or has frames of a kind that no node has; or the filter is bad.
    pub fn open(path: &Path, filter: Option<&str>) -> anyhow::Result<Self> {
        let name = path.display().to_string();
        if path.to_str().is_none() {
            bail!("read {name}: the file's name is not UTF-8");
        }
        // libpcap's own words for a file that is not there are good, those for a folder are not.
        if path.is_dir() {
            bail!("read {name}: this is a directory; allowed are pcap and pcapng files");
        }
        let mut capture = Capture::from_file_with_precision(path, Precision::Nano)
            .map_err(|error| anyhow!("read {name}: {}", words(&error)))?;
        let datalink = capture.get_datalink();
        let link_type = LinkType::from_dlt(datalink.0).ok_or_else(|| {
            let kind = datalink.get_name().unwrap_or_else(|_| datalink.0.to_string());
            anyhow!(
                "read {name}: link type {kind} is not known; allowed are Ethernet, Linux cooked (v1, v2), \
                 raw IP, loopback, PPP and PPPoE"
            )
        })?;
        if let Some(filter) = filter {
            capture
                .filter(filter, true)
                .map_err(|error| anyhow!("filter {filter:?}: {}", words(&error)))?;
        }
        Ok(Self {
            capture,
            link_type,
            name,
            is_pipe: path == Path::new("-"),
        })
    }

    /// Puts all frames through `pipeline`. `each_round` is called every few thousand frames (from a pipe: also
    /// with the first frame after 200 ms) with the packets and octets among them and may end the reading by
    /// returning false. A file that ends in the middle of a frame, or that holds nonsense from some place on, is
    /// metered as far as it goes.
    pub fn run<S: RecordSink>(
        mut self,
        pipeline: &mut Pipeline,
        sink: &mut S,
        stop: &Stop,
        mut each_round: impl FnMut(&Pipeline, &mut S, u64, u64) -> bool,
    ) {
        let link_type = self.link_type;
        // libpcap waits until it has as many frames as it was asked for.
        let at_once = if self.is_pipe {
            Some(1)
        } else {
            usize::try_from(ROUND).ok()
        };
        let (mut packets, mut octets) = (0, 0);
        let mut round_began = now();
        loop {
            let outcome = self.capture.dispatch(at_once, |packet| {
                let frame = frame(&packet, link_type);
                packets += 1;
                octets += u64::from(frame.wire_octets);
                pipeline.frame(&frame, Sighting::default(), sink);
            });
            if let Err(error) = &outcome {
                let problem = words(error);
                warn!(
                    file = self.name,
                    problem, "the file is broken: metered up to there"
                );
            }
            let done = !matches!(outcome, Ok(count) if count > 0) || stop.is_set();
            let due = packets >= ROUND || self.is_pipe && round_began.elapsed() >= ROUND_TIME;
            if due || done {
                let go_on = each_round(pipeline, sink, packets, octets);
                if done || !go_on {
                    return;
                }
                (packets, octets) = (0, 0);
                round_began = now();
            }
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "when to look outside is of this machine's time"
)]
fn now() -> Instant {
    Instant::now()
}

/// A frame as libpcap hands it out with nanosecond precision.
#[inline]
pub(super) fn frame<'a>(packet: &pcap::Packet<'a>, link_type: LinkType) -> Frame<'a> {
    let header = packet.header;
    let seconds = u64::try_from(header.ts.tv_sec).unwrap_or_default();
    // The field is named for microseconds, the precision asked for is nanoseconds.
    let nanoseconds = u64::try_from(header.ts.tv_usec).unwrap_or_default();
    Frame {
        captured: packet.data,
        wire_octets: header.len.max(header.caplen),
        link_type,
        time_ns: seconds
            .saturating_mul(1_000_000_000)
            .saturating_add(nanoseconds),
    }
}

/// libpcap's own sentence, without the crate's wrapping.
pub(super) fn words(error: &pcap::Error) -> String {
    match error {
        pcap::Error::PcapError(words) => words.clone(),
        other => other.to_string(),
    }
}
