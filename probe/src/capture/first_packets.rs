//! Capture of first packets on all interfaces: TCP SYNs, and datagrams.
//!
//! They are compared to learn address translations, and are not metered. One cooked socket observes
//! all interfaces of the node, also those of pods, with a kernel filter that passes little else. It
//! needs no capability but the one for capture.
//!
//! Frames are handed over without delay, and read before those of the captured interfaces, so that
//! a translation is known when the conversation begins. They do not wake up the reader.
//!
//! The kernel cannot recognize the first datagram of a conversation, so datagrams have a socket of
//! their own, and only a number of them per second is read. The others are dropped in the kernel.
//! The number is small while the probe does not keep up with the captured interfaces. Answers of
//! servers at well-known ports are not captured: the request shows the same. Nothing is captured
//! while no translation can be observed.

use std::fmt::Write as _;

use flowproto::protocol::TCP;
use kipfix_export::own_endpoints::OwnEndpoint;

use super::clock::wall_clock_ns;
use super::cooked::CookedCapture;
use super::counters::CookedCounters;
use super::frame::{Frame, ObservationPoint};

/// Octets captured of each packet: the cooked header, an IPv6 header with options, a TCP header.
const SNAPLEN: i32 = 160;
/// Kernel buffer of SYNs, and of datagrams. It holds some 10,000 frames, and 2500.
const BUFFER_OCTETS: [i32; 2] = [4 << 20, 1 << 20];
/// How many datagrams are read.
const DATAGRAM_RATE: Rate = Rate {
    per_second: 20_000,
    at_once: 4096,
};
/// The same while the probe does not keep up with the captured interfaces.
const BEHIND_DATAGRAM_RATE: Rate = Rate {
    per_second: 1000,
    at_once: 128,
};
/// Frames read at once.
const MAX_ROUND_FRAMES: usize = 16_384;

/// The capture of first packets.
pub(super) struct FirstPacketCapture {
    syns: CookedCapture,
    datagrams: CookedCapture,
    budget: Budget,
    /// Ports of tunnels, whose packets are not compared.
    excluded_ports: Vec<u16>,
    /// The kernel filter for datagrams while the capture is active.
    datagram_filter: String,
    is_active: bool,
    /// The probe did not keep up at some time since the last query of the counts.
    was_behind: bool,
    /// Datagrams that the kernel has dropped, at the last query.
    datagrams_dropped: u64,
    /// Those of them that were dropped while the probe did not keep up.
    left_out: u64,
}

/// A number of frames.
#[derive(Clone, Copy, Debug)]
struct Rate {
    /// Maximum number per second.
    per_second: u32,
    /// Maximum number at once, after a pause.
    at_once: u32,
}

/// How many datagrams may be read.
#[derive(Clone, Copy, Debug)]
struct Budget {
    available: u32,
    renewed_ns: u64,
}

impl Budget {
    /// Returns the number that may be read at this time, nanoseconds.
    fn renew(&mut self, now_ns: u64, rate: Rate) -> u32 {
        let elapsed_ns = now_ns.saturating_sub(self.renewed_ns);
        let new = elapsed_ns.saturating_mul(rate.per_second.into()) / 1_000_000_000;
        if new > 0 || now_ns < self.renewed_ns {
            self.renewed_ns = now_ns;
            let new = u32::try_from(new).unwrap_or(u32::MAX);
            self.available = self.available.saturating_add(new);
        }
        self.available = self.available.min(rate.at_once);
        self.available
    }

    fn spend(&mut self, count: usize) {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.available = self.available.saturating_sub(count);
    }
}

impl FirstPacketCapture {
    /// Opens the capture, which is not active. `excluded_ports`: UDP ports of tunnels.
    ///
    /// # Errors
    /// Missing permission, or a libpcap without cooked frames of version 2.
    pub(super) fn open(
        excluded_ports: Vec<u16>,
        own_endpoints: &[OwnEndpoint],
    ) -> anyhow::Result<Self> {
        let [syns, datagrams] = BUFFER_OCTETS;
        Ok(Self {
            syns: CookedCapture::open(SNAPLEN, syns, NOTHING)?,
            datagrams: CookedCapture::open(SNAPLEN, datagrams, NOTHING)?,
            datagram_filter: datagram_expression(&excluded_ports, own_endpoints),
            is_active: false,
            budget: Budget {
                available: DATAGRAM_RATE.at_once,
                renewed_ns: wall_clock_ns(),
            },
            excluded_ports,
            was_behind: false,
            datagrams_dropped: 0,
            left_out: 0,
        })
    }

