//! Fields: what is known of an edge or a record, by the names that expressions, labels and the API
//! use.
//!
//! A field of an endpoint has a side: `src.namespace`, `dst.address`. Of traffic that crosses the
//! border of the cluster, `internal.` is the endpoint in the cluster and `external.` the other one,
//! whichever of the two sends. A field of the record has none: `port`, `class`.

use std::fmt;
use std::sync::Arc;

use flowproto::{Address, protocol};
use strum::{Display, EnumString, IntoStaticStr, VariantArray};

/// An endpoint of an edge.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Display, EnumString, VariantArray,
)]
#[strum(serialize_all = "snake_case")]
pub enum Side {
    /// The sender.
    #[strum(serialize = "src")]
    Source,
    /// The receiver.
    #[strum(serialize = "dst")]
    Destination,
    /// The endpoint in the cluster, of traffic with exactly one such endpoint. Otherwise its fields
    /// are absent.
    Internal,
    /// The endpoint outside the cluster, of traffic with exactly one such endpoint. Otherwise its
    /// fields are absent.
    External,
}

/// A property of one endpoint.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Display,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
#[strum(serialize_all = "snake_case")]
pub enum EndpointField {
    /// `class`: `pod`, `node`, `service` or `external`.
    Class,
    /// Namespace of a pod or Service.
    Namespace,
    /// Kind of the workload: `Deployment`, `Node`, `External`, …
    Kind,
    /// Name of the workload.
    Workload,
    /// Name of the pod.
    Pod,
    /// Name of the Service to whose virtual address the packets were sent.
    Service,
    /// Name of the node.
    Node,
    /// Topology zone of the node.
    Zone,
    /// Topology region of the node.
    Region,
    /// Node pool.
    Pool,
    /// IP address. Of the two of a translation, the one of the endpoint.
    Address,
    /// Transport port. An initiator chooses a new one for each connection: rarely a good label.
    Port,
    /// Name of the longest named CIDR that contains the address.
    Cidr,
    /// Name of an external endpoint: host name, else Service, else named CIDR.
    Name,
    /// Host name by which the client reached an external endpoint.
    Host,
    /// Number of the autonomous system.
    AsNumber,
    /// Organization of the autonomous system.
    AsName,
    /// Number of the autonomous system as the exporter reports it (16 `bgpSourceAsNumber`, 17
    /// `bgpDestinationAsNumber`).
    BgpAsNumber,
    /// Country of the address, ISO 3166-1 alpha-2.
    Country,
    /// Cloud of the address.
    CloudProvider,
    /// The cloud's name of the service.
    CloudService,
    /// The cloud's name of the region.
    CloudRegion,
}

/// A property of the traffic between two endpoints.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Display, EnumString, VariantArray,
)]
#[strum(serialize_all = "snake_case")]
pub enum RecordField {
    /// Port of the server: of the endpoint that did not open the connection. Absent if the
    /// initiator is unknown.
    Port,
    /// IP protocol, by name if it has a common one: `tcp`, `udp`, `icmp`; else by number.
    Protocol,
    /// Differentiated Services code point, 0–63.
    Dscp,
    /// Class of traffic: `pod_to_pod`, `pod_to_external`, `intra_node`, …
    Class,
    /// `internal` or `external`.
    Scope,
    /// `egress` if the traffic leaves the cluster, `ingress` if it enters, `internal` if it does
    /// neither, `transit` if both endpoints are external.
    Direction,
    /// The endpoint that opened the connection: `src`, `dst` or `unknown`.
    Initiator,
    /// Address of the exporter.
    Exporter,
    /// Interface through which the packets entered the exporter: its name, else its ifIndex.
    InputInterface,
    /// Interface through which the packets left the exporter: its name, else its ifIndex.
    OutputInterface,
    /// Encapsulation of the packets on the wire: `vxlan`, `geneve`, `gre`, `ipip`, …; absent
    /// without a tunnel.
    Encapsulation,
    /// What protects the packets: `esp`, `ah` or `wireguard`; absent if nothing was recognized.
    SecurityProtocol,
    /// How a TCP connection ended: `closed`, `reset`, `refused`, `unanswered`; `open` if it has
    /// not.
    TcpEnd,
    /// Duration of the connection that the record reports, whole seconds; absent if it reports
    /// none.
    ConnectionDuration,
    /// Time between the first and the last packet of the record, whole seconds; absent if it does
    /// not report it.
    FlowDuration,
}

/// A field.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Field {
    /// `src.namespace`: a property of an endpoint.
    Endpoint(Side, EndpointField),
    /// `src.label["team"]`: a label of the pod.
    Label(Side, Arc<str>),
    /// `src.namespace_label["team"]`: a label of the namespace.
    NamespaceLabel(Side, Arc<str>),
    /// `port`: a property of the traffic.
    Record(RecordField),
}

