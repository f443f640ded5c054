//! Numbers as people read them.

/// Octets with a unit, cut to one decimal place.
#[must_use]
pub fn bytes(value: u64) -> String {
    let mut units = ["kB", "MB", "GB", "TB", "PB", "EB"].into_iter();
    let (mut whole, mut tenths, mut unit) = (value, 0, None);
    while whole >= 1000 {
        (tenths, whole) = (whole % 1000 / 100, whole / 1000);
        unit = units.next();
    }
    match unit {
        Some(unit) => format!("{whole}.{tenths} {unit}"),
        None => format!("{value} B"),
    }
}

/// A number of tenths, with its decimal place.
#[must_use]
pub fn decimal(tenths: u64) -> String {
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// A time of this many microseconds, with its unit.
#[must_use]
pub fn time(microseconds: u64) -> String {
    match microseconds {
        0..1000 => format!("{microseconds} µs"),
        1000..1_000_000 => format!("{} ms", decimal(microseconds / 100)),
        _ => format!("{} s", decimal(microseconds / 100_000)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_have_a_unit_and_one_decimal_place() {
        for (value, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (1_999_999, "1.9 MB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(bytes(value), text);
        }
        assert_eq!(decimal(105), "10.5");
    }

    #[test]
    fn times_have_the_unit_of_their_size() {
        for (microseconds, text) in [
            (1, "1 µs"),
            (999, "999 µs"),
            (1000, "1.0 ms"),
            (999_999, "999.9 ms"),
            (1_250_000, "1.2 s"),
        ] {
            assert_eq!(time(microseconds), text);
        }
    }
}
