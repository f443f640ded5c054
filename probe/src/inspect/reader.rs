//! A position in octets that may end anywhere.

/// Reads big-endian numbers and parts from octets. `None` if the octets end before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) const fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn octets(&mut self, length: usize) -> Option<&'a [u8]> {
        let (first, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(first)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        let (first, rest) = self.0.split_first_chunk::<2>()?;
        self.0 = rest;
        Some(u16::from_be_bytes(*first))
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        let (first, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*first))
    }

    /// A part that has its length in one octet in front.
    pub(super) fn part8(&mut self) -> Option<Self> {
        let length = self.u8()?;
        self.octets(length.into()).map(Self)
    }

    /// A part that has its length in two octets in front.
    pub(super) fn part16(&mut self) -> Option<Self> {
        let length = self.u16()?;
        self.octets(length.into()).map(Self)
    }
}
