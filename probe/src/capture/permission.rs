//! The one right that live capture takes: `CAP_NET_RAW`. As a file capability it comes permitted but not
//! effective; from systemd, or for root, it is in force from the start, and is put out of force before there is a
//! second thread, since each has capabilities of its own. It is raised here around opening a capture and dropped
//! behind it, so that it is in force for as short as can be, and so that its lack can be told in words.

use caps::{CapSet, Capability};

/// `CAP_NET_RAW` in force until dropped.
#[derive(Debug)]
pub struct Raised(());

/// Puts `CAP_NET_RAW` out of force for this thread and those that it starts, which may raise it.
pub fn lower() {
    if let Err(error) = caps::drop(None, CapSet::Effective, Capability::CAP_NET_RAW) {
        tracing::warn!(%error, "the capability CAP_NET_RAW stays in force");
    }
}

/// Puts `CAP_NET_RAW` in force for this thread.
///
/// # Errors
/// It was not given: a sentence that says how to give it.
pub fn raise() -> anyhow::Result<Raised> {
    let permitted = caps::has_cap(None, CapSet::Permitted, Capability::CAP_NET_RAW);
    if !permitted.unwrap_or(false) {
        anyhow::bail!(
            "no permission to capture: the capability CAP_NET_RAW is missing; give it with \
             `setcap cap_net_raw+p $(command -v kipfix-probe)`, in Kubernetes with \
             securityContext.capabilities.add: [NET_RAW], or run as root"
        );
    }
    caps::raise(None, CapSet::Effective, Capability::CAP_NET_RAW)
        .map_err(|error| anyhow::anyhow!("the capability CAP_NET_RAW cannot be raised: {error}"))?;
    Ok(Raised(()))
}

impl Drop for Raised {
    fn drop(&mut self) {
        lower();
    }
}
