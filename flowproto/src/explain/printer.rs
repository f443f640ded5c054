//! The dump of one datagram: its heading, Messages and broken rules.

use std::fmt::{Arguments, Display};

use super::Captured;
use super::page::Page;
use super::summary::{self, Source, Summary, version_name};
use super::value;
use crate::alias::ElementAliases;
use crate::collector::{Convention, MessageTally};
use crate::rule::Rule;
use crate::sessions::SequenceOutcome;
use crate::wire::fixed::Layouts;
use crate::wire::{MessageHeader, Version, Violation};

/// Maximum distance between export time and capture, milliseconds.
const MAX_CLOCK_DISTANCE: u64 = 60_000;

/// Prints one datagram.
pub(super) struct Printer<'a> {
    pub(super) page: Page<'a>,
    pub(super) summary: &'a mut Summary,
    pub(super) captured: &'a Captured<'a>,
    /// Number of the datagram, from 1.
    number: u64,
    pub(super) version: u16,
    pub(super) source: Source,
    /// The layouts of versions without templates.
    pub(super) layouts: Option<&'a Layouts>,
    /// Elements of the exporter that are read as others.
    pub(super) aliases: ElementAliases,
    pub(super) header: Option<MessageHeader>,
    /// Position of the Message in the datagram.
    pub(super) message_offset: usize,
    /// Sets of the Message.
    pub(super) sets: u32,
    /// A part of the Message could not be read.
    pub(super) has_unreadable: bool,
    /// Records of the Set.
    pub(super) records: u32,
    /// The latest record, if it consists of zeros: position and octets.
    pub(super) zeros: Option<(usize, usize)>,
    /// Width of the longest name of a field of the Set.
    pub(super) name_width: usize,
    /// The Set of an earlier Message that is read now.
    earlier_set: Option<EarlierSet>,
}

/// A Set of an earlier Message.
struct EarlierSet {
    /// Address of its first octet, from which offsets are counted.
    begin: usize,
    /// The header of the current Message.
    current: Option<MessageHeader>,
}

/// Octets of a Set header.
const SET_HEADER: usize = 4;

impl<'a> Printer<'a> {
    pub(super) fn new(
        captured: &'a Captured<'a>,
        number: u64,
        summary: &'a mut Summary,
        out: &'a mut Vec<u8>,
    ) -> Self {
        let version = match captured.octets {
            [high, low, ..] => u16::from_be_bytes([*high, *low]),
            _ => 0,
        };
        Self {
            page: Page::new(out),
            source: summary.source(captured.exporter, 0, version),
            summary,
            captured,
            number,
            version,
            layouts: None,
            aliases: ElementAliases::default(),
            header: None,
            message_offset: 0,
            sets: 0,
            has_unreadable: false,
            records: 0,
            zeros: None,
            name_width: 0,
            earlier_set: None,
        }
    }

    /// The heading of the datagram.
    pub(super) fn begin(&mut self) {
        let mut time = Vec::new();
        if let Some(milliseconds) = self.captured.time_milliseconds {
            value::time(milliseconds, 3, &mut time);
            time.extend_from_slice(b"  ");
        }
        let exporter = self.captured.exporter;
        let source = if exporter.ip().is_unspecified() {
            summary::address(exporter.ip())
        } else {
            exporter.to_string()
        };
        self.page.heading(format_args!(
            "#{}  {}{source}  {} octets  {}",
            self.number,
            String::from_utf8_lossy(&time),
            self.captured.octets.len(),
            version_name(self.version),
        ));
    }

    pub(super) fn end(mut self) {
        self.page.heading(format_args!(""));
    }

    pub(super) fn is_netflow9(&self) -> bool {
        self.version == 9
    }

    /// Position of a part of the datagram, or of the Set of an earlier one.
    pub(super) fn offset(&self, part: &[u8]) -> usize {
        let datagram = self.captured.octets.as_ptr().addr();
        let earlier = self.earlier_set.as_ref();
        let begin = earlier.map_or(datagram, |set| set.begin);
        part.as_ptr().addr().saturating_sub(begin)
    }

    /// Begins to print a Set of an earlier Message, with offsets in the Set.
    pub(super) fn begin_earlier_set(&mut self, id: u16, content: &[u8], header: &MessageHeader) {
        let mut time = Vec::new();
        value::time(header.export_time_milliseconds, 0, &mut time);
        self.page.line(
            0,
            0,
            format_args!(
                "Set {id} of an earlier Message, exported {}, is read now",
                String::from_utf8_lossy(&time)
            ),
        );
        self.earlier_set = Some(EarlierSet {
            begin: content.as_ptr().addr().saturating_sub(SET_HEADER),
            current: self.header.replace(*header),
        });
        self.records = 0;
    }

