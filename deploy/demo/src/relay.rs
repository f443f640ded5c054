//! A door out of a network namespace: a port on the host's loopback whose connections go on to an
//! address inside, so that a browser here reads what a daemon there serves. The host's own network
//! stays as it is.

use std::fs::File;
use std::io::Write;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};

use anyhow::{Context, Result};
use nix::sched::{CloneFlags, setns};

/// One door.
pub(crate) struct Door {
    /// Path of the network namespace, e.g. `/run/netns/node-a`.
    pub(crate) namespace: String,
    /// Where to go inside.
    pub(crate) to: SocketAddr,
    /// The port to use on the host if it is free.
    pub(crate) port: u16,
}

/// Opens the doors, prints where each is, one a line, and serves them; returns only on an error.
pub(crate) fn run(doors: Vec<Door>) -> Result<()> {
    let mut threads = Vec::new();
    for door in doors {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, door.port))
            .or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
            .context("cannot listen on the loopback address")?;
        let namespace = File::open(&door.namespace)
            .with_context(|| format!("cannot open the network namespace {}", door.namespace))?;
        writeln!(std::io::stdout(), "{}", listener.local_addr()?)?;
        threads.push(std::thread::spawn(move || {
            serve(&listener, &namespace, door.to)
        }));
    }
    for thread in threads {
        thread
            .join()
            .unwrap_or_else(|_| Err(anyhow::anyhow!("a relay died")))?;
    }
    Ok(())
}

/// A port of the loopback address that is free just now: the preferred one if possible.
pub(crate) fn free_port(transport: &str, preferred: u16) -> Result<u16> {
    let bind = |port| match transport {
        "udp" => UdpSocket::bind((Ipv4Addr::LOCALHOST, port))?.local_addr(),
        _ => TcpListener::bind((Ipv4Addr::LOCALHOST, port))?.local_addr(),
    };
    let address = bind(preferred).or_else(|_| bind(0));
    Ok(address
        .context("no port is free on the loopback address")?
        .port())
}

fn serve(listener: &TcpListener, namespace: &File, to: SocketAddr) -> Result<()> {
    // A socket stays in the namespace it was made in: the listener outside, what follows inside.
    setns(namespace, CloneFlags::CLONE_NEWNET).context("cannot enter a network namespace")?;
    for outside in listener.incoming().flatten() {
        // Threads inherit the namespace.
        std::thread::spawn(move || connect(&outside, to));
    }
    Ok(())
}

fn connect(outside: &TcpStream, to: SocketAddr) -> std::io::Result<()> {
    let inside = TcpStream::connect(to)?;
    let (request_from, request_to) = (outside.try_clone()?, inside.try_clone()?);
    std::thread::spawn(move || pass(&request_from, &request_to));
    pass(&inside, outside);
    Ok(())
}

fn pass(mut from: &TcpStream, mut to: &TcpStream) {
    std::io::copy(&mut from, &mut to).ok();
    to.shutdown(Shutdown::Write).ok();
}
