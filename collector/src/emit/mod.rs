//! Emit: what goes on to others. The flow log is one JSON object a record; [`replicate`] passes datagrams on as
//! they came, [`forward`] records with the names that were added.

mod flow_log;
pub mod forward;
pub(crate) mod line;
mod mailbox;
pub mod replicate;

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context, anyhow};
use kipfix_export::names::{self, TargetName};
use kipfix_service::exit::Failure;
use kipfix_service::signals::Stop;

pub use flow_log::{FlowLog, FlowLogCounts, FlowLogTarget, LineBuffer, Patience};

/// How long a savefile waits for the names of targets to be resolved.
const RESOLVE_WITHIN: Duration = Duration::from_secs(10);

/// Looks the names of a setting's targets up, again and again. A savefile is not read for a target that is not
/// there, so it waits for all of them.
fn look_up(
    hosts: Vec<TargetName>,
    setting: &str,
    patience: Patience,
    stop: &Stop,
) -> Result<(), Failure> {
    const STEP: Duration = Duration::from_millis(50);
    names::watch(hosts.clone(), stop.clone()).context("no thread for names")?;
    let mut left = RESOLVE_WITHIN;
    while patience == Patience::Wait
        && let Some(unknown) = hosts.iter().find(|host| host.address().is_none())
    {
        if left.is_zero() || stop.wait_timeout(STEP) {
            let host = unknown.host();
            return Err(anyhow!(
                "{setting}: the host {host:?} is not known; allowed are addresses and names that resolve"
            )
            .into());
        }
        left = left.saturating_sub(STEP);
    }
    Ok(())
}

/// Where this process itself receives.
#[derive(Clone, Debug, Default)]
pub struct Listening {
    /// Datagrams.
    pub datagrams: Vec<SocketAddr>,
    /// Connections.
    pub connections: Vec<SocketAddr>,
}

/// Whether this process itself receives at `address`.
fn is_own(address: SocketAddr, listening: &[SocketAddr]) -> bool {
    let ip = address.ip().to_canonical();
    let is_local = || ip.is_unspecified() || UdpSocket::bind((ip, 0)).is_ok();
    listening.iter().any(|own| {
        let own_ip = own.ip().to_canonical();
        own.port() == address.port() && (own_ip == ip || own_ip.is_unspecified() && is_local())
    })
}
