//! The Exporting Process: flow records → Messages for one target.
//!
//! * [`ExportSession`]: the Transport Session, in one of the protocol versions: [`ipfix`] (RFC
//!   7011), [`netflow9`] (RFC 3954), [`netflow5`];
//! * [`message`]: the writer of Messages, also for records of other layouts;
//! * [`layout`]: the fields of a record, from which its template and its octets are made;
//! * [`refresh`]: when templates are sent again;
//! * [`options`]: options data of IPFIX.
//!
//! Nothing here opens a socket: finished Messages are passed to a function, and time is an
//! argument.

mod connection_types;
mod dns;
mod flow;
mod http;
pub mod ipfix;
pub mod layout;
pub mod message;
pub mod netflow5;
pub mod netflow9;
pub mod options;
pub mod refresh;
mod responder_name;
mod shape;
mod tcp;
mod uptime;

pub use flow::fields;

use std::sync::Arc;

use crate::address::Address;
use crate::flow_selection::FlowHashSelection;
use crate::record::{FlowRecord, Sampling};

/// Protocol version of a session.
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

/// The Information Elements of IPFIX that a session uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// All that the exporter has, also enterprise-specific ones, and those of variable length in
    /// options data.
    #[default]
    All,
    /// Only those of the IANA registry, with fixed length, for collectors that cannot read others.
    /// A biflow (RFC 5103) becomes two records.
    Registered,
}

impl Profile {
    /// True if elements of this enterprise are sent; 0 is the IANA registry.
    #[must_use]
    pub const fn has(self, enterprise: u32) -> bool {
        match self {
            Self::All => true,
            Self::Registered => enterprise == 0,
        }
    }
}

/// Settings of an [`ExportSession`].
#[derive(Clone, Debug)]
pub struct ExportSettings {
    /// Protocol version.
    pub version: Version,
    /// The elements of IPFIX. Those of the NetFlow versions are fixed.
    pub profile: Profile,
    /// Observation Domain ID of every Message (Source ID in v9; its lower 16 bits are the engine of
    /// v5).
    pub observation_domain_id: u32,
    /// 300 `observationDomainName`: the node's name, sent in an options record, cut at 254 octets.
    pub observation_domain_name: String,
    /// 130/131: address of the exporter, sent with the name; unspecified to leave it out.
    pub exporter_address: Address,
    /// Maximum length of a Message, octets, ≥ 512 (RFC 7011 §10.3.3).
    pub max_message_octets: usize,
    /// Whether the transport is reliable (TCP, TLS, files). If so, templates are sent once, and
    /// withdrawn when they are out of use (RFC 7011 §8.1). Options data are repeated in either
    /// case.
    pub reliable: bool,
    /// Interval at which templates and options data are repeated, milliseconds.
    pub template_refresh_milliseconds: u64,
    /// Number of Messages after which they are repeated, if the interval has not passed before.
    pub template_refresh_messages: u32,
    /// Reliable transports: time after which an unused template is withdrawn, milliseconds.
    pub template_idle_milliseconds: u64,
}

impl Default for ExportSettings {
    fn default() -> Self {
        Self {
            version: Version::Ipfix,
            profile: Profile::All,
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

/// Counts of what a Message carries, for loss accounting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weight {
    /// Flow records (options data excluded). A split record counts with its last part.
    pub records: u64,
    /// Data Records beyond the first of one flow record: parts of a split, the reverse direction of
    /// a biflow.
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

/// A finished Message, to be sent as one datagram or in a stream.
#[derive(Clone, Copy, Debug)]
pub struct OutgoingMessage<'a> {
    /// Octets on the wire.
    pub octets: &'a [u8],
    /// Its content.
    pub weight: Weight,
}

/// Receives finished Messages.
pub type Send<'a> = dyn FnMut(OutgoingMessage<'_>) + 'a;

/// Reason why a protocol version cannot carry a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsupported {
    /// NetFlow v5 has no IPv6 addresses.
    Ipv6,
}

/// Content of options data about the Metering and the Exporting Process.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Packet sampling (RFC 5477).
    pub sampling: Sampling,
    /// Selection of flows by hash (RFC 7014), after the sampling of packets. NetFlow has none: it
    /// is announced as sampling of packets.
    pub flow_selection: Option<FlowHashSelection>,
    /// The interface table.
    pub interfaces: Arc<[InterfaceName]>,
    /// Counts since the start of the processes.
    pub statistics: Statistics,
}

