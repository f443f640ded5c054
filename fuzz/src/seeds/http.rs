//! Connections with HTTP/1, with HTTP/2, and with an upgrade.

use super::frames::packets::http2::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, PREFACE, RST_STREAM, call, frame, get, headers,
    reply, response, settings,
};
use crate::input::write_chunk;

/// The target's octet, and chunks of both directions behind it.
pub(crate) fn all() -> Vec<Vec<u8>> {
    let http1 = [
        (0, b"GET /a HTTP/1.1\r\nHost: a.test\r\n\r\n".to_vec()),
        (
            0x20,
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n"
                .to_vec(),
        ),
        (
            0,
            b"POST /b HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc".to_vec(),
        ),
        (0x20, b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()),
    ];
    let upgrade = [
        (0, b"GET /a HTTP/1.1\r\nUpgrade: h2c\r\n\r\n".to_vec()),
        (0x20, b"HTTP/1.1 101 A\r\nUpgrade: h2c\r\n\r\n".to_vec()),
        (0x20, [settings(), response(1, "200")].concat()),
        (0, [PREFACE, &settings(), &get(3, "/b")].concat()),
        (0x20, response(3, "404")),
    ];
    // Fields of the static and the dynamic table, with the Huffman code, and a smaller table.
    let huffman = [
        &[0x82, 0x86, 0x84, 0x41, 0x8c][..],
        &[
            0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff,
        ],
    ];
    let http2 = [
        (0, [settings(), call(1), get(3, "/orders/7")].concat()),
        (
            0x20,
            [settings(), frame(4, 1, 0, &[]), reply(1, "5")].concat(),
        ),
        (0, frame(1, END_HEADERS | END_STREAM, 5, &huffman.concat())),
        (
            0,
            frame(1, END_HEADERS | END_STREAM, 7, &[0x82, 0xbe, 0x84, 0x86]),
        ),
        (0, frame(1, END_HEADERS, 9, &[0x3f, 0x45, 0x82, 0x84])),
        (0x20, headers(3, 0, &[(":status", "100")])),
        (0x20, frame(1, 0, 3, &[0x88])),
        (0x20, frame(CONTINUATION, END_HEADERS, 3, &[0x54, 1, b'a'])),
        (0x20, frame(DATA, END_STREAM, 3, &[b'x'; 700])),
        (0, frame(RST_STREAM, 0, 5, &[0, 0, 0, 8])),
        (0x20, response(7, "503")),
    ];
    let lost = [
        (0, [settings(), get(1, "/")].concat()),
        (0x20, settings()),
        (0xe0, response(1, "200")),
    ];
    let seed = |mode: u8, chunks: &[(u8, Vec<u8>)]| {
        let mut seed = vec![mode];
        for (control, octets) in chunks {
            write_chunk(*control, octets, &mut seed);
        }
        seed
    };
    vec![
        seed(0, &http1),
        seed(0, &upgrade),
        seed(1, &http2),
        seed(1, &lost),
    ]
}
