//! Container images without a container engine.
//!
//! * [`image`]: OCI image archives with one layer and file capabilities, for `ctr images import`,
//!   `podman load` and `skopeo copy oci-archive:`.
//! * [`sbom`]: the components of a binary as CycloneDX.
//!
//! The output is reproducible: it has no timestamps, and all files belong to user 0.

pub mod image;
pub mod sbom;
