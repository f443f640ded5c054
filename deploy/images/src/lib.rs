//! Container images without a container engine.
//!
//! * [`image`]: an OCI image archive of one layer, with file capabilities; `ctr images import`, `podman load`
//!   and `skopeo copy oci-archive:` take it;
//! * [`sbom`]: what a binary was built of, as CycloneDX.
//!
//! The same input gives the same octets: no clock is read, and everything belongs to nobody.

pub mod image;
pub mod sbom;
