//! Traffic of known size between the pods of the cluster tests: `serve` answers on a TCP and UDP
//! port, `call` sends requests.

use std::io::Write as _;
use std::net::{TcpListener, ToSocketAddrs as _, UdpSocket};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use kipfix_traffic::{Question, answer_connections, answer_datagrams};

const USAGE: &str = "kipfix-traffic serve PORT | \
                     call tcp|udp HOST:PORT COUNT QUESTION_OCTETS ANSWER_OCTETS [PAUSE_MILLISECONDS] | \
                     resolve NAME";

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
        ["serve", port] => serve(
            port.parse()
                .with_context(|| format!("invalid port {port:?}: must be 1–65535"))?,
        ),
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

fn serve(port: u16) -> Result<()> {
    let listener = TcpListener::bind(("::", port))?;
    let socket = UdpSocket::bind(("::", port))?;
    std::thread::spawn(move || answer_datagrams(&socket));
    answer_connections(&listener);
    Ok(())
}

fn call(transport: &str, to: &str, numbers: &[&str; 4]) -> Result<()> {
    let to = to
        .to_socket_addrs()?
        .next()
        .with_context(|| format!("{to} has no address"))?;
    let [count, question, answer, pause] = numbers;
    let mut question = Question::new(question.parse()?, answer.parse()?)?;
    let pause = Duration::from_millis(pause.parse()?);
    for _ in 0..count.parse::<u32>()? {
        match transport {
            "tcp" => question.ask_connection(to),
            "udp" => question.ask_datagram(to),
            _ => bail!("usage: {USAGE}"),
        }
        .with_context(|| format!("{transport} {to}"))?;
        std::thread::sleep(pause);
    }
    Ok(())
}
