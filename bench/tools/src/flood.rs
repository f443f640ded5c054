//! `flood`: datagrams that are not flow export, at a rate.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde::Serialize;

use crate::outlet::{BATCH, Outlet};
use crate::pace::{Pace, ReceiverQueue};
use crate::random::Random;
use crate::stop::StopSignal;

/// Different datagrams; they are sent in turn.
const DATAGRAMS: usize = 4096;

/// Settings of a flood.
#[derive(clap::Args, Debug)]
pub(crate) struct FloodSettings {
    /// Receiver, on loopback
    #[arg(long, value_name = "ADDRESS:PORT")]
    to: SocketAddr,
    /// Octets per second
    #[arg(long, default_value_t = 100e6)]
    rate: f64,
    /// Seconds
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Octets of a datagram
    #[arg(long, default_value_t = 1400)]
    size: usize,
    /// Senders, each with an address of its own
    #[arg(long, default_value_t = 100)]
    senders: u32,
}

#[derive(Serialize)]
struct Report {
    datagrams: u64,
    octets: u64,
    receiver_drops: u64,
    seconds: f64,
}

/// Sends, and prints the report as JSON.
pub(crate) fn run(settings: &FloodSettings) -> Result<()> {
    ensure!(
        (20..=65_000).contains(&settings.size),
        "invalid size \"{}\": must be 20–65000",
        settings.size
    );
    let stop = StopSignal::register()?;
    let mut random = Random::new(9);
    let datagrams: Vec<Vec<u8>> = (0..DATAGRAMS)
        .map(|number| garbage(&mut random, number, settings.size))
        .collect();
    let mut queue = ReceiverQueue::new(settings.to.port());
    let drops_before = queue.state()?.drops;
    let mut outlet = Outlet::open(settings.to, settings.senders)?;
    let pace = Pace::Rate(settings.rate);
    let start = Instant::now();
    let mut turn = 0;
    while start.elapsed() < Duration::from_secs_f64(settings.seconds) && !stop.is_set() {
        if pace.wait(outlet.sent.octets, start, &mut queue)? {
            let sender = turn / BATCH % settings.senders as usize;
            for _ in 0..BATCH {
                outlet.send(sender, &datagrams[turn % DATAGRAMS])?;
                turn += 1;
            }
        }
    }
    outlet.flush()?;
    let report = Report {
        datagrams: outlet.sent.datagrams,
        octets: outlet.sent.octets,
        receiver_drops: queue.state()?.drops - drops_before,
        seconds: start.elapsed().as_secs_f64(),
    };
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}

/// Random octets, a third behind a valid IPFIX header, a third behind one of NetFlow v9.
fn garbage(random: &mut Random, number: usize, size: usize) -> Vec<u8> {
    let mut datagram: Vec<u8> = (0..size).map(|_| random.bits() as u8).collect();
    match number % 3 {
        0 => {
            datagram[..2].copy_from_slice(&[0, 10]);
            datagram[2..4].copy_from_slice(&(size as u16).to_be_bytes());
        }
        1 => datagram[..2].copy_from_slice(&[0, 9]),
        _ => {}
    }
    datagram
}
