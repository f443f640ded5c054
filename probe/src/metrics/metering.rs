//! Metrics of the decoder, the filters before the flow cache, and the flow cache.

use flowproto::record::FlowEndReason;
use flowproto::tcp::ConnectionState;
use kipfix_service::metric_table::Declarations;

use crate::pipeline::PipelineCounters;

pub(super) fn declare(table: &mut Declarations<'_, PipelineCounters>) {
    decoding(table);
    filters(table);
    metered(table);
    conversations(table);
    records(table);
    tcp(table);
    translations(table);
}

fn decoding(table: &mut Declarations<'_, PipelineCounters>) {
    table.counter_by(
        "packets_undecodable_total",
        "Frames without an IP packet that can be metered, by reason (tunnel_fragment: \
         metered with the first fragment, not lost).",
        "reason",
        |counters| &counters.undecodable,
    );
    table.counter_by(
        "inner_packets_undecodable_total",
        "Tunnel packets metered by their outer header because the inner one is not \
         decodable, by reason.",
        "reason",
        |counters| &counters.inner_undecodable,
    );
    table.counter(
        "packets_wire_length_lost_total",
        "Packets of a savefile metered by the length in their IP header because the writer \
         lost the length on the wire.",
        |counters| counters.wire_length_lost,
    );
    table.counter(
        "fragments_orphaned_total",
        "Later fragments metered without ports because their first fragment was not \
         observed before.",
        |counters| counters.fragment_orphans,
    );
    table.counter(
        "fragments_evicted_total",
        "Fragmented packets evicted because the table was full.",
        |counters| counters.fragments_evicted,
    );
    table.gauge(
        "fragments",
        "Fragmented packets that are kept.",
        |counters| counters.fragments,
    );
}

fn filters(table: &mut Declarations<'_, PipelineCounters>) {
    table.counter(
        "packets_not_selected_total",
        "Packets that the sampling (--sampling) did not select.",
        |counters| counters.not_selected,
    );
    table.counter(
        "packets_own_export_total",
        "Packets of this probe's own export, which are not metered.",
        |counters| counters.own_export,
    );
    table.counter(
        "packets_duplicate_total",
        "Packets observed again on another interface of this node, which are not metered.",
        |counters| counters.duplicate_packets,
    );
    table.counter(
        "duplicate_bytes_total",
        "Bytes of packets observed again on another interface of this node.",
        |counters| counters.duplicate_octets,
    );
    table.counter(
        "duplicate_detection_evicted_total",
        "Packets forgotten by the duplicate detection although copies of them could still \
         be observed.",
        |counters| counters.duplicates_evicted,
    );
}

fn metered(table: &mut Declarations<'_, PipelineCounters>) {
    table.counter(
        "packets_metered_total",
        "Packets metered, as captured.",
        |counters| counters.cache.packets,
    );
    table.counter(
        "metered_bytes_total",
        "Bytes of the metered IP packets, headers included.",
        |counters| counters.cache.octets,
    );
    table.counter(
        "packets_corrected_total",
        "Packets added to the count because offloads had merged several into one.",
        |counters| counters.cache.packets_corrected,
    );
    table.counter(
        "packets_withdrawn_total",
        "Packets that were metered on two sides of an address translation before it was \
         learned, and are in no record for one of them.",
        |counters| counters.cache.withdrawn_packets,
    );
    table.counter(
        "withdrawn_bytes_total",
        "Bytes of packets_withdrawn_total.",
        |counters| counters.cache.withdrawn_octets,
    );
}

