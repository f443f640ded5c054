//! What a capture has counted, as plain numbers for the owner of the loop to publish.

use super::conntrack::ConntrackCounters;

/// Interfaces with counters of their own. Further ones share the counters named "other", because
/// short-lived interfaces may have any number of names.
const MAX_INTERFACES: usize = 256;

/// Counts of a capture since it started.
#[derive(Clone, Debug, Default)]
pub struct CaptureCounters {
    /// Counts by interface, in the order of first use. Entries are never removed.
    pub interfaces: Vec<InterfaceCounters>,
    /// Captures that are open now.
    pub open: usize,
    /// Counts of first packets.
    pub first_packets: CookedCounters,
    /// Datagrams of these that the kernel dropped while the probe did not keep up with the captured
    /// interfaces, and read few of them for that reason.
    pub first_packets_left_out: u64,
    /// Counts of DNS answers.
    pub dns_answers: CookedCounters,
    /// Counts of the connection table of the kernel.
    pub conntrack: ConntrackCounters,
    /// Captures that ended because the interface went away, or that could not be opened.
    pub failures: u64,
}

/// Counts of one interface (or savefile) since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InterfaceCounters {
    /// Name of the interface.
    pub name: String,
    /// Frames captured.
    pub frames: u64,
    /// Octets of those frames on the wire.
    pub octets: u64,
    /// Frames that the kernel dropped because the buffer was full.
    pub dropped: u64,
}

/// Counts of a capture on all interfaces since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CookedCounters {
    /// Frames captured.
    pub frames: u64,
    /// Frames that the kernel dropped because the buffer was full.
    pub dropped: u64,
}

impl CaptureCounters {
    /// The counters of an interface, created at 0 if it has none.
    pub(super) fn of(&mut self, name: &str) -> Option<&mut InterfaceCounters> {
        let position = |counters: &Self, name: &str| {
            let mut interfaces = counters.interfaces.iter();
            interfaces.position(|interface| interface.name == name)
        };
        let name = match position(self, name) {
            None if self.interfaces.len() >= MAX_INTERFACES => "other",
            _ => name,
        };
        let index = position(self, name).unwrap_or_else(|| {
            self.interfaces.push(InterfaceCounters {
                name: name.to_owned(),
                ..InterfaceCounters::default()
            });
            self.interfaces.len() - 1
        });
        self.interfaces.get_mut(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_that_comes_back_continues_its_counts() {
        let mut counters = CaptureCounters::default();
        for name in ["eth0", "eth1", "eth0"] {
            counters.of(name).unwrap().frames += 1;
        }
        let frames: Vec<u64> = counters.interfaces.iter().map(|i| i.frames).collect();
        assert_eq!(frames, [2, 1]);
    }

    #[test]
    fn interfaces_beyond_the_bound_share_one_entry() {
        let mut counters = CaptureCounters::default();
        for number in 0..1000 {
            counters.of(&format!("veth{number}")).unwrap().frames += 1;
        }
        assert_eq!(counters.interfaces.len(), MAX_INTERFACES + 1);
        let last = counters.interfaces.last().unwrap();
        assert_eq!((last.name.as_str(), last.frames), ("other", 1000 - 256));
    }
}
