//! The brokers of a cluster, their connections, and the leaders of the partitions of a topic.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use kipfix_export::counters::LossReason;

use super::connection::Connection;
use super::errors;
use super::requests::{self, Api, MetadataResponse, ProducerId};
use super::target::KafkaTarget;
use super::wire::{InvalidResponse, Reader};
use crate::clock::monotonic;
use crate::emit::authority::Authority;
use crate::emit::delivery::{ConnectError, Progress};

/// Maximum time of a connection attempt and of a request.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Interval at which new partitions are noticed.
const REFRESH_INTERVAL: Duration = Duration::from_secs(300);
/// More partitions than a topic has.
const MAX_PARTITIONS: usize = 100_000;

/// What went wrong: the reason for losses, and a message for the log.
pub(super) type Failure = (LossReason, String);

/// A cluster as far as one topic needs it.
#[derive(Debug)]
pub(super) struct Cluster {
    target: KafkaTarget,
    brokers: BTreeMap<i32, (String, u16)>,
    connections: BTreeMap<i32, Connection>,
    /// The node id of the leader of each partition.
    leaders: Vec<Option<i32>>,
    refreshed: Option<Instant>,
    /// The bootstrap broker that is tried next.
    next: usize,
}

impl Cluster {
    pub(super) fn new(target: KafkaTarget) -> Self {
        Self {
            target,
            brokers: BTreeMap::new(),
            connections: BTreeMap::new(),
            leaders: Vec::new(),
            refreshed: None,
            next: 0,
        }
    }

    pub(super) const fn target(&self) -> &KafkaTarget {
        &self.target
    }

    /// The node id of the leader of each partition.
    pub(super) fn leaders(&self) -> &[Option<i32>] {
        &self.leaders
    }

    /// The leaders are looked up before the next delivery.
    pub(super) const fn invalidate(&mut self) {
        self.refreshed = None;
    }

    /// Looks up the leaders, if they are unknown or were looked up long ago.
    pub(super) fn refresh(&mut self, progress: &mut Progress) -> Result<(), Failure> {
        let since = self.refreshed.map(|at| at.elapsed());
        if since.is_some_and(|since| since < REFRESH_INTERVAL) {
            return Ok(());
        }
        let topic = self.target.topic.clone();
        let response = self.ask(progress, Api::METADATA, |out| {
            requests::metadata(&topic, out)
        })?;
        let response = MetadataResponse::read(Reader(&response)).map_err(invalid)?;
        match response.topic_error {
            0 | 5 => {}
            3 => {
                let message = format!("topic {topic:?} does not exist: create it");
                return Err((LossReason::NotFound, message));
            }
            29 => {
                let message = format!("not authorized to describe the topic {topic:?}");
                return Err((LossReason::Unauthorized, message));
            }
            code => {
                let name = errors::name(code);
                let message = format!("topic {topic:?}: {name} ({code})");
                return Err((LossReason::Unreachable, message));
            }
        }
        let brokers = response.brokers.into_iter();
        self.brokers = brokers.map(|(id, host, port)| (id, (host, port))).collect();
        let gone = |id: &i32| !self.brokers.contains_key(id);
        let removed: Vec<i32> = self.connections.keys().copied().filter(gone).collect();
        for id in removed {
            self.close(id, progress);
        }
        let count = response.partitions.len().min(MAX_PARTITIONS);
        self.leaders.clear();
        self.leaders.resize(count, None);
        for (_, index, leader) in response.partitions {
            let index = usize::try_from(index).ok();
            if let Some(place) = index.and_then(|index| self.leaders.get_mut(index)) {
                *place = self.brokers.contains_key(&leader).then_some(leader);
            }
        }
        if self.leaders.is_empty() {
            let message = format!("topic {topic:?} has no partitions");
            return Err((LossReason::Unreachable, message));
        }
        self.refreshed = Some(monotonic());
        Ok(())
    }

