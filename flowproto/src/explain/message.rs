//! A datagram: its Messages, the Sets in them, and what a sequence number says at the end of one.

use std::fmt::Arguments;

use super::Captured;
use super::page::Page;
use super::problem::Problem;
use super::records;
use super::session::{Heard, SessionKey, Sessions};
use super::summary::{self, Source, Summary, version_name};
use super::{templates, value};
use crate::collector::set::Cursor;

const SET_HEADER: usize = 4;

/// The header of the Message at hand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) key: SessionKey,
    pub(super) export_time_milliseconds: u64,
    pub(super) sys_up_time: u32,
    pub(super) sequence: u32,
}

/// Records of a Message.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counted {
    pub(super) records: u32,
    pub(super) options_records: u32,
    pub(super) templates: u32,
    pub(super) sets: u32,
    /// Something could not be read, so that nobody knows how many there were.
    pub(super) unread: bool,
}

/// The way through one datagram.
pub(super) struct Walk<'a> {
    pub(super) page: Page<'a>,
    pub(super) summary: &'a mut Summary,
    pub(super) captured: &'a Captured<'a>,
    /// Of the datagram, from 1.
    pub(super) number: u64,
    pub(super) version: u16,
    pub(super) source: Source,
}

impl<'a> Walk<'a> {
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
            source: None,
            summary,
            captured,
            number,
            version,
        }
    }

    /// Where `part` of the datagram stands in it.
    pub(super) fn offset(&self, part: &[u8]) -> usize {
        let begin = self.captured.octets.as_ptr().addr();
        part.as_ptr().addr().saturating_sub(begin)
    }

    /// Says what is wrong, and counts it.
    pub(super) fn problem(&mut self, offset: usize, problem: Problem, detail: Arguments<'_>) {
        let rule = problem.rule(self.version);
        let (mark, name, reference) = (summary::mark(problem), problem.as_str(), rule.reference);
        // The whole rule stands where it is broken for the first time, and in the summary.
        if self.summary.count(problem) == 0 {
            let asks = rule.asks;
            self.page.marked(
                mark,
                offset,
                0,
                format_args!("{name}: {detail} ({reference}: {asks})"),
            );
        } else {
            self.page.marked(
                mark,
                offset,
                0,
                format_args!("{name}: {detail} ({reference})"),
            );
        }
        self.summary
            .problem(self.source, problem, self.version, self.number);
    }

    pub(super) fn is_netflow9(&self) -> bool {
        self.version == 9
    }

    /// True where the datagram came over UDP: not out of a file of Messages.
    pub(super) fn is_udp(&self) -> bool {
        self.captured.exporter.port() != 0
    }

    /// The time that this datagram is of, as far as known.
    pub(super) fn now(&self, header: &Header) -> u64 {
        self.captured
            .time_milliseconds
            .unwrap_or(header.export_time_milliseconds)
    }

    pub(super) fn datagram(mut self, sessions: &mut Sessions) {
        let octets = self.captured.octets;
        let mut heading = Vec::new();
        if let Some(time) = self.captured.time_milliseconds {
            value::time(time, 3, &mut heading);
            heading.extend_from_slice(b"  ");
        }
        let exporter = self.captured.exporter;
        let from = if exporter.ip().is_unspecified() {
            summary::address(exporter.ip())
        } else {
            exporter.to_string()
        };
        self.page.heading(format_args!(
            "#{}  {}{from}  {} octets  {}",
            self.number,
            String::from_utf8_lossy(&heading),
            octets.len(),
            version_name(self.version),
        ));
        self.source = self.summary.source(exporter, 0, self.version);
        match self.version {
            10 => {
                let mut rest = octets;
                while !rest.is_empty() {
                    rest = self.ipfix(rest, sessions);
                }
            }
            9 => self.netflow9(octets, sessions),
            5 | 7 => self.fixed(octets, sessions),
            other => {
                self.problem(
                    0,
                    Problem::UnknownVersion,
                    format_args!("the version is {other}"),
                );
                self.hexadecimal(octets);
            }
        }
        self.page.heading(format_args!(""));
    }

    /// The end of a Message: what its sequence number says, and how many records there were.
    pub(super) fn end_message(
        &mut self,
        offset: usize,
        header: &Header,
        counted: Counted,
        octets: usize,
        sessions: &mut Sessions,
    ) {
        let tally = self.summary.tally(self.source);
        tally.messages += 1;
        tally.octets += u64::try_from(octets).unwrap_or_default();
        tally.records += u64::from(counted.records);
        tally.options_records += u64::from(counted.options_records);
        tally.templates += u64::from(counted.templates);
        let heard = Heard {
            sequence: header.sequence,
            records: (!counted.unread).then_some((counted.records, counted.options_records)),
        };
        let last = sessions.get(header.key).heard.replace(heard);
        if let Some(last) = last {
            self.sequence(offset, last, heard);
        }
    }

    fn sequence(&mut self, offset: usize, last: Heard, now: Heard) {
        let advance = now.sequence.wrapping_sub(last.sequence);
        let what = if self.version == 9 {
            "Messages"
        } else {
            "records"
        };
        let expected = match (self.version, last.records) {
            (9, _) => 1,
            (_, Some((records, options))) => records.saturating_add(options),
            (_, None) => return,
        };
        if advance == expected {
            return;
        }
        let own = now
            .records
            .map(|(records, options)| records.saturating_add(options));
        let without_options = last.records.map(|(records, _)| records);
        let meaning = if self.version != 9 && Some(advance) == without_options {
            Some("it leaves out options records")
        } else if self.version != 9 && Some(advance) == own {
            Some("it includes the Message's own records")
        } else if self.version == 10 && advance == 1 {
            Some("it counts Messages")
        } else if self.version == 9 && advance != 0 && Some(advance) == without_options {
            Some("it counts records")
        } else {
            None
        };
        let should_be = last.sequence.wrapping_add(expected);
        let missing = advance.wrapping_sub(expected);
        match meaning {
            Some(meaning) => self.problem(
                offset,
                Problem::SequenceMeaning,
                format_args!("{}, not {should_be}: {meaning}", now.sequence),
            ),
            None if missing < 1 << 31 => self.problem(
                offset,
                Problem::SequenceGap,
                format_args!(
                    "{}, not {should_be}: {missing} {what} are missing",
                    now.sequence
                ),
            ),
            None => self.problem(
                offset,
                Problem::SequenceBack,
                format_args!(
                    "{}, not {should_be}: late, sent twice, or the exporter began anew",
                    now.sequence
                ),
            ),
        }
    }

    //------------ Sets --------------------------------------------------------------------------

    pub(super) fn sets(
        &mut self,
        sets: &[u8],
        header: &Header,
        sessions: &mut Sessions,
    ) -> Counted {
        let mut counted = Counted::default();
        let mut cursor = Cursor(sets);
        while !cursor.0.is_empty() {
            let offset = self.offset(cursor.0);
            let here = cursor.0;
            let (Some(id), Some(length)) = (cursor.u16(), cursor.u16()) else {
                let left = here.len();
                self.problem(
                    offset,
                    Problem::SetOverrun,
                    format_args!("{left} octets are left, fewer than a Set header"),
                );
                break;
            };
            counted.sets += 1;
            let kind = SetKind::of(id, self.version);
            self.page.line(
                offset,
                0,
                format_args!("Set {id}: {}, {length} octets", kind.name()),
            );
            let Some(octets) = usize::from(length).checked_sub(SET_HEADER) else {
                self.problem(
                    offset + 2,
                    Problem::SetTooShort,
                    format_args!("it says {length} octets; nothing behind it can be read"),
                );
                self.hexadecimal(cursor.0);
                counted.unread = true;
                break;
            };
            let content = match cursor.take(octets) {
                Some(content) => content,
                None => {
                    let there = cursor.0;
                    self.problem(
                        offset + 2,
                        Problem::SetOverrun,
                        format_args!("it says {length} octets, {} are left", here.len()),
                    );
                    counted.unread = true;
                    cursor.0 = &[];
                    there
                }
            };
            if content.is_empty() {
                self.problem(
                    offset,
                    Problem::EmptySet,
                    format_args!("it has a header only"),
                );
                continue;
            }
            match kind {
                SetKind::Templates => {
                    templates::set(self, content, header, false, &mut counted, sessions);
                }
                SetKind::OptionsTemplates => {
                    templates::set(self, content, header, true, &mut counted, sessions);
                }
                SetKind::Data => {
                    records::set(self, id, content, header, &mut counted, sessions);
                }
                SetKind::Reserved => {
                    self.problem(
                        offset,
                        Problem::ReservedSet,
                        format_args!("{id} means nothing in {}", version_name(self.version)),
                    );
                    self.hexadecimal(content);
                }
            }
            if self.is_netflow9() && kind == SetKind::Data && length % 4 != 0 {
                self.problem(
                    offset + 2,
                    Problem::Unaligned,
                    format_args!("it has {length} octets"),
                );
            }
        }
        counted
    }

    /// Octets that nothing is known of, sixteen a line, the first few of them.
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
            self.page.line(
                offset,
                2,
                format_args!("{:<39}  {letters}", String::from_utf8_lossy(&text)),
            );
        }
        if let Some(left) = octets.len().checked_sub(16 * LINES).filter(|n| *n > 0) {
            let offset = self.offset(octets) + 16 * LINES;
            self.page
                .line(offset, 2, format_args!("… {left} octets more"));
        }
    }
}

/// What a Set holds, by its number.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SetKind {
    Templates,
    OptionsTemplates,
    Data,
    Reserved,
}

impl SetKind {
    const fn of(id: u16, version: u16) -> Self {
        match (id, version) {
            (0, 9) | (2, 10) => Self::Templates,
            (1, 9) | (3, 10) => Self::OptionsTemplates,
            (256.., _) => Self::Data,
            _ => Self::Reserved,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Templates => "Template Set",
            Self::OptionsTemplates => "Options Template Set",
            Self::Data => "Data Set",
            Self::Reserved => "reserved",
        }
    }
}
