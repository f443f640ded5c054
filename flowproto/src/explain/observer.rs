//! Prints what a Collecting Process reads and does.

use std::sync::Arc;

use super::printer::Printer;
use super::{records, templates};
use crate::collector::{MessageTally, Observer};
use crate::record::FlowRecord;
use crate::rule::Rule;
use crate::sessions::{SequenceOutcome, TemplateOutcome};
use crate::template::Template;
use crate::wire::{
    DefinedFields, Definition, Event, MessageHeader, SetKind, Version, Violation,
    padding_violations,
};

/// Padding to this alignment can look like records of fewer octets.
const ALIGNMENT: usize = 4;

impl Printer<'_> {
    fn begin_record(&mut self, template: &Template) -> u32 {
        if self.records == 0 {
            self.name_width = templates::name_width(self, template);
        }
        self.records = self.records.saturating_add(1);
        self.records
    }
}

impl Observer for Printer<'_> {
    fn event(&mut self, offset: usize, event: &Event<'_>, header: &MessageHeader) {
        match *event {
            Event::Message => {
                self.message_offset = offset;
                self.message(offset, header);
            }
            Event::Set { id, length, kind } => {
                self.sets = self.sets.saturating_add(1);
                self.records = 0;
                let name = match kind {
                    SetKind::Templates => "Template Set",
                    SetKind::OptionsTemplates => "Options Template Set",
                    SetKind::Data => "Data Set",
                    SetKind::Reserved => "reserved",
                };
                self.page
                    .line(offset, 0, format_args!("Set {id}: {name}, {length} octets"));
            }
            Event::FixedRecords { .. } => self.records = 0,
            Event::Padding(octets) => self.padding(octets),
            Event::Unreadable(octets) => {
                self.has_unreadable = true;
                self.hexadecimal(octets);
            }
            Event::Violation(violation) => self.violation(offset, violation),
            // Printed with their outcome.
            Event::Template(_)
            | Event::Withdrawal { .. }
            | Event::Records { .. }
            | Event::EndOfMessage { .. } => {}
        }
    }

    fn template(
        &mut self,
        offset: usize,
        definition: &Definition,
        fields: &DefinedFields,
        outcome: TemplateOutcome,
    ) {
        self.has_unreadable |= definition.fault.is_some();
        templates::definition(self, offset, definition, fields);
        if definition.fault.is_none() {
            templates::outcome(self, offset, definition, fields, outcome);
        }
    }

    fn withdrawal(&mut self, offset: usize, id: u16, templates: usize) {
        let text = match id {
            2 => "Withdrawal of all templates".to_owned(),
            3 => "Withdrawal of all Options Templates".to_owned(),
            id => format!("Withdrawal of template {id}"),
        };
        self.page.line(offset, 1, format_args!("{text}"));
        // Messages of a file have no port.
        if self.captured.exporter.port() != 0 {
            self.broken(offset, Rule::Withdrawal, format_args!("of {id}"));
        }
        if templates == 0 {
            self.broken(offset, Rule::WithdrawalUnknown, format_args!("{id}"));
        }
    }

    fn unknown_template(&mut self, id: u16, content: &[u8], is_suspect: bool) {
        let offset = self.offset(content);
        if is_suspect {
            let text = "Not read before the next Message: the exporter may have restarted";
            self.page.line(offset, 1, format_args!("{text}"));
        } else {
            let detail = format_args!("template {id} has not been received");
            self.broken(offset, Rule::NoTemplate, detail);
        }
        self.hexadecimal(content);
    }

    fn begin_pending(&mut self, id: u16, content: &[u8], header: &MessageHeader) {
        self.begin_earlier_set(id, content, header);
    }

    fn end_pending(&mut self, tally: &MessageTally) {
        self.end_earlier_set();
        self.summary.add_records(self.source, tally);
    }

    fn record(&mut self, octets: &[u8], template: &Arc<Template>, flow: Option<&FlowRecord>) {
        let number = self.begin_record(template);
        let is_zero = octets.iter().all(|octet| *octet == 0);
        self.zeros = is_zero.then(|| (self.offset(octets), octets.len()));
        records::record(self, number, octets, template, flow);
    }

    fn end_of_records(&mut self, rest: &[u8], template: &Arc<Template>, is_cut: bool) {
        if is_cut {
            let number = self.begin_record(template);
            return records::cut_record(self, number, rest, template);
        }
        if let Some((offset, octets)) = self.zeros
            && octets < ALIGNMENT
            && self.records > 1
            && rest.is_empty()
        {
            let octets = u32::try_from(octets).unwrap_or(u32::MAX);
            self.violation(offset, Violation::RecordOfZeros { octets });
        }
        self.padding(rest);
        let offset = self.offset(rest);
        for violation in padding_violations(rest, template.minimum_length()) {
            self.violation(offset, violation);
        }
    }

    fn fixed_record(&mut self, octets: &[u8], flow: &FlowRecord) {
        let version = Version::from_repr(self.version);
        let layout = self.layouts.zip(version);
        let layout = layout.and_then(|(layouts, version)| layouts.of(version));
        let Some(template) = layout else {
            return;
        };
        let number = self.begin_record(template);
        // `octets` is the part that all versions have.
        let offset = self.offset(octets);
        let record = self.captured.octets.get(offset..).unwrap_or(octets);
        let record = record.get(..template.minimum_length()).unwrap_or(octets);
        records::record(self, number, record, template, Some(flow));
    }

    fn end_of_message(
        &mut self,
        header: &MessageHeader,
        octets: u32,
        tally: &MessageTally,
        sequence: SequenceOutcome,
    ) {
        self.check_count(header, tally);
        self.check_sequence(header, sequence);
        self.summary.add_message(self.source, octets, tally);
    }
}
