//! Flags of the input: sockets, captures and connections.

use std::path::PathBuf;

use clap::Args;
use kipfix_service::settings::{Size, Span, within};
use serde::Serialize;

use crate::receive::listen_url::ListenUrl;
use crate::receive::senders::AllowedExporters;

#[expect(
    rustdoc::broken_intra_doc_links,
    reason = "the help texts have addresses such as [::] in them"
)]
/// Flags of the input.
#[derive(Clone, Debug, Args, Serialize)]
#[command(next_help_heading = "Input")]
pub struct InputFlags {
    /// Address on which flow export is received; [::] is every address, also
    /// of IPv4. Repeatable:
    /// - udp://ADDRESS:PORT: IPFIX, NetFlow v9, v7, v5, v1
    /// - tcp://ADDRESS:PORT: IPFIX
    /// - tls://ADDRESS:PORT?cert=FILE&key=FILE: IPFIX. With &client-ca=FILE
    ///   exporters must present a certificate signed by one of these CAs,
    ///   with &client-name=NAME (repeatable) one for that name. Changed
    ///   files are reloaded
    #[arg(long, value_name = "URL", verbatim_doc_comment, default_values = ["udp://[::]:4739", "udp://[::]:2055"])]
    pub listen: Vec<ListenUrl>,
    /// Exporters that may send: a CIDR, an address, or nodes for the nodes of the cluster. Others
    /// are refused and counted. Repeatable [default: all]
    #[arg(long, value_name = "CIDR|nodes")]
    pub allow_exporters: Vec<AllowedExporters>,
    /// YAML file with policies of exporters by address: whether their records count (records:
    /// auto, count, inform or ignore), the direction that counts (direction: both, ingress or
    /// egress), their sampling (sampling: N replaces what they announce, default_sampling: N
    /// applies without an announcement), and elements that are read as others (elements: {"PEN:ID":
    /// octetDeltaCount}). By default (auto) a record of an exporter that is not a
    /// node of the cluster counts unless a node of its flow is observed
    #[arg(long, value_name = "FILE")]
    pub exporters: Option<PathBuf>,
    /// Read a pcap or pcapng capture of flow export, or an IPFIX file, as if it were received,
    /// and exit. It may be compressed with gzip or zstd; '-' is stdin. No socket is opened unless
    /// its flag is given. Repeatable
    #[arg(long, value_name = "FILE")]
    pub read: Vec<PathBuf>,
    /// With --read: print every message, set, template and record on stdout, with names, units
    /// and offsets, and every violation of the protocol with its rule. Nothing else is done.
    /// Violations in the input do not change the exit code
    #[arg(long)]
    pub explain: bool,
    /// With --explain: also decode each datagram with netflow_parser, a widely embedded decoder,
    /// and print where it reads a record differently
    #[arg(long)]
    pub compare: bool,
    /// Keep templates, options data and sequence numbers of exporters that send datagrams in this
    /// file, so that they survive a restart. Written every minute and at the end [default: none]
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,
    /// Number of threads that receive and decode datagrams, and of those for connections. Each
    /// has sockets of its own. An address that sends datagrams stays on one thread, and the first
    /// 64 of them are spread evenly
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = within(1usize, 256))]
    pub workers: usize,
    /// Receive buffer of each UDP socket, in bytes or with K, M, G
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "8MiB",
        value_parser = within(Size::kib(4), Size::gib(1)),
    )]
    pub receive_buffer: Size,
    /// Maximum number of open connections (TCP, TLS)
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = within(1usize, 1 << 20))]
    pub max_connections: usize,
    /// Maximum number of open connections from one address. When a limit is reached, the oldest
    /// connection without a complete Message is closed for a new one; at --max-connections,
    /// otherwise the oldest of the address with the most
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = within(1usize, 1 << 20))]
    pub max_connections_per_address: usize,
    /// Maximum time for a TLS handshake, and for the rest of a Message that has begun
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "10s",
        value_parser = within(Span::SECOND, Span::HOUR),
    )]
    pub read_timeout: Span,
    /// Time without a Message after which a connection is closed
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "30m",
        value_parser = within(Span::SECOND, Span::YEAR),
    )]
    pub connection_idle: Span,
}