    /// Gets the identity of an idempotent producer.
    pub(super) fn producer_id(&mut self, progress: &mut Progress) -> Result<ProducerId, Failure> {
        let response = self.ask(progress, Api::INIT_PRODUCER_ID, requests::init_producer_id)?;
        requests::read_producer_id(Reader(&response))
            .map_err(invalid)?
            .map_err(|code| {
                let name = errors::name(code);
                let loss = match errors::reaction(code) {
                    errors::Reaction::Retry(loss) => loss,
                    _ => LossReason::Unreachable,
                };
                (
                    loss,
                    format!("cannot start an idempotent producer: {name} ({code})"),
                )
            })
    }

    /// Sends a request to any broker: to one with a connection, else to the next of the known ones.
    fn ask(
        &mut self,
        progress: &mut Progress,
        api: Api,
        write: impl Fn(&mut Vec<u8>),
    ) -> Result<Vec<u8>, Failure> {
        let timeout = progress.time_left(REQUEST_TIMEOUT);
        let connected = self.connections.keys().next().copied();
        if let Some(id) = connected
            && let Some(connection) = self.connections.get_mut(&id)
        {
            let answer = connection
                .set_timeout(timeout)
                .and_then(|()| Ok(connection.call(api, &write)?.0.to_vec()));
            match answer {
                Ok(response) => return Ok(response),
                Err(error) => return Err(self.failure(id, progress, error.into())),
            }
        }
        // Brokers that the cluster has announced, then those of the URL.
        let mut known = self.brokers.values().chain(&self.target.brokers);
        let count = self.brokers.len().saturating_add(self.target.brokers.len());
        let at = self.next.checked_rem(count).unwrap_or_default();
        let (host, port) = known.nth(at).cloned().unwrap_or_default();
        self.next = at.saturating_add(1);
        let opened = Connection::open((&host, port), &self.target, timeout);
        let answered =
            opened.and_then(|mut connection| Ok(connection.call(api, &write)?.0.to_vec()));
        answered.map_err(|error| describe(&host, port, progress, &error))
    }

    /// The connection to a broker.
    pub(super) fn connection(
        &mut self,
        id: i32,
        progress: &mut Progress,
    ) -> Result<&mut Connection, Failure> {
        let timeout = progress.time_left(REQUEST_TIMEOUT);
        if !self.connections.contains_key(&id) {
            let (host, port) = self.brokers.get(&id).cloned().unwrap_or_default();
            let opened = Connection::open((&host, port), &self.target, timeout);
            let connection = opened.map_err(|error| describe(&host, port, progress, &error))?;
            progress.connected();
            self.connections.insert(id, connection);
        }
        let unknown = || (LossReason::Unreachable, "the broker is unknown".to_owned());
        let connection = self.connections.get_mut(&id).ok_or_else(unknown)?;
        let set = connection.set_timeout(timeout);
        set.map_err(|error| (LossReason::Unreachable, error.to_string()))?;
        Ok(connection)
    }

    /// A broken connection: closes it, and describes the error.
    pub(super) fn failure(
        &mut self,
        id: i32,
        progress: &mut Progress,
        error: ConnectError,
    ) -> Failure {
        self.close(id, progress);
        self.invalidate();
        let (host, port) = self.brokers.get(&id).cloned().unwrap_or_default();
        describe(&host, port, progress, &error)
    }

    fn close(&mut self, id: i32, progress: &Progress) {
        if self.connections.remove(&id).is_some() {
            progress.disconnected();
        }
    }
}

fn invalid(error: InvalidResponse) -> Failure {
    (LossReason::Failed, error.to_string())
}

/// Counts a failed connection and describes it.
fn describe(host: &str, port: u16, progress: &Progress, error: &ConnectError) -> Failure {
    progress.connection_failed(error.reason);
    let broker = Authority(host, port);
    (error.loss(), format!("broker {broker}: {error}"))
}
