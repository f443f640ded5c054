//! The Exporting Process: flow records → IPFIX Messages for one target.

use crate::address::Address;
use crate::record::FlowRecord;

/// Who exports, and how.
#[derive(Clone, Debug)]
pub struct ExportSettings {
    /// Observation Domain ID of every Message.
    pub observation_domain_id: u32,
    /// 300 `observationDomainName`: the node's name, announced in an options record.
    pub observation_domain_name: String,
    /// 130/131: address of the exporter, announced beside the name; may be unspecified.
    pub exporter_address: Address,
    /// Octets of a Message at the most, ≥ 512 (RFC 7011 §10.3.3).
    pub max_message_octets: usize,
    /// Templates and the announcement go out again after so many milliseconds …
    pub template_refresh_milliseconds: u64,
    /// … or after so many Messages, whichever is first.
    pub template_refresh_messages: u32,
}

impl Default for ExportSettings {
    fn default() -> Self {
        Self {
            observation_domain_id: 0,
            observation_domain_name: String::new(),
            exporter_address: Address::UNSPECIFIED,
            max_message_octets: 1400,
            template_refresh_milliseconds: 60_000,
            template_refresh_messages: 4096,
        }
    }
}

/// A finished Message, to be sent as one datagram.
#[derive(Clone, Copy, Debug)]
pub struct OutgoingMessage<'a> {
    /// The octets.
    pub octets: &'a [u8],
    /// Data Records of flows in it (options data excluded).
    pub records: u32,
}

/// The Transport Session to one target: its templates, sequence number and the Message being filled.
#[derive(Debug)]
pub struct ExportSession {}

impl ExportSession {
    /// A session that has sent nothing.
    #[must_use]
    pub fn new(_settings: ExportSettings) -> Self {
        Self {}
    }

    /// Appends a record to the Message being filled. Messages that become full, and templates when they
    /// are due, go to `send`. `now_milliseconds` since the epoch becomes the export time.
    pub fn add(
        &mut self,
        _record: &FlowRecord,
        _now_milliseconds: u64,
        _send: &mut impl FnMut(OutgoingMessage<'_>),
    ) {
    }

    /// Sends what is in the Message being filled, and templates and announcement if they are due (also
    /// without any record). To be called whenever no record is waiting.
    pub fn flush(&mut self, _now_milliseconds: u64, _send: &mut impl FnMut(OutgoingMessage<'_>)) {}
}
