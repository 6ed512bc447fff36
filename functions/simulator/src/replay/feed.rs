//! The lines of a recording, each at its time.

use std::borrow::Cow;
use std::io;
use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio::sync::mpsc::{self, Receiver};

use crate::calendar::parse_instant;
use crate::gate::{Pace, TICK};
use crate::recording::{Line, Recording};

/// Lines that are read ahead.
const READ_AHEAD: usize = 1024;

/// When lines are due.
#[derive(Debug, Clone, Copy)]
pub enum Speed {
    /// So many a second.
    Steady(Pace),
    /// By their own times, so many times faster.
    Recorded(f64),
    /// At once.
    Unpaced,
}

/// Gives lines when they are due.
#[derive(Debug)]
pub struct Feed {
    lines: Receiver<io::Result<Line>>,
    speed: Speed,
    given: u64,
    /// Instant and logical time of the first line that has a time.
    first: Option<(Instant, i64)>,
}

#[derive(Deserialize)]
struct Timed<'a> {
    #[serde(borrow)]
    time: Cow<'a, str>,
}

impl Feed {
    /// Reads the recording on a thread of its own.
    pub fn new(mut recording: Recording, speed: Speed) -> Self {
        let (sender, lines) = mpsc::channel(READ_AHEAD);
        std::thread::spawn(move || {
            while let Some(line) = recording.next_line().transpose() {
                let is_end = line.is_err();
                if sender.blocking_send(line).is_err() || is_end {
                    return;
                }
            }
        });
        Self { lines, speed, given: 0, first: None }
    }

    /// The next line, at its time; `None` at the end. An error ends the recording as well.
    pub async fn next(&mut self) -> Option<io::Result<Line>> {
        let line = self.lines.recv().await?;
        if let Ok(line) = &line
            && let Some(due) = self.due(line)
            && due > Instant::now() + TICK
        {
            tokio::time::sleep_until(due.into()).await;
        }
        self.given += 1;
        Some(line)
    }

    fn due(&mut self, line: &Line) -> Option<Instant> {
        match self.speed {
            Speed::Unpaced => None,
            Speed::Steady(pace) => Some(pace.intended(self.given)),
            Speed::Recorded(factor) => {
                let at_ms = recorded_ms(line)?;
                let (start, first_ms) = *self.first.get_or_insert((Instant::now(), at_ms));
                let ms = u64::try_from(at_ms - first_ms).unwrap_or(0);
                start.checked_add(Duration::try_from_secs_f64(ms as f64 / 1000.0 / factor).ok()?)
            }
        }
    }
}

fn recorded_ms(line: &Line) -> Option<i64> {
    let timed: Timed<'_> = serde_json::from_slice(&line.text).ok()?;
    parse_instant(&timed.time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_due_by_their_times() {
        let (_sender, lines) = mpsc::channel(1);
        let mut feed = Feed { lines, speed: Speed::Recorded(2.0), given: 0, first: None };
        let mut due = |text: &str| feed.due(&Line { number: 1, text: text.into(), is_cut: false });
        let first = due(r#"{"time":"2022-03-01T00:00:00Z"}"#).unwrap();
        assert_eq!(
            due(r#"{"x":1,"time":"2022-03-01T00:00:03.000Z"}"#),
            Some(first + Duration::from_millis(1500))
        );
        assert_eq!(due(r#"{"time":"2022-02-01T00:00:00Z"}"#), Some(first));
        assert_eq!(due("no JSON"), None);
    }
}