    /// Begins or ends to capture. False if nothing changes.
    ///
    /// # Errors
    /// The kernel refuses a filter.
    pub(super) fn set_active(&mut self, is_active: bool) -> Result<bool, pcap::Error> {
        if is_active == self.is_active {
            return Ok(false);
        }
        self.is_active = is_active;
        let filters = if is_active {
            [SYN_EXPRESSION, &self.datagram_filter]
        } else {
            [NOTHING; 2]
        };
        let [syns, datagrams] = filters;
        self.syns.set_filter(syns)?;
        self.datagrams.set_filter(datagrams)?;
        Ok(true)
    }

    /// Hands out the frames that wait at `now_ns` since the epoch, few of the datagrams if the
    /// probe is behind with other frames.
    ///
    /// # Errors
    /// The capture has ended.
    pub(super) fn dispatch(
        &mut self,
        now_ns: u64,
        is_behind: bool,
        mut each: impl FnMut(&Frame<'_>, ObservationPoint),
    ) -> Result<(), pcap::Error> {
        if !self.is_active {
            return Ok(());
        }
        self.syns.dispatch(MAX_ROUND_FRAMES, &mut each)?;
        self.was_behind |= is_behind;
        let rate = if is_behind {
            BEHIND_DATAGRAM_RATE
        } else {
            DATAGRAM_RATE
        };
        let available = self.budget.renew(now_ns, rate);
        if let Ok(available) = usize::try_from(available)
            && available > 0
        {
            let count = self.datagrams.dispatch(available, &mut each)?;
            self.budget.spend(count);
        }
        Ok(())
    }

    /// Excludes the probe's own export.
    ///
    /// # Errors
    /// The kernel refuses the filter.
    pub(super) fn exclude(&mut self, own_endpoints: &[OwnEndpoint]) -> Result<(), pcap::Error> {
        self.datagram_filter = datagram_expression(&self.excluded_ports, own_endpoints);
        if self.is_active {
            self.datagrams.set_filter(&self.datagram_filter)?;
        }
        Ok(())
    }

    /// Counts so far, and how many more datagrams were dropped while the probe was behind.
    pub(super) fn counters(&mut self) -> (CookedCounters, u64) {
        let (syns, datagrams) = (self.syns.counters(), self.datagrams.counters());
        let before = std::mem::replace(&mut self.datagrams_dropped, datagrams.dropped);
        if std::mem::take(&mut self.was_behind) {
            self.left_out += datagrams.dropped - before;
        }
        let counters = CookedCounters {
            frames: syns.frames + datagrams.frames,
            dropped: syns.dropped + datagrams.dropped - self.left_out,
        };
        (counters, self.left_out)
    }
}

/// A kernel filter that nothing passes: interfaces are counted from 1.
const NOTHING: &str = "ifindex 0";

/// The kernel filter for SYNs without ACK. Loopback has index 1 in every network namespace. libpcap
/// reads TCP flags of IPv4 only, and of IPv6 without extension headers.
const SYN_EXPRESSION: &str = "not ifindex 1 and (tcp[13] & 0x12 = 0x02 \
                              or (ip6[6] = 6 and ip6[53] & 0x12 = 0x02))";

/// The kernel filter for datagrams with a payload, except those from a well-known port to a higher
/// one: they are answers, and the request is compared.
fn datagram_expression(excluded_ports: &[u16], own_endpoints: &[OwnEndpoint]) -> String {
    let mut expression = "not ifindex 1 \
        and ((udp[4:2] > 8 and (udp[0:2] >= 1024 or udp[2:2] < 1024)) \
        or (ip6[6] = 17 and ip6[44:2] > 8 and (ip6[40:2] >= 1024 or ip6[42:2] < 1024)))"
        .to_owned();
    // Writing to a String cannot fail.
    for port in excluded_ports {
        write!(expression, " and not udp dst port {port}").ok();
    }
    for own in own_endpoints {
        if own.protocol_identifier != TCP {
            let (address, port) = (own.address, own.port);
            write!(
                expression,
                " and not (src port {port} and src host {address})"
            )
            .ok();
        }
    }
    expression
}

#[cfg(test)]
mod tests {
    use pcap::Capture;

    use super::*;
    use crate::capture::cooked::COOKED;

