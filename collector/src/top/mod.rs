//! `kipfix-collector top`: the traffic of a cluster as a live table in the terminal, from the API
//! of a collector. With `--once` it is printed as text.

mod api;
mod flags;
mod table;
mod view;

use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use kipfix_service::exit::{Failure, check_stdout};
use kipfix_service::signals::Stop;
use kipfix_service::terminal::{Action, Browser, Table, Terminal};

use crate::clock;
use api::{Answer, ApiClient};
pub use flags::TopFlags;
pub use view::View;

/// How long a key is waited for before the screen is drawn again.
const KEY_TIMEOUT: Duration = Duration::from_millis(100);

/// Shows the traffic until the user ends it, or prints it once.
///
/// # Errors
/// The server does not answer, or there is no terminal.
pub fn run(flags: &TopFlags) -> Result<(), Failure> {
    let client = ApiClient::new(flags)?;
    if flags.once {
        let answer = client.ask(flags.view)?;
        return print(&answer, flags.view);
    }
    let stop = Stop::on_signals().context("cannot wait for signals")?;
    let mut terminal = Terminal::open().context("top needs a terminal, or --once")?;
    Ok(Screen::new(flags, &client).run(&mut terminal, &stop)?)
}

fn print(answer: &Answer, view: View) -> Result<(), Failure> {
    let mut table = view.table(answer);
    table.sort(view.sorted_column(), false);
    let mut text = answer.title(view);
    text.push('\n');
    for line in table.lines(None, None) {
        text.push_str(&line);
        text.push('\n');
    }
    let written = std::io::stdout().lock().write_all(text.as_bytes());
    check_stdout(written, "cannot write stdout")
}

/// The live screen.
struct Screen<'a> {
    client: &'a ApiClient,
    interval: Duration,
    browser: Browser,
    title: String,
    table: Table,
    asked: Option<Instant>,
}

impl<'a> Screen<'a> {
    fn new(flags: &TopFlags, client: &'a ApiClient) -> Self {
        let sorted = View::ALL.map(View::sorted_column).to_vec();
        Self {
            client,
            interval: flags.interval.duration(),
            browser: Browser::new(flags.view.index(), sorted),
            title: String::new(),
            table: Table::default(),
            asked: None,
        }
    }

    fn run(&mut self, terminal: &mut Terminal, stop: &Stop) -> anyhow::Result<()> {
        while !stop.is_set() {
            self.refresh();
            let lines = self
                .browser
                .lines(&self.title, self.table.clone(), terminal.size());
            terminal.draw(&lines)?;
            let Some(key) = terminal.key(KEY_TIMEOUT)? else {
                continue;
            };
            match self.browser.press(key) {
                Action::Quit => return Ok(()),
                Action::View => {
                    self.table = Table::default();
                    self.asked = None;
                }
                Action::Draw => {}
            }
        }
        Ok(())
    }

    /// Asks for new rows, if it is time. A failure is shown, and the last rows stay.
    fn refresh(&mut self) {
        let is_due = self
            .asked
            .is_none_or(|asked| asked.elapsed() >= self.interval && !self.browser.is_paused());
        if !is_due {
            return;
        }
        let view = View::of_index(self.browser.view());
        match self.client.ask(view) {
            Ok(answer) => {
                self.title = answer.title(view);
                self.table = view.table(&answer);
            }
            Err(error) => self.title = format!("error: {error:#}"),
        }
        self.asked = Some(clock::monotonic());
    }
}
