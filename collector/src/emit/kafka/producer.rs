//! Delivers the records of a chunk to the leaders of their partitions.

use std::collections::{BTreeMap, VecDeque};

use kipfix_export::counters::LossReason;
use kipfix_export::wall_clock_milliseconds;

use super::cluster::{Cluster, Failure, REQUEST_TIMEOUT};
use super::errors::{self, Reaction};
use super::framing::Framing;
use super::record_batch::{self, BatchHeader, MAX_MESSAGE_OVERHEAD};
use super::requests::{self, Api, ProducerId};
use super::target::KafkaTarget;
use crate::emit::delivery::{Chunk, Client, Compressor, Progress, RecordPlace};

/// Octets of the messages of a batch, before compression. Brokers accept 1 MiB after it by default.
const MAX_BATCH_OCTETS: usize = 512 << 10;
/// A batch that the broker refuses as too large is split, and so are later ones, down to this size.
const MIN_BATCH_OCTETS: usize = 16 << 10;
/// No more batches are added to a request of this size.
const MAX_REQUEST_OCTETS: usize = 4 << 20;

/// An idempotent producer for a topic.
#[derive(Debug)]
pub struct Producer {
    cluster: Cluster,
    id: Option<ProducerId>,
    partitions: Vec<Partition>,
    max_batch_octets: usize,
    compressor: Compressor,
    framing: Framing,
    /// The messages of the batch that is being sent.
    messages: Vec<u8>,
}

/// A partition with its records.
#[derive(Debug, Default)]
struct Partition {
    /// The sequence number of the next message.
    sequence: i32,
    batches: VecDeque<Batch>,
}

/// Records of one partition. Its messages are written when it is sent, also when it is sent again.
#[derive(Debug)]
struct Batch {
    /// Places of the records in the chunk.
    records: Vec<RecordPlace>,
    /// Octets of its messages when it was sent last, before that the maximum.
    octets: usize,
    timestamp: i64,
    /// It was sent, and whether it is stored is unknown.
    was_sent: bool,
}

impl Producer {
    /// A producer without connections.
    #[must_use]
    pub fn new(target: KafkaTarget) -> Self {
        Self {
            compressor: Compressor::new(target.compression),
            framing: target.framing,
            cluster: Cluster::new(target),
            id: None,
            partitions: Vec::new(),
            max_batch_octets: MAX_BATCH_OCTETS,
            messages: Vec::new(),
        }
    }

    /// Looks up the partitions and gets an identity, if that is not done.
    fn prepare(&mut self, progress: &mut Progress) -> Result<ProducerId, Failure> {
        self.cluster.refresh(progress)?;
        let count = self.cluster.leaders().len();
        if self.partitions.len() < count {
            self.partitions.resize_with(count, Partition::default);
        }
        if let Some(id) = self.id {
            return Ok(id);
        }
        let id = self.cluster.producer_id(progress)?;
        for partition in &mut self.partitions {
            partition.sequence = 0;
        }
        self.id = Some(id);
        Ok(id)
    }

    /// Distributes the records of a chunk over the partitions.
    fn distribute(&mut self, chunk: &Chunk, progress: &mut Progress) {
        let timestamp = i64::try_from(wall_clock_milliseconds()).unwrap_or_default();
        let count = self.cluster.leaders().len();
        for record in chunk.places() {
            let octets = record.octets.len().saturating_add(MAX_MESSAGE_OVERHEAD);
            if octets > MAX_BATCH_OCTETS {
                progress.warn("a record is longer than a batch; such records are lost");
                progress.lost(LossReason::TooLong, 1);
                continue;
            }
            let index = record_batch::partition_of(record.flow_hash, count);
            let Some(partition) = self.partitions.get_mut(index) else {
                continue;
            };
            let room = self.max_batch_octets.saturating_sub(octets);
            match partition.batches.back_mut() {
                Some(batch) if batch.octets <= room => {
                    batch.records.push(record);
                    batch.octets = batch.octets.saturating_add(octets);
                }
                _ => partition.batches.push_back(Batch {
                    records: vec![record],
                    octets,
                    timestamp,
                    was_sent: false,
                }),
            }
        }
    }

    /// Sends the first batch of each partition to its leader and evaluates the responses.
    fn send_round(
        &mut self,
        id: ProducerId,
        chunk: &Chunk,
        progress: &mut Progress,
    ) -> Result<(), Failure> {
        let mut outcome = Ok(());
        let mut by_leader: BTreeMap<i32, Vec<usize>> = BTreeMap::new();
        let partitions = self.partitions.iter().zip(self.cluster.leaders());
        for (index, (partition, leader)) in partitions.enumerate() {
            match leader {
                _ if partition.batches.is_empty() => {}
                Some(leader) => by_leader.entry(*leader).or_default().push(index),
                None => {
                    let message = format!("partition {index} has no leader");
                    outcome = Err((LossReason::Unreachable, message));
                }
            }
        }
        if outcome.is_err() {
            self.cluster.invalidate();
        }
        let mut sent: Vec<(i32, Vec<usize>)> = Vec::new();
        for (leader, indexes) in by_leader {
            match self.send((leader, indexes), id, chunk, progress) {
                Ok(indexes) => sent.push((leader, indexes)),
                Err(failure) => outcome = Err(failure),
            }
        }
        for (leader, indexes) in sent {
            if let Err(failure) = self.receive(leader, &indexes, progress) {
                outcome = Err(failure);
            }
        }
        outcome
    }