    /// Returns to the current Message.
    pub(super) fn end_earlier_set(&mut self) {
        if let Some(set) = self.earlier_set.take() {
            self.header = set.current;
        }
        self.records = 0;
    }

    pub(super) fn export_time(&self) -> u64 {
        self.header
            .map_or(0, |header| header.export_time_milliseconds)
    }

    /// Prints and counts a broken rule.
    pub(super) fn broken(&mut self, offset: usize, rule: Rule, detail: Arguments<'_>) {
        let requirement = rule.requirement(self.version);
        let (mark, name, reference) = (summary::mark(rule), rule.as_str(), requirement.reference);
        // The text of the rule is shown the first time that it is broken, and in the summary.
        if self.summary.count(rule) == 0 {
            let text = requirement.text;
            let line = format_args!("{name}: {detail} ({reference}: {text})");
            self.page.marked(mark, offset, 0, line);
        } else {
            let line = format_args!("{name}: {detail} ({reference})");
            self.page.marked(mark, offset, 0, line);
        }
        self.summary
            .add(self.source, rule, self.version, self.number);
    }

    pub(super) fn violation(&mut self, offset: usize, violation: Violation) {
        self.broken(offset, violation.rule(), format_args!("{violation}"));
    }

    pub(super) fn header_field(&mut self, offset: usize, name: &str, content: impl Display) {
        self.page
            .line(offset, 0, format_args!("{name:<19}  {content}"));
    }

    pub(super) fn message(&mut self, at: usize, header: &MessageHeader) {
        let exporter = self.captured.exporter;
        let domain = header.observation_domain_id;
        self.version = header.version.number();
        self.source = self.summary.source(exporter, domain, self.version);
        self.header = Some(*header);
        (self.sets, self.has_unreadable) = (0, false);
        let up_time = header.sys_up_time;
        let up_time = format!("{up_time} milliseconds ({} s)", up_time / 1000);
        self.header_field(at, "version", self.version);
        match header.version {
            Version::Ipfix => {
                self.header_field(at + 2, "length", header.length_or_count);
                self.export_time_field(at + 4, header, 0);
                self.header_field(at + 8, "sequenceNumber", header.sequence);
                self.header_field(at + 12, "observationDomainId", domain);
            }
            Version::V9 => {
                self.header_field(at + 2, "count", header.length_or_count);
                self.header_field(at + 4, "sysUpTime", up_time);
                self.export_time_field(at + 8, header, 0);
                self.header_field(at + 12, "sequenceNumber", header.sequence);
                self.header_field(at + 16, "sourceId", domain);
            }
            Version::V1 | Version::V5 | Version::V7 => {
                self.header_field(at + 2, "count", header.length_or_count);
                self.header_field(at + 4, "sysUpTime", up_time);
                self.export_time_field(at + 8, header, 3);
                if header.version.has_sequence() {
                    self.header_field(at + 16, "flowSequence", header.sequence);
                }
            }
        }
        if header.version == Version::V5 {
            self.header_field(at + 20, "engineType", domain >> 8);
            self.header_field(at + 21, "engineId", domain & 0xff);
            let (mode, interval) = (header.sampling >> 14, header.sampling & 0x3fff);
            let sampling = format!("mode {mode}, 1 in {}", interval.max(1));
            self.header_field(at + 22, "sampling", sampling);
        }
    }

    pub(super) fn export_time_field(
        &mut self,
        offset: usize,
        header: &MessageHeader,
        digits: usize,
    ) {
        let exported = header.export_time_milliseconds;
        let mut text = Vec::new();
        value::time(exported, digits, &mut text);
        self.header_field(offset, "exportTime", String::from_utf8_lossy(&text));
        let Some(captured) = self.captured.time_milliseconds else {
            return;
        };
        let distance = captured.abs_diff(exported);
        if distance > MAX_CLOCK_DISTANCE {
            let order = if captured > exported {
                "before"
            } else {
                "after"
            };
            let seconds = distance / 1000;
            let detail = format_args!("it is {seconds} s {order} the capture");
            self.broken(offset, Rule::ExportTime, detail);
        }
    }

