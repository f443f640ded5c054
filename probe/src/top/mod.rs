//! `kipfix-probe top`: the traffic of this machine, or of a capture file, as a live table in the
//! terminal. Nothing is exported: flow records go into a table instead.

mod totals;
mod view;

use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use kipfix_service::exit::{Failure, check_stdout};
use kipfix_service::logs::{self, LogFormat};
use kipfix_service::signals::Stop;
use kipfix_service::terminal::{Action, Browser, Terminal};

use crate::export::OpenTarget;
use crate::metrics::KernelDrops;
use crate::settings::{TopFlags, TopView};
use crate::wiring;
use totals::{Snapshot, Totals, TotalsExporter};
use view::Rates;

/// How often the screen is drawn at least: the terminal may change its size.
const MAX_WAIT: Duration = Duration::from_millis(250);

/// Shows the traffic until the user ends it, or prints it once.
///
/// # Errors
/// It cannot start, or the file is truncated or corrupt.
pub fn run(flags: &TopFlags) -> Result<(), Failure> {
    let settings = flags.settings()?;
    // Log lines would be drawn over.
    logs::init(
        LogFormat::Text,
        if flags.once { "warn" } else { "off" },
        &[],
    );
    let stop = Stop::on_signals().context("cannot handle signals")?;
    let metrics = wiring::new_metrics(&settings)?;
    let totals = Arc::new(Totals::default());
    let exporter = Box::new(TotalsExporter::new(Arc::clone(&totals)));
    let target: OpenTarget = (exporter, metrics.targets().target("top"));
    let screen = Screen {
        totals: Arc::clone(&totals),
        drops: metrics.drops(),
        interval: flags.interval.duration(),
        duration: flags.duration.duration(),
        is_file: flags.read.is_some(),
        browser: Browser::new(
            flags.view.index(),
            TopView::ALL.map(TopView::sorted_column).to_vec(),
        ),
    };
    if flags.once {
        return print_once(flags, screen, stop, |stop| {
            wiring::meter(&settings, metrics, stop, vec![target])
        });
    }
    let terminal = Terminal::open().context("top needs a terminal, or --once")?;
    let showing = std::thread::Builder::new()
        .name("screen".to_owned())
        .spawn({
            let stop = stop.clone();
            move || screen.run(terminal, &stop)
        })
        .context("cannot start the screen thread")?;
    let metered = wiring::meter(&settings, metrics, &stop, vec![target]);
    if metered.is_err() || flags.read.is_none() {
        stop.set();
    }
    let shown = showing.join();
    metered?;
    match shown {
        Ok(shown) => Ok(shown?),
        Err(_) => Err(anyhow!("the screen thread died").into()),
    }
}

/// Meters to the end of the file, or for some time, and prints the totals.
fn print_once(
    flags: &TopFlags,
    screen: Screen,
    stop: Stop,
    meter: impl FnOnce(&Stop) -> Result<(), Failure>,
) -> Result<(), Failure> {
    if !screen.is_file {
        let (stop, duration) = (stop.clone(), screen.duration);
        std::thread::Builder::new()
            .name("timer".to_owned())
            .spawn(move || {
                let began = now();
                while began.elapsed() < duration && !stop.is_set() {
                    stop.wait_timeout(duration.saturating_sub(began.elapsed()));
                }
                stop.set();
            })
            .context("cannot start the timer thread")?;
    }
    let metered = meter(&stop);
    let view = flags.view;
    let snapshot = screen.totals.snapshot();
    let rates = Rates::OfTotal(screen.elapsed(&snapshot));
    let mut table = view.table(&snapshot, rates);
    table.sort(view.sorted_column(), false);
    table.rows.truncate(flags.limit.get());
    if table.rows.is_empty() && metered.is_err() {
        return metered;
    }
    let title = view.title(&snapshot, rates, screen.drops.get());
    let lines = std::iter::once(title).chain(table.lines(None, None));
    let text: String = lines.map(|line| line + "\n").collect();
    let written = std::io::stdout().lock().write_all(text.as_bytes());
    check_stdout(written, "cannot write stdout")?;
    metered
}

/// What is shown.
struct Screen {
    totals: Arc<Totals>,
    drops: KernelDrops,
    interval: Duration,
    /// How long interfaces are metered for `--once`.
    duration: Duration,
    is_file: bool,
    browser: Browser,
}

impl Screen {
    /// The time to which the totals belong.
    fn elapsed(&self, snapshot: &Snapshot) -> Duration {
        if self.is_file {
            snapshot.duration
        } else {
            self.duration
        }
    }

    fn rates(&self, snapshot: &Snapshot) -> Rates {
        if self.is_file {
            Rates::OfTotal(snapshot.duration)
        } else {
            Rates::OfInterval(self.interval)
        }
    }

    /// Draws until the user quits, or `stop` is set. Sets `stop`.
    fn run(mut self, mut terminal: Terminal, stop: &Stop) -> anyhow::Result<()> {
        let result = self.draw(&mut terminal, stop);
        stop.set();
        result
    }

    fn draw(&mut self, terminal: &mut Terminal, stop: &Stop) -> anyhow::Result<()> {
        let mut drawn = now();
        let mut snapshot = self.totals.snapshot();
        while !stop.is_set() {
            let view = TopView::of_index(self.browser.view());
            let rates = self.rates(&snapshot);
            let title = view.title(&snapshot, rates, self.drops.get());
            let table = view.table(&snapshot, rates);
            let lines = self.browser.lines(&title, table, terminal.size());
            terminal.draw(&lines)?;
            let left = self.interval.saturating_sub(drawn.elapsed());
            let key = terminal.key(left.min(MAX_WAIT))?;
            if key.is_some_and(|key| self.browser.press(key) == Action::Quit) {
                return Ok(());
            }
            if drawn.elapsed() >= self.interval {
                drawn = now();
                self.totals.end_interval();
                if !self.browser.is_paused() {
                    snapshot = self.totals.snapshot();
                }
            }
        }
        Ok(())
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the interval of the screen depends on this machine's time"
)]
fn now() -> Instant {
    Instant::now()
}
