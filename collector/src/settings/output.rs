//! Flags of the output of records.

use clap::Args;
use kipfix_service::settings::{Size, within};
use serde::Serialize;

use crate::aggregate::expression::Expression;
use crate::emit::EmittedRecords;
use crate::emit::flow_log::{FlowLogFormat, FlowLogTarget};
use crate::emit::forward::ForwardTarget;
use crate::emit::replicate::ReplicaUrl;

#[expect(
    rustdoc::broken_intra_doc_links,
    reason = "the help texts have URLs with optional parts in brackets"
)]
/// Flags of the output of records.
#[derive(Clone, Debug, Args, Serialize)]
#[command(next_help_heading = "Output of records")]
pub struct OutputFlags {
    /// Write every record as a line. file: takes rotate-size=SIZE, rotate-every=DURATION and keep=N:
    /// a complete file is renamed to PATH with its time, and the oldest ones are removed. SIGHUP
    /// opens the file again, for logrotate
    #[arg(
        long,
        value_name = "stdout:|file:PATH[?rotate-size=SIZE&rotate-every=DURATION&keep=N]"
    )]
    pub flow_log: Option<FlowLogTarget>,
    /// Format of the lines: json, logfmt (the same members as name=value), or kubezonnet (a
    /// sentence for each direction of a record between two zones)
    #[arg(
        long,
        value_name = "FORMAT",
        hide_possible_values = true,
        default_value = "json"
    )]
    pub flow_log_format: FlowLogFormat,
    /// Members of a line (json, logfmt), by the names in the line. Several separated by commas,
    /// or repeated [default: all]
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = member)]
    pub flow_log_fields: Vec<String>,
    /// The records that are logged: counted (of two nodes that see a flow, one node's) or all
    #[arg(
        long,
        value_name = "counted|all",
        hide_possible_values = true,
        default_value = "all"
    )]
    pub flow_log_records: EmittedRecords,
    /// Expression that selects the records that are logged, as in a metric family, e.g.
    /// 'src.namespace == "shop" && direction == "egress"' [default: all records]
    #[arg(long, value_name = "EXPRESSION")]
    pub flow_log_filter: Option<Expression>,
    /// Log one in N flows, with all of its records. The choice depends only on addresses, ports
    /// and protocol. Each line then has flowLogSample, except for kubezonnet
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = within(1u32, 1 << 24))]
    pub flow_log_sample: u32,
    /// Maximum size of the flow log's queue. When it is full, lines are dropped and counted
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "16MiB",
        value_parser = within(Size::kib(4), Size::gib(4)),
    )]
    pub flow_log_queue: Size,
    /// Send records with the names of their endpoints. Repeatable:
    /// - udp://HOST:PORT, tcp://HOST:PORT: IPFIX, with Antrea's elements,
    ///   and kipfix's own where there is no public one. profile=registered:
    ///   only registered elements of fixed length, for collectors that
    ///   cannot read others
    /// - tls://HOST:PORT: IPFIX. ca=FILE, cert=FILE, key=FILE: PEM files
    /// - file:PATH: IPFIX files. rotate-size=SIZE, rotate-every=DURATION,
    ///   keep=N
    /// - kafka://BROKER[:PORT][,BROKER]/TOPIC: a message per record.
    ///   format=protobuf|json, records-per-message=N,
    ///   compression=lz4|gzip|none, linger=DURATION, queue=SIZE, tls=true,
    ///   ca=FILE, cert=FILE, key=FILE, user=NAME, password-file=FILE,
    ///   mechanism=plain|scram-sha-256|scram-sha-512
    /// - clickhouse://HOST[:PORT]/DATABASE/TABLE: a row per record.
    ///   interval=DURATION, batch=SIZE, and compression, queue, TLS and user
    ///   as for Kafka
    /// - parameters follow after ?, separated by &
    #[arg(long, value_name = "URL", verbatim_doc_comment)]
    pub forward: Vec<ForwardTarget>,
    /// The records that are forwarded: counted (of two nodes that see a flow, one node's) or all
    #[arg(
        long,
        value_name = "counted|all",
        hide_possible_values = true,
        default_value = "counted"
    )]
    pub forward_records: EmittedRecords,
    /// Maximum number of records in the forward queue, and in that of each TCP, TLS or file
    /// target. When it is full, records are dropped and counted. Kafka and ClickHouse have queues
    /// of their own
    #[arg(long, value_name = "N", default_value_t = 65_536, value_parser = within(1usize, 1 << 24))]
    pub forward_queue: usize,
    /// Send every datagram over UDP as it was received. The exporter's source address is kept if
    /// the kernel permits it (NET_ADMIN or NET_RAW): source=keep requires that, source=own does
    /// without. Repeatable
    #[arg(long, value_name = "udp://HOST:PORT[?source=keep|own]")]
    pub replicate: Vec<ReplicaUrl>,
    /// Maximum size of the queue of each --replicate target. When it is full, datagrams are
    /// dropped and counted
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "8MiB",
        value_parser = within(Size::kib(4), Size::gib(4)),
    )]
    pub replicate_queue: Size,
    /// With --read: print the metrics on stdout at the end
    #[arg(long)]
    pub print_metrics: bool,
}

fn member(text: &str) -> Result<String, &'static str> {
    let is_valid = |c: char| !c.is_control() && !matches!(c, ' ' | '"' | '\\');
    let is_name = (1..=200).contains(&text.len()) && text.chars().all(is_valid);
    let name = is_name.then(|| text.to_owned());
    name.ok_or("must be the name of a member, e.g. sourcePodName")
}
