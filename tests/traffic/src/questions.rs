//! Who asks.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _, UdpSocket};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use crate::USAGE;
use crate::protocol::{HEAD_OCTETS, MAX_DATAGRAM_OCTETS, PATIENCE, read_octets};

pub(crate) fn call(transport: &str, to: &str, numbers: &[&str; 4]) -> Result<()> {
    let to = to
        .to_socket_addrs()?
        .next()
        .with_context(|| format!("{to} has no address"))?;
    let [count, question, answer, pause] = numbers;
    let (question, answer): (u32, u32) = (question.parse()?, answer.parse()?);
    let mut octets = vec![b'q'; usize::try_from(question)?];
    ensure!(
        octets.len() >= HEAD_OCTETS,
        "a question has at least {HEAD_OCTETS} octets"
    );
    let head = question
        .to_be_bytes()
        .into_iter()
        .chain(answer.to_be_bytes());
    octets
        .iter_mut()
        .zip(head)
        .for_each(|(to, from)| *to = from);
    for _ in 0..count.parse::<u32>()? {
        match transport {
            "tcp" => ask_connection(to, &octets, usize::try_from(answer)?),
            "udp" => ask_datagram(to, &octets),
            _ => bail!("usage: {USAGE}"),
        }
        .with_context(|| format!("{transport} {to}"))?;
        std::thread::sleep(Duration::from_millis(pause.parse()?));
    }
    Ok(())
}

fn ask_connection(to: SocketAddr, question: &[u8], answer: usize) -> std::io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&to, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(question)?;
    read_octets(&mut stream, answer)
}

fn ask_datagram(to: SocketAddr, question: &[u8]) -> std::io::Result<()> {
    let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.send_to(question, to)?;
    socket.recv_from(&mut [0; MAX_DATAGRAM_OCTETS]).map(drop)
}
