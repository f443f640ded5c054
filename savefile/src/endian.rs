//! Numbers in the byte order of a file.

#[inline]
pub(super) fn u16_of(octets: [u8; 2], big_endian: bool) -> u16 {
    if big_endian {
        u16::from_be_bytes(octets)
    } else {
        u16::from_le_bytes(octets)
    }
}

#[inline]
pub(super) fn u32_of(octets: [u8; 4], big_endian: bool) -> u32 {
    if big_endian {
        u32::from_be_bytes(octets)
    } else {
        u32::from_le_bytes(octets)
    }
}

/// Reads consecutive words.
#[inline]
pub(super) fn words<const N: usize>(data: &[u8], big_endian: bool) -> Option<[u32; N]> {
    let (words, _) = data.as_chunks::<4>();
    let words = words.first_chunk::<N>()?;
    Some(words.map(|octets| u32_of(octets, big_endian)))
}
