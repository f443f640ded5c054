//! `sink`: a receiver of flow export that loses nothing and adds up what it receives.
//!
//! Datagrams are kept in memory and decoded at the end, so that the exporter is not slowed down.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::sys::socket::{setsockopt, sockopt};
use serde::Serialize;

use crate::capture::{CaptureWriter, RAW_IP, loopback_frame};
use crate::decode::{Decoder, Totals};
use crate::flows::Flows;
use crate::pace::ReceiverQueue;
use crate::stop::StopSignal;

/// Socket buffer that holds the export of a million flows.
const RECEIVE_BUFFER: usize = 256 << 20;
/// Octets that are kept in memory.
const MAX_OCTETS: usize = 8 << 30;

/// Settings of the receiver.
#[derive(clap::Args, Debug)]
pub(crate) struct SinkSettings {
    /// Where to listen for UDP; port 0 is any free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Capture file for the datagrams
    #[arg(long, value_name = "FILE")]
    keep: Option<PathBuf>,
    /// CSV file for the sums by flow
    #[arg(long, value_name = "FILE")]
    flows_csv: Option<PathBuf>,
}

#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    totals: Totals,
    /// Datagrams that the socket had no room for.
    receiver_drops: u64,
}

/// Prints the port, receives until a signal, then prints the totals: two lines of JSON.
pub(crate) fn run(settings: &SinkSettings) -> Result<()> {
    let stop = StopSignal::register()?;
    let socket = UdpSocket::bind(settings.listen)?;
    if setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER).is_err() {
        setsockopt(&socket, sockopt::RcvBuf, &RECEIVE_BUFFER)?;
    }
    socket.set_read_timeout(Some(Duration::from_millis(20)))?;
    let port = socket.local_addr()?.port();
    println!("{{\"port\":{port}}}");

    let mut arena = Vec::with_capacity(64 << 20);
    let mut ends = Vec::new();
    let mut buffer = vec![0; 65_536];
    loop {
        match socket.recv(&mut buffer) {
            Ok(length) => {
                arena.extend_from_slice(&buffer[..length]);
                ends.push(arena.len());
                ensure!(
                    arena.len() < MAX_OCTETS,
                    "more than {MAX_OCTETS} octets received"
                );
            }
            // What was sent before the signal is still read.
            Err(_) if stop.is_set() => break,
            Err(_) => {}
        }
    }
    let mut start = 0;
    let datagrams: Vec<&[u8]> = ends
        .into_iter()
        .map(|end| &arena[std::mem::replace(&mut start, end)..end])
        .collect();
    let mut decoder = Decoder::default();
    decoder.flows = settings.flows_csv.is_some().then(Flows::default);
    for datagram in &datagrams {
        decoder.datagram(datagram);
    }
    if let Some(path) = &settings.keep {
        let file = File::create(path).with_context(|| path.display().to_string())?;
        let mut writer = CaptureWriter::new(BufWriter::new(file), RAW_IP, 65_535)?;
        let mut frame = Vec::new();
        for datagram in &datagrams {
            loopback_frame(&mut frame, port, datagram);
            writer.write(1_700_000_000_000_000, &frame)?;
        }
        writer.finish()?;
    }
    if let (Some(path), Some(flows)) = (&settings.flows_csv, &decoder.flows) {
        let file = File::create(path).with_context(|| path.display().to_string())?;
        let mut writer = BufWriter::new(file);
        flows.write(&mut writer)?;
        writer.flush()?;
    }
    let report = Report {
        totals: decoder.totals,
        receiver_drops: ReceiverQueue::new(port).state()?.drops,
    };
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}