fn conversations(table: &mut Declarations<'_, PipelineCounters>) {
    table.counter(
        "conversations_started_total",
        "Conversations whose start was observed.",
        |counters| counters.cache.conversations_started,
    );
    table.counter(
        "conversations_start_not_observed_total",
        "Conversations whose start was not observed: the initiator is unknown and no \
         connection is counted.",
        |counters| counters.cache.conversations_start_not_observed,
    );
    table.gauge(
        "cache_conversations",
        "Conversations in the flow cache with packets to report.",
        |counters| counters.conversations,
    );
    table.gauge(
        "cache_dormant_conversations",
        "Dormant conversations in the flow cache: reported and quiet, with the state of \
         their connection.",
        |counters| counters.dormant,
    );
    table.counter(
        "cache_dormant_evicted_total",
        "Dormant conversations evicted because a new one needed the slot.",
        |counters| counters.cache.dormant_evicted,
    );
}

fn records(table: &mut Declarations<'_, PipelineCounters>) {
    table.counter_of(
        "records_total",
        "Flow records made, by flowEndReason.",
        "reason",
        [
            ("idle_timeout", |counters| {
                counters.cache.records[FlowEndReason::IdleTimeout]
            }),
            ("active_timeout", |counters| {
                counters.cache.records[FlowEndReason::ActiveTimeout]
            }),
            ("end_of_flow", |counters| {
                counters.cache.records[FlowEndReason::EndOfFlowDetected]
            }),
            ("forced_end", |counters| {
                counters.cache.records[FlowEndReason::ForcedEnd]
            }),
            ("lack_of_resources", |counters| {
                counters.cache.records[FlowEndReason::LackOfResources]
            }),
        ],
    );
    table.counter(
        "record_packets_total",
        "Packets in the flow records made.",
        |counters| counters.cache.record_packets,
    );
    table.counter(
        "record_bytes_total",
        "Bytes in the flow records made.",
        |counters| counters.cache.record_octets,
    );
}

fn tcp(table: &mut Declarations<'_, PipelineCounters>) {
    table.counter(
        "tcp_retransmitted_packets_total",
        "TCP segments in the flow records made that were sent again.",
        |counters| counters.cache.tcp_retransmitted_packets,
    );
    table.counter(
        "tcp_out_of_order_packets_total",
        "TCP segments in the flow records made that arrived after a later one.",
        |counters| counters.cache.tcp_out_of_order_packets,
    );
    table.counter(
        "tcp_round_trips_total",
        "Round-trip times measured in TCP connections, handshakes excluded.",
        |counters| counters.cache.tcp_round_trips,
    );
    table.counter_of(
        "tcp_connections_reported_total",
        "States of TCP connections in the flow records made. A connection is reported \
         once in each state, and as open by every record until it ends.",
        "state",
        [
            ("unanswered", |counters| {
                counters.cache.tcp_connection_states[ConnectionState::Unanswered]
            }),
            ("refused", |counters| {
                counters.cache.tcp_connection_states[ConnectionState::Refused]
            }),
            ("open", |counters| {
                counters.cache.tcp_connection_states[ConnectionState::Open]
            }),
            ("closed", |counters| {
                counters.cache.tcp_connection_states[ConnectionState::Closed]
            }),
            ("reset_by_initiator", |counters| {
                counters.cache.tcp_connection_states[ConnectionState::ResetByInitiator]
            }),
            ("reset_by_responder", |counters| {
                counters.cache.tcp_connection_states[ConnectionState::ResetByResponder]
            }),
        ],
    );
}

fn translations(table: &mut Declarations<'_, PipelineCounters>) {
    table.counter(
        "translations_learned_total",
        "Address translations learned from first packets, or reported by the kernel \
         (--conntrack).",
        |counters| counters.translations.learned,
    );
    table.counter(
        "translations_expired_total",
        "Address translations learned of connections that are not captured otherwise.",
        |counters| counters.translations.expired,
    );
    table.counter(
        "translations_ambiguous_total",
        "First packets that could belong to several connections, so that no translation \
         was learned.",
        |counters| counters.translations.ambiguous,
    );
    table.gauge(
        "translations",
        "Address translations that are kept for conversations that begin.",
        |counters| counters.translations_kept,
    );
}
