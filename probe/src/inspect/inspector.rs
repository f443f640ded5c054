//! Which packets are inspected, and what they show.

use enum_map::EnumMap;
use flowproto::FlowKey;
use flowproto::host_name::NameSource;
use flowproto::protocol::{TCP, UDP};

use super::dns::{self, Message};
use super::dns_messages::{DnsMessage, DnsMessageKind, DnsMessages};
use super::dns_queries::{DnsQueries, needs_query};
use super::dns_stream::StreamMessages;
use super::http::host::{self, RequestHost};
use super::http::{HttpConnections, HttpCounters, HttpMessages};
use super::multicast_dns;
use super::name_table::NameTable;
use super::observed::{Observed, ObservedName};
use super::partial_messages::{MAX_OCTETS, PartialMessages};
use super::proxy_header;
use super::quic::{self, Handshakes, UnreadHandshake};
use super::tls;
use crate::decode::PacketInfo;

const UDP_HEADER: usize = 8;

/// Counts of an inspector since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InspectorCounters {
    /// Server names in TLS over TCP.
    pub tls: u64,
    /// Server names in QUIC.
    pub quic: u64,
    /// Those of both in a hello with an ECH extension.
    pub tls_encrypted: u64,
    /// Handshakes of QUIC without a `ClientHello` that can be read.
    pub unread_quic: EnumMap<UnreadHandshake, u64>,
    /// Hosts in HTTP requests.
    pub http: u64,
    /// `ClientHello`s whose later segments were not observed, or that are too long.
    pub incomplete_hellos: u64,
}

/// Which messages an inspector returns, besides the names that it learns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InspectorSettings {
    /// DNS messages, if names are learned.
    pub dns: bool,
    /// HTTP messages.
    pub http: bool,
}

/// Inspects the payloads of packets.
#[derive(Debug)]
pub struct Inspector {
    partial: PartialMessages,
    handshakes: Handshakes,
    queries: DnsQueries,
    /// Room for a stream that is put together.
    stream: Vec<u8>,
    /// Room for a message in several records.
    message: Vec<u8>,
    counters: InspectorCounters,
    has_dns: bool,
    /// `None` if HTTP is not metered.
    http: Option<HttpConnections>,
}

impl Inspector {
    /// Creates an inspector that has seen no packet yet.
    #[must_use]
    pub fn new(settings: InspectorSettings) -> Self {
        Self {
            partial: PartialMessages::default(),
            handshakes: Handshakes::default(),
            queries: DnsQueries::default(),
            stream: Vec::new(),
            message: Vec::new(),
            counters: InspectorCounters::default(),
            has_dns: settings.dns,
            http: settings.http.then(HttpConnections::default),
        }
    }

    /// Counts so far.
    #[must_use]
    pub fn counters(&self) -> InspectorCounters {
        InspectorCounters {
            incomplete_hellos: self.partial.incomplete_hellos(),
            unread_quic: *self.handshakes.unread(),
            ..self.counters
        }
    }

    /// Counts of HTTP messages, if HTTP is metered.
    #[must_use]
    pub fn http_counters(&self) -> HttpCounters {
        let http = self.http.as_ref();
        http.map_or_else(HttpCounters::default, HttpConnections::counters)
    }

    /// Inspects a packet as [`Self::inspect`] does, if names are learned, and reads its HTTP
    /// messages, if they are metered. Adds what it shows to `found`. True if it shows something.
    #[inline]
    pub fn observe(
        &mut self,
        packet: &PacketInfo,
        transport: &[u8],
        time_ns: u64,
        mut names: Option<&mut NameTable>,
        found: &mut Vec<Observed>,
    ) -> bool {
        let before = found.len();
        // Passed on as a value, it would be moved for every packet.
        if let Some(names) = names.as_deref_mut()
            && let Some(observed) = self.inspect(packet, transport, time_ns, names)
        {
            found.push(observed);
        }
        if self.http.is_some()
            && packet.key.protocol_identifier == TCP
            && let Some(messages) = self.read_http(packet, transport, time_ns)
        {
            let name = match found.get(before) {
                Some(Observed::Name(name)) => Some(name.clone()),
                _ => names.and_then(|names| self.authority(names)),
            };
            found.truncate(before);
            found.push(Observed::Http(messages, name));
        }
        found.len() > before
    }

