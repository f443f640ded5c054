//! The Exporting Process: flow records → Messages for one target.
//!
//! * [`ExportSession`]: the Transport Session, in one of the versions of the protocol:
//!   [`ipfix`] (RFC 7011), [`netflow9`] (RFC 3954), [`netflow5`];
//! * [`message`]: how an IPFIX Message is put together, for who writes records of other shapes;
//! * [`options`]: what IPFIX options data say of the exporter.
//!
//! Nothing here sends: finished Messages go to a function, and time comes in as an argument.

pub mod ipfix;
pub mod message;
pub mod netflow5;
pub mod netflow9;
pub mod options;
mod shape;
mod uptime;

pub use shape::fields;

use std::sync::Arc;

use crate::address::Address;
use crate::record::{FlowRecord, Sampling};

/// Version of the protocol that a session speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// IPFIX, RFC 7011.
    #[default]
    Ipfix,
    /// NetFlow version 9, RFC 3954.
    Netflow9,
    /// NetFlow version 5.
    Netflow5,
}

/// Who exports, and how.
#[derive(Clone, Debug)]
pub struct ExportSettings {
    /// The version of the protocol.
    pub version: Version,
    /// Observation Domain ID of every Message (Source ID in v9; its lower 16 bits are the engine of v5).
    pub observation_domain_id: u32,
    /// 300 `observationDomainName`: the node's name, announced in an options record. At most 254 octets
    /// are sent.
    pub observation_domain_name: String,
    /// 130/131: address of the exporter, announced beside the name; may be unspecified.
    pub exporter_address: Address,
    /// Octets of a Message at the most, ≥ 512 (RFC 7011 §10.3.3).
    pub max_message_octets: usize,
    /// The transport loses nothing (TCP, TLS, files): templates go out once, and are withdrawn when they are
    /// out of use (RFC 7011 §8.1). Options data go out again all the same.
    pub reliable: bool,
    /// Templates and options data go out again after so many milliseconds …
    pub template_refresh_milliseconds: u64,
    /// … or after so many Messages, whichever is first.
    pub template_refresh_messages: u32,
    /// On a reliable transport, a template that no record needed for so long is withdrawn, milliseconds.
    pub template_idle_milliseconds: u64,
}

impl Default for ExportSettings {
    fn default() -> Self {
        Self {
            version: Version::Ipfix,
            observation_domain_id: 0,
            observation_domain_name: String::new(),
            exporter_address: Address::UNSPECIFIED,
            max_message_octets: 1400,
            reliable: false,
            template_refresh_milliseconds: 60_000,
            template_refresh_messages: 4096,
            template_idle_milliseconds: 1_800_000,
        }
    }
}

/// What a Message tells of, for who has to account for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weight {
    /// Flow records (options data excluded). One that was split counts with its last part.
    pub records: u64,
    /// Data Records beyond the first for one flow record: parts of a split, the way back of a biflow.
    pub split: u64,
    /// Packets in those records.
    pub packets: u64,
    /// Octets in those records.
    pub octets: u64,
}

impl Weight {
    /// Adds a record.
    pub const fn add(&mut self, record: &FlowRecord) {
        self.records = self.records.saturating_add(1);
        self.packets = self
            .packets
            .saturating_add(record.packet_delta_count)
            .saturating_add(record.reverse_packet_delta_count);
        self.octets = self
            .octets
            .saturating_add(record.octet_delta_count)
            .saturating_add(record.reverse_octet_delta_count);
    }
}

/// A finished Message, to be sent as one datagram, or in a stream.
#[derive(Clone, Copy, Debug)]
pub struct OutgoingMessage<'a> {
    /// The octets.
    pub octets: &'a [u8],
    /// What is in it.
    pub weight: Weight,
}

/// Where finished Messages go.
pub type Send<'a> = dyn FnMut(OutgoingMessage<'_>) + 'a;

/// Why the version of the protocol has no place for a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotCarried {
    /// NetFlow v5 has no IPv6 addresses.
    Ipv6,
}

/// What options data tell of the Metering and the Exporting Process.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Packets selected of all (RFC 5477).
    pub sampling: Sampling,
    /// Interfaces with their names.
    pub interfaces: Arc<[InterfaceName]>,
    /// Counts since the processes began.
    pub statistics: Statistics,
}

/// One row of the interface table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceName {
    /// 10 `ingressInterface` and 14 `egressInterface`: the ifIndex.
    pub index: u32,
    /// 82 `interfaceName`.
    pub name: String,
    /// 83 `interfaceDescription`.
    pub description: String,
}

/// Counts of a Metering Process and of what its Exporting Process could not send to this target (RFC 7011
/// §4.1–4.3). What was sent the session counts itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// 163 `observedFlowTotalCount`: flow records made.
    pub observed_flows: u64,
    /// 164 `ignoredPacketTotalCount`: packets that could not be metered.
    pub ignored_packets: u64,
    /// 165 `ignoredOctetTotalCount`: octets of those.
    pub ignored_octets: u64,
    /// 166 `notSentFlowTotalCount`: flow records that did not reach the target.
    pub not_sent_flows: u64,
    /// 167 `notSentPacketTotalCount`: packets in those.
    pub not_sent_packets: u64,
    /// 168 `notSentOctetTotalCount`: octets in those.
    pub not_sent_octets: u64,
}

