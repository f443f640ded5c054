//! Savefiles: the frames of a pcap or pcapng file, read by libpcap. `-` is standard input.

use std::path::Path;

use anyhow::{anyhow, bail};
use pcap::{Capture, Offline, Precision};

use super::counters::CaptureCounters;
use super::frame::{Frame, LinkType, ObservationPoint};
use super::libpcap::{error_message, frame, link_type_name};

/// The interface that counts of a savefile are reported for.
const INTERFACE: &str = "savefile";
/// Maximum number of frames handed out by one call.
const MAX_ROUND_FRAMES: usize = 8192;

/// An open capture file.
pub struct Savefile {
    capture: Capture<Offline>,
    link_type: LinkType,
    is_pipe: bool,
    counters: CaptureCounters,
}

impl Savefile {
    /// Opens a file and sets a filter on it.
    ///
    /// # Errors
    /// The file cannot be read, is no capture file, or has an unsupported link type, or the filter
    /// is invalid.
    pub fn open(path: &Path, filter: Option<&str>) -> anyhow::Result<Self> {
        let name = path.display();
        if path.to_str().is_none() {
            bail!("read {name}: the name is not UTF-8");
        }
        // libpcap's own message for a missing file is clear, that for a directory is not.
        if path.is_dir() {
            bail!("read {name}: is a directory: must be a pcap or pcapng file");
        }
        let mut capture = Capture::from_file_with_precision(path, Precision::Nano)
            .map_err(|error| anyhow!("read {name}: {}", error_message(&error)))?;
        let datalink = capture.get_datalink();
        let link_type = LinkType::from_dlt(datalink.0).ok_or_else(|| {
            anyhow!(
                "read {name}: unsupported link type {}: must be Ethernet, Linux cooked (v1, v2), \
                 raw IP, loopback, PPP or PPPoE",
                link_type_name(datalink)
            )
        })?;
        if let Some(filter) = filter {
            capture
                .filter(filter, true)
                .map_err(|error| anyhow!("filter {filter:?}: {}", error_message(&error)))?;
        }
        Ok(Self {
            capture,
            link_type,
            is_pipe: path == Path::new("-"),
            counters: CaptureCounters::default(),
        })
    }

    /// Hands out the next frames: a few thousand, or one from a pipe, whose frames may arrive one
    /// by one. False at the end of the file.
    ///
    /// # Errors
    /// The file ends within a frame, or is corrupt from some point on.
    pub fn dispatch(
        &mut self,
        mut each: impl FnMut(&Frame<'_>, ObservationPoint),
    ) -> anyhow::Result<bool> {
        let link_type = self.link_type;
        // libpcap waits until it has the requested number of frames.
        let max_frames = if self.is_pipe { 1 } else { MAX_ROUND_FRAMES };
        let (mut frames, mut octets) = (0, 0);
        let outcome = self.capture.dispatch(Some(max_frames), |packet| {
            let frame = frame(&packet, link_type);
            frames += 1;
            octets += u64::from(frame.wire_octets);
            each(&frame, ObservationPoint::default());
        });
        if let Some(counters) = self.counters.of(INTERFACE) {
            counters.frames += frames;
            counters.octets += octets;
        }
        match outcome {
            Ok(count) => Ok(count > 0),
            Err(error) => Err(anyhow!("{}", error_message(&error))),
        }
    }

    /// Counts so far.
    #[must_use]
    pub const fn counters(&self) -> &CaptureCounters {
        &self.counters
    }
}
