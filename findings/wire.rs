//! Messages for the Rust programs of these scripts.

/// An IPFIX Message with one template (256) and its data Set. Elements: identifier, length,
/// enterprise number (0: IANA).
pub fn message(elements: &[(u16, u16, u32)], records: &[u8]) -> Vec<u8> {
    let mut template = vec![1, 0];
    template.extend((elements.len() as u16).to_be_bytes());
    for &(identifier, length, enterprise) in elements {
        let bit = if enterprise == 0 { 0 } else { 0x8000 };
        template.extend((identifier | bit).to_be_bytes());
        template.extend(length.to_be_bytes());
        if enterprise != 0 {
            template.extend(enterprise.to_be_bytes());
        }
    }
    let mut sets = Vec::new();
    for (set, body) in [(2u16, template.as_slice()), (256, records)] {
        sets.extend(set.to_be_bytes());
        sets.extend((4 + body.len() as u16).to_be_bytes());
        sets.extend(body);
    }
    let mut octets = vec![0, 10];
    octets.extend((16 + sets.len() as u16).to_be_bytes());
    octets.extend(1_780_000_000u32.to_be_bytes()); // export time
    octets.extend([0, 0, 0, 0, 0, 0, 0, 1]); // sequence number, Observation Domain ID
    octets.extend(sets);
    octets
}
