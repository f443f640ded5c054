//! Receivers that keep flow export.

use std::io::Read as _;
use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use etherparse::PacketBuilder;
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{setsockopt, sockopt};
use pcap_file::pcap::{PcapPacket, PcapWriter};

use crate::netns::Namespace;

/// A UDP receiver that keeps every datagram.
pub struct Sink {
    /// Its port on 127.0.0.1.
    pub port: u16,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Vec<u8>>>,
}

impl Sink {
    /// Starts to listen.
    pub fn start() -> Self {
        Self::on(UdpSocket::bind("127.0.0.1:0").expect("a socket"))
    }

    /// Starts to listen on the loopback interface of a namespace.
    pub fn start_in(namespace: &Namespace) -> Self {
        let path = Path::new("/run/netns").join(namespace.name());
        let namespace = std::fs::File::open(path).expect("a namespace");
        // The thread enters the namespace and ends. Its socket stays there.
        let bound = thread::spawn(move || {
            setns(namespace, CloneFlags::CLONE_NEWNET).expect("enters the namespace");
            UdpSocket::bind("127.0.0.1:0").expect("a socket")
        });
        Self::on(bound.join().expect("the thread ends"))
    }

    fn on(socket: UdpSocket) -> Self {
        // A large buffer, for a loaded machine.
        setsockopt(&socket, sockopt::RcvBufForce, &(16 << 20)).ok();
        socket
            .set_read_timeout(Some(Duration::from_millis(50)))
            .expect("a timeout");
        let port = socket.local_addr().expect("bound").port();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut datagrams = Vec::new();
            let mut buffer = vec![0; 65_536];
            loop {
                match socket.recv(&mut buffer) {
                    Ok(length) => datagrams.push(buffer[..length].to_vec()),
                    Err(_) if stopped.load(Ordering::Relaxed) => return datagrams,
                    Err(_) => {}
                }
            }
        });
        Self { port, stop, thread }
    }

    /// Stops and returns the datagrams.
    pub fn finish(self) -> Vec<Vec<u8>> {
        // The receiver ends when its socket is empty.
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the receiver ends")
    }
}

/// A TCP receiver that keeps the stream of one connection.
pub struct StreamSink {
    /// Its port on 127.0.0.1.
    pub port: u16,
    thread: JoinHandle<Vec<u8>>,
}

impl StreamSink {
    /// Starts to listen.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
        let port = listener.local_addr().expect("bound").port();
        let thread = thread::spawn(move || {
            let mut taken = Vec::new();
            let (mut connection, _) = listener.accept().expect("a connection");
            connection.read_to_end(&mut taken).expect("an end");
            taken
        });
        Self { port, thread }
    }

    /// Returns the data after the sender has closed.
    pub fn finish(self) -> Vec<u8> {
        self.thread.join().expect("the receiver ends")
    }
}

/// Writes datagrams as a capture from one exporter to port 4739.
pub fn write_capture(path: &Path, datagrams: &[Vec<u8>]) {
    let file = std::fs::File::create(path).expect("a file");
    let mut writer = PcapWriter::new(file).expect("a capture");
    for datagram in datagrams {
        let mut frame = Vec::new();
        PacketBuilder::ethernet2([2; 6], [4; 6])
            .ipv4([192, 0, 2, 10], [192, 0, 2, 1], 64)
            .udp(50_000, 4739)
            .write(&mut frame, datagram)
            .expect("fits");
        let time = Duration::from_secs(1_700_000_000);
        let length = frame.len().try_into().expect("fits");
        writer
            .write_packet(&PcapPacket::new(time, length, &frame))
            .expect("written");
    }
}
