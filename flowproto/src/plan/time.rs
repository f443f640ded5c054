//! `sysUpTime`, and how it becomes time.

use super::Surroundings;

/// A `sysUpTime` as milliseconds since the epoch, `init` being when it was 0, if that is known. The
/// counter wraps after 49.7 days: of the times that it may mean, the last one that is not after the
/// export is taken.
pub(super) fn up_time_to_epoch(up_time: u32, init: Option<u64>, around: &Surroundings<'_>) -> u64 {
    const WRAP: u64 = 1 << 32;
    /// Export times are whole seconds, and clocks differ.
    const AFTER_EXPORT: u64 = 60_000;
    let Some(init) = init else {
        return relative_to_header(up_time, around.sys_up_time, around.export_time_milliseconds);
    };
    let first = init.saturating_add(up_time.into());
    let latest = around.export_time_milliseconds.saturating_add(AFTER_EXPORT);
    let wraps = latest.saturating_sub(first) / WRAP;
    first.saturating_add(wraps.saturating_mul(WRAP))
}

/// A `sysUpTime` as milliseconds since the epoch, by what the header of its Message says of both clocks;
/// 0 where the header has no `sysUpTime`. The 32-bit counter wraps after 49.7 days: the header's is the
/// later one, so that their distance is right across a wrap.
pub(crate) fn relative_to_header(up_time: u32, header_up_time: u32, header_time: u64) -> u64 {
    if header_up_time == 0 {
        return 0;
    }
    let distance = header_up_time.wrapping_sub(up_time);
    if distance < 1 << 31 {
        header_time.saturating_sub(distance.into())
    } else {
        header_time.saturating_add(up_time.wrapping_sub(header_up_time).into())
    }
}
