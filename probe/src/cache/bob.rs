//! The hash function BOB (RFC 5475 appendix A.2).

const GOLDEN_RATIO: u32 = 0x9e37_79b9;

/// The hash of octets with the initial value 0.
pub(super) fn bob(octets: &[u8]) -> u32 {
    let (mut a, mut b, mut c) = (GOLDEN_RATIO, GOLDEN_RATIO, 0_u32);
    let (blocks, rest) = octets.as_chunks::<12>();
    for block in blocks {
        let [x, y, z] = words(block);
        (a, b, c) = mix(a.wrapping_add(x), b.wrapping_add(y), c.wrapping_add(z));
    }
    let mut last = [0; 12];
    // The lowest octet of the third word has the length.
    for (at, octet) in rest.iter().enumerate() {
        if let Some(place) = last.get_mut(if at < 8 { at } else { at + 1 }) {
            *place = *octet;
        }
    }
    let [x, y, z] = words(&last);
    let length = u32::try_from(octets.len()).unwrap_or(u32::MAX);
    c = c.wrapping_add(length).wrapping_add(z);
    let (_, _, hash) = mix(a.wrapping_add(x), b.wrapping_add(y), c);
    hash
}

fn words(block: &[u8; 12]) -> [u32; 3] {
    let [a, b, c, d, e, f, g, h, i, j, k, l] = *block;
    [[a, b, c, d], [e, f, g, h], [i, j, k, l]].map(u32::from_le_bytes)
}

const fn mix(mut a: u32, mut b: u32, mut c: u32) -> (u32, u32, u32) {
    const fn step(x: u32, y: u32, z: u32) -> u32 {
        x.wrapping_sub(y).wrapping_sub(z)
    }
    a = step(a, b, c) ^ (c >> 13);
    b = step(b, c, a) ^ (a << 8);
    c = step(c, a, b) ^ (b >> 13);
    a = step(a, b, c) ^ (c >> 12);
    b = step(b, c, a) ^ (a << 16);
    c = step(c, a, b) ^ (b >> 5);
    a = step(a, b, c) ^ (c >> 3);
    b = step(b, c, a) ^ (a << 10);
    c = step(c, a, b) ^ (b >> 15);
    (a, b, c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_octet_and_the_length_change_the_hash() {
        let octets: Vec<u8> = (0..40).collect();
        for length in 0..40 {
            let part = octets.get(..length).unwrap();
            assert_ne!(bob(part), bob(octets.get(..=length).unwrap()));
            for at in 0..length {
                let mut changed = part.to_vec();
                changed[at] ^= 1;
                assert_ne!(bob(part), bob(&changed), "{length} {at}");
            }
        }
    }

    #[test]
    fn hashes_are_spread_evenly() {
        let mut parts = [0_u32; 16];
        for number in 0..160_000_u32 {
            let hash = bob(&number.to_be_bytes());
            parts[usize::try_from(hash >> 28).unwrap()] += 1;
        }
        assert!(
            parts.iter().all(|count| (9_600..10_400).contains(count)),
            "{parts:?}"
        );
    }
}
