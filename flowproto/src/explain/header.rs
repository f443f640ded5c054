//! The headers of Messages, version by version.

use super::message::{Counted, Header, Walk};
use super::problem::Problem;
use super::records::{self, V5, V7};
use super::session::{SessionKey, Sessions};
use super::value;
use crate::collector::set::{Cursor, octets_of_sets};

const IPFIX_HEADER: usize = 16;
const NETFLOW9_HEADER: usize = 20;
const FIXED_HEADER: usize = 24;
/// An export time that is further from the capture is worth a word.
const FAR_MILLISECONDS: u64 = 60_000;

impl Walk<'_> {
    fn number(&mut self, offset: usize, name: &str, number: impl std::fmt::Display) {
        self.page
            .line(offset, 0, format_args!("{name:<19}  {number}"));
    }

    fn header_truncated(&mut self, octets: &[u8], header: usize) {
        let offset = self.offset(octets);
        self.problem(
            offset,
            Problem::HeaderTruncated,
            format_args!("{} octets are no header of {header}", octets.len()),
        );
        self.hexadecimal(octets);
    }

    fn export_time(&mut self, offset: usize, milliseconds: u64, digits: usize) {
        let mut text = Vec::new();
        value::time(milliseconds, digits, &mut text);
        self.number(offset, "exportTime", String::from_utf8_lossy(&text));
        let Some(captured) = self.captured.time_milliseconds else {
            return;
        };
        let distance = captured.abs_diff(milliseconds);
        if distance > FAR_MILLISECONDS {
            let which = if captured > milliseconds {
                "before"
            } else {
                "after"
            };
            self.problem(
                offset,
                Problem::ExportTime,
                format_args!("it is {} s {which} the capture", distance / 1000),
            );
        }
    }

    /// One IPFIX Message; what follows it.
    pub(super) fn ipfix<'d>(&mut self, octets: &'d [u8], sessions: &mut Sessions) -> &'d [u8] {
        let base = self.offset(octets);
        let mut cursor = Cursor(octets);
        let header = (|| {
            let (version, length) = (cursor.u16()?, cursor.u16()?);
            let (seconds, sequence, domain) = (cursor.u32()?, cursor.u32()?, cursor.u32()?);
            Some((version, length, seconds, sequence, domain))
        })();
        let Some((version, length, seconds, sequence, domain)) = header else {
            self.header_truncated(octets, IPFIX_HEADER);
            return &[];
        };
        let exporter = self.captured.exporter;
        self.source = self.summary.source(exporter, domain, 10);
        self.number(base, "version", version);
        self.number(base + 2, "length", length);
        let length = usize::from(length);
        let (message, after) = self.delimit(octets, length);
        self.export_time(base + 4, u64::from(seconds) * 1000, 0);
        self.number(base + 8, "sequenceNumber", sequence);
        self.number(base + 12, "observationDomainId", domain);
        let header = Header {
            key: SessionKey {
                exporter,
                domain,
                version: 10,
            },
            export_time_milliseconds: u64::from(seconds) * 1000,
            sys_up_time: 0,
            sequence,
        };
        let sets = message.get(IPFIX_HEADER..).unwrap_or_default();
        let counted = self.sets(sets, &header, sessions);
        self.end_message(base + 8, &header, counted, message.len(), sessions);
        after
    }

    /// Where an IPFIX Message ends, and what follows.
    fn delimit<'d>(&mut self, octets: &'d [u8], length: usize) -> (&'d [u8], &'d [u8]) {
        let offset = self.offset(octets) + 2;
        if length > octets.len() {
            self.problem(
                offset,
                Problem::MessageTooShort,
                format_args!(
                    "the header says {length} octets, there are {}",
                    octets.len()
                ),
            );
            return (octets, &[]);
        }
        if let Some((message, after @ ([] | [0, 10, ..]))) = octets.split_at_checked(length)
            && length >= IPFIX_HEADER
        {
            return (message, after);
        }
        let end = octets_of_sets(octets, length).max(IPFIX_HEADER);
        self.problem(
            offset,
            Problem::MessageTooLong,
            format_args!(
                "the header says {length} octets, there are {}, and no Message follows; the Sets end at {end}",
                octets.len()
            ),
        );
        (octets.get(..end).unwrap_or(octets), &[])
    }

    pub(super) fn netflow9(&mut self, octets: &[u8], sessions: &mut Sessions) {
        let mut cursor = Cursor(octets);
        let header = (|| {
            let (version, count, up_time) = (cursor.u16()?, cursor.u16()?, cursor.u32()?);
            let (seconds, sequence, domain) = (cursor.u32()?, cursor.u32()?, cursor.u32()?);
            Some((version, count, up_time, seconds, sequence, domain))
        })();
        let Some((version, count, sys_up_time, seconds, sequence, domain)) = header else {
            return self.header_truncated(octets, NETFLOW9_HEADER);
        };
        let exporter = self.captured.exporter;
        self.source = self.summary.source(exporter, domain, 9);
        let header = Header {
            key: SessionKey {
                exporter,
                domain,
                version: 9,
            },
            export_time_milliseconds: u64::from(seconds) * 1000,
            sys_up_time,
            sequence,
        };
        self.number(0, "version", version);
        self.number(2, "count", count);
        self.up_time(&header, sessions);
        self.export_time(8, header.export_time_milliseconds, 0);
        self.number(12, "sequenceNumber", sequence);
        self.number(16, "sourceId", domain);
        let counted = self.sets(cursor.0, &header, sessions);
        let records = counted
            .records
            .saturating_add(counted.options_records)
            .saturating_add(counted.templates);
        if !counted.unread && u32::from(count) != records {
            let sets = counted.sets;
            let hint = if u32::from(count) == sets {
                ": it counts FlowSets"
            } else if u32::from(count) == counted.records {
                ": it counts Data Records"
            } else {
                ""
            };
            self.problem(
                2,
                Problem::RecordCount,
                format_args!(
                    "the header counts {count}, there are {records} records in {sets} FlowSets{hint}"
                ),
            );
        }
        self.end_message(12, &header, counted, octets.len(), sessions);
    }

    /// NetFlow v5 and v7: a header and records of one form, which is nothing but a template that everybody
    /// knows.
    pub(super) fn fixed(&mut self, octets: &[u8], sessions: &mut Sessions) {
        let form = if self.version == 5 { &V5 } else { &V7 };
        let mut cursor = Cursor(octets);
        let header = (|| {
            let (version, count, up_time) = (cursor.u16()?, cursor.u16()?, cursor.u32()?);
            let (seconds, nanoseconds, sequence) = (cursor.u32()?, cursor.u32()?, cursor.u32()?);
            let (engine, sampling) = (cursor.u16()?, cursor.u16()?);
            Some((
                (version, count, up_time),
                (seconds, nanoseconds, sequence),
                (engine, sampling),
            ))
        })();
        let Some((
            (version, count, sys_up_time),
            (seconds, nanoseconds, sequence),
            (engine, sampling),
        )) = header
        else {
            return self.header_truncated(octets, FIXED_HEADER);
        };
        let is_v5 = self.version == 5;
        let domain = if is_v5 { engine.into() } else { 0 };
        let exporter = self.captured.exporter;
        self.source = self.summary.source(exporter, domain, version);
        let header = Header {
            key: SessionKey {
                exporter,
                domain,
                version,
            },
            export_time_milliseconds: u64::from(seconds) * 1000
                + u64::from(nanoseconds / 1_000_000),
            sys_up_time,
            sequence,
        };
        self.number(0, "version", version);
        self.number(2, "count", count);
        self.up_time(&header, sessions);
        self.export_time(8, header.export_time_milliseconds, 3);
        self.number(16, "flowSequence", sequence);
        if is_v5 {
            self.number(20, "engineType", engine >> 8);
            self.number(21, "engineId", engine & 0xff);
            let (mode, interval) = (sampling >> 14, sampling & 0x3fff);
            self.number(
                22,
                "sampling",
                format_args!("mode {mode}, 1 in {}", interval.max(1)),
            );
        }
        let room = cursor.0.len() / form.octets;
        let claimed = usize::from(count);
        if claimed * form.octets != cursor.0.len() {
            self.problem(
                2,
                Problem::FlowCount,
                format_args!(
                    "the header counts {count} records of {} octets, there are {} octets: {room} and {} octets left",
                    form.octets,
                    cursor.0.len(),
                    cursor.0.len() % form.octets,
                ),
            );
        }
        if claimed > form.most {
            self.problem(
                2,
                Problem::TooManyFlows,
                format_args!("the header counts {count}"),
            );
        }
        let content = cursor
            .0
            .get(..claimed.min(room) * form.octets)
            .unwrap_or_default();
        let mut counted = Counted::default();
        records::fixed(self, form, content, &header, &mut counted);
        counted.unread = claimed > room;
        self.end_message(16, &header, counted, octets.len(), sessions);
    }

    fn up_time(&mut self, header: &Header, sessions: &mut Sessions) {
        let now = header.sys_up_time;
        self.number(
            4,
            "sysUpTime",
            format_args!("{now} milliseconds ({} s)", now / 1000),
        );
        let session = sessions.get(header.key);
        let before = std::mem::replace(&mut session.sys_up_time, now);
        // It wraps after 49.7 days: what is far below is a wrap, what is a little below a late datagram.
        let back = before.wrapping_sub(now);
        if before > now && (1000..u32::MAX / 2).contains(&back) {
            self.problem(
                4,
                Problem::Restart,
                format_args!("it was {before} before: the exporter began anew"),
            );
        }
    }
}