    #[test]
    fn the_filter_passes_first_packets_and_nothing_else() {
        let own = OwnEndpoint::udp("10.0.0.9:4000".parse().unwrap());
        let own_v6 = OwnEndpoint::udp("[2001:db8::1]:4000".parse().unwrap());
        let datagrams = datagram_expression(&[4789, 8472], &[own, own_v6]);
        let capture = Capture::dead(COOKED).unwrap();
        let programs =
            [SYN_EXPRESSION, &datagrams].map(|filter| capture.compile(filter, true).unwrap());
        let nothing = capture.compile(NOTHING, true).unwrap();
        let frame = |ifindex: u8, protocol: u8, transport: &[u8]| {
            let mut frame = vec![8, 0, 0, 0, 0, 0, 0, ifindex, 0, 1, 0, 6];
            frame.extend([0; 8]);
            frame.extend([0x45, 0, 0, 100, 0, 0, 0, 0, 64, protocol, 0, 0]);
            frame.extend([10, 0, 0, 9, 10, 0, 0, 1]);
            frame.extend(transport);
            frame.resize(120, 0);
            frame
        };
        let frame_v6 = |next_header: u8, transport: &[u8]| {
            let mut frame = vec![0x86, 0xdd, 0, 0, 0, 0, 0, 7, 0, 1, 0, 6];
            frame.extend([0; 8]);
            frame.extend([0x60, 0, 0, 0, 0, 60, next_header, 64]);
            frame.extend([0xfd; 32]);
            frame.extend(transport);
            frame.resize(120, 0);
            frame
        };
        let tcp = |flags: u8| [0, 80, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, flags];
        let udp = |source: u16, destination: u16, octets: u8| {
            let ([a, b], [c, d]) = (source.to_be_bytes(), destination.to_be_bytes());
            [a, b, c, d, 0, octets, 0, 0]
        };
        for (frame, passes) in [
            (frame(2, 6, &tcp(0x02)), true),
            (frame(1, 6, &tcp(0x02)), false),
            (frame(2, 6, &tcp(0xc2)), true),
            (frame(2, 6, &tcp(0x12)), false),
            (frame(2, 6, &tcp(0x10)), false),
            (frame(2, 17, &udp(5000, 53, 20)), true),
            (frame(2, 17, &udp(5000, 53, 8)), false),
            (frame(2, 17, &udp(53, 1023, 20)), true),
            (frame(2, 17, &udp(53, 1024, 20)), false),
            (frame(2, 17, &udp(1024, 1024, 20)), true),
            (frame(2, 17, &udp(5000, 4789, 20)), false),
            (frame(2, 17, &udp(4000, 4739, 20)), false),
            (frame(2, 1, &[8, 0]), false),
            (frame_v6(6, &tcp(0x02)), true),
            (frame_v6(6, &tcp(0x12)), false),
            (frame_v6(17, &udp(5000, 53, 20)), true),
            (frame_v6(17, &udp(53, 1023, 20)), true),
            (frame_v6(17, &udp(53, 1024, 20)), false),
            (frame_v6(17, &udp(1024, 1024, 20)), true),
            (frame_v6(17, &udp(5000, 8472, 20)), false),
            (frame_v6(17, &udp(5000, 53, 8)), false),
        ] {
            let any = programs.iter().any(|program| program.filter(&frame));
            assert_eq!(any, passes, "{frame:02x?}");
            assert!(!nothing.filter(&frame), "{frame:02x?}");
        }
    }

    #[test]
    fn a_number_of_datagrams_is_read_per_second() {
        const SECOND: u64 = 1_000_000_000;
        for rate in [DATAGRAM_RATE, BEHIND_DATAGRAM_RATE] {
            let mut budget = Budget {
                available: 0,
                renewed_ns: SECOND,
            };
            let mut read: u32 = 0;
            // 100,000 looks per second.
            for step in 0..200_000 {
                let available = budget.renew(SECOND + step * SECOND / 100_000, rate);
                read += available;
                budget.spend(usize::try_from(available).unwrap());
            }
            let whole = 2 * rate.per_second;
            assert!((whole - whole / 20..=whole).contains(&read), "{read}");
            assert_eq!(budget.renew(100 * SECOND, rate), rate.at_once);
            // The clock was set back.
            budget.spend(usize::try_from(rate.at_once).unwrap());
            assert_eq!(budget.renew(SECOND, rate), 0);
            assert_eq!(budget.renew(2 * SECOND, rate), rate.at_once);
        }
    }

    #[test]
    fn what_was_saved_up_is_not_read_while_the_probe_is_behind() {
        let mut budget = Budget {
            available: DATAGRAM_RATE.at_once,
            renewed_ns: 1,
        };
        let available = budget.renew(1, BEHIND_DATAGRAM_RATE);
        assert_eq!(available, BEHIND_DATAGRAM_RATE.at_once);
    }
}
