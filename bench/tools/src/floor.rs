//! `floor`: the least that a probe or a collector must do, and nothing else.

use std::net::UdpSocket;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};
use nix::sys::socket::{setsockopt, sockopt};
use pcap::{Activated, Capture};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::stop::StopSignal;

/// What to do.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum Floor {
    /// Take every packet with libpcap and touch its headers; ends with the file, or by SIGTERM
    Capture {
        /// Capture file
        #[arg(long, value_name = "FILE", conflicts_with = "interface")]
        read: Option<PathBuf>,
        /// Interface
        #[arg(long)]
        interface: Option<String>,
        /// Octets of the kernel's ring
        #[arg(long, default_value_t = 32 << 20)]
        buffer: i32,
        /// Octets captured of each packet
        #[arg(long, default_value_t = 256)]
        snaplen: i32,
    },
    /// Receive every datagram; ends by SIGTERM
    Receive {
        /// UDP port on 127.0.0.1
        #[arg(long)]
        port: u16,
    },
}

/// Does it, and prints counts as JSON.
pub(crate) fn run(floor: &Floor) -> Result<()> {
    match floor {
        Floor::Receive { port } => receive(*port),
        Floor::Capture {
            read: Some(path), ..
        } => {
            let (packets, end) = count(&mut Capture::from_file(path)?);
            end?;
            println!("{{\"packets\":{packets}}}");
            Ok(())
        }
        Floor::Capture {
            interface: Some(interface),
            buffer,
            snaplen,
            ..
        } => {
            let mut capture = Capture::from_device(interface.as_str())?
                .buffer_size(*buffer)
                .snaplen(*snaplen)
                .timeout(100)
                .promisc(true)
                .open()?;
            let stop = StopSignal::register()?;
            let loop_handle = capture.breakloop_handle();
            let mut signals = Signals::new([SIGTERM, SIGINT])?;
            thread::spawn(move || {
                signals.forever().next();
                loop_handle.breakloop();
            });
            let (packets, end) = count(&mut capture);
            // A loop that was broken ends with an error.
            if !stop.is_set() {
                end?;
            }
            let dropped = capture.stats()?.dropped;
            println!("{{\"packets\":{packets},\"dropped\":{dropped}}}");
            Ok(())
        }
        Floor::Capture { .. } => bail!("--read or --interface is missing"),
    }
}

/// Counts packets until the end; returns how it ended, too.
fn count<T: Activated>(capture: &mut Capture<T>) -> (u64, Result<(), pcap::Error>) {
    let (mut packets, mut touched) = (0, 0_u64);
    let end = capture.for_each(None, |packet| {
        packets += 1;
        if packet.data.len() >= 60 {
            let octet = |at: usize| u64::from(packet.data[at]);
            touched = touched.wrapping_add(octet(12) + octet(23) + octet(30) + octet(37));
        }
    });
    std::hint::black_box(touched);
    (packets, end)
}

fn receive(port: u16) -> Result<()> {
    let stop = StopSignal::register()?;
    let socket = UdpSocket::bind(("127.0.0.1", port))?;
    setsockopt(&socket, sockopt::RcvBuf, &(4 << 20))?;
    socket.set_read_timeout(Some(Duration::from_millis(100)))?;
    let mut buffer = vec![0; 65_536];
    let (mut datagrams, mut octets) = (0_u64, 0);
    while !stop.is_set() {
        if let Ok(length) = socket.recv(&mut buffer) {
            datagrams += 1;
            octets += length;
        }
    }
    println!("{{\"datagrams\":{datagrams},\"octets\":{octets}}}");
    Ok(())
}
