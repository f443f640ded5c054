//! Flow records as IPFIX or NetFlow, and the options data of this probe.

use std::sync::{Arc, Mutex, MutexGuard};

use kipfix_service::sync::lock;

use flowproto::exporter::{
    ExportSession, ExportSettings, Facts, InterfaceName, Profile, Statistics, Version,
};
use flowproto::flow_selection::FlowHashSelection;
use flowproto::record::Sampling;
use flowproto::{FlowKey, FlowRecord};
use kipfix_export::counters::TargetCounters;
use kipfix_export::{Encoding, SessionStart};

/// What the Metering Process reports about itself: written by its threads from time to time, read
/// before options data are sent.
#[derive(Debug, Default)]
pub struct MeteringReport(Mutex<Metered>);

#[derive(Clone, Debug, Default)]
struct Metered {
    interfaces: Arc<[InterfaceName]>,
    /// By thread.
    counts: Vec<MeteringCounts>,
}

/// Counts of a metering thread since its start.
#[derive(Clone, Copy, Debug, Default)]
pub struct MeteringCounts {
    /// Flow records made.
    pub observed_flows: u64,
    /// Packets that could not be metered.
    pub ignored_packets: u64,
    /// Octets of those packets.
    pub ignored_octets: u64,
}

impl MeteringReport {
    /// Sets the interfaces that are captured.
    pub fn set_interfaces(&self, interfaces: Arc<[InterfaceName]>) {
        self.lock().interfaces = interfaces;
    }

    /// Sets the counts of a metering thread.
    pub fn set_counts(&self, thread: usize, counts: MeteringCounts) {
        let mut metered = self.lock();
        if metered.counts.len() <= thread {
            let threads = thread.saturating_add(1);
            metered.counts.resize(threads, MeteringCounts::default());
        }
        if let Some(of_thread) = metered.counts.get_mut(thread) {
            *of_thread = counts;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Metered> {
        lock(&self.0)
    }
}

/// How this probe encodes flow records.
#[derive(Clone, Debug)]
pub struct FlowEncoding {
    /// Identity of the exporter, and version of the protocol.
    pub settings: ExportSettings,
    /// Sampling that is announced.
    pub sampling: Sampling,
    /// Selection of flows that is announced.
    pub flow_selection: Option<FlowHashSelection>,
    /// Source of the options data.
    pub report: Arc<MeteringReport>,
}

impl FlowEncoding {
    /// The same encoding in the version and with the elements of a target.
    #[must_use]
    pub fn for_target(&self, version: Version, profile: Profile) -> Self {
        Self {
            settings: ExportSettings {
                version,
                profile,
                ..self.settings.clone()
            },
            ..self.clone()
        }
    }

    fn facts(&self, statistics: Statistics) -> Facts {
        let metered = self.report.lock();
        let sum = |of: fn(&MeteringCounts) -> u64| metered.counts.iter().map(of).sum::<u64>();
        Facts {
            sampling: self.sampling,
            flow_selection: self.flow_selection,
            interfaces: Arc::clone(&metered.interfaces),
            statistics: Statistics {
                observed_flows: sum(|counts| counts.observed_flows),
                ignored_packets: sum(|counts| counts.ignored_packets),
                ignored_octets: sum(|counts| counts.ignored_octets),
                ..statistics
            },
        }
    }
}

impl Encoding for FlowEncoding {
    type Session = ExportSession;

    fn begin(&self, start: SessionStart) -> ExportSession {
        let mut session = ExportSession::new(ExportSettings {
            exporter_address: start.exporter_address,
            max_message_octets: start.max_message_octets,
            reliable: start.reliable,
            ..self.settings.clone()
        });
        session.renew(self.facts(Statistics::default()));
        session
    }

    fn renew(&self, session: &mut ExportSession, counters: &TargetCounters) {
        let (not_sent_packets, not_sent_octets) = counters.not_sent();
        session.renew(self.facts(Statistics {
            not_sent_flows: counters.total_lost(),
            not_sent_packets,
            not_sent_octets,
            ..Statistics::default()
        }));
    }

    fn flow_key(record: &FlowRecord) -> FlowKey {
        record.key
    }
}