    /// The host that a request of HTTP/2 names.
    fn authority(&mut self, names: &mut NameTable) -> Option<ObservedName> {
        let authority = self.http.as_ref()?.authority();
        if authority.is_empty() {
            return None;
        }
        let name = names.intern(authority)?;
        self.counters.http = self.counters.http.saturating_add(1);
        Some(ObservedName {
            name,
            source: NameSource::Http,
            is_encrypted: false,
        })
    }

    fn read_http(
        &mut self,
        packet: &PacketInfo,
        transport: &[u8],
        time_ns: u64,
    ) -> Option<HttpMessages> {
        let data = transport.get(tcp_header(transport)?..)?;
        self.http.as_mut()?.observe(packet, data, time_ns)
    }

    /// Inspects a packet whose transport header and payload are `transport`, as far as they were
    /// captured. Learns resolved names, and returns what else the payload shows.
    #[inline(always)]
    pub fn inspect(
        &mut self,
        packet: &PacketInfo,
        transport: &[u8],
        time_ns: u64,
        names: &mut NameTable,
    ) -> Option<Observed> {
        if !self.may_show(packet, transport) {
            return None;
        }
        self.inspect_payload(packet, transport, time_ns, names)
    }

    /// False for most packets that show nothing, without a call.
    #[inline(always)]
    fn may_show(&self, packet: &PacketInfo, transport: &[u8]) -> bool {
        match packet.key.protocol_identifier {
            TCP => {
                let first = tcp_header(transport).and_then(|octets| transport.get(octets));
                first.is_some_and(|first| begins_message(*first))
                    || !self.partial.is_empty()
                    || has_dns_port(&packet.key)
            }
            UDP => {
                has_dns_port(&packet.key) || transport.get(UDP_HEADER..).is_some_and(quic::begins)
            }
            _ => false,
        }
    }

    #[inline(never)]
    fn inspect_payload(
        &mut self,
        packet: &PacketInfo,
        transport: &[u8],
        time_ns: u64,
        names: &mut NameTable,
    ) -> Option<Observed> {
        let is_query = dns::is_to_server(&packet.key)
            && (self.has_dns || dns::is_at_unprivileged_port(&packet.key));
        let is_dns = is_query || dns::is_from_server(&packet.key);
        // Port 5353 is not reserved for DNS.
        let may_be_other = dns::is_at_unprivileged_port(&packet.key);
        match packet.key.protocol_identifier {
            TCP => {
                let data = transport.get(tcp_header(transport)?..)?;
                let first = data.first()?;
                if !begins_message(*first) && !is_dns && self.partial.is_empty() {
                    return None;
                }
                if is_dns && !may_be_other {
                    return self.inspect_dns_segment(packet, data, time_ns, names);
                }
                if is_dns {
                    let messages = StreamMessages(data);
                    let observed = self.inspect_dns(packet, messages, time_ns, names);
                    if observed.is_some() {
                        return observed;
                    }
                }
                self.inspect_segment(packet, data, time_ns, names)
                    .map(Observed::Name)
            }
            UDP => {
                let datagram = transport.get(UDP_HEADER..)?;
                if is_dns {
                    let message = std::iter::once(datagram);
                    let observed = self.inspect_dns(packet, message, time_ns, names);
                    if observed.is_some() || !may_be_other {
                        return observed;
                    }
                }
                if !quic::begins(datagram) {
                    return None;
                }
                self.inspect_datagram(packet, datagram, time_ns, names)
            }
            _ => None,
        }
    }

