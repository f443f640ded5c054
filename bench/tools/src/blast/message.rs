//! Messages that are prepared before anything is timed.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};
use serde::Serialize;

use crate::decode::{Decoder, Totals};

/// How long the flows of a record lasted, and how long ago they ended.
const FLOW_START_AGE: Duration = Duration::from_secs(5);
const FLOW_END_AGE: Duration = Duration::from_secs(1);
/// Time since the exporter's start, at the start of the run.
const UPTIME: Duration = Duration::from_secs(3600);

/// What a message carries.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Content {
    pub(crate) records: u64,
    pub(crate) packets: u64,
    pub(crate) octets: u64,
}

/// A message that is sent again and again, with its sequence number and times changed.
pub(crate) struct Message {
    pub(crate) octets: Vec<u8>,
    pub(crate) content: Content,
    /// Position of the sequence number.
    pub(crate) sequence_at: usize,
    /// What the message adds to the sequence number.
    pub(crate) sequence_advance: u32,
    /// Exporter's own number: version and observation domain.
    pub(crate) session: (u8, u32),
    /// Positions of the start times of records; the end times follow. Captured messages have none.
    pub(crate) times_at: Vec<usize>,
}

impl Message {
    /// Sets the time of the header and of the records. `running` is the time since the start of
    /// the run.
    pub(crate) fn set_time(&mut self, now: SystemTime, running: Duration) {
        if self.times_at.is_empty() {
            return;
        }
        let since_epoch = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let seconds = (since_epoch.as_secs() as u32).to_be_bytes();
        if self.octets[1] == 10 {
            self.octets[4..8].copy_from_slice(&seconds);
            let start = millis(since_epoch.saturating_sub(FLOW_START_AGE)).to_be_bytes();
            let end = millis(since_epoch.saturating_sub(FLOW_END_AGE)).to_be_bytes();
            for &at in &self.times_at {
                self.octets[at..at + 8].copy_from_slice(&start);
                self.octets[at + 8..at + 16].copy_from_slice(&end);
            }
        } else {
            let uptime = UPTIME + running;
            let word = |time: Duration| (millis(time) as u32).to_be_bytes();
            self.octets[4..8].copy_from_slice(&word(uptime));
            self.octets[8..12].copy_from_slice(&seconds);
            let (start, end) = (word(uptime - FLOW_START_AGE), word(uptime - FLOW_END_AGE));
            for &at in &self.times_at {
                self.octets[at..at + 4].copy_from_slice(&start);
                self.octets[at + 4..at + 8].copy_from_slice(&end);
            }
        }
    }

    /// Sets the sequence number.
    pub(crate) fn set_sequence(&mut self, sequence: u32) {
        let at = self.sequence_at;
        self.octets[at..at + 4].copy_from_slice(&sequence.to_be_bytes());
    }
}

fn millis(time: Duration) -> u64 {
    time.as_millis() as u64
}

/// Makes messages of captured datagrams.
pub(crate) fn from_capture(datagrams: &[&[u8]]) -> Result<Vec<Message>> {
    let mut decoder = Decoder::default();
    let messages = datagrams.iter().map(|datagram| {
        let before = decoder.totals;
        decoder.datagram(datagram);
        captured(datagram, &before, &decoder.totals)
    });
    let messages: Vec<Message> = messages.collect::<Result<_>>()?;
    ensure!(decoder.totals.records > 0, "no records in the capture");
    Ok(messages)
}

fn captured(datagram: &[u8], before: &Totals, after: &Totals) -> Result<Message> {
    ensure!(
        datagram.len() >= 20 && after.malformed == before.malformed,
        "a captured datagram is malformed"
    );
    let content = Content {
        records: after.records - before.records,
        packets: after.packets - before.packets,
        octets: after.octets - before.octets,
    };
    let option_records = after.option_records - before.option_records;
    let domain_at = |at| {
        let octets: [u8; 4] = datagram[at..at + 4].try_into().unwrap_or_default();
        u32::from_be_bytes(octets)
    };
    let (sequence_at, sequence_advance, domain) = match datagram[1] {
        5 => (16, content.records, 0),
        9 => (12, 1, domain_at(16)),
        _ => (8, content.records + option_records, domain_at(12)),
    };
    Ok(Message {
        octets: datagram.to_vec(),
        content,
        sequence_at,
        sequence_advance: sequence_advance as u32,
        session: (datagram[1], domain),
        times_at: Vec::new(),
    })
}
