//! The metrics of export targets, with the label `target`: records received, sent, and lost by
//! reason. Either binary registers them under its own prefix. `ARCHITECTURE.md` has their equation.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use enum_map::{Enum, EnumMap};
use flowproto::exporter::{Unsupported, Weight};
use kipfix_service::metric_maker::MetricMaker;
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec};
use strum::IntoStaticStr;

/// Why records did not reach a target; the `reason` of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum LossReason {
    /// The host name of the target is not resolved.
    Unresolved,
    /// There is no route to the target, or no connection when the process stopped.
    Unreachable,
    /// The host of the target answered that the port is closed.
    Refused,
    /// The send buffer of the kernel was full.
    SendBufferFull,
    /// The Message was longer than the path MTU.
    TooLong,
    /// Any other failure to send or write.
    Failed,
    /// The queue of the target was full: the target is unreachable, or slower than the records.
    QueueFull,
    /// The connection broke before the host of the target had acknowledged the records.
    ConnectionLost,
    /// NetFlow v5 cannot carry IPv6 addresses.
    Ipv6InNetflow5,
    /// The topic or table does not exist.
    NotFound,
    /// The engine refuses the credentials, or they lack a permission.
    Unauthorized,
    /// The engine refuses the records.
    Rejected,
}

impl From<Unsupported> for LossReason {
    fn from(reason: Unsupported) -> Self {
        match reason {
            Unsupported::Ipv6 => Self::Ipv6InNetflow5,
        }
    }
}

/// Why a connection to a target failed or ended; the `reason` of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum ConnectionFailure {
    /// The host name of the target is not resolved.
    Unresolved,
    /// There is no route to the target.
    Unreachable,
    /// The port is closed.
    Refused,
    /// There was no answer in time.
    TimedOut,
    /// The target closed or reset the connection.
    Closed,
    /// The certificate of the target is from an unknown authority.
    UnknownAuthority,
    /// The certificate of the target is expired, or not valid yet.
    CertificateExpired,
    /// The certificate of the target is for another name.
    WrongName,
    /// The target refuses this side's certificate, or requires one.
    CertificateRefused,
    /// A file of the TLS settings cannot be read or used.
    BadCredentials,
    /// Any other violation of TLS.
    Tls,
    /// Any other failure.
    Failed,
    /// The engine refuses the user or the password.
    AuthenticationFailed,
}

/// The metric families of all targets.
#[derive(Debug)]
pub struct TargetFamilies {
    received: IntCounterVec,
    sent: IntCounterVec,
    lost: IntCounterVec,
    split: IntCounterVec,
    messages: IntCounterVec,
    octets: IntCounterVec,
    waiting: IntGaugeVec,
    connections: IntGaugeVec,
    connection_failures: IntCounterVec,
    files: IntCounterVec,
}

impl TargetFamilies {
    /// Registers the families `target_…`.
    ///
    /// # Errors
    /// A family of that name exists already, which is a bug.
    pub fn register(make: &MetricMaker) -> prometheus::Result<Self> {
        Ok(Self {
            received: make.counters(
                "target_records_received_total",
                "Records handed to the session of the export target.",
                &["target"],
            )?,
            sent: make.counters(
                "target_records_sent_total",
                "Records sent to the export target.",
                &["target"],
            )?,
            lost: make.counters(
                "target_records_lost_total",
                "Records that did not reach the export target, by reason.",
                &["target", "reason"],
            )?,
            split: make.counters(
                "target_records_split_total",
                "Additional records sent for a record that NetFlow v5 has to split, or for a \
                 biflow in NetFlow v9.",
                &["target"],
            )?,
            messages: make.counters(
                "target_messages_sent_total",
                "Messages (export packets) sent to the export target.",
                &["target"],
            )?,
            octets: make.counters(
                "target_sent_bytes_total",
                "Bytes of the Messages sent to the export target.",
                &["target"],
            )?,
            waiting: make.gauges(
                "target_records_waiting",
                "Records in the queue of the export target, or sent over TCP and not acknowledged \
                 yet.",
                &["target"],
            )?,
            connections: make.gauges(
                "target_connections",
                "Open connections (TCP, TLS), sockets (UDP) or files of the export target.",
                &["target"],
            )?,
            connection_failures: make.counters(
                "target_connection_failures_total",
                "Connections to the export target that failed or ended, by reason.",
                &["target", "reason"],
            )?,
            files: make.counters(
                "target_files_finished_total",
                "Files of the export target that are complete and have their final name.",
                &["target"],
            )?,
        })
    }

