//! Frames of HTTP/2 with field blocks of literals.

use super::http_probe::Probe;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const PADDED: u8 = 8;
pub(crate) const HAS_PRIORITY: u8 = 0x20;

/// A probe that has observed the beginning of a connection of HTTP/2.
pub(crate) fn begun() -> Probe {
    let mut probe = Probe::connected();
    probe.send(true, PREFACE);
    probe.send(true, &settings());
    probe.send(false, &settings());
    probe
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

pub(crate) fn settings() -> Vec<u8> {
    // 100 streams at the same time.
    frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100])
}

fn string(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).unwrap();
    assert!(length < 127);
    [&[length][..], text.as_bytes()].concat()
}

/// A field block whose fields are added to the dynamic table.
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0x40);
        block.extend(string(name));
        block.extend(string(value));
    }
    block
}

pub(crate) fn headers(stream: u32, flags: u8, fields: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | flags, stream, &block(fields))
}

/// A request without a body.
pub(crate) fn get(stream: u32, path: &str) -> Vec<u8> {
    let fields = [
        (":method", "GET"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "shop.example.org:8080"),
    ];
    headers(stream, END_STREAM, &fields)
}

/// A response without a body.
pub(crate) fn response(stream: u32, status: &str) -> Vec<u8> {
    headers(stream, END_STREAM, &[(":status", status)])
}

/// A request of gRPC with a message.
pub(crate) fn call(stream: u32) -> Vec<u8> {
    let fields = [
        (":method", "POST"),
        (":path", "/shop.Orders/Get"),
        ("content-type", "application/grpc+proto"),
        ("te", "trailers"),
    ];
    let message = frame(DATA, END_STREAM, stream, &[0, 0, 0, 0, 1, 7]);
    [headers(stream, 0, &fields), message].concat()
}

/// A response of gRPC with a message, and its status in the trailer.
pub(crate) fn reply(stream: u32, status: &str) -> Vec<u8> {
    let fields = [(":status", "200"), ("content-type", "application/grpc")];
    let message = frame(DATA, 0, stream, &[0, 0, 0, 0, 1, 7]);
    let trailer = [("grpc-status", status), ("grpc-message", "text")];
    let trailer = headers(stream, END_STREAM, &trailer);
    [headers(stream, 0, &fields), message, trailer].concat()
}