    #[cold]
    fn inspect_datagram(
        &mut self,
        packet: &PacketInfo,
        datagram: &[u8],
        time_ns: u64,
        names: &mut NameTable,
    ) -> Option<Observed> {
        let initial = self.handshakes.observe(&packet.key, datagram, time_ns)?;
        let hello = initial.message.and_then(tls::read_message);
        let hello = hello.unwrap_or_default();
        let name = hello.server_name.and_then(|name| names.intern(name));
        let Some(name) = name else {
            return Some(Observed::QuicClient);
        };
        self.counters.quic = self.counters.quic.saturating_add(1);
        let is_encrypted = u64::from(hello.is_encrypted);
        self.counters.tls_encrypted = self.counters.tls_encrypted.saturating_add(is_encrypted);
        Some(Observed::QuicName(ObservedName {
            name,
            source: NameSource::Tls,
            is_encrypted: hello.is_encrypted,
        }))
    }

    /// Inspects a segment of DNS. A message that continues is kept until it is whole, if it is not
    /// too long.
    fn inspect_dns_segment(
        &mut self,
        packet: &PacketInfo,
        data: &[u8],
        time_ns: u64,
        names: &mut NameTable,
    ) -> Option<Observed> {
        let mut stream = std::mem::take(&mut self.stream);
        let (mut completed, mut rest) = (&[][..], data);
        let beginning = self.partial.resume(packet, data, time_ns, &mut stream);
        if let Some(beginning_octets) = beginning {
            let missing = StreamMessages(&stream)
                .first_octets()
                .saturating_sub(beginning_octets);
            (completed, rest) = match data.split_at_checked(missing) {
                Some((_, rest)) => {
                    stream.truncate(beginning_octets.saturating_add(missing));
                    (&stream[..], rest)
                }
                None => (&[][..], &stream[..]),
            };
        }
        let (mut whole, partial) = StreamMessages(rest).split();
        let is_kept = partial.is_empty()
            || StreamMessages(partial).first_octets() <= MAX_OCTETS
                && self.partial.suspend(packet, data.len(), partial, time_ns);
        if !is_kept {
            whole = rest;
        }
        let messages = StreamMessages(completed).chain(StreamMessages(whole));
        let observed = self.inspect_dns(packet, messages, time_ns, names);
        self.stream = stream;
        observed
    }

