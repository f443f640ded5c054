//! Real traffic of known size between the pods of the cluster tests: `serve` answers on a port, by TCP and UDP,
//! `call` asks. A question begins with how long it is and how long the answer shall be.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs as _, UdpSocket};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

const USAGE: &str = "kipfix-traffic serve PORT | \
                     call tcp|udp HOST:PORT COUNT QUESTION_OCTETS ANSWER_OCTETS [PAUSE_MILLISECONDS] | \
                     resolve NAME";
/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
const HEAD_OCTETS: usize = 8;
const MAX_DATAGRAM_OCTETS: usize = 1400;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            writeln!(std::io::stderr(), "kipfix-traffic: {error:#}").ok();
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result<()> {
    match arguments {
        ["serve", port] => serve(port.parse().context("a port")?),
        ["call", transport, to, count, question, answer] => {
            call(transport, to, &[count, question, answer, "0"])
        }
        ["call", transport, to, count, question, answer, pause] => {
            call(transport, to, &[count, question, answer, pause])
        }
        ["resolve", name] => {
            for address in (*name, 0).to_socket_addrs()? {
                writeln!(std::io::stdout(), "{}", address.ip())?;
            }
            Ok(())
        }
        _ => bail!("usage: {USAGE}"),
    }
}

//------------ Answers ---------------------------------------------------------------------------

fn serve(port: u16) -> Result<()> {
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

fn read_octets(stream: &mut TcpStream, octets: usize) -> std::io::Result<()> {
    let limit = u64::try_from(octets).unwrap_or(u64::MAX);
    let read = std::io::copy(&mut stream.take(limit), &mut std::io::sink())?;
    if read < limit {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}

//------------ Questions -------------------------------------------------------------------------

fn call(transport: &str, to: &str, numbers: &[&str; 4]) -> Result<()> {
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
