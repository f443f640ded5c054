//! Servers.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};

use crate::{HEAD_OCTETS, MAX_DATAGRAM_OCTETS, TIMEOUT, read_octets};

/// Answers one request per connection, each in a thread. Does not return.
pub fn answer_connections(listener: &TcpListener) {
    for stream in listener.incoming().flatten() {
        std::thread::spawn(move || answer_connection(stream));
    }
}

/// Answers every datagram that contains a request, with one datagram. Returns if the socket fails.
pub fn answer_datagrams(socket: &UdpSocket) {
    let mut datagram = [0; MAX_DATAGRAM_OCTETS];
    while let Ok((_, from)) = socket.recv_from(&mut datagram) {
        if let Some(head) = datagram.first_chunk::<HEAD_OCTETS>() {
            let (_, answer) = sizes(*head);
            socket
                .send_to(&vec![b'a'; answer.min(MAX_DATAGRAM_OCTETS)], from)
                .ok();
        }
    }
}

fn answer_connection(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(TIMEOUT))?;
    let mut head = [0; HEAD_OCTETS];
    stream.read_exact(&mut head)?;
    let (question, answer) = sizes(head);
    read_octets(&mut stream, question.saturating_sub(HEAD_OCTETS))?;
    stream.write_all(&vec![b'a'; answer])
}

fn sizes(head: [u8; HEAD_OCTETS]) -> (usize, usize) {
    let [a, b, c, d, e, f, g, h] = head;
    let size = |octets| usize::try_from(u32::from_be_bytes(octets)).unwrap_or(0);
    (size([a, b, c, d]), size([e, f, g, h]))
}
