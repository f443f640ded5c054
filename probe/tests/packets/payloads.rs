//! Payloads that have the name of a peer.

/// A DNS response with one address.
pub(crate) fn dns_response(name: &str, address: [u8; 4]) -> Vec<u8> {
    let mut message = vec![0, 7, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0];
    for label in name.split('.') {
        message.push(u8::try_from(label.len()).unwrap());
        message.extend(label.as_bytes());
    }
    message.extend([0, 0, 1, 0, 1, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
    message.extend(address);
    message
}

/// A value with its length in two octets in front.
pub(crate) fn part16(value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap();
    [&length.to_be_bytes()[..], value].concat()
}

/// A `ClientHello` with a key share of some octets before the server name, and perhaps ECH.
pub(crate) fn hello(name: &str, key_octets: usize, has_ech: bool) -> Vec<u8> {
    let extension = |kind: u16, value: &[u8]| [&kind.to_be_bytes()[..], &part16(value)].concat();
    let entry = [&[0][..], &part16(name.as_bytes())].concat();
    let mut extensions = extension(51, &vec![0; key_octets]);
    extensions.extend(extension(0, &part16(&entry)));
    if has_ech {
        extensions.extend(extension(0xfe0d, &[0; 50]));
    }
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.push(0);
    body.extend(part16(&[0x13, 1]));
    body.extend([1, 0]);
    body.extend(part16(&extensions));
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    let handshake = [&[1][..], &length[1..], &body].concat();
    [&[22, 3, 1][..], &part16(&handshake)].concat()
}