impl Facts {
    /// What octets and packets stand for.
    fn scale(&self) -> Sampling {
        let flows = self.flow_selection.map(FlowHashSelection::sampling);
        self.sampling.and(flows.unwrap_or_default())
    }
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

/// Counts of a Metering Process, and of what its Exporting Process could not send to this target
/// (RFC 7011 §4.1–4.3). The session itself counts what was sent.
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

/// The Transport Session to one target: its templates, sequence number and the Message being
/// filled.
#[derive(Debug)]
pub struct ExportSession(Kind);

#[derive(Debug)]
enum Kind {
    Ipfix(Box<ipfix::Session>),
    Netflow9(Box<netflow9::Session>),
    Netflow5(Box<netflow5::Session>),
}

impl ExportSession {
    /// Creates a session that has sent nothing.
    #[must_use]
    pub fn new(settings: ExportSettings) -> Self {
        Self(match settings.version {
            Version::Ipfix => Kind::Ipfix(Box::new(ipfix::Session::new(settings))),
            Version::Netflow9 => Kind::Netflow9(Box::new(netflow9::Session::new(settings))),
            Version::Netflow5 => Kind::Netflow5(Box::new(netflow5::Session::new(&settings))),
        })
    }

    /// Appends a record to the current Message. Full Messages, and templates when they are due, are
    /// passed to `send`. `now_milliseconds` since the epoch becomes the export time.
    ///
    /// # Errors
    /// The protocol version cannot carry the record.
    #[inline]
    pub fn add(
        &mut self,
        record: &FlowRecord,
        now_milliseconds: u64,
        send: &mut Send<'_>,
    ) -> Result<(), Unsupported> {
        match &mut self.0 {
            Kind::Ipfix(session) => session.add(record, now_milliseconds, send),
            Kind::Netflow9(session) => session.add(record, now_milliseconds, send),
            Kind::Netflow5(session) => return session.add(record, now_milliseconds, send),
        }
        Ok(())
    }

    /// Sends the current Message, and templates and options data if they are due, even without
    /// records. To be called when no record is waiting.
    pub fn flush(&mut self, now_milliseconds: u64, send: &mut Send<'_>) {
        match &mut self.0 {
            Kind::Ipfix(session) => session.flush(now_milliseconds, send),
            Kind::Netflow9(session) => session.flush(now_milliseconds, send),
            Kind::Netflow5(session) => session.flush(now_milliseconds, send),
        }
    }

    /// Sends the current Message. On a reliable transport, also sends the final counts, and
    /// withdraws all templates (RFC 7011 §8.1), which is forbidden over UDP.
    pub fn close(&mut self, now_milliseconds: u64, send: &mut Send<'_>) {
        match &mut self.0 {
            Kind::Ipfix(session) => session.close(now_milliseconds, send),
            _ => self.flush(now_milliseconds, send),
        }
    }

    /// Replaces the content of options data, from the next time on that they are sent.
    pub fn renew(&mut self, facts: Facts) {
        match &mut self.0 {
            Kind::Ipfix(session) => session.renew(facts),
            Kind::Netflow9(session) => session.renew(facts),
            Kind::Netflow5(session) => session.renew(&facts),
        }
    }

    /// Makes templates and options data due, for a receiver that may be a new one.
    pub fn refresh(&mut self) {
        match &mut self.0 {
            Kind::Ipfix(session) => session.refresh_soon(),
            Kind::Netflow9(session) => session.refresh_soon(),
            Kind::Netflow5(_) => {}
        }
    }

    /// Sets the maximum length of Messages, after a change of the path MTU. Clamped to ≥ 512.
    pub fn limit_message_octets(&mut self, octets: usize) {
        match &mut self.0 {
            Kind::Ipfix(session) => session.limit_message_octets(octets),
            Kind::Netflow9(session) => session.limit_message_octets(octets),
            Kind::Netflow5(session) => session.limit_message_octets(octets),
        }
    }
}

/// Minimum of the maximum length. RFC 7011 §10.3.3 requires 512 octets for unknown paths; templates
/// do not fit into less.
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

/// A length or count in 16 bits. A Message is shorter than 65,536 octets.
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
