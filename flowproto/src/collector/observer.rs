//! Observation of a Collecting Process, step by step.

use std::sync::Arc;

use crate::record::FlowRecord;
use crate::sessions::{SequenceOutcome, TemplateOutcome};
use crate::template::Template;
use crate::wire::{DefinedFields, Definition, Event, MessageHeader};

/// Records of one Message.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct MessageTally {
    pub(crate) records: u32,
    pub(crate) options_records: u32,
    pub(crate) templates: u32,
    /// A part could not be read, so that the number of records is not known.
    pub(crate) has_unread: bool,
}

/// Observes what a Collecting Process reads in a datagram, and what it makes of it.
pub(crate) trait Observer {
    /// An event of the parser, before the process handles it. `header`: of the current Message.
    fn event(&mut self, _offset: usize, _event: &Event<'_>, _header: &MessageHeader) {}

    /// A template definition was handled.
    fn template(
        &mut self,
        _offset: usize,
        _definition: &Definition,
        _fields: &DefinedFields,
        _outcome: TemplateOutcome,
    ) {
    }

    /// A withdrawal was handled. `templates`: the number of templates withdrawn.
    fn withdrawal(&mut self, _offset: usize, _id: u16, _templates: usize) {}

    /// A Data Set has to wait for its template, or, if `is_suspect`, for the next Message, because
    /// its exporter may have restarted.
    fn unknown_template(&mut self, _id: u16, _content: &[u8], _is_suspect: bool) {}

    /// A Data Set that had to wait is read now. `header`: of its Message.
    fn begin_pending(&mut self, _id: u16, _content: &[u8], _header: &MessageHeader) {}

    /// The Data Set that had to wait was read. `tally`: its records.
    fn end_pending(&mut self, _tally: &MessageTally) {}

    /// A record was read; `flow` if it is not options data.
    fn record(&mut self, _octets: &[u8], _template: &Arc<Template>, _flow: Option<&FlowRecord>) {}

    /// The records of a Set were read. `rest`: what is left. `is_cut`: it is a record that runs
    /// past the end.
    fn end_of_records(&mut self, _rest: &[u8], _template: &Arc<Template>, _is_cut: bool) {}

    /// A record of v1, v5 or v7 was read.
    fn fixed_record(&mut self, _octets: &[u8], _flow: &FlowRecord) {}

    /// A Message was read.
    fn end_of_message(
        &mut self,
        _header: &MessageHeader,
        _octets: u32,
        _tally: &MessageTally,
        _sequence: SequenceOutcome,
    ) {
    }
}

/// Observes nothing.
pub(super) struct NoObserver;

impl Observer for NoObserver {}
