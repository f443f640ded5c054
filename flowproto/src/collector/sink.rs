//! The consumer of decoded records.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::address::Address;
use crate::field::FieldSpecifier;
use crate::json;
use crate::options::Metadata;
use crate::record::FlowRecord;
use crate::sessions::{Domain, SessionView};
use crate::template::Template;
use crate::traffic::TrafficRecord;
use crate::wire::Version;

/// The Message that a record came in.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Source address and port of the exporter.
    pub exporter: SocketAddr,
    /// Protocol.
    pub version: Version,
    /// Observation Domain ID (IPFIX), Source ID (v9), engine type × 256 + engine id (v5), 0 (v7,
    /// v1).
    pub observation_domain_id: u32,
    /// Export time of the Message header, milliseconds since the epoch.
    pub export_time_milliseconds: u64,
    /// Index of the Observation Domain in this Collecting Process. Small, and stable while the
    /// domain is known; reused, with another revision, after it was forgotten.
    pub domain_index: usize,
    /// What the Observation Domain has announced about itself.
    pub domain: &'a Domain,
}

/// Consumer of decoded records.
pub trait RecordSink {
    /// Called for every usable Message before its records, also for one without records, and again
    /// after options data in the middle of the Message have changed the domain.
    fn message(&mut self, message: &Message<'_>);
    /// Called for every Data Record (options data excluded) that [`Self::traffic`] has not taken.
    /// `fields` is the record as received.
    fn record(&mut self, message: &Message<'_>, record: &FlowRecord, fields: Fields<'_>);

    /// Whether [`Self::traffic`] can take records of the Set that follows. `have_health`: they can
    /// also have the health of a connection, or of DNS or HTTP messages.
    fn takes_traffic(&self, _have_health: bool) -> bool {
        false
    }

    /// Called for the addresses of each record of a Set before its first [`Self::traffic`], so that
    /// what is known of them can be read ahead.
    fn read_ahead(&self, _addresses: [Address; 2]) {}

    /// Takes a Data Record by its traffic alone. False if the sink needs the whole record:
    /// [`Self::record`] follows.
    fn traffic(&mut self, _record: &TrafficRecord) -> bool {
        false
    }
}

/// A Data Record as received: the fields in the order of its template.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a>(Source<'a>);

#[derive(Clone, Copy, Debug)]
enum Source<'a> {
    Template(&'a Arc<Template>, &'a [u8], SessionView<'a>),
    /// NetFlow v1, v5 and v7 have no template; the flow record has all their fields.
    Fixed(&'a FlowRecord),
}

impl<'a> Fields<'a> {
    pub(crate) const fn of_template(
        template: &'a Arc<Template>,
        record: &'a [u8],
        session: SessionView<'a>,
    ) -> Self {
        Self(Source::Template(template, record, session))
    }

    /// The fields of a record that has no template.
    #[must_use]
    pub const fn of_record(record: &'a FlowRecord) -> Self {
        Self(Source::Fixed(record))
    }

    /// The template and the octets of the record, to be kept for `CollectingProcess::fields`.
    /// `None` for records without template (NetFlow v1, v5 and v7).
    #[must_use]
    pub const fn octets(&self) -> Option<(&'a Arc<Template>, &'a [u8])> {
        match self.0 {
            Source::Template(template, octets, _) => Some((template, octets)),
            Source::Fixed(_) => None,
        }
    }

    /// Whether the template has the health of a connection: its state, losses, round-trip times,
    /// duration in milliseconds, or DNS messages. False for records without template (NetFlow v1,
    /// v5 and v7).
    #[inline]
    #[must_use]
    pub fn have_health(&self) -> bool {
        match self.0 {
            Source::Template(template, ..) => template.plan().has_health(),
            Source::Fixed(_) => false,
        }
    }

    /// Whether the record has the first octets of a packet instead of flow keys and counters
    /// (RFC 5476).
    #[must_use]
    pub fn are_packet_report(&self) -> bool {
        match self.0 {
            Source::Template(template, ..) => template.plan().has_packet(),
            Source::Fixed(_) => false,
        }
    }

    /// The fields with their values, in the order of the template. None for records without
    /// template (NetFlow v1, v5 and v7).
    pub fn values(&self) -> impl Iterator<Item = (FieldSpecifier, &'a [u8])> + use<'a> {
        let record = self.octets();
        let values = record.map(|(template, octets)| template.values(octets));
        values
            .into_iter()
            .flatten()
            .map(|(field, value)| (field.specifier, value))
    }

    /// The name that options data has for an interface of the exporter. `None` if it has none.
    #[must_use]
    pub fn interface_name(&self, index: u32) -> Option<&str> {
        match &self.0 {
            Source::Template(_, _, session) => session.interface(&index.to_be_bytes()),
            Source::Fixed(_) => None,
        }
    }

    /// Whether there is an element of one of these private enterprises.
    #[must_use]
    pub fn have_enterprise(&self, enterprises: &[u32]) -> bool {
        match self.0 {
            Source::Fixed(_) => false,
            Source::Template(template, ..) => template.has_enterprise(enterprises),
        }
    }

    /// Appends the fields to `out` as members of a JSON object, `"name":value` separated by commas
    /// and without braces. Appends nothing for a record without fields.
    ///
    /// Names are those of the registries, else of the exporter's type records (RFC 5610), else
    /// `PEN:ID` with hexadecimal octets. An element that occurs more than once has a list.
    /// Interfaces and applications named in options data have another member with the name. 149
    /// `observationDomainId` is left out: the caller writes it from the [`Message`].
    ///
    /// At most `limit` octets are written, if that is enough for one member of usual size: nested
    /// lists can be many times as long as the record. True if something is missing; what is there,
    /// is complete JSON.
    pub fn write_json(&self, limit: usize, out: &mut Vec<u8>) -> bool {
        match self.0 {
            Source::Fixed(record) => {
                json::write_record(record, out);
                false
            }
            Source::Template(template, record, session) => {
                json::write_members(template, record, &session, limit, out)
            }
        }
    }
}
