//! Metrics of the names of responders.

use enum_map::EnumMap;
use kipfix_service::metric_maker::{MetricMaker, level, raise, raise_by_reason, raise_each};
use prometheus::{IntCounter, IntGauge};

use crate::capture::counters::CookedCounters;
use crate::inspect::quic::UnreadHandshake;
use crate::pipeline::PipelineCounters;

/// Reasons why a text is not used as a name.
const REFUSED_REASONS: [&str; 2] = ["invalid", "no_room"];

/// The families.
#[derive(Debug)]
pub(super) struct NameFamilies {
    dns_answers: IntCounter,
    dns_answers_dropped: IntCounter,
    learned: IntCounter,
    expired: IntCounter,
    evicted: IntCounter,
    refused: Vec<IntCounter>,
    requested: Vec<IntCounter>,
    encrypted_hellos: IntCounter,
    incomplete_hellos: IntCounter,
    unread_quic: EnumMap<UnreadHandshake, IntCounter>,
    names: IntGauge,
    octets: IntGauge,
}

impl NameFamilies {
    pub(super) fn register(new: &MetricMaker, capacity: usize) -> prometheus::Result<Self> {
        new.capacity(
            "names_capacity",
            "Maximum number of resolved names that are kept (--max-names).",
            capacity,
        )?;
        let requested = new.counters(
            "names_requested_total",
            "Names that clients requested from their peers, by source: the server name of a TLS \
             ClientHello (tls), the same in QUIC (quic), or the host of an HTTP request (http).",
            &["source"],
        )?;
        Ok(Self {
            dns_answers: new.counter(
                "dns_answers_total",
                "Packets of DNS servers captured on all interfaces to learn names. They are not \
                 metered.",
            )?,
            dns_answers_dropped: new.counter(
                "dns_answers_dropped_total",
                "Packets of DNS servers that the kernel dropped because the buffer was full.",
            )?,
            learned: new.counter(
                "names_learned_total",
                "Addresses that a client resolved, first or with another name.",
            )?,
            expired: new.counter(
                "names_expired_total",
                "Resolved names that had expired when they were looked up or their place was needed.",
            )?,
            evicted: new.counter(
                "names_evicted_total",
                "Resolved names that had not expired when their place was needed.",
            )?,
            refused: new.by_reasons(
                "names_refused_total",
                "Texts that were not used as a name, by reason: invalid (not a host name) or \
                 no_room.",
                REFUSED_REASONS,
            )?,
            requested: ["tls", "quic", "http"]
                .iter()
                .map(|source| requested.with_label_values(&[source]))
                .collect(),
            encrypted_hellos: new.counter(
                "tls_hellos_encrypted_total",
                "ClientHellos of TLS and QUIC with an ECH extension, whose name may be that of the provider.",
            )?,
            incomplete_hellos: new.counter(
                "tls_hellos_incomplete_total",
                "TLS ClientHellos that are too long, or whose later segments were not observed.",
            )?,
            unread_quic: new.by_reason(
                "quic_handshakes_unread_total",
                "Handshakes of QUIC whose ClientHello was not read, by reason: undecryptable (the first \
                 packet was not observed), incomplete (parts were not observed), too_long, or no_hello.",
            )?,
            names: new.gauge("names", "Resolved names that are kept, for a client or for all.")?,
            octets: new.gauge("names_bytes", "Bytes of the texts of names.")?,
        })
    }

    /// Publishes the counts of the capture of DNS answers.
    pub(super) fn publish_capture(&self, counters: &CookedCounters) {
        raise(&self.dns_answers, counters.frames);
        raise(&self.dns_answers_dropped, counters.dropped);
    }

    /// Publishes the counts of the pipeline.
    pub(super) fn publish(&self, counters: &PipelineCounters) {
        let (names, inspected) = (&counters.names, &counters.inspected);
        raise_each(&self.refused, &[names.invalid, names.without_room]);
        raise_each(
            &self.requested,
            &[inspected.tls, inspected.quic, inspected.http],
        );
        raise_by_reason(&self.unread_quic, &inspected.unread_quic);
        for (counter, total) in [
            (&self.learned, names.learned),
            (&self.expired, names.expired),
            (&self.evicted, names.evicted),
            (&self.encrypted_hellos, inspected.tls_encrypted),
            (&self.incomplete_hellos, inspected.incomplete_hellos),
        ] {
            raise(counter, total);
        }
        for (gauge, size) in [&self.names, &self.octets]
            .into_iter()
            .zip(counters.names_kept)
        {
            gauge.set(level(size));
        }
    }
}