/// The Transport Session to one target: its templates, sequence number and the Message being filled.
#[derive(Debug)]
pub struct ExportSession(Kind);

#[derive(Debug)]
enum Kind {
    Ipfix(Box<ipfix::Session>),
    Netflow9(Box<netflow9::Session>),
    Netflow5(Box<netflow5::Session>),
}

impl ExportSession {
    /// A session that has sent nothing.
    #[must_use]
    pub fn new(settings: ExportSettings) -> Self {
        Self(match settings.version {
            Version::Ipfix => Kind::Ipfix(Box::new(ipfix::Session::new(settings))),
            Version::Netflow9 => Kind::Netflow9(Box::new(netflow9::Session::new(settings))),
            Version::Netflow5 => Kind::Netflow5(Box::new(netflow5::Session::new(&settings))),
        })
    }

    /// Appends a record to the Message being filled. Messages that become full, and templates when they
    /// are due, go to `send`. `now_milliseconds` since the epoch becomes the export time.
    ///
    /// # Errors
    /// The version has no place for such a record; it is in no Message.
    #[inline]
    pub fn add(
        &mut self,
        record: &FlowRecord,
        now_milliseconds: u64,
        send: &mut Send<'_>,
    ) -> Result<(), NotCarried> {
        match &mut self.0 {
            Kind::Ipfix(session) => session.add(record, now_milliseconds, send),
            Kind::Netflow9(session) => session.add(record, now_milliseconds, send),
            Kind::Netflow5(session) => return session.add(record, now_milliseconds, send),
        }
        Ok(())
    }

    /// Sends what is in the Message being filled, and templates and options data if they are due (also
    /// without any record). To be called whenever no record is waiting.
    pub fn flush(&mut self, now_milliseconds: u64, send: &mut Send<'_>) {
        match &mut self.0 {
            Kind::Ipfix(session) => session.flush(now_milliseconds, send),
            Kind::Netflow9(session) => session.flush(now_milliseconds, send),
            Kind::Netflow5(session) => session.flush(now_milliseconds, send),
        }
    }

    /// Sends what is left. On a reliable transport, the last counts are told and all templates are withdrawn (RFC 7011 §8.1); over UDP
    /// that must not be.
    pub fn close(&mut self, now_milliseconds: u64, send: &mut Send<'_>) {
        match &mut self.0 {
            Kind::Ipfix(session) => session.close(now_milliseconds, send),
            _ => self.flush(now_milliseconds, send),
        }
    }

    /// What options data say from the next time on.
    pub fn renew(&mut self, facts: Facts) {
        match &mut self.0 {
            Kind::Ipfix(session) => session.renew(facts),
            Kind::Netflow9(session) => session.renew(facts),
            Kind::Netflow5(session) => session.renew(&facts),
        }
    }

    /// Templates and options data are due: the receiver may be another one than before.
    pub fn refresh(&mut self) {
        match &mut self.0 {
            Kind::Ipfix(session) => session.refresh_soon(),
            Kind::Netflow9(session) => session.refresh_soon(),
            Kind::Netflow5(_) => {}
        }
    }

    /// No Message is longer than this from now on: the path changed. Less than 512 is not heeded.
    pub fn limit_message_octets(&mut self, octets: usize) {
        match &mut self.0 {
            Kind::Ipfix(session) => session.limit_message_octets(octets),
            Kind::Netflow9(session) => session.limit_message_octets(octets),
            Kind::Netflow5(session) => session.limit_message_octets(octets),
        }
    }
}

/// RFC 7011 §10.3.3 asks for 512 octets where the path is unknown; below that templates do not fit.
const MINIMUM_MESSAGE: usize = 512;

fn message_octets(octets: usize) -> usize {
    octets.clamp(MINIMUM_MESSAGE, usize::from(u16::MAX))
}

#[inline]
fn put<const N: usize>(out: &mut Vec<u8>, octets: [u8; N]) {
    out.extend_from_slice(&octets);
}

fn patch<const N: usize>(message: &mut [u8], at: usize, octets: [u8; N]) {
    let place = at.checked_add(N).and_then(|end| message.get_mut(at..end));
    if let Some(place) = place {
        place.copy_from_slice(&octets);
    }
}

/// A length or count; a Message is shorter than 65,536 octets, so it fits.
fn count(value: usize) -> u16 {
    u16::try_from(value).unwrap_or(u16::MAX)
}

/// The longest prefix of `text` of at most `octets` octets that is still UTF-8.
fn prefix(text: &str, octets: usize) -> &str {
    (0..=octets.min(text.len()))
        .rev()
        .find_map(|end| text.get(..end))
        .unwrap_or_default()
}
