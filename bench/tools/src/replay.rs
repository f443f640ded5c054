//! `replay`: sends the frames of a capture on a virtual interface at a rate.

use std::io::IoSlice;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, MultiHeaders, SockFlag, SockType, SockaddrStorage, bind,
    sendmmsg, setsockopt, socket, sockopt,
};
use serde::Serialize;

use crate::capture::{ETHERNET, Frames};
use crate::stop::StopSignal;

/// Most frames of one system call.
const MAX_BATCH: usize = 64;
/// Errors in a row after which sending stops.
const MAX_ERRORS: u64 = 100_000;

/// Settings of a replay.
#[derive(clap::Args, Debug)]
pub(crate) struct ReplaySettings {
    /// Interface to send on; not a real device
    #[arg(long)]
    interface: String,
    /// Capture file with Ethernet frames
    #[arg(long, value_name = "FILE")]
    read: PathBuf,
    /// Times that the file is sent
    #[arg(long, default_value_t = 1)]
    loops: u64,
    /// Frames per second; 0 is as fast as possible
    #[arg(long, default_value_t = 0.0)]
    pps: f64,
}

#[derive(Serialize)]
struct Report {
    frames: u64,
    octets: u64,
    send_errors: u64,
    seconds: f64,
    pps: f64,
}

/// Sends, and prints the report as JSON.
pub(crate) fn run(settings: &ReplaySettings) -> Result<()> {
    let stop = StopSignal::register()?;
    let file =
        std::fs::read(&settings.read).with_context(|| settings.read.display().to_string())?;
    let frames = Frames::of(&file)?;
    ensure!(
        frames.link_type == ETHERNET,
        "not a capture of Ethernet frames"
    );
    let frames: Vec<&[u8]> = frames.collect();
    let socket = packet_socket(&settings.interface)?;
    let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(MAX_BATCH, None);
    // A batch every half millisecond at low rates.
    let batch = match settings.pps {
        0.0 => MAX_BATCH,
        pps => ((pps / 2000.0).ceil() as usize).min(MAX_BATCH),
    };
    let mut report = Report {
        frames: 0,
        octets: 0,
        send_errors: 0,
        seconds: 0.0,
        pps: 0.0,
    };
    let start = Instant::now();
    'loops: for _ in 0..settings.loops {
        for batch in frames.chunks(batch) {
            if stop.is_set() {
                break 'loops;
            }
            if settings.pps > 0.0 {
                let due = Duration::from_secs_f64(report.frames as f64 / settings.pps);
                thread::sleep(due.saturating_sub(start.elapsed()));
            }
            send(&socket, &mut headers, batch, &mut report)?;
        }
    }
    report.seconds = start.elapsed().as_secs_f64();
    report.pps = report.frames as f64 / report.seconds;
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}

/// Opens a socket that sends whole frames on an interface and receives none.
fn packet_socket(interface: &str) -> Result<OwnedFd> {
    let device = Path::new("/sys/class/net").join(interface).join("device");
    ensure!(
        !device.exists(),
        "invalid interface \"{interface}\": must not be a real device"
    );
    let link: LinkAddr = getifaddrs()?
        .filter(|address| address.interface_name == interface)
        .find_map(|address| address.address?.as_link_addr().copied())
        .with_context(|| format!("invalid interface \"{interface}\": does not exist"))?;
    let flags = SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Packet, SockType::Raw, flags, None)
        .context("a packet socket, which needs CAP_NET_RAW")?;
    setsockopt(&socket, sockopt::SndBuf, &(4 << 20))?;
    bind(socket.as_raw_fd(), &link)?;
    Ok(socket)
}

fn send(
    socket: &OwnedFd,
    headers: &mut MultiHeaders<SockaddrStorage>,
    mut batch: &[&[u8]],
    report: &mut Report,
) -> Result<()> {
    while !batch.is_empty() {
        let slices: Vec<[IoSlice<'_>; 1]> = batch.iter().map(|f| [IoSlice::new(f)]).collect();
        let addresses = [None::<SockaddrStorage>; MAX_BATCH];
        let flags = MsgFlags::empty();
        match sendmmsg(socket.as_raw_fd(), headers, &slices, addresses, [], flags) {
            Ok(results) => {
                let (sent, rest) = batch.split_at(results.count());
                report.frames += sent.len() as u64;
                report.octets += sent.iter().map(|f| f.len() as u64).sum::<u64>();
                batch = rest;
            }
            Err(Errno::EINTR) => {}
            Err(error) => {
                report.send_errors += 1;
                if report.send_errors > MAX_ERRORS {
                    bail!("cannot send: {error}");
                }
            }
        }
    }
    Ok(())
}
