//! Port forwarding into network namespaces: connections to a loopback port of the host go to an
//! address inside. The network configuration of the host does not change.

use std::fs::File;
use std::io::Write;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};

use anyhow::{Context, Result};
use nix::sched::{CloneFlags, setns};

/// One forwarded port.
pub(crate) struct Forwarding {
    /// Path of the network namespace, e.g. `/run/netns/node-a`.
    pub(crate) namespace: String,
    /// The address inside.
    pub(crate) to: SocketAddr,
    /// The preferred port on the host.
    pub(crate) port: u16,
}

/// Opens the ports, prints their addresses, one per line, and serves them. Returns only on an
/// error.
pub(crate) fn run(forwardings: Vec<Forwarding>) -> Result<()> {
    let mut threads = Vec::new();
    for forwarding in forwardings {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, forwarding.port))
            .or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
            .context("cannot listen on the loopback address")?;
        let namespace = File::open(&forwarding.namespace).with_context(|| {
            format!("cannot open the network namespace {}", forwarding.namespace)
        })?;
        writeln!(std::io::stdout(), "{}", listener.local_addr()?)?;
        threads.push(std::thread::spawn(move || {
            serve(&listener, &namespace, forwarding.to)
        }));
    }
    for thread in threads {
        thread
            .join()
            .unwrap_or_else(|_| Err(anyhow::anyhow!("a forwarding thread panicked")))?;
    }
    Ok(())
}

/// Returns a free port of the loopback address, if possible the preferred one.
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
    // A socket stays in the namespace in which it was created: the listener is outside.
    setns(namespace, CloneFlags::CLONE_NEWNET).context("cannot enter a network namespace")?;
    for client in listener.incoming().flatten() {
        // Threads inherit the namespace.
        std::thread::spawn(move || connect(&client, to));
    }
    Ok(())
}

fn connect(client: &TcpStream, to: SocketAddr) -> std::io::Result<()> {
    let inside = TcpStream::connect(to)?;
    let (request_from, request_to) = (client.try_clone()?, inside.try_clone()?);
    std::thread::spawn(move || copy(&request_from, &request_to));
    copy(&inside, client);
    Ok(())
}

fn copy(mut from: &TcpStream, mut to: &TcpStream) {
    std::io::copy(&mut from, &mut to).ok();
    to.shutdown(Shutdown::Write).ok();
}
