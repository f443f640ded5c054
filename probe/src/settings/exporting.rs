//! Flags of the Exporting Process.

use std::num::{NonZeroU32, NonZeroUsize};

use clap::Args;
use kipfix_export::target::Target;
use kipfix_service::settings::within;
use serde::Serialize;

use super::count;

/// Flags of the Exporting Process.
#[derive(Clone, Debug, Args, Serialize)]
#[command(next_help_heading = "Export")]
pub struct ExportingFlags {
    /// Destination of records, with a session of its own. Repeatable:
    /// - udp://HOST:PORT: IPFIX. version=9|5: NetFlow instead. mtu=OCTETS:
    ///   maximum message length, if the path takes it, 1400 by default
    /// - tcp://HOST:PORT: IPFIX
    /// - tls://HOST:PORT: IPFIX. ca=FILE, cert=FILE, key=FILE: PEM files
    /// - file:PATH: IPFIX files. rotate-size=SIZE, rotate-every=DURATION,
    ///   keep=N
    /// - stdout: JSON lines
    /// - with a HOST: rate=N, maximum records per second, 0 is unlimited
    ///   [unlimited live, 200000 over udp from --read]; spread=true, flows
    ///   are distributed over all addresses of the name, both directions of
    ///   a flow to the same one
    /// - all but stdout: profile=registered, only registered elements of
    ///   fixed length, for collectors that cannot read others
    /// - parameters follow after ?, separated by &; special characters are
    ///   percent-encoded (%26)
    #[arg(long, short, value_name = "URL", verbatim_doc_comment)]
    pub export: Vec<Target>,
    /// Maximum number of records waiting for export, and again for each target with a thread of
    /// its own. More are lost and counted
    #[arg(long, value_name = "N", default_value = "16384", value_parser = count(1 << 24))]
    pub queue: NonZeroUsize,
    /// Observation Domain ID in the export [default: a hash of the node name]
    #[arg(long, value_name = "N", value_parser = within(NonZeroU32::MIN, NonZeroU32::MAX))]
    pub observation_domain: Option<NonZeroU32>,
    /// Name of the node in the export [default: $NODE_NAME, else the host name]
    #[arg(long, value_name = "NAME", value_parser = node_name)]
    pub node_name: Option<String>,
}

fn node_name(text: &str) -> Result<String, &'static str> {
    let name = (1..=253).contains(&text.len()).then(|| text.to_owned());
    name.ok_or("must be 1–253 octets")
}
