//! Capture of DNS answers on all interfaces.
//!
//! The captured interfaces do not show the answers that pods receive from a resolver in the cluster
//! or on the node. These packets are inspected and not metered. Answers from port 5353 count only
//! with their queries, so these are captured, too.

use super::cooked::CookedCapture;
use super::counters::CookedCounters;
use super::frame::{Frame, ObservationPoint};

/// Octets captured of each packet: the largest answer that resolvers send over UDP.
const SNAPLEN: i32 = 4096;
/// Kernel buffer. It holds some 1000 answers.
const BUFFER_OCTETS: i32 = 1 << 20;
/// Frames read at once.
const MAX_ROUND_FRAMES: usize = 4096;
/// The kernel filter: what DNS servers send, and what those at port 5353 receive, except of
/// multicast DNS. Loopback has index 1 in every network namespace.
const EXPRESSION: &str = "not ifindex 1 and (src port 53 or (port 5353 and not (src port 5353 and dst port 5353) \
     and not ip multicast and not ip6 multicast))";

/// The capture of DNS answers.
pub(super) struct DnsAnswerCapture(CookedCapture);

impl DnsAnswerCapture {
    /// Opens the capture.
    ///
    /// # Errors
    /// Missing permission, or a libpcap without cooked frames of version 2.
    pub(super) fn open() -> anyhow::Result<Self> {
        CookedCapture::open(SNAPLEN, BUFFER_OCTETS, EXPRESSION).map(Self)
    }

    /// Hands out the frames that wait.
    ///
    /// # Errors
    /// The capture has ended.
    pub(super) fn dispatch(
        &mut self,
        mut each: impl FnMut(&Frame<'_>, ObservationPoint),
    ) -> Result<(), pcap::Error> {
        self.0.dispatch(MAX_ROUND_FRAMES, &mut each).map(drop)
    }

    /// Counts so far.
    pub(super) fn counters(&mut self) -> CookedCounters {
        self.0.counters()
    }
}

#[cfg(test)]
mod tests {
    use pcap::Capture;

    use super::*;
    use crate::capture::cooked::COOKED;

    #[test]
    fn the_filter_passes_answers_and_queries_to_port_5353() {
        let program = Capture::dead(COOKED).unwrap();
        let program = program.compile(EXPRESSION, true).unwrap();
        let frame_to =
            |destination_address, ifindex: u8, protocol: u8, source: u16, destination: u16| {
                let mut frame = vec![8, 0, 0, 0, 0, 0, 0, ifindex, 0, 1, 0, 6];
                frame.extend([0; 8]);
                frame.extend([0x45, 0, 0, 100, 0, 0, 0, 0, 64, protocol, 0, 0]);
                frame.extend([10, 0, 0, 9]);
                frame.extend(destination_address);
                frame.extend(source.to_be_bytes());
                frame.extend(destination.to_be_bytes());
                frame.resize(120, 0);
                frame
            };
        let frame = |ifindex, protocol, source, destination| {
            frame_to([10, 0, 0, 1], ifindex, protocol, source, destination)
        };
        for (frame, passes) in [
            (frame(2, 17, 53, 40_000), true),
            (frame(2, 6, 53, 40_000), true),
            (frame(2, 17, 5353, 40_000), true),
            (frame(2, 17, 40_000, 5353), true),
            (frame(2, 17, 40_000, 53), false),
            (frame(2, 17, 5353, 5353), false),
            (frame_to([224, 0, 0, 251], 2, 17, 40_000, 5353), false),
            (frame(1, 17, 53, 40_000), false),
            (frame(2, 17, 54, 40_000), false),
            (frame(2, 1, 53, 40_000), false),
        ] {
            assert_eq!(program.filter(&frame), passes, "{frame:02x?}");
        }
    }
}