    fn inspect_dns<'a>(
        &mut self,
        packet: &PacketInfo,
        messages: impl Iterator<Item = &'a [u8]>,
        time_ns: u64,
        names: &mut NameTable,
    ) -> Option<Observed> {
        let mut observed = DnsMessages::default();
        let is_ambiguous = dns::is_at_unprivileged_port(&packet.key);
        for message in messages {
            if is_ambiguous && is_multicast_dns(message) {
                continue;
            }
            let is_expected =
                !needs_query(&packet.key) || self.queries.observe(&packet.key, message, time_ns);
            if dns::is_from_server(&packet.key) {
                if is_expected {
                    names.learn(message, packet.key.destination_address, time_ns);
                } else {
                    names.refuse(message);
                }
            }
            if self.has_dns
                && let Some(message) = dns_message(message, is_ambiguous, names)
            {
                observed.push(message);
            }
        }
        (!observed.is_empty()).then_some(Observed::Dns(observed))
    }

    fn inspect_segment(
        &mut self,
        packet: &PacketInfo,
        data: &[u8],
        time_ns: u64,
        names: &mut NameTable,
    ) -> Option<ObservedName> {
        let segment_octets = data.len();
        let data = proxy_header::after(data).unwrap_or(data);
        if tls::begins(data) {
            return self.inspect_hello(packet, data, segment_octets, time_ns, names);
        }
        if host::begins(data) {
            return self.inspect_request(packet, data, segment_octets, time_ns, names);
        }
        if self.partial.is_empty() {
            return None;
        }
        let mut stream = std::mem::take(&mut self.stream);
        let beginning = self.partial.resume(packet, data, time_ns, &mut stream);
        let name = beginning.and_then(|_| {
            if tls::begins(&stream) {
                self.inspect_hello(packet, &stream, segment_octets, time_ns, names)
            } else {
                self.inspect_request(packet, &stream, segment_octets, time_ns, names)
            }
        });
        self.stream = stream;
        name
    }

    /// Inspects a stream that begins with a request and ends with the captured octets of a segment.
    fn inspect_request(
        &mut self,
        packet: &PacketInfo,
        stream: &[u8],
        segment_octets: usize,
        time_ns: u64,
        names: &mut NameTable,
    ) -> Option<ObservedName> {
        let name = match host::host(stream) {
            RequestHost::Named(name) => name,
            RequestHost::Continues => {
                if stream.len() < MAX_OCTETS {
                    self.partial
                        .suspend(packet, segment_octets, stream, time_ns);
                }
                return None;
            }
            RequestHost::None => return None,
        };
        let name = names.intern(name)?;
        self.counters.http = self.counters.http.saturating_add(1);
        Some(ObservedName {
            name,
            source: NameSource::Http,
            is_encrypted: false,
        })
    }

    /// Inspects a stream that begins with a hello and ends with the captured octets of a segment.
    fn inspect_hello(
        &mut self,
        packet: &PacketInfo,
        stream: &[u8],
        segment_octets: usize,
        time_ns: u64,
        names: &mut NameTable,
    ) -> Option<ObservedName> {
        let hello = tls::read(stream, &mut self.message)?;
        let is_complete = hello.octets <= stream.len();
        let continues = !is_complete
            && hello.octets <= MAX_OCTETS
            && self
                .partial
                .suspend(packet, segment_octets, stream, time_ns);
        if !is_complete && !continues {
            self.partial.give_up();
        }
        let name = names.intern(hello.server_name?)?;
        if !continues {
            self.counters.tls = self.counters.tls.saturating_add(1);
            let is_encrypted = u64::from(hello.is_encrypted);
            self.counters.tls_encrypted = self.counters.tls_encrypted.saturating_add(is_encrypted);
        }
        Some(ObservedName {
            name,
            source: NameSource::Tls,
            is_encrypted: hello.is_encrypted,
        })
    }
}

/// True if the question has a name of multicast DNS.
fn is_multicast_dns(message: &[u8]) -> bool {
    let question = Message::of(message).and_then(|message| message.question());
    question.is_some_and(|(name, _)| multicast_dns::is_name(name.text()))
}

/// Reads a query, or the response to one.
fn dns_message(message: &[u8], needs_query: bool, names: &mut NameTable) -> Option<DnsMessage> {
    let found = Message::of(message)?;
    let kind = if found.is_response {
        DnsMessageKind::Response(found.response_code)
    } else {
        let (name, query_type) = found.question()?;
        DnsMessageKind::Query(names.intern(name.text()), query_type)
    };
    Some(DnsMessage {
        id: found.id,
        kind,
        needs_query,
    })
}

/// True if a hello of TLS, a request of HTTP or a PROXY header can begin with this octet.
const fn begins_message(first: u8) -> bool {
    matches!(first, 22 | b'A'..=b'Z' | b'\r')
}

/// True if one of the ports may be that of a DNS server.
const fn has_dns_port(key: &FlowKey) -> bool {
    matches!(key.source_port, dns::PORT | dns::UNPRIVILEGED_PORT)
        || matches!(key.destination_port, dns::PORT | dns::UNPRIVILEGED_PORT)
}

/// Octets of a TCP header.
#[inline(always)]
fn tcp_header(transport: &[u8]) -> Option<usize> {
    let words = transport.get(12)? >> 4;
    (words >= 5).then_some(usize::from(words).saturating_mul(4))
}
