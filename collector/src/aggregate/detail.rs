//! Details: properties of a record that its endpoints do not determine, as far as an active family
//! needs them.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use flowproto::Address;
use flowproto::record::{SecurityProtocol, TunnelType};
use flowproto::tcp::ConnectionState;

use super::field::{EndpointField, Field, RecordField};
use super::host_wildcards::HostWildcards;
use crate::inventory::EndpointId;
use crate::pipeline::{DecidedRecord, Initiator};

/// A part of a [`Detail`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Addresses,
    Ports,
    ServerPort,
    Protocol,
    Dscp,
    Initiator,
    Exporter,
    Interfaces,
    AsNumbers,
    Services,
    Hosts,
    Encapsulation,
    Security,
    TcpEnd,
    ConnectionDuration,
    FlowDuration,
}

/// The details of records that families need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DetailParts(u32);

impl DetailParts {
    /// No part: all records between two endpoints are counted together.
    pub const NONE: Self = Self(0);

    /// All parts.
    pub(super) const ALL: Self = Self(u32::MAX);

    /// The parts that a field needs.
    #[must_use]
    pub const fn of(field: &Field) -> Self {
        let part = match field {
            Field::Endpoint(_, EndpointField::Address) => Part::Addresses,
            Field::Endpoint(_, EndpointField::Port) => Part::Ports,
            Field::Endpoint(_, EndpointField::Service) => Part::Services,
            Field::Endpoint(_, EndpointField::Host) => Part::Hosts,
            Field::Endpoint(_, EndpointField::BgpAsNumber) => Part::AsNumbers,
            Field::Record(RecordField::Port) => Part::ServerPort,
            Field::Record(RecordField::Protocol) => Part::Protocol,
            Field::Record(RecordField::Dscp) => Part::Dscp,
            Field::Record(RecordField::Initiator) => Part::Initiator,
            Field::Record(RecordField::Exporter) => Part::Exporter,
            Field::Record(RecordField::InputInterface | RecordField::OutputInterface) => {
                Part::Interfaces
            }
            Field::Record(RecordField::Encapsulation) => Part::Encapsulation,
            Field::Record(RecordField::SecurityProtocol) => Part::Security,
            Field::Record(RecordField::TcpEnd) => Part::TcpEnd,
            Field::Record(RecordField::ConnectionDuration) => Part::ConnectionDuration,
            Field::Record(RecordField::FlowDuration) => Part::FlowDuration,
            Field::Record(RecordField::Class | RecordField::Scope | RecordField::Direction)
            | Field::Endpoint(..)
            | Field::Label(..)
            | Field::NamespaceLabel(..) => {
                return Self::NONE;
            }
        };
        Self(1 << part.bit())
    }

    /// The parts of both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// True if there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// True if they need [`FlowExtras`](crate::pipeline::FlowExtras) of every record.
    #[must_use]
    pub const fn need_extras(self) -> bool {
        self.has(Part::Dscp)
            || self.has(Part::Interfaces)
            || self.has(Part::AsNumbers)
            || self.has(Part::Initiator)
            || self.has(Part::ServerPort)
            || self.has(Part::TcpEnd)
            || self.has(Part::ConnectionDuration)
            || self.has(Part::FlowDuration)
    }

    /// True if they need the names of the interfaces of every record.
    #[must_use]
    pub const fn need_interfaces(self) -> bool {
        self.has(Part::Interfaces)
    }

    /// True if a record that has nothing but traffic has one of them. It has neither names nor an
    /// outer header, and its Services are endpoints themselves.
    #[must_use]
    pub const fn are_in_traffic(self) -> bool {
        let absent =
            1 << Part::Hosts.bit() | 1 << Part::Encapsulation.bit() | 1 << Part::Services.bit();
        self.0 & !absent != 0
    }

    const fn has(self, part: Part) -> bool {
        self.0 & 1 << part.bit() != 0
    }
}

impl Part {
    #[expect(clippy::as_conversions, reason = "the variants are numbered from 0")]
    const fn bit(self) -> u32 {
        self as u32
    }
}

/// The properties of a record. Those that no family needs have their default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Detail {
    pub(super) source: EndDetail,
    pub(super) destination: EndDetail,
    pub(super) exporter: Address,
    pub(super) input_interface: Option<Arc<str>>,
    pub(super) output_interface: Option<Arc<str>>,
    pub(super) server_port: Option<u16>,
    pub(super) protocol: Option<u8>,
    pub(super) dscp: Option<u8>,
    pub(super) initiator: Option<Initiator>,
    pub(super) encapsulation: Option<TunnelType>,
    pub(super) security_protocol: SecurityProtocol,
    pub(super) tcp_connection_state: ConnectionState,
    pub(super) connection_seconds: Option<u32>,
    pub(super) flow_seconds: Option<u32>,
}

