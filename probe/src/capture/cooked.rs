//! One socket on all interfaces of the node, also those of pods.
//!
//! Its frames have a cooked header with the interface. They are handed over without delay and do
//! not wake up the reader.

use anyhow::anyhow;
use pcap::{Active, Capture, Linktype, Precision};

use super::counters::CookedCounters;
use super::frame::{CopyDetection, Frame, LinkType, ObservationPoint, cooked_interface};
use super::libpcap::{error_message, frame};

/// Name of the pseudo-interface.
const ANY: &str = "any";
/// `DLT_LINUX_SLL2`.
pub(super) const COOKED: Linktype = Linktype(276);

/// One socket on all interfaces.
pub(super) struct CookedCapture {
    capture: Capture<Active>,
    counters: CookedCounters,
    /// Kernel drops at the last query. libpcap's counter wraps at 32 bits.
    last_dropped: u32,
}

impl CookedCapture {
    /// Opens a socket that captures `snaplen` octets of the packets that a kernel filter passes.
    ///
    /// # Errors
    /// Missing permission, or a libpcap without cooked frames of version 2.
    pub(super) fn open(snaplen: i32, buffer_octets: i32, filter: &str) -> anyhow::Result<Self> {
        let failure = |error: pcap::Error| anyhow!("interface {ANY}: {}", error_message(&error));
        let mut capture = Capture::from_device(ANY)
            .map(|capture| {
                capture
                    .snaplen(snaplen)
                    .buffer_size(buffer_octets)
                    .immediate_mode(true)
                    .precision(Precision::Nano)
            })
            .and_then(Capture::open)
            .and_then(Capture::setnonblock)
            .map_err(failure)?;
        capture.set_datalink(COOKED).map_err(failure)?;
        capture.filter(filter, true).map_err(failure)?;
        Ok(Self {
            capture,
            counters: CookedCounters::default(),
            last_dropped: 0,
        })
    }

    /// Hands out frames. Returns how many.
    ///
    /// # Errors
    /// The capture has ended.
    pub(super) fn dispatch(
        &mut self,
        max_frames: usize,
        each: &mut impl FnMut(&Frame<'_>, ObservationPoint),
    ) -> Result<usize, pcap::Error> {
        let mut count = 0;
        let outcome = self.capture.dispatch(Some(max_frames), |packet| {
            count += 1;
            let frame = frame(&packet, LinkType::LinuxSll2);
            if let Some(point) = point(frame.captured) {
                each(&frame, point);
            }
        });
        self.counters.frames += u64::try_from(count).unwrap_or_default();
        outcome.map(|_| count)
    }

    /// Replaces the kernel filter.
    ///
    /// # Errors
    /// The kernel refuses the filter.
    pub(super) fn set_filter(&mut self, filter: &str) -> Result<(), pcap::Error> {
        self.capture.filter(filter, true)
    }

    /// Counts so far.
    pub(super) fn counters(&mut self) -> CookedCounters {
        if let Ok(stats) = self.capture.stats() {
            let new = stats.dropped.wrapping_sub(self.last_dropped);
            self.counters.dropped += u64::from(new);
            self.last_dropped = stats.dropped;
        }
        self.counters
    }
}

/// The interface and the direction of a cooked frame.
fn point(captured: &[u8]) -> Option<ObservationPoint> {
    let header = captured.first_chunk::<20>()?;
    Some(ObservationPoint {
        interface: cooked_interface(header)?,
        egress: LinkType::LinuxSll2.is_outgoing(header),
        copies: CopyDetection::ByInterface,
        ..ObservationPoint::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interface_and_the_direction_are_those_of_the_cooked_header() {
        let mut header = [0; 20];
        header[6] = 1;
        header[10] = 4;
        let point = point(&header).unwrap();
        assert_eq!((point.interface, point.egress), (256, true));
    }
}
