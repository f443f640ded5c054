//! Who is asked.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};

use anyhow::Result;

use crate::protocol::{HEAD_OCTETS, MAX_DATAGRAM_OCTETS, PATIENCE, read_octets};

pub(crate) fn serve(port: u16) -> Result<()> {
    let listener = TcpListener::bind(("::", port))?;
    let socket = UdpSocket::bind(("::", port))?;
    std::thread::spawn(move || answer_datagrams(&socket));
    for stream in listener.incoming().flatten() {
        std::thread::spawn(move || answer_connection(stream));
    }
    Ok(())
}

fn sizes(head: [u8; HEAD_OCTETS]) -> (usize, usize) {
    let [a, b, c, d, e, f, g, h] = head;
    let size = |octets| usize::try_from(u32::from_be_bytes(octets)).unwrap_or(0);
    (size([a, b, c, d]), size([e, f, g, h]))
}

fn answer_connection(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut head = [0; HEAD_OCTETS];
    stream.read_exact(&mut head)?;
    let (question, answer) = sizes(head);
    read_octets(&mut stream, question.saturating_sub(HEAD_OCTETS))?;
    stream.write_all(&vec![b'a'; answer])
}

fn answer_datagrams(socket: &UdpSocket) {
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
