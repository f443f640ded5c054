//! The settings of a ring, as text `STEP/LENGTH`.

use std::fmt;
use std::str::FromStr;

use kipfix_service::settings::Span;

/// Length of the intervals of a ring, and how long they are kept. As text `10s/15m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingSettings {
    /// Length of an interval, milliseconds. At least 1.
    pub step: u64,
    /// Time for which an interval is kept, milliseconds.
    pub length: u64,
}

impl RingSettings {
    /// The default rings.
    pub const DEFAULT: [Self; 3] = [
        Self::of_seconds(10, 15 * 60),
        Self::of_seconds(60, 6 * 3600),
        Self::of_seconds(300, 48 * 3600),
    ];
    /// Maximum number of intervals of a ring.
    const MAX_INTERVALS: u64 = 10_000;
    /// Minimum length of an interval, milliseconds: edges are drained this often.
    const MIN_STEP: u64 = 10_000;

    const fn of_seconds(step: u64, length: u64) -> Self {
        Self {
            step: step * 1000,
            length: length * 1000,
        }
    }

    /// The begin of the interval that contains a time.
    pub(super) fn begin_of(&self, milliseconds: u64) -> u64 {
        milliseconds - milliseconds % self.step.max(1)
    }

    /// The end of the interval that begins at `begin`.
    pub(super) const fn end_of(&self, begin: u64) -> u64 {
        begin.saturating_add(self.step)
    }

    /// Checks rings, which must be in the order of their steps.
    ///
    /// # Errors
    /// What is required of the first ring that is invalid.
    pub fn check(rings: &[Self]) -> Result<(), String> {
        let invalid = |ring: &Self, rule: String| Err(format!("invalid ring {ring}: {rule}"));
        if rings.is_empty() {
            return Err("at least one ring is required".into());
        }
        let mut finer: Option<&Self> = None;
        for ring in rings {
            if ring.step < Self::MIN_STEP || ring.step % Self::MIN_STEP != 0 {
                return invalid(ring, "the step must be a multiple of 10s".into());
            }
            let intervals = ring.length / ring.step;
            if !(1..=Self::MAX_INTERVALS).contains(&intervals) {
                let rule = format!("the length must be 1–{} steps", Self::MAX_INTERVALS);
                return invalid(ring, rule);
            }
            if let Some(finer) = finer
                && (ring.step <= finer.step || ring.step % finer.step != 0)
            {
                return invalid(
                    ring,
                    format!("the step must be a multiple of that of {finer}"),
                );
            }
            if let Some(finer) = finer
                && ring.length <= finer.length
            {
                return invalid(ring, format!("it must be longer than {finer}"));
            }
            finer = Some(ring);
        }
        Ok(())
    }
}

impl FromStr for RingSettings {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let milliseconds = |text: &str| text.parse().ok().map(Span::milliseconds);
        let parts = text.split_once('/');
        let ring = parts.and_then(|(step, length)| {
            Some(Self {
                step: milliseconds(step).filter(|step| *step > 0)?,
                length: milliseconds(length)?,
            })
        });
        ring.ok_or_else(|| format!("invalid ring {text:?}: must be STEP/LENGTH, such as 10s/15m"))
    }
}

kipfix_service::text_setting!(RingSettings);

impl fmt::Display for RingSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [step, length] = [self.step, self.length].map(Span::from_millis);
        write!(f, "{step}/{length}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_is_written_as_it_is_read() {
        for text in ["10s/15m", "1m/6h", "5m/2d"] {
            assert_eq!(text.parse::<RingSettings>().unwrap().to_string(), text);
        }
        for invalid in ["", "10s", "10s/", "/15m", "0s/15m", "10/15", "10s/15m/1h"] {
            let error = invalid.parse::<RingSettings>().unwrap_err();
            assert!(error.contains("STEP/LENGTH"), "{error}");
        }
    }

    #[test]
    fn rings_must_fit_into_each_other() {
        let check = |rings: &[&str]| {
            let rings: Vec<RingSettings> = rings.iter().map(|ring| ring.parse().unwrap()).collect();
            RingSettings::check(&rings)
        };
        assert_eq!(RingSettings::check(&RingSettings::DEFAULT), Ok(()));
        assert_eq!(check(&["10s/15m"]), Ok(()));
        for (rings, rule) in [
            (&[][..], "at least one"),
            (&["5s/15m"], "a multiple of 10s"),
            (&["1m/10s"], "1–10000 steps"),
            (&["10s/30d"], "1–10000 steps"),
            (&["20s/15m", "30s/1h"], "multiple of that of 20s/15m"),
            (&["1m/1h", "10s/2h"], "multiple of that of 1m/1h"),
            (&["10s/1h", "1m/30m"], "longer than 10s/1h"),
        ] {
            let error = check(rings).unwrap_err();
            assert!(error.contains(rule), "{error}");
        }
    }
}
