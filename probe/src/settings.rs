//! Settings of the probe: the command line, and the effective settings of all layers.

mod admin_flags;
mod cross_check;
mod stages;
mod top_flags;

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use kipfix_export::identity::stable_hash;
use kipfix_export::target::Target;
use kipfix_service::exit::Failure;
use kipfix_service::logs::LogFormat;
use kipfix_service::settings::{self, ListenAddress, Size, Span};
use serde::{Deserialize, Serialize};

use crate::capture::interfaces::Pattern;
use crate::decode::tunnel_ports::TunnelPort;
use crate::sampling::SamplingRatio;

use admin_flags::AdminFlags;
pub use top_flags::{TopFlags, TopView};

/// Prefix of environment variables.
const ENVIRONMENT: &str = "KIPFIX_PROBE__";
/// Meters the packets of a node's interfaces, or of a capture file, into flow records and exports
/// them as IPFIX.
///
/// Without --interface, captures every interface that is up and has a default route. The only
/// capability it needs is CAP_NET_RAW.
#[derive(Debug, Parser, Serialize)]
#[command(
    name = "kipfix-probe",
    version,
    max_term_width = 110,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    after_help = "Examples:
  kipfix-probe --interface eth0 --export udp://collector.example:4739
      meters eth0 and exports to a collector
  kipfix-probe --export tls://collector:4740?ca=ca.pem --export udp://127.0.0.1:2055?version=9
      exports IPFIX over TLS to one collector and NetFlow v9 to another
  kipfix-probe --read capture.pcap --export stdout:
      prints the flow records of a capture file, one JSON object a line

