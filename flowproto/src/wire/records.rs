//! The Data Records of a Set.

use super::violation::Violation;
use crate::field::FieldSpan;
use crate::template::Template;

/// Splits the content of a Data Set into records.
#[derive(Debug)]
pub(crate) struct Records<'t, 'a> {
    template: &'t Template,
    rest: &'a [u8],
    is_cut: bool,
}

impl<'t, 'a> Records<'t, 'a> {
    pub(crate) const fn new(template: &'t Template, content: &'a [u8]) -> Self {
        Self {
            template,
            rest: content,
            is_cut: false,
        }
    }

    /// The next record. Where the template has fields of variable length, `spans` receives the
    /// position of each field's value. `None` at the end, or where what is left is padding
    /// (RFC 7011 §3.3.1).
    ///
    /// # Errors
    /// The record runs past the end of the Set, which ends there.
    #[inline]
    pub(crate) fn next(
        &mut self,
        spans: &mut Vec<FieldSpan>,
    ) -> Option<Result<&'a [u8], Violation>> {
        if self.rest.len() < self.template.minimum_length() || self.is_cut {
            return None;
        }
        match self.template.split(self.rest, spans) {
            Some((record, rest)) => {
                self.rest = rest;
                Some(Ok(record))
            }
            None => {
                self.is_cut = true;
                Some(Err(Violation::FieldOverrun {
                    left: count(self.rest),
                }))
            }
        }
    }

    /// The whole records that follow, if the template has no fields of variable length.
    pub(crate) fn of_fixed_length(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let octets = self.template.minimum_length().max(1);
        self.rest.chunks_exact(octets)
    }

    /// Continues behind this number of the records of [`Self::of_fixed_length`].
    pub(crate) fn skip(&mut self, records: usize) {
        let octets = records.saturating_mul(self.template.minimum_length());
        self.rest = self.rest.get(octets..).unwrap_or_default();
    }

    /// The octets behind the last whole record.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

/// The violations of padding in a Set whose records have at least `shortest` octets.
pub(crate) fn padding_violations(
    padding: &[u8],
    shortest: usize,
) -> impl Iterator<Item = Violation> {
    let (octets, shortest) = (count(padding), u32::try_from(shortest).unwrap_or(u32::MAX));
    let not_zero = padding.iter().any(|octet| *octet != 0);
    let too_long = octets > 0 && (octets >= shortest || octets > 7);
    [
        not_zero.then_some(Violation::PaddingNotZero { octets }),
        too_long.then_some(Violation::PaddingTooLong { octets, shortest }),
    ]
    .into_iter()
    .flatten()
}

fn count(octets: &[u8]) -> u32 {
    u32::try_from(octets.len()).unwrap_or(u32::MAX)
}