/// What a record has of one of its ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct EndDetail {
    pub(super) address: Address,
    pub(super) service: Option<EndpointId>,
    pub(super) as_number: u32,
    pub(super) port: Option<u16>,
    pub(super) host: Option<Arc<str>>,
}

/// Not derived, so that it is inlined: of each record that has details, the hash is taken.
impl Hash for EndDetail {
    #[inline(always)]
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self {
            address,
            service,
            as_number,
            port,
            host,
        } = self;
        address.hash(state);
        service.hash(state);
        as_number.hash(state);
        port.hash(state);
        host.hash(state);
    }
}

impl Detail {
    /// True if the record has none of the properties that families need.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The parts of a record.
    pub(super) fn of(
        record: &DecidedRecord<'_>,
        parts: DetailParts,
        wildcards: &HostWildcards,
    ) -> Self {
        let mut detail = Self::default();
        detail.fill(record, parts, wildcards);
        detail
    }

    /// Sets the parts of a record. In place: a detail is large, and every record with details needs
    /// one.
    pub(super) fn fill(
        &mut self,
        record: &DecidedRecord<'_>,
        parts: DetailParts,
        wildcards: &HostWildcards,
    ) {
        let (flow, extras) = (record.flow, record.extras);
        let (source, destination) = (&mut self.source, &mut self.destination);
        let has_ports = flow.has_ports();
        let initiator = extras
            .map(|extras| extras.initiator_of(flow))
            .unwrap_or_default();
        if parts.has(Part::Addresses) {
            [source.address, destination.address] = record.addresses();
        }
        if parts.has(Part::Ports) && has_ports {
            source.port = Some(flow.source_port);
            destination.port = Some(flow.destination_port);
        }
        if parts.has(Part::ServerPort) && has_ports {
            self.server_port = match initiator {
                Initiator::Source => Some(flow.destination_port),
                Initiator::Destination => Some(flow.source_port),
                Initiator::Unknown => None,
            };
        }
        if parts.has(Part::Services) {
            source.service = record.endpoints.source.service;
            destination.service = record.endpoints.destination.service;
        }
        if parts.has(Part::Protocol) {
            self.protocol = Some(flow.protocol);
        }
        if parts.has(Part::Initiator) {
            self.initiator = Some(initiator);
        }
        if parts.has(Part::Exporter) {
            self.exporter = record.origin.address();
        }
        if parts.has(Part::Hosts) {
            let hosts = record.host_names();
            [source.host, destination.host] = hosts.map(|host| Some(wildcards.label(host?)));
        }
        if parts.has(Part::Security) {
            self.security_protocol = flow.security_protocol;
        }
        let Some(extras) = extras else {
            return;
        };
        // The opposite direction of a biflow is assumed to have the same kind of tunnel.
        if parts.has(Part::Encapsulation) {
            self.encapsulation = extras.tunnel_type;
        }
        // Class of service, interfaces, AS numbers and state are those of the record's own
        // direction.
        if parts.has(Part::TcpEnd) && flow.is_forward() {
            self.tcp_connection_state = extras.tcp_connection_state;
        }
        if parts.has(Part::ConnectionDuration) && flow.is_forward() {
            self.connection_seconds = extras.connection_seconds;
        }
        if parts.has(Part::FlowDuration) {
            self.flow_seconds = extras.flow_seconds;
        }
        if parts.has(Part::Dscp) && flow.is_forward() {
            self.dscp = Some(extras.ip_class_of_service >> 2);
        }
        if parts.has(Part::Interfaces) && flow.is_forward() {
            let [input, output] = &extras.interfaces;
            self.input_interface.clone_from(input);
            self.output_interface.clone_from(output);
        }
        if parts.has(Part::AsNumbers) {
            [source.as_number, destination.as_number] = flow.sides(extras.bgp_as_numbers);
        }
    }

    /// The parts of the opposite direction. Class of service and interfaces are not those of the
    /// record.
    pub(super) fn reversed(self) -> Self {
        Self {
            source: self.destination,
            destination: self.source,
            input_interface: None,
            output_interface: None,
            dscp: None,
            initiator: self.initiator.map(Initiator::reversed),
            ..self
        }
    }
}
