//! What a replay came to.

use std::io::Write;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::connection::Answer;
use crate::quantities::readable;
use crate::tally::Tally;

/// How much of a body that is no problem is shown.
const SHOWN_BYTES: usize = 200;

/// The result.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Lines that were read and have an outcome.
    pub lines: u64,
    /// Lines with a 2xx.
    pub accepted: u64,
    /// Lines with a 4xx.
    pub refused: u64,
    /// Lines without a clear answer at last, and lines that were too long to send.
    pub lost: u64,
    /// How often a line was repeated.
    pub retried: u64,
    /// What came of each request.
    pub tally: Tally,
    /// From the first line to the end.
    pub elapsed: Duration,
    /// Since then requests have had no clear answer.
    pub failing_since: Option<Instant>,
}

#[derive(Deserialize)]
struct Problem {
    title: Option<String>,
    detail: Option<String>,
}

/// Why an answer is none: the status, and what the problem body says.
pub fn reason(answer: &Answer) -> String {
    let problem = serde_json::from_slice::<Problem>(&answer.body).ok();
    let said = problem.and_then(|problem| problem.detail.or(problem.title)).unwrap_or_else(|| {
        let shown = &answer.body[..answer.body.len().min(SHOWN_BYTES)];
        String::from_utf8_lossy(shown).trim().to_owned()
    });
    let status = answer.status.as_u16();
    if said.is_empty() { format!("{status}") } else { format!("{status}: {said}") }
}

impl Report {
    /// Every line was accepted.
    pub fn is_good(&self) -> bool {
        self.accepted == self.lines
    }

    /// One line.
    pub fn summary(&self, elapsed: Duration) -> String {
        let rate = self.lines as f64 / elapsed.as_secs_f64().max(1e-9);
        let Self { lines, accepted, refused, lost, retried, tally, .. } = self;
        let p99 = tally.latency.quantile_ms(0.99);
        format!(
            "{lines} lines, {rate:.0}/s, p99 {p99:.1} ms: {accepted} accepted, {refused} refused, {lost} lost; {retried} repeats"
        )
    }

    /// Prints to standard output.
    pub fn print(&self, as_json: bool) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        if as_json {
            writeln!(out, "{:#}", self.to_json())
        } else {
            writeln!(out, "{} in {}", self.summary(self.elapsed), readable(self.elapsed))
        }
    }

    /// The result as JSON.
    pub fn to_json(&self) -> Value {
        json!({
            "lines": self.lines,
            "accepted": self.accepted,
            "refused": self.refused,
            "lost": self.lost,
            "repeats": self.retried,
            "statuses": self.tally.statuses(),
            "latency_ms": self.tally.latency.to_json(),
            "elapsed_s": self.elapsed.as_secs_f64(),
        })
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::StatusCode;

    use super::*;

    #[test]
    fn a_problem_says_why_and_other_bodies_are_shown() {
        let reason = |body: &'static str| {
            let status = StatusCode::BAD_REQUEST;
            reason(&Answer { status, retry_after_s: None, body: Bytes::from_static(body.as_bytes()) })
        };
        assert_eq!(
            reason(r#"{"title":"Bad Request","detail":"price: not an int32"}"#),
            "400: price: not an int32"
        );
        assert_eq!(reason(r#"{"title":"Bad Request"}"#), "400: Bad Request");
        assert_eq!(reason("no JSON\n"), "400: no JSON");
        assert_eq!(reason(""), "400");
    }
}
