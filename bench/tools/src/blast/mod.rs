//! `blast`: flow export to a collector on this machine, at a rate or as fast as it takes it.

mod disorder;
mod message;
mod synthesis;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result};
use serde::Serialize;

use self::disorder::{Disorder, Fate};
use self::message::{Content, Message};
use self::synthesis::{Format, RecordSettings};
use crate::capture;
use crate::outlet::{BATCH, Outlet};
use crate::pace::{Pace, ReceiverQueue};
use crate::stop::StopSignal;

/// How long the receiver may take at the end to empty its socket.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Settings of a run.
#[derive(clap::Args, Debug)]
pub(crate) struct BlastSettings {
    /// Receiver, on loopback
    #[arg(long, value_name = "ADDRESS:PORT")]
    to: SocketAddr,
    /// Protocol of generated records
    #[arg(long, value_enum, default_value = "ipfix")]
    format: Format,
    /// Capture of datagrams to send instead, over and over, with continuous sequence numbers
    #[arg(long, value_name = "FILE")]
    capture: Option<PathBuf>,
    #[command(flatten)]
    records_of: RecordSettings,
    /// Records to send; the last message is sent whole
    #[arg(long, default_value_t = 1_000_000)]
    records: u64,
    /// Longest time to send, in seconds
    #[arg(long, default_value_t = 60.0)]
    seconds: f64,
    /// Records per second
    #[arg(long, conflicts_with = "closed_loop")]
    rate: Option<f64>,
    /// Send while fewer octets wait in the receiver's socket, so that nothing is lost
    #[arg(long, value_name = "OCTETS")]
    closed_loop: Option<u64>,
    /// Exporters, each with an address and a session of its own; they send in turn
    #[arg(long, default_value_t = 1)]
    exporters: u32,
    /// Share of datagrams lost, and duplicated, and reordered
    #[arg(long, default_value_t = 0.0)]
    disorder: f64,
    /// End when everything is sent, without waiting until the receiver has read it.
    #[arg(long)]
    no_wait: bool,
    /// Seconds by which the exporters' clock is wrong: each value for an equal part of the time
    #[arg(
        long,
        value_delimiter = ',',
        allow_hyphen_values = true,
        default_value = "0"
    )]
    clock_shifts: Vec<i64>,
}

/// Datagrams with what they carry.
#[derive(Debug, Default, Serialize)]
struct Tally {
    datagrams: u64,
    #[serde(flatten)]
    content: Content,
}

/// What was sent.
#[derive(Debug, Default, Serialize)]
struct Report {
    /// What the exporters exported, with what was lost and without what was sent twice.
    #[serde(flatten)]
    exported: Tally,
    lost: Tally,
    duplicated: Tally,
    delayed: Tally,
    /// Datagrams that were handed to the kernel.
    sent_datagrams: u64,
    sent_octets: u64,
    send_errors: u64,
    /// Datagrams that the receiver's socket had no room for.
    receiver_drops: u64,
    seconds: f64,
    records_per_second: f64,
}

/// Sends, and prints the report as JSON.
pub(crate) fn run(settings: &BlastSettings) -> Result<()> {
    let stop = StopSignal::register()?;
    let mut messages = match &settings.capture {
        None => synthesis::synthesize(settings.format, &settings.records_of)?,
        Some(path) => {
            let file = std::fs::read(path).with_context(|| path.display().to_string())?;
            message::from_capture(&capture::datagrams(&file)?)?
        }
    };
    let pace = match (settings.rate, settings.closed_loop) {
        (Some(rate), _) => Pace::Rate(rate),
        (None, Some(limit)) => Pace::ClosedLoop(limit),
        (None, None) => Pace::Unpaced,
    };
    let mut queue = ReceiverQueue::new(settings.to.port());
    let drops_before = queue.state()?.drops;
    let mut sender = Sender::new(settings)?;
    let end = Duration::from_secs_f64(settings.seconds);
    let mut records = 0;
    while records < settings.records && sender.start.elapsed() < end && !stop.is_set() {
        if pace.wait(records, sender.start, &mut queue)? {
            for _ in 0..BATCH {
                sender.send_next(&mut messages)?;
            }
            sender.outlet.flush()?;
            records = sender.report.exported.content.records;
        }
    }
    let mut report = sender.finish()?;
    let start = Instant::now();
    let is_read = |octets| settings.no_wait || octets == 0;
    while !is_read(queue.state()?.octets) && start.elapsed() < DRAIN_TIMEOUT {
        thread::sleep(Duration::from_micros(200));
    }
    report.seconds += start.elapsed().as_secs_f64();
    report.records_per_second = records as f64 / report.seconds;
    report.receiver_drops = queue.state()?.drops - drops_before;
    serde_json::to_writer(std::io::stdout().lock(), &report)?;
    Ok(())
}

