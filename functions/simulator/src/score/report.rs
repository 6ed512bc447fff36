//! What a run came to.

use std::io::Write;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::board::WrongAnswer;
use super::options::ScoreOptions;
use super::session::Session;
use crate::quantities::readable;
use crate::tally::Tally;

/// The result.
#[derive(Debug)]
pub struct Report {
    /// The platform's statistics, by the names of the contract.
    pub statistics: Map<String, Value>,
    /// The mean of both scores, in percent.
    pub mean_score: f64,
    /// Percentage of requests without a 2xx.
    pub failed_percent: f64,
    /// The first wrong answers.
    pub wrong_answers: Vec<WrongAnswer>,
    /// Tags that may be stored or not.
    pub doubtful_tags: usize,
    /// Right answers that could have differed by doubtful tags, of profiles and aggregates.
    pub lenient: [u64; 2],
    elapsed: Duration,
    latencies: Vec<(&'static str, Tally)>,
    is_complete: bool,
}

impl Report {
    /// The result of a session.
    pub fn new(session: &Session, status: &str, elapsed: Duration) -> Self {
        let (ledger, board) = (session.ledger(), session.board());
        Self {
            statistics: board.statistics(status, ledger.settled()),
            mean_score: board.mean_score(),
            failed_percent: board.failed_percent(),
            wrong_answers: board.wrong_answers.clone(),
            doubtful_tags: ledger.doubtful(),
            lenient: [board.profiles.lenient, board.aggregates.lenient],
            elapsed,
            latencies: vec![
                ("user_tags", board.events.clone()),
                ("user_profiles", board.profiles.tally.clone()),
                ("aggregates", board.aggregates.tally.clone()),
            ],
            is_complete: status != "given up",
        }
    }

    /// The run is as good as asked for.
    pub fn is_good(&self, options: &ScoreOptions) -> bool {
        self.is_complete && self.mean_score >= options.min_score && self.failed_percent <= options.max_failed
    }

    /// Prints to standard output.
    pub fn print(&self, as_json: bool) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        if as_json { writeln!(out, "{:#}", self.to_json()) } else { out.write_all(self.to_text().as_bytes()) }
    }

    /// The result as JSON.
    pub fn to_json(&self) -> Value {
        let latencies: Map<String, Value> = self
            .latencies
            .iter()
            .map(|(name, tally)| ((*name).to_owned(), tally.latency.to_json()))
            .collect();
        json!({
            "statistics": self.statistics,
            "score_pct": self.mean_score,
            "failed_requests_pct": self.failed_percent,
            "doubtful_tags": self.doubtful_tags,
            "lenient_answers": {"user_profile": self.lenient[0], "aggregates": self.lenient[1]},
            "latency_ms": latencies,
            "elapsed_s": self.elapsed.as_secs_f64(),
            "wrong_answers": self.wrong_answers,
        })
    }

    fn to_text(&self) -> String {
        let mut text = String::new();
        for (name, value) in &self.statistics {
            let value = match value {
                Value::String(value) => value.clone(),
                Value::Number(number) if number.is_f64() => {
                    format!("{:.4}", number.as_f64().unwrap_or_default())
                }
                value => value.to_string(),
            };
            text += &format!("{name:<44} {value:>14}\n");
        }
        text +=
            &format!("\n{:<16} {:>10} {:>10} {:>10} {:>10}\n", "latency, ms", "p50", "p99", "p99.9", "max");
        for (name, tally) in &self.latencies {
            let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|quantile| tally.latency.quantile_ms(quantile));
            text += &format!(
                "{name:<16} {p50:>10.2} {p99:>10.2} {p999:>10.2} {:>10.2}\n",
                tally.latency.max_ms()
            );
        }
        text += &format!(
            "\nScore {:.4} % of the answers given, in {}; {:.4} % of all requests had no 2xx; {} tags are doubtful.\n",
            self.mean_score,
            readable(self.elapsed),
            self.failed_percent,
            self.doubtful_tags,
        );
        for (at, wrong) in self.wrong_answers.iter().enumerate() {
            let WrongAnswer { question, reason, expected, got } = wrong;
            text += &format!(
                "\nWrong answer {}: POST {question}\n  reason    {reason}\n  expected  {expected}\n  got       {got}\n",
                at + 1
            );
        }
        text
    }
}
