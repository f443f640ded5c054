//! Flow records as IPFIX or NetFlow, and what options data say of this probe.

use std::sync::{Arc, Mutex, PoisonError};

use flowproto::exporter::{
    ExportSession, ExportSettings, Facts, InterfaceName, Statistics, Version,
};
use flowproto::record::Sampling;
use flowproto::{FlowKey, FlowRecord};
use kipfix_export::counters::TargetCounters;
use kipfix_export::{Encoding, SessionStart};

/// What the metering side tells the exporting side of itself: written now and then, read before a flush.
#[derive(Debug, Default)]
pub struct Told(Mutex<Metered>);

#[derive(Clone, Debug, Default)]
struct Metered {
    interfaces: Arc<[InterfaceName]>,
    observed_flows: u64,
    ignored_packets: u64,
    ignored_octets: u64,
}

impl Told {
    /// Interfaces that are captured, or have been.
    pub fn interfaces(&self, interfaces: Arc<[InterfaceName]>) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .interfaces = interfaces;
    }

    /// Flow records made, and packets that could not be metered, with their octets.
    pub fn counts(&self, observed_flows: u64, ignored_packets: u64, ignored_octets: u64) {
        let mut metered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        metered.observed_flows = observed_flows;
        metered.ignored_packets = ignored_packets;
        metered.ignored_octets = ignored_octets;
    }
}

/// How this probe writes flow records.
#[derive(Clone, Debug)]
pub struct FlowEncoding {
    /// Who exports.
    pub settings: ExportSettings,
    /// One packet of how many is metered.
    pub sampling: Sampling,
    /// What options data say.
    pub told: Arc<Told>,
}

impl FlowEncoding {
    /// The same in another version of the protocol.
    #[must_use]
    pub fn in_version(&self, version: Version) -> Self {
        Self {
            settings: ExportSettings {
                version,
                ..self.settings.clone()
            },
            ..self.clone()
        }
    }

    fn facts(&self, statistics: Statistics) -> Facts {
        let metered = self.told.0.lock().unwrap_or_else(PoisonError::into_inner);
        Facts {
            sampling: self.sampling,
            interfaces: Arc::clone(&metered.interfaces),
            statistics: Statistics {
                observed_flows: metered.observed_flows,
                ignored_packets: metered.ignored_packets,
                ignored_octets: metered.ignored_octets,
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
