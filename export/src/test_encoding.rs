//! Flow records as IPFIX, for the tests of this crate.

use flowproto::exporter::{ExportSession, ExportSettings, NotCarried};
use flowproto::{FlowKey, FlowRecord};

use crate::{Encoding, Send, Session, SessionStart};

#[derive(Clone, Debug)]
pub(crate) struct Plain;

#[derive(Debug)]
pub(crate) struct PlainSession(ExportSession);

impl Session for PlainSession {
    type Record = FlowRecord;

    fn add(
        &mut self,
        record: &FlowRecord,
        now_milliseconds: u64,
        send: &mut Send<'_>,
    ) -> Result<(), NotCarried> {
        self.0.add(record, now_milliseconds, send)
    }

    fn flush(&mut self, now_milliseconds: u64, send: &mut Send<'_>) {
        self.0.flush(now_milliseconds, send);
    }

    fn close(&mut self, now_milliseconds: u64, send: &mut Send<'_>) {
        self.0.close(now_milliseconds, send);
    }

    fn refresh(&mut self) {
        self.0.refresh();
    }

    fn limit_message_octets(&mut self, octets: usize) {
        self.0.limit_message_octets(octets);
    }
}

impl Encoding for Plain {
    type Session = PlainSession;

    fn begin(&self, start: SessionStart) -> PlainSession {
        PlainSession(ExportSession::new(ExportSettings {
            max_message_octets: start.max_message_octets,
            reliable: start.reliable,
            ..ExportSettings::default()
        }))
    }

    fn flow_key(record: &FlowRecord) -> FlowKey {
        record.key
    }
}
