//! How far a run is: a bar on a terminal, a line each 10 s elsewhere. Both go to standard error.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::quantities::readable;

/// How often a bar changes.
const BAR_PERIOD: Duration = Duration::from_millis(250);

/// How often a line is printed where there is no terminal.
const LINE_PERIOD: Duration = Duration::from_secs(10);

/// The progress of one run.
#[derive(Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
    total: u64,
    start: Instant,
    shown: Instant,
    shown_position: u64,
}

impl Progress {
    /// At the beginning; a total of 0 is unknown.
    pub fn new(total: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let template = if total == 0 { "{spinner} {msg}" } else { "{bar:30} {percent:>3}%  {msg}" };
            let style = ProgressStyle::with_template(template).expect("the template is a constant");
            let bar = if total == 0 { ProgressBar::new_spinner() } else { ProgressBar::new(total) };
            bar.with_style(style)
        });
        let now = Instant::now();
        Self { bar, total, start: now, shown: now, shown_position: 0 }
    }

    /// It is time to show something.
    pub fn is_due(&self) -> bool {
        let period = if self.bar.is_some() { BAR_PERIOD } else { LINE_PERIOD };
        self.shown.elapsed() >= period
    }

    /// Shows the position, the rate since the last time, the time left, and a text.
    pub fn show(&mut self, position: u64, text: &str) {
        let rate = (position - self.shown_position) as f64 / self.shown.elapsed().as_secs_f64().max(1e-6);
        let left =
            self.time_left(position).map_or(String::new(), |left| format!(", {} left", readable(left)));
        self.show_plain(position, &format!("{rate:.0}/s{left}; {text}"));
    }

    /// Shows the position and a text.
    pub fn show_plain(&mut self, position: u64, text: &str) {
        (self.shown, self.shown_position) = (Instant::now(), position);
        match &self.bar {
            Some(bar) => {
                bar.set_position(position);
                bar.set_message(text.to_owned());
            }
            None if self.total == 0 => eprintln!("{text}"),
            None => eprintln!("{:>3.0}%  {text}", 100.0 * position as f64 / self.total as f64),
        }
    }

    /// Shows a line of its own above the bar.
    pub fn note(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(line),
            None => eprintln!("{line}"),
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn time_left(&self, position: u64) -> Option<Duration> {
        let rate = position as f64 / self.start.elapsed().as_secs_f64();
        (rate > 0.0 && position < self.total).then(|| {
            Duration::try_from_secs_f64((self.total - position) as f64 / rate).unwrap_or(Duration::MAX)
        })
    }
}
