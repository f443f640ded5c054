//! Start and end of a flow as calendar time.

use super::MessageContext;
use super::slot::Slot;
use crate::value::{low_u32, ntp_to_unix, ntp_to_unix_after_wrap};

/// Tolerance: export times are whole seconds, and clocks differ.
const AFTER_EXPORT: u64 = 60_000;
/// Flows do not end later than this after their export, whatever the clocks are.
const MAX_AFTER_EXPORT: u64 = 86_400_000;
/// An exporter that has been up for longer does not report flows of the millisecond of its start:
/// it does not fill in the field.
const MAX_AGE_OF_START: u32 = 86_400_000;
/// 1990-01-01: no flow was metered before. Earlier times count from another event than 1970, or in
/// another unit.
const FIRST_FLOW: u64 = 631_152_000_000;

/// A start or end of a flow, in the unit of its slot, as milliseconds since the epoch. `init` as
/// for [`up_time_to_epoch`].
#[inline(always)]
pub(super) fn to_epoch(
    slot: Slot,
    number: u64,
    init: Option<u64>,
    context: &MessageContext,
) -> u64 {
    let time = match slot {
        Slot::StartSysUpTime | Slot::EndSysUpTime => {
            up_time_to_epoch(low_u32(number), init, context)
        }
        Slot::StartSeconds | Slot::EndSeconds => number.saturating_mul(1000),
        Slot::StartNtp | Slot::EndNtp => ntp_to_epoch(number, context.export_time_milliseconds),
        Slot::StartDeltaMicroseconds | Slot::EndDeltaMicroseconds => context
            .export_time_milliseconds
            .saturating_sub(number / 1000),
        _ => number,
    };
    known_time(time, context)
}

/// A time of a flow, milliseconds since the epoch; 0 (unknown) if flows of this export cannot have
/// it: more than a day after it, such as an octet pattern of ones, or before there was flow export,
/// such as the uptime of an exporter. The clock of an exporter that is not set is not compared.
#[inline(always)]
pub(super) const fn known_time(time: u64, context: &MessageContext) -> u64 {
    let export_time = context.export_time_milliseconds;
    let is_possible = FIRST_FLOW <= time && time <= export_time.saturating_add(MAX_AFTER_EXPORT);
    if is_possible || export_time < FIRST_FLOW {
        time
    } else {
        0
    }
}

/// An NTP timestamp as milliseconds since the epoch. Its seconds begin again in 2036 (RFC 7011
/// §6.1.9). A time before 1970 is one of that era if the export was not earlier, else it is unknown
/// (0).
fn ntp_to_epoch(timestamp: u64, export_time: u64) -> u64 {
    let time = ntp_to_unix(timestamp, 1000);
    if time != 0 || timestamp == 0 {
        return time;
    }
    let time = ntp_to_unix_after_wrap(timestamp, 1000);
    if time <= export_time.saturating_add(AFTER_EXPORT) {
        time
    } else {
        0
    }
}

/// A `sysUpTime` as milliseconds since the epoch. `init`: the time at which it was 0, if known. The
/// counter wraps after 49.7 days: of all possible times, the latest one that is not after the
/// export is taken.
fn up_time_to_epoch(up_time: u32, init: Option<u64>, context: &MessageContext) -> u64 {
    const WRAP: u64 = 1 << 32;
    let Some(init) = init else {
        return relative_to_header(
            up_time,
            context.sys_up_time,
            context.export_time_milliseconds,
        );
    };
    let age = context.export_time_milliseconds.saturating_sub(init);
    if up_time == 0 && age > MAX_AGE_OF_START.into() {
        return 0;
    }
    let first = init.saturating_add(up_time.into());
    let latest = context
        .export_time_milliseconds
        .saturating_add(AFTER_EXPORT);
    let wraps = latest.saturating_sub(first) / WRAP;
    first.saturating_add(wraps.saturating_mul(WRAP))
}

/// A `sysUpTime` as milliseconds since the epoch, from both clocks in the header of its Message; 0
/// (unknown) if the header has no `sysUpTime`, or if it is 0 long after the start of the exporter.
/// The header's value is the later one, which makes the distance right across a wrap of the 32-bit
/// counter.
pub(crate) fn relative_to_header(up_time: u32, header_up_time: u32, header_time: u64) -> u64 {
    if header_up_time == 0 || up_time == 0 && header_up_time > MAX_AGE_OF_START {
        return 0;
    }
    let distance = header_up_time.wrapping_sub(up_time);
    if distance < 1 << 31 {
        header_time.saturating_sub(distance.into())
    } else {
        header_time.saturating_add(up_time.wrapping_sub(header_up_time).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ntp_seconds_that_begin_again_in_2036_are_later_ones_if_the_export_is() {
        /// 2036-02-07 06:28:16, when they begin again, in milliseconds since 1970.
        const WRAP: u64 = 2_085_978_496_000;
        let of_seconds = |seconds: u64| seconds << 32 | 1 << 31;
        assert_eq!(ntp_to_epoch(of_seconds(0), WRAP), WRAP + 500);
        assert_eq!(
            ntp_to_epoch(of_seconds(100), WRAP + 100_000),
            WRAP + 100_500
        );
        // Not of the future, and 0 is unknown.
        assert_eq!(ntp_to_epoch(of_seconds(100), WRAP - 100_000), 0);
        assert_eq!(ntp_to_epoch(of_seconds(100), 1_700_000_000_000), 0);
        assert_eq!(ntp_to_epoch(0, WRAP + 100_000), 0);
        // The last second before.
        let last = of_seconds(u32::MAX.into());
        assert_eq!(ntp_to_epoch(last, WRAP + 5000), WRAP - 500);
    }
}