/// The type of a field's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldType {
    /// Text.
    Text,
    /// An unsigned number.
    Number,
    /// An IP protocol, by name or by number.
    Protocol,
    /// An IP address.
    Address,
}

impl Field {
    /// All fields but labels, which are as many as there are keys.
    pub fn all() -> impl Iterator<Item = Self> {
        let of_side = |side: &Side| {
            let side = *side;
            let fields = EndpointField::VARIANTS.iter();
            fields.map(move |field| Self::Endpoint(side, *field))
        };
        let of_record = RecordField::VARIANTS.iter().copied().map(Self::Record);
        Side::VARIANTS.iter().flat_map(of_side).chain(of_record)
    }

    /// The field of a name such as `src.namespace` or `port`, without a key.
    pub(super) fn named(name: &str) -> Option<Self> {
        let Some((side, name)) = name.split_once('.') else {
            return name.parse().ok().map(Self::Record);
        };
        Some(Self::Endpoint(side.parse().ok()?, name.parse().ok()?))
    }

    /// The field of a name such as `src.label` with its key.
    pub(super) fn keyed(name: &str, key: &str) -> Option<Self> {
        let (side, name) = name.split_once('.')?;
        let side = side.parse().ok()?;
        match name {
            "label" => Some(Self::Label(side, key.into())),
            "namespace_label" => Some(Self::NamespaceLabel(side, key.into())),
            _ => None,
        }
    }

    /// The side, if it is a field of an endpoint.
    #[must_use]
    pub const fn side(&self) -> Option<Side> {
        match self {
            Self::Endpoint(side, _) | Self::Label(side, _) | Self::NamespaceLabel(side, _) => {
                Some(*side)
            }
            Self::Record(_) => None,
        }
    }

    /// The type of its values.
    #[must_use]
    pub const fn value_type(&self) -> FieldType {
        match self {
            Self::Endpoint(_, EndpointField::Address) | Self::Record(RecordField::Exporter) => {
                FieldType::Address
            }
            Self::Endpoint(
                _,
                EndpointField::AsNumber | EndpointField::BgpAsNumber | EndpointField::Port,
            )
            | Self::Record(
                RecordField::Port
                | RecordField::Dscp
                | RecordField::ConnectionDuration
                | RecordField::FlowDuration,
            ) => FieldType::Number,
            Self::Record(RecordField::Protocol) => FieldType::Protocol,
            Self::Endpoint(..) | Self::Label(..) | Self::NamespaceLabel(..) | Self::Record(_) => {
                FieldType::Text
            }
        }
    }

    /// The name of a metric label with the field's values: `src_namespace`, `src_label_team`.
    #[must_use]
    pub fn label_name(&self) -> String {
        let name = match self {
            Self::Label(side, key) => format!("{side}_label_{key}"),
            Self::NamespaceLabel(side, key) => format!("{side}_namespace_label_{key}"),
            Self::Endpoint(..) | Self::Record(_) => self.to_string(),
        };
        let valid = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
        name.chars().map(valid).collect()
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Endpoint(side, field) => write!(f, "{side}.{field}"),
            Self::Label(side, key) => write!(f, "{side}.label[{}]", Quoted(key)),
            Self::NamespaceLabel(side, key) => {
                write!(f, "{side}.namespace_label[{}]", Quoted(key))
            }
            Self::Record(field) => field.fmt(f),
        }
    }
}

/// A text as a literal of an expression.
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for c in self.0.chars() {
            match c {
                '\\' | '"' => write!(f, "\\{c}")?,
                '\n' => f.write_str("\\n")?,
                _ => write!(f, "{c}")?,
            }
        }
        f.write_str("\"")
    }
}

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Unknown, or not applicable. Written as the empty text.
    Absent,
    /// A text. The empty text is equal to [`Self::Absent`] in expressions.
    Text(&'a str),
    /// A number.
    Number(u64),
    /// An IP protocol.
    Protocol(u8),
    /// An IP address.
    Address(Address),
}

impl<'a> Value<'a> {
    /// The text, or [`Self::Absent`] if it is empty.
    #[must_use]
    pub const fn text(text: &'a str) -> Self {
        if text.is_empty() {
            Self::Absent
        } else {
            Self::Text(text)
        }
    }

    /// The address, or [`Self::Absent`] if it is unspecified.
    #[must_use]
    pub const fn address(address: Address) -> Self {
        if address.is_unspecified() {
            Self::Absent
        } else {
            Self::Address(address)
        }
    }
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => Ok(()),
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => number.fmt(f),
            Self::Protocol(number) => match protocol::name(*number) {
                Some(name) => f.write_str(name),
                None => number.fmt(f),
            },
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// What fields are read from: an edge, or a record.
pub trait FieldSource {
    /// The value of a field, of its [`Field::value_type`].
    fn value(&self, field: &Field) -> Value<'_>;
}
