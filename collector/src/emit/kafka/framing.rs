//! Records in messages: one in each, with the hash of its flow as the key, or several of one
//! partition in each.

use std::num::NonZero;

use kipfix_service::exposition::protobuf::write_varint;

use super::record_batch;
use super::wire::varint_octets;
use crate::emit::delivery::{Chunk, RecordPlace};
use crate::emit::enriched::RecordFormat;

/// How records are put into messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Framing {
    /// Maximum number of records in a message.
    records: NonZero<usize>,
    delimiter: Delimiter,
}

/// What separates the records of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Delimiter {
    /// A message is one record.
    None,
    /// The length of each record as a varint in front of it.
    Length,
    /// The end of a line after each record.
    LineFeed,
}

impl Framing {
    pub(super) fn new(format: RecordFormat, records: NonZero<usize>) -> Self {
        let delimiter = match format {
            _ if records.get() == 1 => Delimiter::None,
            RecordFormat::Json => Delimiter::LineFeed,
            RecordFormat::Protobuf | RecordFormat::RowBinary => Delimiter::Length,
        };
        Self { records, delimiter }
    }

    /// Number of messages with this many records.
    pub(super) fn count(self, records: usize) -> i32 {
        let messages = records.div_ceil(self.records.get());
        i32::try_from(messages).unwrap_or(i32::MAX)
    }

    /// Appends messages with records of a chunk.
    pub(super) fn write(self, records: &[RecordPlace], chunk: &Chunk, out: &mut Vec<u8>) {
        for (offset, records) in records.chunks(self.records.get()).enumerate() {
            let octets = records.iter().map(|record| self.octets(record)).sum();
            let key = records.first().map(|record| record.flow_hash);
            let key = key.filter(|_| self.delimiter == Delimiter::None);
            let value = |out: &mut Vec<u8>| {
                for record in records {
                    if self.delimiter == Delimiter::Length {
                        write_varint(length(record), out);
                    }
                    out.extend_from_slice(chunk.record(record));
                    if self.delimiter == Delimiter::LineFeed {
                        out.push(b'\n');
                    }
                }
            };
            record_batch::message(offset, key, (octets, value), out);
        }
    }

    /// Octets of a record in a message.
    fn octets(self, record: &RecordPlace) -> usize {
        record.octets.len().saturating_add(match self.delimiter {
            Delimiter::None => 0,
            Delimiter::Length => varint_octets(length(record)),
            Delimiter::LineFeed => 1,
        })
    }
}

fn length(record: &RecordPlace) -> u64 {
    u64::try_from(record.octets.len()).unwrap_or_default()
}
