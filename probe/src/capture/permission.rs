//! The capabilities of the probe: `CAP_NET_RAW` for live capture, and `CAP_NET_ADMIN` for the
//! connection table of the kernel.
//!
//! As a file capability it is permitted but not effective. For root, and from systemd, it is
//! effective from the start, so it is lowered before a second thread starts, because each thread
//! has capabilities of its own. It is raised only for the calls that need it. A probe that lacks it
//! can thus explain what is missing.

use caps::{CapSet, Capability};

/// Keeps a capability effective until dropped.
#[derive(Debug)]
pub struct Raised(Capability);

/// Lowers the capabilities for this thread and those it starts. They can raise them again.
pub fn lower() {
    for capability in [Capability::CAP_NET_RAW, Capability::CAP_NET_ADMIN] {
        lower_one(capability);
    }
}

fn lower_one(capability: Capability) {
    if let Err(error) = caps::drop(None, CapSet::Effective, capability) {
        tracing::warn!(%error, "cannot lower the capability {capability}");
    }
}

/// Raises `CAP_NET_RAW` for this thread.
///
/// # Errors
/// The capability is not permitted. The message has the command that permits it.
pub fn raise() -> anyhow::Result<Raised> {
    raise_one(
        Capability::CAP_NET_RAW,
        "no permission to capture",
        "NET_RAW",
    )
}

/// Raises `CAP_NET_ADMIN` for this thread.
///
/// # Errors
/// As [`raise`].
pub fn raise_admin() -> anyhow::Result<Raised> {
    let capability = Capability::CAP_NET_ADMIN;
    raise_one(capability, "conntrack: no permission", "NET_RAW, NET_ADMIN")
}

/// `all`: the names of all capabilities that a probe with this one takes.
fn raise_one(capability: Capability, problem: &str, all: &str) -> anyhow::Result<Raised> {
    let permitted = caps::has_cap(None, CapSet::Permitted, capability);
    if !permitted.unwrap_or(false) {
        let files: Vec<String> = all
            .split(", ")
            .map(|name| format!("cap_{}", name.to_lowercase()))
            .collect();
        anyhow::bail!(
            "{problem}: the capability {capability} is missing; grant it with \
             `setcap {}+p $(command -v kipfix-probe)`, in Kubernetes with \
             securityContext.capabilities.add: [{all}], or run as root",
            files.join(",")
        );
    }
    caps::raise(None, CapSet::Effective, capability)
        .map_err(|error| anyhow::anyhow!("cannot raise the capability {capability}: {error}"))?;
    Ok(Raised(capability))
}

impl Drop for Raised {
    fn drop(&mut self) {
        lower_one(self.0);
    }
}
