//! Real traffic, from inside the network namespace of a host: `serve` answers, `call` asks one round.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::scenario::{CONVERSATIONS, Conversation, Transport};

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two questions of one conversation.
const PAUSE: Duration = Duration::from_millis(50);
/// Longest question or answer of a datagram.
const MAX_DATAGRAM_OCTETS: usize = 1400;

/// Answers whatever `host` is asked in the scenario; returns only on an error.
pub(crate) fn serve(host: &str) -> Result<()> {
    let mut threads = Vec::new();
    let mut served = Vec::new();
    for conversation in CONVERSATIONS.iter().filter(|c| c.destination.name == host) {
        let at = SocketAddr::from((conversation.destination.address, conversation.port));
        if served.contains(&(conversation.transport, at)) {
            continue;
        }
        served.push((conversation.transport, at));
        let listening = || format!("{host}: cannot listen on {at}");
        threads.push(match conversation.transport {
            Transport::Tcp => {
                let listener = TcpListener::bind(at).with_context(listening)?;
                std::thread::spawn(move || answer_connections(&listener))
            }
            Transport::Udp => {
                let socket = UdpSocket::bind(at).with_context(listening)?;
                std::thread::spawn(move || answer_datagrams(&socket))
            }
        });
    }
    for thread in threads {
        thread.join().ok();
    }
    Ok(())
}

/// A question begins with how long it is and how long the answer shall be.
const HEAD_OCTETS: usize = 8;

fn head(conversation: &Conversation) -> Result<[u8; HEAD_OCTETS]> {
    let request = u32::try_from(conversation.request_octets)?.to_be_bytes();
    let answer = u32::try_from(conversation.answer_octets)?.to_be_bytes();
    let mut head = [0; HEAD_OCTETS];
    head.iter_mut()
        .zip(request.iter().chain(&answer))
        .for_each(|(to, from)| *to = *from);
    Ok(head)
}

fn sizes(head: [u8; HEAD_OCTETS]) -> (usize, usize) {
    let [a, b, c, d, e, f, g, h] = head;
    let size = |octets| usize::try_from(u32::from_be_bytes(octets)).unwrap_or(0);
    (size([a, b, c, d]), size([e, f, g, h]))
}

fn answer_connections(listener: &TcpListener) {
    for stream in listener.incoming().flatten() {
        std::thread::spawn(move || answer_connection(stream));
    }
}

fn answer_connection(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut head = [0; HEAD_OCTETS];
    stream.read_exact(&mut head)?;
    let (request, answer) = sizes(head);
    read_octets(&mut stream, request.saturating_sub(HEAD_OCTETS))?;
    stream.write_all(&vec![b'a'; answer])
}

fn read_octets(stream: &mut TcpStream, octets: usize) -> std::io::Result<()> {
    let limit = u64::try_from(octets).unwrap_or(u64::MAX);
    let read = std::io::copy(&mut stream.take(limit), &mut std::io::sink())?;
    if read < limit {
        Err(ErrorKind::UnexpectedEof.into())
    } else {
        Ok(())
    }
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

/// Asks everything that `host` asks in the scenario, once.
///
/// # Errors
/// A question that nobody answered.
pub(crate) fn call(host: &str) -> Result<()> {
    let asking = CONVERSATIONS
        .iter()
        .filter(|conversation| conversation.source.name == host)
        .map(|conversation| std::thread::spawn(move || ask(conversation)))
        .collect::<Vec<_>>();
    for thread in asking {
        thread
            .join()
            .unwrap_or_else(|_| Err(anyhow::anyhow!("a caller died")))?;
    }
    Ok(())
}

fn ask(conversation: &Conversation) -> Result<()> {
    let to = SocketAddr::from((conversation.destination.address, conversation.port));
    let head = head(conversation)?;
    let mut request = vec![b'q'; conversation.request_octets];
    request
        .iter_mut()
        .zip(head)
        .for_each(|(to, from)| *to = from);
    for _ in 0..conversation.count {
        let answered = match conversation.transport {
            Transport::Tcp => ask_connection(to, &request, conversation.answer_octets),
            Transport::Udp => ask_datagram(to, &request),
        };
        answered.with_context(|| format!("{} asked {to}", conversation.source.name))?;
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

fn ask_connection(to: SocketAddr, request: &[u8], answer_octets: usize) -> std::io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&to, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request)?;
    read_octets(&mut stream, answer_octets)
}

fn ask_datagram(to: SocketAddr, request: &[u8]) -> std::io::Result<()> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.send_to(request, to)?;
    socket.recv_from(&mut [0; MAX_DATAGRAM_OCTETS]).map(drop)
}
