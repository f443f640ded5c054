//! Error codes of brokers, and what a producer does about them.

use kipfix_export::counters::LossReason;

/// What an error means for a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reaction {
    /// The batch is stored.
    Stored,
    /// It is sent again, after the leaders were looked up again. The reason counts records that are
    /// lost meanwhile.
    Retry(LossReason),
    /// It is sent again with a new producer id.
    NewProducer,
    /// It is sent again in two parts.
    Split,
    /// It is lost.
    Lose(LossReason),
}

/// The reaction to an error code.
pub(super) const fn reaction(code: i16) -> Reaction {
    match code {
        // DUPLICATE_SEQUENCE_NUMBER: an earlier attempt was successful.
        0 | 46 => Reaction::Stored,
        3 => Reaction::Retry(LossReason::NotFound),
        10 | 18 => Reaction::Split,
        29 | 31 | 53 | 58 => Reaction::Retry(LossReason::Unauthorized),
        // Sequence numbers that the leader does not expect, e.g. after a loss of its log.
        45 | 47 | 49 | 59 | 90 => Reaction::NewProducer,
        2 | 5..=9 | 13..=16 | 19 | 20 | 41 | 51 | 56 | 74 | 75 | 89 | 97 | 100 => {
            Reaction::Retry(LossReason::Unreachable)
        }
        _ => Reaction::Lose(LossReason::Rejected),
    }
}

/// The name of an error code in Kafka's documentation.
pub(super) const fn name(code: i16) -> &'static str {
    match code {
        -1 => "UNKNOWN_SERVER_ERROR",
        2 => "CORRUPT_MESSAGE",
        3 => "UNKNOWN_TOPIC_OR_PARTITION",
        5 => "LEADER_NOT_AVAILABLE",
        6 => "NOT_LEADER_OR_FOLLOWER",
        7 => "REQUEST_TIMED_OUT",
        8 => "BROKER_NOT_AVAILABLE",
        9 => "REPLICA_NOT_AVAILABLE",
        10 => "MESSAGE_TOO_LARGE",
        13 => "NETWORK_EXCEPTION",
        14 => "COORDINATOR_LOAD_IN_PROGRESS",
        15 => "COORDINATOR_NOT_AVAILABLE",
        16 => "NOT_COORDINATOR",
        17 => "INVALID_TOPIC_EXCEPTION",
        18 => "RECORD_LIST_TOO_LARGE",
        19 => "NOT_ENOUGH_REPLICAS",
        20 => "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
        29 => "TOPIC_AUTHORIZATION_FAILED",
        31 => "CLUSTER_AUTHORIZATION_FAILED",
        32 => "INVALID_TIMESTAMP",
        33 => "UNSUPPORTED_SASL_MECHANISM",
        34 => "ILLEGAL_SASL_STATE",
        35 => "UNSUPPORTED_VERSION",
        41 => "NOT_CONTROLLER",
        44 => "POLICY_VIOLATION",
        45 => "OUT_OF_ORDER_SEQUENCE_NUMBER",
        46 => "DUPLICATE_SEQUENCE_NUMBER",
        47 => "INVALID_PRODUCER_EPOCH",
        49 => "INVALID_PRODUCER_ID_MAPPING",
        51 => "CONCURRENT_TRANSACTIONS",
        53 => "TRANSACTIONAL_ID_AUTHORIZATION_FAILED",
        56 => "KAFKA_STORAGE_ERROR",
        58 => "SASL_AUTHENTICATION_FAILED",
        59 => "UNKNOWN_PRODUCER_ID",
        74 => "FENCED_LEADER_EPOCH",
        75 => "UNKNOWN_LEADER_EPOCH",
        76 => "UNSUPPORTED_COMPRESSION_TYPE",
        87 => "INVALID_RECORD",
        89 => "THROTTLING_QUOTA_EXCEEDED",
        90 => "PRODUCER_FENCED",
        97 => "PRINCIPAL_DESERIALIZATION_FAILURE",
        100 => "UNKNOWN_TOPIC_ID",
        _ => "error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_that_is_handled_has_a_name() {
        for code in -1..200 {
            let is_handled = reaction(code) != Reaction::Lose(LossReason::Rejected);
            let has_name = name(code) != "error";
            assert!(has_name || !is_handled || code == 0, "{code}");
        }
    }
}
