//! Values of Information Elements as numbers and text (RFC 7011 §6.1).

/// Seconds between the NTP epoch (1900) and the Unix epoch.
const NTP_TO_UNIX_SECONDS: u64 = 2_208_988_800;

/// A big-endian integer of up to 8 octets. Reduced-size encoding allows any width (RFC 7011 §6.2).
pub(crate) fn unsigned(value: &[u8]) -> u64 {
    value
        .iter()
        .fold(0, |sum, octet| sum << 8 | u64::from(*octet))
}

/// A big-endian integer of up to 8 octets in two's complement.
pub(crate) fn signed(value: &[u8]) -> i64 {
    let negative = value.first().is_some_and(|octet| octet & 0x80 != 0);
    let start = if negative { -1 } else { 0 };
    value
        .iter()
        .fold(start, |sum, octet| sum << 8 | i64::from(*octet))
}

/// The low 32 bits of a number.
#[inline]
#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "truncation to the low bits is intended"
)]
pub(crate) const fn low_u32(number: u64) -> u32 {
    number as u32
}

/// The low 16 bits of a number.
#[inline]
#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "truncation to the low bits is intended"
)]
pub(crate) const fn low_u16(number: u64) -> u16 {
    number as u16
}

/// The low 8 bits of a number.
#[inline]
#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "truncation to the low bits is intended"
)]
pub(crate) const fn low_u8(number: u64) -> u8 {
    number as u8
}

/// A floating-point number of either width (RFC 7011 §6.1.3). `None` for other lengths.
pub(crate) fn float(value: &[u8]) -> Option<f64> {
    match value.len() {
        4 => value.try_into().ok().map(f32::from_be_bytes).map(f64::from),
        8 => value.try_into().ok().map(f64::from_be_bytes),
        _ => None,
    }
}

/// Text without the zeros that fill up strings of fixed length in NetFlow v9.
pub(crate) fn trim_zeros(value: &[u8]) -> &[u8] {
    let end = value
        .iter()
        .rposition(|octet| *octet != 0)
        .map_or(0, |at| at.saturating_add(1));
    value.get(..end).unwrap_or_default()
}

/// NTP timestamp (seconds since 1900, fraction) in units of 1/`per_second` s since 1970; 0 for
/// times before 1970.
pub(crate) fn ntp_to_unix(bits: u64, per_second: u64) -> u64 {
    let seconds = (bits >> 32).checked_sub(NTP_TO_UNIX_SECONDS);
    seconds.map_or(0, |seconds| with_fraction(seconds, bits, per_second))
}

/// The same for a timestamp after 2036, when the 32 bits of the seconds begin again.
pub(crate) fn ntp_to_unix_after_wrap(bits: u64, per_second: u64) -> u64 {
    const WRAP_SECONDS: u64 = (1 << 32) - NTP_TO_UNIX_SECONDS;
    with_fraction((bits >> 32).saturating_add(WRAP_SECONDS), bits, per_second)
}

/// Seconds since 1970 with the fraction of an NTP timestamp.
fn with_fraction(seconds: u64, bits: u64, per_second: u64) -> u64 {
    // Rounded: writers cut the fraction, so that 1 µs arrives as a little less.
    let fraction = (bits & 0xffff_ffff).saturating_mul(per_second);
    let fraction = fraction.saturating_add(1 << 31) >> 32;
    seconds.saturating_mul(per_second).saturating_add(fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signed_value_of_any_width_keeps_its_sign() {
        assert_eq!(signed(&[0xff]), -1);
        assert_eq!(signed(&[0x7f]), 127);
        assert_eq!(signed(&[0xff, 0xfe, 0]), -512);
        assert_eq!(signed(&i64::MIN.to_be_bytes()), i64::MIN);
    }

    #[test]
    fn ntp_time_becomes_unix_time() {
        let half_past = ((NTP_TO_UNIX_SECONDS + 10) << 32) | 0x8000_0000;
        assert_eq!(ntp_to_unix(half_past, 1000), 10_500);
        assert_eq!(ntp_to_unix(0, 1000), 0);
        let one_microsecond = (NTP_TO_UNIX_SECONDS << 32) | 4294;
        assert_eq!(ntp_to_unix(one_microsecond, 1_000_000), 1);
    }

    #[test]
    fn zeros_inside_a_text_stay() {
        assert_eq!(trim_zeros(b"a\0b\0\0"), b"a\0b");
        assert_eq!(trim_zeros(&[0; 3]), b"");
    }
}
