//! Metrics of the names of responders.

use kipfix_service::metric_table::Declarations;

use crate::pipeline::PipelineCounters;

pub(super) fn declare(table: &mut Declarations<'_, PipelineCounters>) {
    table.counter(
        "names_learned_total",
        "Addresses that a client resolved, first or with another name.",
        |counters| counters.names.learned,
    );
    table.counter(
        "names_expired_total",
        "Resolved names that had expired when they were looked up or their place was needed.",
        |counters| counters.names.expired,
    );
    table.counter(
        "names_evicted_total",
        "Resolved names that had not expired when their place was needed.",
        |counters| counters.names.evicted,
    );
    table.counter_of(
        "names_refused_total",
        "Texts that were not used as a name, by reason: invalid (not a host name), \
         no_room, or no_query (DNS responses from port 5353 whose query was not observed).",
        "reason",
        [
            ("invalid", |counters| counters.names.invalid),
            ("no_room", |counters| counters.names.without_room),
            ("no_query", |counters| counters.names.without_query),
        ],
    );
    table.gauge(
        "names",
        "Resolved names that are kept, for a client or for all.",
        |counters| counters.names_kept,
    );
    table.gauge("names_bytes", "Bytes of the texts of names.", |counters| {
        counters.names_octets
    });
    table.counter_of(
        "names_requested_total",
        "Names that clients requested from their peers, by source: the server name of a TLS \
         ClientHello (tls), the same in QUIC (quic), or the host of an HTTP request (http).",
        "source",
        [
            ("tls", |counters| counters.inspected.tls),
            ("quic", |counters| counters.inspected.quic),
            ("http", |counters| counters.inspected.http),
        ],
    );
    table.counter(
        "tls_hellos_encrypted_total",
        "ClientHellos of TLS and QUIC with an ECH extension, whose name may be that of the provider.",
        |counters| counters.inspected.tls_encrypted,
    );
    table.counter(
        "tls_hellos_incomplete_total",
        "TLS ClientHellos that are too long, or whose later segments were not observed.",
        |counters| counters.inspected.incomplete_hellos,
    );
    table.counter_by(
        "quic_handshakes_unread_total",
        "Handshakes of QUIC whose ClientHello was not read, by reason: undecryptable (the first \
         packet was not observed), incomplete (parts were not observed), too_long, or no_hello.",
        "reason",
        |counters| &counters.inspected.unread_quic,
    );
}
