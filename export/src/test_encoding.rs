//! An encoding of flow records as IPFIX, for the tests of this crate.

use flowproto::exporter::{ExportSession, ExportSettings};
use flowproto::{FlowKey, FlowRecord};

use crate::session::{Encoding, SessionStart};

#[derive(Clone, Debug)]
pub(crate) struct Plain;

impl Encoding for Plain {
    type Session = ExportSession;

    fn begin(&self, start: SessionStart) -> ExportSession {
        ExportSession::new(ExportSettings {
            max_message_octets: start.max_message_octets,
            reliable: start.reliable,
            ..ExportSettings::default()
        })
    }

    fn flow_key(record: &FlowRecord) -> FlowKey {
        record.key
    }
}
