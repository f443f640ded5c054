//! Numbers for the uids of Kubernetes objects.

/// Returns the 128 bits of a uid. A text that is not a UUID is hashed.
pub(super) fn uid(text: &str) -> u128 {
    let digits = text.bytes().filter(|octet| *octet != b'-');
    let mut number: u128 = 0;
    for octet in digits {
        let digit = char::from(octet).to_digit(16);
        number = number.rotate_left(4) ^ u128::from(digit.unwrap_or(u32::from(octet)));
    }
    number
}