    /// Octets that cannot be read: sixteen a line, the first few of them.
    pub(super) fn hexadecimal(&mut self, octets: &[u8]) {
        const LINES: usize = 8;
        for chunk in octets.chunks(16).take(LINES) {
            let offset = self.offset(chunk);
            let mut text = Vec::new();
            value::octets(chunk, &mut text);
            let letters: String = chunk
                .iter()
                .map(|octet| match octet {
                    0x20..0x7f => char::from(*octet),
                    _ => '.',
                })
                .collect();
            let text = String::from_utf8_lossy(&text);
            self.page
                .line(offset, 2, format_args!("{text:<39}  {letters}"));
        }
        if let Some(left) = octets.len().checked_sub(16 * LINES).filter(|n| *n > 0) {
            let offset = self.offset(octets) + 16 * LINES;
            self.page
                .line(offset, 2, format_args!("… {left} octets more"));
        }
    }

    pub(super) fn padding(&mut self, padding: &[u8]) {
        if !padding.is_empty() {
            let (offset, octets) = (self.offset(padding), padding.len());
            self.page
                .line(offset, 1, format_args!("Padding, {octets} octets"));
        }
    }

    /// v9: whether the header's count is the number of records.
    pub(super) fn check_count(&mut self, header: &MessageHeader, tally: &MessageTally) {
        let records = tally
            .records
            .saturating_add(tally.options_records)
            .saturating_add(tally.templates);
        let (count, sets) = (u32::from(header.length_or_count), self.sets);
        let is_known = !tally.has_unread && !self.has_unreadable;
        if header.version != Version::V9 || !is_known || count == records {
            return;
        }
        let hint = if count == sets {
            ": it counts FlowSets"
        } else if count == tally.records {
            ": it counts Data Records"
        } else {
            ""
        };
        let detail = format_args!(
            "the header counts {count}, there are {records} records in {sets} FlowSets{hint}"
        );
        self.broken(2, Rule::RecordCount, detail);
    }

    pub(super) fn check_sequence(&mut self, header: &MessageHeader, outcome: SequenceOutcome) {
        let is_netflow9 = header.version == Version::V9;
        let sequence = header.sequence;
        let offset = match header.version {
            // v1 has none: only `sysUpTime` shows a restart.
            Version::V1 | Version::V5 | Version::V7 => 16,
            Version::V9 => 12,
            Version::Ipfix => self.message_offset + 8,
        };
        match outcome {
            SequenceOutcome::First => {}
            SequenceOutcome::Next(convention) => {
                let meaning = match convention {
                    Convention::Records if is_netflow9 => "it counts records",
                    Convention::Messages if !is_netflow9 => "it counts Messages",
                    Convention::Records | Convention::Messages => return,
                    Convention::DataRecords => "it leaves out options records",
                    Convention::AllRecords => "it counts Template Records too",
                    Convention::AllRecordsInclusive => {
                        "it includes the Message's own records, and counts Template Records too"
                    }
                    Convention::RecordsInclusive => "it includes the Message's own records",
                    Convention::DataRecordsInclusive => {
                        "it includes the Message's own records, and leaves out options records"
                    }
                };
                let detail = format_args!("{sequence}: {meaning}");
                self.broken(offset, Rule::SequenceMeaning, detail);
            }
            SequenceOutcome::Gap { expected, missing } => {
                let units = if is_netflow9 { "Messages" } else { "records" };
                let detail =
                    format_args!("{sequence}, not {expected}: {missing} {units} are missing");
                self.broken(offset, Rule::SequenceGap, detail);
            }
            SequenceOutcome::Old { expected } => {
                let detail = format_args!(
                    "{sequence}, not {expected}: late, repeated, or the exporter has restarted"
                );
                self.broken(offset, Rule::SequenceBack, detail);
            }
            SequenceOutcome::Stray { expected } => {
                let detail = format_args!(
                    "{sequence}, not {expected}: too far to be believed without another Message"
                );
                self.broken(offset, Rule::SequenceBack, detail);
            }
            SequenceOutcome::Restarted { up_time: 0 } => {
                let detail = format_args!("{sequence}: the exporter has restarted");
                self.broken(offset, Rule::SequenceBack, detail);
            }
            SequenceOutcome::Restarted { up_time } => {
                let detail = format_args!("it was {up_time} before: the exporter has restarted");
                self.broken(4, Rule::Restart, detail);
            }
        }
    }
}
