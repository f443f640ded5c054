//! Times in an exposition: columns have microseconds, samples have seconds.

/// The value as protobuf has it.
#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "values in protobuf are doubles"
)]
pub(super) const fn float(value: u64) -> f64 {
    value as f64
}

/// Microseconds in seconds.
pub(super) const fn seconds(microseconds: u64) -> f64 {
    float(microseconds) / 1e6
}

/// Appends microseconds as seconds: 1500000 → "1.5".
pub(super) fn write_seconds(microseconds: u64, out: &mut Vec<u8>) {
    let mut digits = itoa::Buffer::new();
    out.extend_from_slice(digits.format(microseconds / 1_000_000).as_bytes());
    let fraction = microseconds % 1_000_000;
    if fraction > 0 {
        // Six digits: 1000430 → "000430" → "00043".
        let fraction = digits.format(1_000_000 + fraction).trim_end_matches('0');
        out.push(b'.');
        out.extend_from_slice(fraction.as_bytes().get(1..).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_written_exactly() {
        for (microseconds, text) in [
            (0, "0"),
            (1, "0.000001"),
            (1_500_000, "1.5"),
            (12_000_000, "12"),
            (1_000_430, "1.00043"),
            (u64::MAX, "18446744073709.551615"),
        ] {
            let mut out = Vec::new();
            write_seconds(microseconds, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }
}