/// An exporter's place in the messages, and its sequence numbers.
#[derive(Clone)]
struct Exporter {
    is_new: bool,
    next: usize,
    sequences: HashMap<(u8, u32), u32>,
}

struct Sender<'a> {
    settings: &'a BlastSettings,
    outlet: Outlet,
    disorder: Disorder,
    exporters: Vec<Exporter>,
    turn: usize,
    start: Instant,
    report: Report,
}

impl<'a> Sender<'a> {
    fn new(settings: &'a BlastSettings) -> Result<Self> {
        let exporter = Exporter {
            is_new: true,
            next: 0,
            sequences: HashMap::new(),
        };
        Ok(Self {
            settings,
            outlet: Outlet::open(settings.to, settings.exporters)?,
            disorder: Disorder::new(settings.disorder),
            exporters: vec![exporter; settings.exporters as usize],
            turn: 0,
            start: Instant::now(),
            report: Report::default(),
        })
    }

    /// Sends the next message of the exporter whose turn it is.
    fn send_next(&mut self, messages: &mut [Message]) -> Result<()> {
        let running = self.start.elapsed();
        let now = self.clock(running);
        let exporter = &mut self.exporters[self.turn];
        let message = &mut messages[exporter.next];
        let sequence = exporter.sequences.entry(message.session).or_default();
        message.set_sequence(*sequence);
        message.set_time(now, running);
        *sequence = sequence.wrapping_add(message.sequence_advance);
        // Loss of the first templates would hide all records behind them.
        let fate = if exporter.is_new {
            exporter.is_new = false;
            self.outlet.send(self.turn, &message.octets)?;
            Fate::Sent
        } else {
            self.disorder
                .pass(&mut self.outlet, self.turn, &message.octets)?
        };
        self.report.count(fate, message.content);
        exporter.next = (exporter.next + 1) % messages.len();
        self.turn = (self.turn + 1) % self.exporters.len();
        Ok(())
    }

    /// The exporters' clock.
    fn clock(&self, running: Duration) -> SystemTime {
        let shifts = &self.settings.clock_shifts;
        let part = running.as_secs_f64() / self.settings.seconds * shifts.len() as f64;
        let shift = shifts
            .get(part as usize)
            .or(shifts.last())
            .copied()
            .unwrap_or(0);
        let by = Duration::from_secs(shift.unsigned_abs());
        if shift < 0 {
            SystemTime::now() - by
        } else {
            SystemTime::now() + by
        }
    }

    fn finish(mut self) -> Result<Report> {
        self.disorder.release(&mut self.outlet)?;
        self.outlet.flush()?;
        let sent = self.outlet.sent;
        Ok(Report {
            sent_datagrams: sent.datagrams,
            sent_octets: sent.octets,
            send_errors: sent.errors,
            seconds: self.start.elapsed().as_secs_f64(),
            ..self.report
        })
    }
}

impl Report {
    fn count(&mut self, fate: Fate, content: Content) {
        self.exported.add(content);
        match fate {
            Fate::Sent => {}
            Fate::Lost => self.lost.add(content),
            Fate::Duplicated => self.duplicated.add(content),
            Fate::Delayed => self.delayed.add(content),
        }
    }
}

impl Tally {
    fn add(&mut self, content: Content) {
        self.datagrams += 1;
        self.content.records += content.records;
        self.content.packets += content.packets;
        self.content.octets += content.octets;
    }
}
