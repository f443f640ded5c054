//! The metrics of export targets, with the label `target`: records received, sent, and lost by
//! reason. Either binary registers them under its own prefix. For each target
//!
//! `records_received` = `records_sent` + Σ `records_lost{reason}` + `records_waiting` + those in a
//! Message that is not full yet.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flowproto::exporter::{Unsupported, Weight};
use kipfix_service::registry::Registry;
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts};

/// Why records did not reach a target; the `reason` of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

impl LossReason {
    /// All reasons. Those of engines are the last ones.
    const ALL: [Self; 12] = [
        Self::Unresolved,
        Self::Unreachable,
        Self::Refused,
        Self::SendBufferFull,
        Self::TooLong,
        Self::Failed,
        Self::QueueFull,
        Self::ConnectionLost,
        Self::Ipv6InNetflow5,
        Self::NotFound,
        Self::Unauthorized,
        Self::Rejected,
    ];
    /// Number of reasons for a target that receives Messages.
    const OF_MESSAGES: usize = 9;

    const fn as_str(self) -> &'static str {
        match self {
            Self::Unresolved => "unresolved",
            Self::Unreachable => "unreachable",
            Self::Refused => "refused",
            Self::SendBufferFull => "send_buffer_full",
            Self::TooLong => "too_long",
            Self::Failed => "failed",
            Self::QueueFull => "queue_full",
            Self::ConnectionLost => "connection_lost",
            Self::Ipv6InNetflow5 => "ipv6_in_netflow5",
            Self::NotFound => "not_found",
            Self::Unauthorized => "unauthorized",
            Self::Rejected => "rejected",
        }
    }
}

impl From<Unsupported> for LossReason {
    fn from(reason: Unsupported) -> Self {
        match reason {
            Unsupported::Ipv6 => Self::Ipv6InNetflow5,
        }
    }
}

/// Why a connection to a target failed or ended; the `reason` of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

impl ConnectionFailure {
    /// All reasons. That of engines is the last one.
    const ALL: [Self; 13] = [
        Self::Unresolved,
        Self::Unreachable,
        Self::Refused,
        Self::TimedOut,
        Self::Closed,
        Self::UnknownAuthority,
        Self::CertificateExpired,
        Self::WrongName,
        Self::CertificateRefused,
        Self::BadCredentials,
        Self::Tls,
        Self::Failed,
        Self::AuthenticationFailed,
    ];
    /// Number of reasons for a target that receives Messages.
    const OF_MESSAGES: usize = 12;