    /// Creates all series of a target.
    #[must_use]
    pub fn target(&self, target: &str) -> TargetCounters {
        let with_reason =
            |family: &IntCounterVec, reason: &str| family.with_label_values(&[target, reason]);
        TargetCounters {
            received: self.received.with_label_values(&[target]),
            sent: self.sent.with_label_values(&[target]),
            split: self.split.with_label_values(&[target]),
            messages: self.messages.with_label_values(&[target]),
            octets: self.octets.with_label_values(&[target]),
            waiting: self.waiting.with_label_values(&[target]),
            connections: self.connections.with_label_values(&[target]),
            files: self.files.with_label_values(&[target]),
            lost: EnumMap::from_fn(|reason: LossReason| with_reason(&self.lost, reason.into())),
            connection_failures: EnumMap::from_fn(|reason: ConnectionFailure| {
                with_reason(&self.connection_failures, reason.into())
            }),
            not_sent: Arc::default(),
        }
    }
}

/// Counters of one target. Clones share them.
#[derive(Clone, Debug)]
pub struct TargetCounters {
    received: IntCounter,
    sent: IntCounter,
    split: IntCounter,
    messages: IntCounter,
    octets: IntCounter,
    waiting: IntGauge,
    connections: IntGauge,
    files: IntCounter,
    lost: EnumMap<LossReason, IntCounter>,
    connection_failures: EnumMap<ConnectionFailure, IntCounter>,
    /// Packets and octets in lost records, for options data.
    not_sent: Arc<[AtomicU64; 2]>,
}

impl TargetCounters {
    /// Counts records handed to the target.
    pub fn records_received(&self, records: usize) {
        self.received.inc_by(to_u64(records));
    }

    /// Counts a Message that was sent.
    pub fn message_sent(&self, weight: Weight, octets: u64) {
        self.sent.inc_by(weight.records);
        self.split.inc_by(weight.split);
        self.messages.inc();
        self.octets.inc_by(octets);
    }

    /// Counts the records of a Message that was lost.
    pub fn lost(&self, reason: LossReason, weight: Weight) {
        self.records_lost(reason, weight.records);
        let [packets, octets] = &*self.not_sent;
        packets.fetch_add(weight.packets, Ordering::Relaxed);
        octets.fetch_add(weight.octets, Ordering::Relaxed);
    }

    /// Counts lost records whose packets and octets are unknown.
    pub fn records_lost(&self, reason: LossReason, records: u64) {
        self.lost[reason].inc_by(records);
    }

    /// Adds to the records that wait in the queue or for an acknowledgement.
    pub fn waiting(&self, records: i64) {
        self.waiting.add(records);
    }

    /// Counts a connection, socket or file that was opened.
    pub fn connected(&self) {
        self.connections.inc();
    }

    /// Counts a connection, socket or file that was closed.
    pub fn disconnected(&self) {
        self.connections.dec();
    }

    /// Counts a connection that failed or ended.
    pub fn connection_failed(&self, reason: ConnectionFailure) {
        self.connection_failures[reason].inc();
    }

    /// Counts a file that got its final name.
    pub fn file_finished(&self) {
        self.files.inc();
    }

    /// Records sent so far.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent.get()
    }

    /// Records lost so far, for any reason.
    #[must_use]
    pub fn total_lost(&self) -> u64 {
        self.lost.values().map(IntCounter::get).sum()
    }

    /// Packets and octets in lost records.
    #[must_use]
    pub fn not_sent(&self) -> (u64, u64) {
        let [packets, octets] = &*self.not_sent;
        (
            packets.load(Ordering::Relaxed),
            octets.load(Ordering::Relaxed),
        )
    }

    /// Creates counters in a registry of their own.
    #[cfg(test)]
    pub(crate) fn for_tests() -> Self {
        TargetFamilies::register(&MetricMaker::new("test"))
            .unwrap()
            .target("target")
    }

    #[cfg(test)]
    pub(crate) fn connections(&self) -> i64 {
        self.connections.get()
    }

    #[cfg(test)]
    pub(crate) fn lost_for(&self, reason: LossReason) -> u64 {
        self.lost[reason].get()
    }

    #[cfg(test)]
    pub(crate) fn failures_for(&self, reason: ConnectionFailure) -> u64 {
        self.connection_failures[reason].get()
    }
}

/// A count as a counter value.
#[must_use]
pub fn to_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
