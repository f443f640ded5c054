//! The requests of a producer and their responses. The versions are the last ones without tagged
//! fields, or older ones with all that is needed.

use super::wire::{InvalidResponse, Reader, Writer};

/// A kind of request: key and version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Api(i16, i16);

impl Api {
    pub(super) const PRODUCE: Self = Self(0, 7);
    pub(super) const METADATA: Self = Self(3, 4);
    pub(super) const SASL_HANDSHAKE: Self = Self(17, 1);
    pub(super) const INIT_PRODUCER_ID: Self = Self(22, 1);
    pub(super) const SASL_AUTHENTICATE: Self = Self(36, 0);
}

/// Name of this client in the logs and quotas of brokers.
const CLIENT_ID: &str = "kipfix-collector";
/// Waits for all in-sync replicas.
const ACKS_ALL: i16 = -1;
/// Octets of the length in front of a request or response.
pub(super) const LENGTH_OCTETS: usize = 4;

/// Begins a request. [`end`] completes it.
pub(super) fn begin(api: Api, correlation_id: i32, out: &mut Vec<u8>) {
    out.clear();
    let mut writer = Writer(out);
    writer.int32(0);
    writer.int16(api.0);
    writer.int16(api.1);
    writer.int32(correlation_id);
    writer.string(CLIENT_ID);
}

/// Writes the length of a request.
pub(super) fn end(out: &mut [u8]) {
    let length = out.len().saturating_sub(LENGTH_OCTETS);
    let length = i32::try_from(length).unwrap_or(i32::MAX).to_be_bytes();
    if let Some(begin) = out.first_chunk_mut() {
        *begin = length;
    }
}

/// Asks for the partitions of a topic. A topic that does not exist is not created.
pub(super) fn metadata(topic: &str, out: &mut Vec<u8>) {
    let mut writer = Writer(out);
    writer.length(1);
    writer.string(topic);
    writer.bool(false);
}

/// The brokers of a cluster, and the partitions of a topic.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct MetadataResponse {
    /// Node id, host and port.
    pub(super) brokers: Vec<(i32, String, u16)>,
    pub(super) topic_error: i16,
    /// Error, index, and node id of the leader.
    pub(super) partitions: Vec<(i16, i32, i32)>,
}

impl MetadataResponse {
    pub(super) fn read(mut reader: Reader<'_>) -> Result<Self, InvalidResponse> {
        let mut response = Self::default();
        reader.int32()?;
        for _ in 0..reader.length()? {
            let node_id = reader.int32()?;
            let host = reader.string()?.to_owned();
            let port = u16::try_from(reader.int32()?).map_err(|_| InvalidResponse)?;
            reader.string()?;
            response.brokers.push((node_id, host, port));
        }
        reader.string()?;
        reader.int32()?;
        for _ in 0..reader.length()? {
            response.topic_error = reader.int16()?;
            reader.string()?;
            reader.bool()?;
            for _ in 0..reader.length()? {
                let (error, index, leader) = (reader.int16()?, reader.int32()?, reader.int32()?);
                for _ in 0..2 {
                    // Replicas, and those in sync.
                    for _ in 0..reader.length()? {
                        reader.int32()?;
                    }
                }
                response.partitions.push((error, index, leader));
            }
        }
        Ok(response)
    }
}

/// Asks for the identity of an idempotent producer.
pub(super) fn init_producer_id(out: &mut Vec<u8>) {
    let mut writer = Writer(out);
    writer.null_string();
    writer.int32(0);
}

/// The identity of an idempotent producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ProducerId {
    pub(super) id: i64,
    pub(super) epoch: i16,
}

/// The error, or the identity.
pub(super) fn read_producer_id(
    mut reader: Reader<'_>,
) -> Result<Result<ProducerId, i16>, InvalidResponse> {
    reader.int32()?;
    let error = reader.int16()?;
    let (id, epoch) = (reader.int64()?, reader.int16()?);
    Ok(if error == 0 {
        Ok(ProducerId { id, epoch })
    } else {
        Err(error)
    })
}

/// Asks to store batches in partitions of a topic. `partitions` appends them, each with
/// [`partition`], and returns their number.
pub(super) fn produce(
    topic: &str,
    timeout_ms: i32,
    partitions: impl FnOnce(&mut Vec<u8>) -> usize,
    out: &mut Vec<u8>,
) {
    let mut writer = Writer(out);
    writer.null_string();
    writer.int16(ACKS_ALL);
    writer.int32(timeout_ms);
    writer.length(1);
    writer.string(topic);
    writer.counted(partitions);
}

/// Appends the batch of a partition to a Produce request.
pub(super) fn partition(index: i32, batch: impl FnOnce(&mut Vec<u8>), out: &mut Vec<u8>) {
    let mut writer = Writer(out);
    writer.int32(index);
    writer.counted(|out| {
        let begin = out.len();
        batch(out);
        out.len().saturating_sub(begin)
    });
}

/// Partition and error of each batch.
pub(super) fn read_produced(mut reader: Reader<'_>) -> Result<Vec<(i32, i16)>, InvalidResponse> {
    let mut outcomes = Vec::new();
    for _ in 0..reader.length()? {
        reader.string()?;
        for _ in 0..reader.length()? {
            outcomes.push((reader.int32()?, reader.int16()?));
            // Base offset, time of appending, first offset of the log.
            for _ in 0..3 {
                reader.int64()?;
            }
        }
    }
    Ok(outcomes)
}
