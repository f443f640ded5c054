//! Flags of the Metering Process.

use std::num::{NonZeroU32, NonZeroUsize};

use clap::{Args, ValueEnum};
use kipfix_service::settings::{Span, within};
use serde::Serialize;

use super::count;
use crate::decode::tunnel_ports::TunnelPort;
use crate::sampling::SamplingRatio;

/// The shortest timeout.
const SHORTEST: Span = Span::from_millis(100);

/// Flags of the Metering Process.
#[derive(Clone, Debug, Args, Serialize)]
#[command(next_help_heading = "Metering")]
pub struct MeteringFlags {
    /// Interval at which a continuing conversation is reported
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "60s",
        value_parser = within(SHORTEST, Span::YEAR),
    )]
    pub active_timeout: Span,
    /// A conversation without packets for this long is reported; at most the active timeout
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "15s",
        value_parser = within(SHORTEST, Span::YEAR),
    )]
    pub idle_timeout: Span,
    /// A quiet connection is kept for this long, so that it is not counted again
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "1h",
        value_parser = within(SHORTEST, Span::YEAR),
    )]
    pub connection_timeout: Span,
    /// Maximum number of conversations in the flow cache, both directions in one
    #[arg(
        long,
        value_name = "N",
        default_value = "262144",
        value_parser = within(NonZeroU32::MIN, NonZeroU32::MAX),
    )]
    pub max_flows: NonZeroU32,
    /// Number of metering threads, 1–64, each with captures of its own. The packets between two
    /// addresses, outer ones in a tunnel, are metered by one thread. --max-flows, --max-fragments and
    /// --queue are divided among the threads, --buffer and --max-names are for each. More than one needs the default
    /// interfaces or one --interface by name, and no --conntrack. With --read there is one
    #[arg(long, value_name = "N", default_value = "1", value_parser = count(64))]
    pub threads: NonZeroUsize,
    /// UDP port of a tunnel protocol, in addition to the default ones. PROTOCOL is vxlan,
    /// vxlan-gpe, geneve, gtp-u, teredo, l2tp, gre, mpls, gue or fou, or, to recognize encrypted
    /// packets, wireguard or esp; PROTOCOL=none drops the default ones; repeatable [default:
    /// vxlan=4789, vxlan=8472, vxlan-gpe=4790, geneve=6081, teredo=3544, l2tp=1701, gre=4754,
    /// mpls=6635, gue=6080, wireguard=51820, wireguard=51821, wireguard=51871, esp=4500]
    #[arg(long, value_name = "PROTOCOL=PORT")]
    pub tunnel_port: Vec<TunnelPort>,
    /// Maximum number of fragmented packets that are kept, for the ports of later fragments
    #[arg(long, value_name = "N", default_value = "8192", value_parser = count(1 << 24))]
    pub max_fragments: NonZeroUsize,
    /// Count the segments that offloads (GRO, TSO, UDP_SEGMENT) merged into one packet
    #[arg(long, default_value_t = true)]
    pub packet_correction: bool,
    /// Meter losses, round-trip times and states of TCP connections. Off if packets are sampled
    #[arg(long, default_value_t = true)]
    pub tcp_health: bool,
    /// Learn address translations (SNAT, DNAT) from the first packets of connections: auto or
    /// off. auto captures SYNs and datagrams of all interfaces; in a file, it compares its
    /// interfaces
    #[arg(
        long,
        value_name = "auto|off",
        hide_possible_values = true,
        default_value = "auto"
    )]
    pub translations: Learning,
    /// Take address translations from the connection table of the kernel instead: needs the
    /// capability NET_ADMIN
    #[arg(long)]
    pub conntrack: bool,
    /// Learn the names by which clients reach their peers, from DNS answers, server names of TLS
    /// and QUIC, and HTTP hosts: auto or off. auto captures DNS answers of all interfaces, and up
    /// to 4096 octets of packets that can have a name
    #[arg(
        long,
        value_name = "auto|off",
        hide_possible_values = true,
        default_value = "auto"
    )]
    pub names: Learning,
    /// Maximum number of resolved names that are kept, two for each address that a client
    /// resolves
    #[arg(long, value_name = "N", default_value = "65536", value_parser = count(1 << 24))]
    pub max_names: NonZeroUsize,
    /// Report DNS queries, response codes and response times in the records of packets to port
    /// 53, with the latest query; needs --names auto, and all packets of a conversation, not
    /// --sampling 1:N
    #[arg(long)]
    pub dns_metering: bool,
    /// Report requests, response classes and response times of HTTP/1 and HTTP/2 in clear text at
    /// any port, responses of gRPC by status, and method, path and status of the latest request,
    /// of connections whose start is observed. Captures whole TCP segments, except at port 443;
    /// needs all packets of a conversation, not --sampling 1:N
    #[arg(long)]
    pub http_metering: bool,
    /// Meter one packet of every N (1:N): receivers are notified and scale octets and packets,
    /// not connections. Or meter one conversation of N by a hash of its Flow Key (hash:N):
    /// receivers scale connections and TCP health, too
    #[arg(long, value_name = "1:N|hash:N", default_value = "1:1")]
    pub sampling: SamplingRatio,
    /// Report both directions of a conversation in one record (RFC 5103)
    #[arg(long)]
    pub biflow: bool,
}

/// Whether something is learned from packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Learning {
    /// Where packets show it.
    Auto,
    /// Not at all. Helm reads `off` without quotes as false.
    #[value(alias = "false")]
    Off,
}
