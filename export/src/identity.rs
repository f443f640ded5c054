//! Numbers derived from the identity of an exporter, which stay the same over restarts.

/// FNV-1a of a text. It must not change: Observation Domain IDs and source ports are derived from
/// it.
#[must_use]
pub fn stable_hash(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, octet| {
        (hash ^ u32::from(octet)).wrapping_mul(0x0100_0193)
    })
}
