//! Real traffic from the network namespace of a host: `serve` answers, `call` sends one round.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result};
use kipfix_traffic::{Question, answer_connections, answer_datagrams};

use crate::scenario::{CONVERSATIONS, Conversation, Transport};

/// Pause between two requests of a conversation.
const PAUSE: Duration = Duration::from_millis(50);

/// Answers all requests to `host` in the scenario, and prints a line when it listens. Returns only
/// on an error.
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
    writeln!(std::io::stdout(), "listening")?;
    for thread in threads {
        thread.join().ok();
    }
    Ok(())
}

/// Sends all requests of `host` in the scenario, once.
///
/// # Errors
/// If a request is not answered.
pub(crate) fn call(host: &str) -> Result<()> {
    let asking = CONVERSATIONS
        .iter()
        .filter(|conversation| conversation.source.name == host)
        .map(|conversation| std::thread::spawn(move || ask(conversation)))
        .collect::<Vec<_>>();
    for thread in asking {
        thread
            .join()
            .unwrap_or_else(|_| Err(anyhow::anyhow!("a client thread panicked")))?;
    }
    Ok(())
}

fn ask(conversation: &Conversation) -> Result<()> {
    let to = SocketAddr::from((conversation.destination.address, conversation.port));
    let sizes = [conversation.request_octets, conversation.answer_octets];
    let [request, answer] = sizes.map(u32::try_from);
    let mut question = Question::new(request?, answer?)?;
    for _ in 0..conversation.count {
        let answered = match conversation.transport {
            Transport::Tcp => question.ask_connection(to),
            Transport::Udp => question.ask_datagram(to),
        };
        answered.with_context(|| format!("request from {} to {to}", conversation.source.name))?;
        std::thread::sleep(PAUSE);
    }
    Ok(())
}