Every flag can also be set in the --config file (max_flows: 100000) and in the environment
(KIPFIX_PROBE__MAX_FLOWS=100000, lists separated by commas). Flags override the environment, which
overrides the file. Exit codes: 0 stopped on request, or end of the file; 64 invalid settings;
1 cannot start, a stage failed, or the file is truncated or corrupt."
)]
pub struct Flags {
    /// Interface to capture: a name, a glob (eth*) or a regular expression (eth[0-9]+); repeatable
    /// [default: every interface that is up and has a default route]
    #[arg(long, short, value_name = "PATTERN", help_heading = "Capture")]
    interface: Vec<Pattern>,
    /// Capture file to read instead, pcap or pcapng; '-' is stdin. Packet time is the clock. Exits
    /// at the end of the file
    #[arg(long, short, value_name = "FILE", help_heading = "Capture")]
    read: Option<PathBuf>,
    /// Packets to meter, as a pcap-filter(7) expression. Live, it matches VLAN-tagged frames as
    /// well; in a file only after the keyword vlan: (EXPR) or (vlan and (EXPR)) [default: all IP
    /// packets]
    #[arg(long, value_name = "BPF", help_heading = "Capture")]
    filter: Option<String>,
    /// Octets captured of each packet, 64–65535, enough for outer and inner headers; more of packets
    /// that can have a name (--names) [default: 256]
    #[arg(long, value_name = "OCTETS", help_heading = "Capture")]
    snaplen: Option<u32>,
    /// Kernel buffer of each interface, 1MiB–1GiB [default: 32MiB]
    #[arg(long, value_name = "SIZE", help_heading = "Capture")]
    buffer: Option<Size>,
    /// Capture packets that are not addressed to the node, too [default: false]
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        default_missing_value = "true",
        help_heading = "Capture"
    )]
    promiscuous: Option<bool>,
    /// Maximum number of interfaces captured at the same time [default: 64]
    #[arg(long, value_name = "N", help_heading = "Capture")]
    max_interfaces: Option<NonZeroUsize>,

    /// Interval at which a continuing conversation is reported [default: 60s]
    #[arg(long, value_name = "TIME", help_heading = "Metering")]
    active_timeout: Option<Span>,
    /// A conversation without packets for this long is reported; at most the active timeout
    /// [default: 15s]
    #[arg(long, value_name = "TIME", help_heading = "Metering")]
    idle_timeout: Option<Span>,
    /// A quiet connection is kept for this long, so that it is not counted again [default: 1h]
    #[arg(long, value_name = "TIME", help_heading = "Metering")]
    connection_timeout: Option<Span>,
    /// Maximum number of conversations in the flow cache, both directions in one [default: 262144]
    #[arg(long, value_name = "N", help_heading = "Metering")]
    max_flows: Option<NonZeroU32>,
    /// UDP port of a tunnel protocol, in addition to the default ones. PROTOCOL is vxlan, vxlan-gpe,
    /// geneve, gtp-u, teredo, l2tp, gre, mpls, gue or fou, or, to recognize encrypted packets,
    /// wireguard or esp; PROTOCOL=none drops the default ones; repeatable [default: vxlan=4789,
    /// vxlan=8472, vxlan-gpe=4790, geneve=6081, teredo=3544, l2tp=1701, gre=4754, mpls=6635,
    /// gue=6080, wireguard=51820, wireguard=51821, wireguard=51871, esp=4500]
    #[arg(long, value_name = "PROTOCOL=PORT", help_heading = "Metering")]
    tunnel_port: Vec<TunnelPort>,
    /// Maximum number of fragmented packets that are kept, for the ports of later fragments
    /// [default: 8192]
    #[arg(long, value_name = "N", help_heading = "Metering")]
    max_fragments: Option<NonZeroUsize>,
    /// Count the segments that offloads (GRO, TSO, UDP_SEGMENT) merged into one packet [default:
    /// true]
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        default_missing_value = "true",
        help_heading = "Metering"
    )]
    packet_correction: Option<bool>,
    /// Meter losses, round-trip times and states of TCP connections. Off if packets are sampled
    /// [default: true]
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        default_missing_value = "true",
        help_heading = "Metering"
    )]
    tcp_health: Option<bool>,
    /// Learn address translations (SNAT, DNAT) from the first packets of connections: auto or off.
    /// auto captures SYNs and datagrams of all interfaces; in a file, it compares its interfaces
    /// [default: auto]
    #[arg(
        long,
        value_name = "auto|off",
        hide_possible_values = true,
        help_heading = "Metering"
    )]
    translations: Option<Learning>,
    /// Take address translations from the connection table of the kernel instead: needs the capability
    /// NET_ADMIN [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", help_heading = "Metering")]
    conntrack: Option<bool>,
    /// Learn the names by which clients reach their peers, from DNS answers, server names of TLS and
    /// QUIC, and HTTP hosts: auto or off. auto captures DNS answers of all interfaces, and up to 4096
    /// octets of packets that can have a name [default: auto]
    #[arg(
        long,
        value_name = "auto|off",
        hide_possible_values = true,
        help_heading = "Metering"
    )]
    names: Option<Learning>,
    /// Maximum number of resolved names that are kept, two for each address that a client resolves
    /// [default: 65536]
    #[arg(long, value_name = "N", help_heading = "Metering")]
    max_names: Option<NonZeroUsize>,
    /// Report DNS queries, response codes and response times in the records of packets to port 53, with
    /// the latest query; needs --names auto, and all packets of a conversation, not --sampling 1:N
    /// [default: false]
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        default_missing_value = "true",
        help_heading = "Metering"
    )]
    dns_metering: Option<bool>,
    /// Report requests, response classes and response times of HTTP/1 and HTTP/2 in clear text at any port,
    /// responses of gRPC by status, and method, path and status of the latest request, of connections whose
    /// start is observed. Captures whole TCP segments, except at port 443; needs all packets of a
    /// conversation, not --sampling 1:N [default: false]
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        default_missing_value = "true",
        help_heading = "Metering"
    )]
    http_metering: Option<bool>,
    /// Meter one packet of every N (1:N): receivers are notified and scale octets and packets, not
    /// connections. Or meter one conversation of N by a hash of its Flow Key (hash:N): receivers scale
    /// connections and TCP health, too [default: 1:1]
    #[arg(long, value_name = "1:N|hash:N", help_heading = "Metering")]
    sampling: Option<SamplingRatio>,
    /// Report both directions of a conversation in one record (RFC 5103) [default: false]
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        default_missing_value = "true",
        help_heading = "Metering"
    )]
    biflow: Option<bool>,

    /// Destination of records; repeatable, each with a session of its own:
    /// udp://HOST:PORT[?version=ipfix|9|5&mtu=OCTETS&rate=RECORDS_PER_S&spread=true&
    /// profile=registered],
    /// tcp://HOST:PORT, tls://HOST:PORT[?ca=FILE&cert=FILE&key=FILE],
    /// file:PATH[?rotate-size=SIZE&rotate-every=TIME&keep=N] (IPFIX) or stdout: (JSON lines).
    /// version: NetFlow v9 or v5 instead of IPFIX. mtu: maximum message length if the path takes
    /// it, default 1400. rate: 0 is unlimited; default unlimited live, 200000 over udp from --read.
    /// spread: distribute flows over all addresses of the name, both directions of a flow to the
    /// same one; default one address. profile=registered: only elements of the IANA registry with
    /// fixed length, for collectors that cannot read others; default all. Special characters in
    /// parameters are percent-encoded (%26 for &)
    #[arg(long, short, value_name = "URL", help_heading = "Export")]
    export: Vec<Target>,
    /// Maximum number of records waiting for export, and again for each target with a thread of its
    /// own. More are lost and counted [default: 16384]
    #[arg(long, value_name = "N", help_heading = "Export")]
    queue: Option<NonZeroUsize>,
    /// Observation Domain ID in the export [default: a hash of the node name]
    #[arg(long, value_name = "N", help_heading = "Export")]
    observation_domain: Option<NonZeroU32>,
    /// Name of the node in the export [default: $NODE_NAME, else the host name]
    #[arg(long, value_name = "NAME", help_heading = "Export")]
    node_name: Option<String>,

    /// The admin port.
    #[command(flatten)]
    #[serde(flatten)]
    admin: AdminFlags,
    /// Settings file: YAML with the names of these flags, '_' instead of '-'
    #[arg(long, value_name = "FILE", help_heading = "Operation")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// Print the effective settings and exit
    #[arg(long, help_heading = "Operation")]
    #[serde(skip)]
    pub check: bool,
    /// Log lines on stderr: text or json; RUST_LOG sets the level [default: text]
    #[arg(long, value_name = "FORMAT", help_heading = "Operation")]
    log_format: Option<LogFormat>,

    /// Another task instead.
    #[command(subcommand)]
    #[serde(skip)]
    pub task: Option<Task>,
}

