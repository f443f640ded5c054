//! The capability that live capture takes: `CAP_NET_RAW`.
//!
//! As a file capability it is permitted but not effective. For root, and from systemd, it is
//! effective from the start, so it is lowered before a second thread starts, because each thread
//! has capabilities of its own. It is raised only while a capture is opened. A probe that lacks it
//! can thus explain what is missing.

use caps::{CapSet, Capability};

/// Keeps `CAP_NET_RAW` effective until dropped.
#[derive(Debug)]
pub struct Raised(());

/// Lowers `CAP_NET_RAW` for this thread and those it starts. They can raise it again.
pub fn lower() {
    if let Err(error) = caps::drop(None, CapSet::Effective, Capability::CAP_NET_RAW) {
        tracing::warn!(%error, "cannot lower the capability CAP_NET_RAW");
    }
}

/// Raises `CAP_NET_RAW` for this thread.
///
/// # Errors
/// The capability is not permitted. The message has the command that permits it.
pub fn raise() -> anyhow::Result<Raised> {
    let permitted = caps::has_cap(None, CapSet::Permitted, Capability::CAP_NET_RAW);
    if !permitted.unwrap_or(false) {
        anyhow::bail!(
            "no permission to capture: the capability CAP_NET_RAW is missing; grant it with \
             `setcap cap_net_raw+p $(command -v kipfix-probe)`, in Kubernetes with \
             securityContext.capabilities.add: [NET_RAW], or run as root"
        );
    }
    caps::raise(None, CapSet::Effective, Capability::CAP_NET_RAW)
        .map_err(|error| anyhow::anyhow!("cannot raise the capability CAP_NET_RAW: {error}"))?;
    Ok(Raised(()))
}

impl Drop for Raised {
    fn drop(&mut self) {
        lower();
    }
}
