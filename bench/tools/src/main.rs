//! Tools of the benchmark; see `bench/README.md`.
#![allow(
    clippy::disallowed_methods,
    reason = "these tools send at a rate and measure real time"
)]

mod blast;
mod capture;
mod cluster;
mod decode;
mod flood;
mod floor;
mod flows;
mod generate;
mod outlet;
mod pace;
mod random;
mod replay;
mod sink;
mod stop;

use std::process::ExitCode;

use clap::Parser;

/// Tools of kipfix's benchmark: traffic with known truth, senders, a receiver that counts, floors.
#[derive(Parser)]
#[command(version)]
enum Tool {
    /// Write a capture file and its truth
    Generate(generate::GenerateSettings),
    /// Compare flows with the truth of a capture
    Compare(flows::CompareSettings),
    /// Send the frames of a capture on a virtual interface
    Replay(replay::ReplaySettings),
    /// Receive flow export and add it up
    Sink(sink::SinkSettings),
    /// Send flow export to a collector
    Blast(blast::BlastSettings),
    /// Send datagrams that are not flow export
    Flood(flood::FloodSettings),
    /// Print a cluster's inventory file, with the addresses that blast uses
    Inventory(cluster::Cluster),
    /// Capture or receive, and do nothing else
    #[command(subcommand)]
    Floor(floor::Floor),
}

fn main() -> ExitCode {
    let done = match Tool::parse() {
        Tool::Generate(settings) => generate::run(&settings),
        Tool::Compare(settings) => flows::compare(&settings),
        Tool::Replay(settings) => replay::run(&settings),
        Tool::Sink(settings) => sink::run(&settings),
        Tool::Blast(settings) => blast::run(&settings),
        Tool::Flood(settings) => flood::run(&settings),
        Tool::Inventory(cluster) => cluster::inventory(&cluster),
        Tool::Floor(floor) => floor::run(&floor),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kipfix-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
