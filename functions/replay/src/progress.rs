//! How far a long work is: a bar on a terminal, a line each 10 s elsewhere. Both go to standard error.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};

/// How often a line is printed where there is no terminal.
const LINE_PERIOD: Duration = Duration::from_secs(10);

/// The progress of one work.
#[derive(Debug)]
pub struct Bar {
    what: &'static str,
    bar: Option<ProgressBar>,
    total: u64,
    start: Instant,
    shown: Instant,
}

impl Bar {
    /// At the beginning of so many steps; `what` is counted by the way.
    pub fn new(what: &'static str, total: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{bar:30} {percent:>3}%  {msg}");
            ProgressBar::new(total).with_style(style.expect("the template is a constant"))
        });
        let now = Instant::now();
        Self { what, bar, total, start: now, shown: now }
    }

    /// Shows how far it is, how fast, and how long it may still take.
    pub fn show(&mut self, done: u64, count: u64) {
        let spent_s = self.start.elapsed().as_secs_f64().max(1e-3);
        let left = match done {
            0 => String::new(),
            done => {
                let left_s = spent_s * self.total.saturating_sub(done) as f64 / done as f64;
                format!(", {} left", HumanDuration(Duration::from_secs_f64(left_s)))
            }
        };
        let text = format!("{count} {}, {:.0}/s{left}", self.what, count as f64 / spent_s);
        match &self.bar {
            Some(bar) => {
                bar.set_position(done);
                bar.set_message(text);
            }
            None if self.shown.elapsed() >= LINE_PERIOD => {
                self.shown = Instant::now();
                eprintln!("{:>3.0}%  {text}", 100.0 * done as f64 / self.total.max(1) as f64);
            }
            None => {}
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