    /// The value of the label `reason`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unresolved => "unresolved",
            Self::Unreachable => "unreachable",
            Self::Refused => "refused",
            Self::TimedOut => "timed_out",
            Self::Closed => "closed",
            Self::UnknownAuthority => "unknown_authority",
            Self::CertificateExpired => "certificate_expired",
            Self::WrongName => "wrong_name",
            Self::CertificateRefused => "certificate_refused",
            Self::BadCredentials => "bad_credentials",
            Self::Tls => "tls",
            Self::Failed => "failed",
            Self::AuthenticationFailed => "authentication_failed",
        }
    }
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
    /// Registers the families `NAMESPACE_target_…`.
    ///
    /// # Errors
    /// A family of that name exists already, which is a bug.
    pub fn register(registry: &Registry, namespace: &str) -> prometheus::Result<Self> {
        let options = |name: &str, help: &str| {
            Opts::new(format!("target_{name}"), help).namespace(namespace.to_owned())
        };
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let counters = IntCounterVec::new(options(name, help), labels)?;
            registry.register(Box::new(counters.clone()))?;
            prometheus::Result::Ok(counters)
        };
        let gauges = |name: &str, help: &str| {
            let gauges = IntGaugeVec::new(options(name, help), &["target"])?;
            registry.register(Box::new(gauges.clone()))?;
            prometheus::Result::Ok(gauges)
        };
        Ok(Self {
            received: counters(
                "records_received_total",
                "Records handed to the session of the export target.",
                &["target"],
            )?,
            sent: counters(
                "records_sent_total",
                "Records sent to the export target.",
                &["target"],
            )?,
            lost: counters(
                "records_lost_total",
                "Records that did not reach the export target, by reason.",
                &["target", "reason"],
            )?,
            split: counters(
                "records_split_total",
                "Additional records sent for a record that NetFlow v5 has to split, or for a \
                 biflow in NetFlow v9.",
                &["target"],
            )?,
            messages: counters(
                "messages_sent_total",
                "Messages (export packets) sent to the export target.",
                &["target"],
            )?,
            octets: counters(
                "sent_bytes_total",
                "Bytes of the Messages sent to the export target.",
                &["target"],
            )?,
            waiting: gauges(
                "records_waiting",
                "Records in the queue of the export target, or sent over TCP and not acknowledged \
                 yet.",
            )?,
            connections: gauges(
                "connections",
                "Open connections (TCP, TLS), sockets (UDP) or files of the export target.",
            )?,
            connection_failures: counters(
                "connection_failures_total",
                "Connections to the export target that failed or ended, by reason.",
                &["target", "reason"],
            )?,
            files: counters(
                "files_finished_total",
                "Files of the export target that are complete and have their final name.",
                &["target"],
            )?,
        })
    }

    /// Creates all series of a target. `connects`: it has connections that can fail.
    #[must_use]
    pub fn target(&self, target: &str, connects: bool) -> TargetCounters {
        let failures = if connects {
            ConnectionFailure::OF_MESSAGES
        } else {
            0
        };
        self.counters(target, LossReason::OF_MESSAGES, failures)
    }

    /// Creates all series of an engine that keeps history (Kafka, ClickHouse).
    #[must_use]
    pub fn engine(&self, target: &str) -> TargetCounters {
        let (losses, failures) = (LossReason::ALL.len(), ConnectionFailure::ALL.len());
        self.counters(target, losses, failures)
    }

    fn counters(&self, target: &str, losses: usize, failures: usize) -> TargetCounters {
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
            lost: LossReason::ALL
                .iter()
                .take(losses)
                .map(|reason| with_reason(&self.lost, reason.as_str()))
                .collect(),
            connection_failures: ConnectionFailure::ALL
                .iter()
                .take(failures)
                .map(|reason| with_reason(&self.connection_failures, reason.as_str()))
                .collect(),
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
    lost: Vec<IntCounter>,
    connection_failures: Vec<IntCounter>,
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
    #[allow(
        clippy::as_conversions,
        reason = "the discriminant of a fieldless enum"
    )]
    pub fn records_lost(&self, reason: LossReason, records: u64) {
        if let Some(counter) = self.lost.get(reason as usize) {
            counter.inc_by(records);
        }
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
    #[allow(
        clippy::as_conversions,
        reason = "the discriminant of a fieldless enum"
    )]
    pub fn connection_failed(&self, reason: ConnectionFailure) {
        if let Some(counter) = self.connection_failures.get(reason as usize) {
            counter.inc();
        }
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
        self.lost.iter().map(IntCounter::get).sum()
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
        TargetFamilies::register(&Registry::new(), "test")
            .unwrap()
            .target("target", true)
    }

    #[cfg(test)]
    pub(crate) fn connections(&self) -> i64 {
        self.connections.get()
    }

    #[cfg(test)]
    pub(crate) fn lost_for(&self, reason: LossReason) -> u64 {
        self.lost[LossReason::ALL.iter().position(|r| *r == reason).unwrap()].get()
    }

    #[cfg(test)]
    pub(crate) fn failures_for(&self, reason: ConnectionFailure) -> u64 {
        let at = ConnectionFailure::ALL.iter().position(|r| *r == reason);
        self.connection_failures[at.unwrap()].get()
    }
}

/// A count as a counter value.
#[must_use]
pub fn to_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