/// What a probe can do instead of exporting.
#[derive(Clone, Debug, Subcommand)]
pub enum Task {
    /// Show the traffic of this machine, or of a capture file, as a live table.
    Top(TopFlags),
}

/// Whether something is learned from packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Learning {
    /// Where packets show it.
    #[default]
    Auto,
    /// Not at all.
    Off,
}

/// The effective settings, documented at the flags.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "documented at the flags of the same names")]
pub struct Settings {
    pub interface: Vec<Pattern>,
    pub read: Option<PathBuf>,
    pub filter: Option<String>,
    pub snaplen: u32,
    pub buffer: Size,
    pub promiscuous: bool,
    pub max_interfaces: NonZeroUsize,
    pub active_timeout: Span,
    pub idle_timeout: Span,
    pub connection_timeout: Span,
    pub max_flows: NonZeroU32,
    pub tunnel_port: Vec<TunnelPort>,
    pub max_fragments: NonZeroUsize,
    pub packet_correction: bool,
    pub tcp_health: bool,
    pub translations: Learning,
    pub conntrack: bool,
    pub names: Learning,
    pub max_names: NonZeroUsize,
    pub dns_metering: bool,
    pub http_metering: bool,
    pub sampling: SamplingRatio,
    pub biflow: bool,
    pub export: Vec<Target>,
    pub queue: NonZeroUsize,
    pub observation_domain: Option<NonZeroU32>,
    pub node_name: Option<String>,
    pub admin: Option<ListenAddress>,
    pub admin_tls_cert: Option<PathBuf>,
    pub admin_tls_key: Option<PathBuf>,
    pub admin_client_ca: Option<PathBuf>,
    pub log_format: LogFormat,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            interface: Vec::new(),
            read: None,
            filter: None,
            snaplen: 256,
            buffer: Size::from_bytes(32 << 20),
            promiscuous: false,
            max_interfaces: at_least_one(64),
            active_timeout: Span::from_secs(60),
            idle_timeout: Span::from_secs(15),
            connection_timeout: Span::from_secs(3600),
            max_flows: NonZeroU32::MIN.saturating_add(262_143),
            tunnel_port: Vec::new(),
            max_fragments: at_least_one(8192),
            packet_correction: true,
            tcp_health: true,
            translations: Learning::default(),
            conntrack: false,
            names: Learning::default(),
            max_names: at_least_one(65_536),
            dns_metering: false,
            http_metering: false,
            sampling: SamplingRatio::ALL,
            biflow: false,
            export: Vec::new(),
            queue: at_least_one(16_384),
            observation_domain: None,
            node_name: None,
            admin: None,
            admin_tls_cert: None,
            admin_tls_key: None,
            admin_client_ca: None,
            log_format: LogFormat::default(),
        }
    }
}

fn at_least_one(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).unwrap_or(NonZeroUsize::MIN)
}

impl Settings {
    /// Reads all layers, adds defaults that depend on the machine, and checks ranges and
    /// combinations.
    ///
    /// # Errors
    /// A value is invalid, or contradicts another one.
    pub fn load(flags: &Flags) -> Result<Self, Failure> {
        let mut settings: Self =
            settings::load("kipfix-probe", flags.config.as_deref(), ENVIRONMENT, flags)?;
        settings.cross_check()?;
        if settings.admin.is_none() && settings.read.is_none() {
            settings.admin = Some(ListenAddress(([127, 0, 0, 1], 9473).into()));
        }
        let node_name = settings.node_name.get_or_insert_with(this_node);
        settings
            .observation_domain
            .get_or_insert_with(|| observation_domain(node_name));
        Ok(settings)
    }
}

fn this_node() -> String {
    std::env::var("NODE_NAME")
        .ok()
        .filter(|name| !name.is_empty())
        .or_else(|| nix::unistd::gethostname().ok()?.into_string().ok())
        .unwrap_or_else(|| "unknown".to_owned())
}

/// An Observation Domain ID that a node keeps over restarts: a hash of its name. Two nodes may
/// share one, because collectors distinguish domains by exporter address, and here also by
/// announced name.
fn observation_domain(node_name: &str) -> NonZeroU32 {
    NonZeroU32::new(stable_hash(node_name)).unwrap_or(NonZeroU32::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory;
        Flags::command().debug_assert();
    }

    #[test]
    fn a_node_keeps_its_observation_domain() {
        assert_eq!(observation_domain("node-a"), observation_domain("node-a"));
        assert_ne!(observation_domain("node-a"), observation_domain("node-b"));
    }
}