    /// Sends the first batches of partitions to their leader. Returns those for which there was
    /// room.
    fn send(
        &mut self,
        (leader, mut indexes): (i32, Vec<usize>),
        id: ProducerId,
        chunk: &Chunk,
        progress: &mut Progress,
    ) -> Result<Vec<usize>, Failure> {
        let (partitions, compressor) = (&mut self.partitions, &mut self.compressor);
        let (framing, messages) = (self.framing, &mut self.messages);
        let topic = self.cluster.target().topic.clone();
        let timeout = i32::try_from(REQUEST_TIMEOUT.as_millis() / 2).unwrap_or(i32::MAX);
        let connection = self.cluster.connection(leader, progress)?;
        let mut count = 0;
        let batches = |out: &mut Vec<u8>| {
            for index in &indexes {
                let partition = partitions.get_mut(*index);
                let sequence = partition.as_ref().map_or(0, |p| p.sequence);
                let Some(batch) = partition.and_then(|p| p.batches.front_mut()) else {
                    continue;
                };
                if out.len() > MAX_REQUEST_OCTETS {
                    break;
                }
                batch.was_sent = true;
                messages.clear();
                framing.write(&batch.records, chunk, messages);
                batch.octets = messages.len();
                let header = BatchHeader {
                    producer: id,
                    sequence,
                    messages: framing.count(batch.records.len()),
                    timestamp: batch.timestamp,
                };
                let index = i32::try_from(*index).unwrap_or(i32::MAX);
                let batch = |out: &mut _| record_batch::batch(&header, messages, compressor, out);
                requests::partition(index, batch, out);
                count += 1;
            }
            count
        };
        let written = connection.send(Api::PRODUCE, |out| {
            requests::produce(&topic, timeout, batches, out);
        });
        indexes.truncate(count);
        match written {
            Ok(_) => Ok(indexes),
            Err(error) => Err(self.cluster.failure(leader, progress, error.into())),
        }
    }

    /// Evaluates the response of a leader.
    fn receive(
        &mut self,
        leader: i32,
        indexes: &[usize],
        progress: &mut Progress,
    ) -> Result<(), Failure> {
        let connection = self.cluster.connection(leader, progress)?;
        let response = connection
            .receive()
            .and_then(|reader| Ok(requests::read_produced(reader)?));
        let outcomes = match response {
            Ok(outcomes) => outcomes,
            Err(error) => return Err(self.cluster.failure(leader, progress, error.into())),
        };
        let mut outcome = Ok(());
        for (index, code) in outcomes {
            let index = usize::try_from(index).unwrap_or(usize::MAX);
            if indexes.contains(&index)
                && let Err(failure) = self.evaluate(index, code, progress)
            {
                outcome = Err(failure);
            }
        }
        outcome
    }

    /// Evaluates the outcome of the first batch of a partition.
    fn evaluate(
        &mut self,
        index: usize,
        code: i16,
        progress: &mut Progress,
    ) -> Result<(), Failure> {
        let topic = &self.cluster.target().topic;
        let name = errors::name(code);
        let Some(partition) = self.partitions.get_mut(index) else {
            return Ok(());
        };
        let Some(batch) = partition.batches.front_mut() else {
            return Ok(());
        };
        match errors::reaction(code) {
            Reaction::Stored => {
                progress.delivered(batch.records.len(), batch.octets);
                let messages = self.framing.count(batch.records.len());
                // After the largest number follows 0.
                partition.sequence = partition.sequence.wrapping_add(messages) & i32::MAX;
                partition.batches.pop_front();
                Ok(())
            }
            Reaction::Retry(loss) => {
                let message = format!("partition {index} of topic {topic:?}: {name} ({code})");
                self.cluster.invalidate();
                Err((loss, message))
            }
            Reaction::NewProducer => {
                self.id = None;
                let message = format!(
                    "partition {index} of topic {topic:?}: {name} ({code}): starting a new idempotent producer"
                );
                Err((LossReason::Unreachable, message))
            }
            Reaction::Split if batch.records.len() > 1 => {
                batch.was_sent = false;
                let second = Batch {
                    records: batch.records.split_off(batch.records.len() / 2),
                    ..*batch
                };
                partition.batches.insert(1, second);
                self.max_batch_octets = (self.max_batch_octets / 2).max(MIN_BATCH_OCTETS);
                Ok(())
            }
            Reaction::Split => {
                progress.warn("the broker refuses a record as too large; such records are lost");
                progress.lost(LossReason::TooLong, 1);
                partition.batches.pop_front();
                Ok(())
            }
            Reaction::Lose(loss) => {
                let lost = batch.records.len();
                progress.warn(&format!(
                    "partition {index} of topic {topic:?}: {name} ({code}): records are lost"
                ));
                progress.lost(loss, lost);
                partition.batches.pop_front();
                Ok(())
            }
        }
    }

    fn is_done(&self) -> bool {
        self.partitions.iter().all(|p| p.batches.is_empty())
    }

    /// Forgets the batches that are left over.
    fn give_up(&mut self) {
        for partition in &mut self.partitions {
            // The sequence numbers of a batch whose outcome is unknown cannot be used for other
            // messages.
            if partition.batches.iter().any(|batch| batch.was_sent) {
                self.id = None;
            }
            partition.batches.clear();
        }
    }
}

impl Client for Producer {
    fn deliver(&mut self, chunk: &Chunk, progress: &mut Progress) {
        let mut is_distributed = false;
        while !(is_distributed && self.is_done()) {
            if progress.must_stop() {
                break;
            }
            let attempt = self.prepare(progress).and_then(|id| {
                if !is_distributed {
                    is_distributed = true;
                    self.distribute(chunk, progress);
                }
                self.send_round(id, chunk, progress)
            });
            if let Err((loss, message)) = attempt {
                progress.failed(loss, &message);
            }
        }
        self.give_up();
    }
}
