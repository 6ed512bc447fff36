//! The platform's statistics, under the names of the contract.

use std::time::Instant;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::connection::Exception;
use crate::tally::Tally;

/// Logical time that is 100 % of progress: 24 h.
const FULL_PROGRESS_MS: f64 = 86_400_000.0;

/// How many wrong answers are kept for the report.
const KEPT_WRONG_ANSWERS: usize = 5;

/// How much of each text of a wrong answer is kept.
const KEPT_TEXT_BYTES: usize = 2000;

/// What is counted in a run.
#[derive(Debug, Default)]
pub struct Board {
    /// Tags that were sent, each once however often it was repeated.
    pub sent: u64,
    /// What came of them.
    pub events: Tally,
    /// Questions about profiles.
    pub profiles: Queries,
    /// Questions about aggregates.
    pub aggregates: Queries,
    /// Right answers with two empty lists.
    pub empty_profiles: u64,
    /// The first wrong answers.
    pub wrong_answers: Vec<WrongAnswer>,
    /// When a request last had a 2xx, and when one last had none.
    pub last_success: Option<Instant>,
    /// When a request last had no 2xx.
    pub last_failure: Option<Instant>,
}

/// Counts of one kind of question.
#[derive(Debug, Default)]
pub struct Queries {
    /// Questions asked.
    pub total: u64,
    /// What came back.
    pub tally: Tally,
    /// Right answers.
    pub ok: u64,
    /// Wrong answers.
    pub wrong: u64,
    /// Right answers to questions where doubtful tags left more than one right answer.
    pub lenient: u64,
}

/// A wrong answer, for people.
#[derive(Debug, Clone, Serialize)]
pub struct WrongAnswer {
    /// Path and query.
    pub question: String,
    /// What is wrong.
    pub reason: String,
    /// The right answer, without the doubtful tags.
    pub expected: String,
    /// The answer.
    pub got: String,
}

impl Queries {
    /// `100 · ok / (ok + wrong)`; 0 without any.
    pub fn score(&self) -> f64 {
        let judged = self.ok + self.wrong;
        if judged == 0 { 0.0 } else { 100.0 * self.ok as f64 / judged as f64 }
    }

    fn statistics(&self, name: &str, statistics: &mut Map<String, Value>) {
        let mut put = |key: &str, value: Value| statistics.insert(format!("query.{name}.{key}"), value);
        put("total", json!(self.total));
        put("score", json!(self.score()));
        put("results.ok", json!(self.ok));
        put("results.wrong_answer", json!(self.wrong));
        tally_statistics(&format!("query.{name}"), &self.tally, statistics);
    }
}

impl Board {
    /// Notes a wrong answer; only the first few are kept.
    pub fn note_wrong(&mut self, wrong: WrongAnswer) {
        if self.wrong_answers.len() < KEPT_WRONG_ANSWERS {
            let WrongAnswer { question, reason, expected, got } = wrong;
            self.wrong_answers.push(WrongAnswer {
                question,
                reason: shorten(reason),
                expected: shorten(expected),
                got: shorten(got),
            });
        }
    }

    /// Both scores' mean, of the kinds that were asked at all: what `--min-score` is compared with.
    pub fn mean_score(&self) -> f64 {
        let asked: Vec<f64> = [&self.profiles, &self.aggregates]
            .into_iter()
            .filter(|kind| kind.total > 0)
            .map(Queries::score)
            .collect();
        if asked.is_empty() { 0.0 } else { asked.iter().sum::<f64>() / asked.len() as f64 }
    }

    /// Percentage of requests, of all kinds, without a 2xx.
    pub fn failed_percent(&self) -> f64 {
        let tallies = [&self.events, &self.profiles.tally, &self.aggregates.tally];
        let total: u64 = tallies.iter().map(|tally| tally.total()).sum();
        let failed: u64 = tallies.iter().map(|tally| tally.failures()).sum();
        if total == 0 { 100.0 } else { 100.0 * failed as f64 / total as f64 }
    }

    /// The statistics after so much logical time.
    pub fn statistics(&self, status: &str, progress_ms: u32) -> Map<String, Value> {
        let progress_pct = 100.0 * f64::from(progress_ms) / FULL_PROGRESS_MS;
        let mut statistics = Map::new();
        statistics.insert("event.sent".to_owned(), json!(self.sent));
        tally_statistics("event", &self.events, &mut statistics);
        self.profiles.statistics("user_profile", &mut statistics);
        statistics.insert("query.user_profile.with.empty.result".to_owned(), json!(self.empty_profiles));
        self.aggregates.statistics("aggregates", &mut statistics);
        statistics.insert("subscription.status".to_owned(), json!(status));
        statistics.insert("subscription.progress.pct".to_owned(), json!(progress_pct));
        statistics.insert("subscription.progress.time.ms".to_owned(), json!(progress_ms));
        let total = (self.profiles.score() + self.aggregates.score()) * progress_pct;
        statistics.insert("score.total".to_owned(), json!(total));
        statistics
    }
}

fn tally_statistics(name: &str, tally: &Tally, statistics: &mut Map<String, Value>) {
    let mut put = |key: &str, count: u64| statistics.insert(format!("{name}.{key}"), json!(count));
    put("responses.2xx", tally.successes());
    put("responses.4xx", tally.between(400, 500));
    put("responses.5xx", tally.between(500, 600));
    put("responses.other", tally.other_statuses());
    put("exceptions.connect", tally.exceptions(Exception::Connect));
    put("exceptions.read.timeout", tally.exceptions(Exception::ReadTimeout));
    put("exceptions.other", tally.exceptions(Exception::Other));
}

fn shorten(text: String) -> String {
    if text.len() <= KEPT_TEXT_BYTES {
        return text;
    }
    let kept = text.floor_char_boundary(KEPT_TEXT_BYTES);
    format!("{}... ({} bytes in all)", &text[..kept], text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_perfect_day_is_20_000() {
        let mut board = Board::default();
        (board.profiles.ok, board.aggregates.ok) = (10, 10);
        let statistics = board.statistics("finished", 86_400_000);
        assert_eq!(statistics["score.total"], json!(20_000.0));
        board.profiles.wrong = 10;
        assert_eq!(board.statistics("finished", 43_200_000)["score.total"], json!(7_500.0));
    }

    #[test]
    fn the_names_are_those_of_the_contract() {
        let statistics = Board::default().statistics("running", 0);
        let of_tally = |name: &str| {
            ["responses.2xx", "responses.4xx", "responses.5xx", "responses.other", "exceptions.connect"]
                .into_iter()
                .chain(["exceptions.read.timeout", "exceptions.other"])
                .map(|key| format!("{name}.{key}"))
                .collect::<Vec<_>>()
        };
        let mut names = vec!["event.sent".to_owned(), "score.total".to_owned()];
        names.extend(of_tally("event"));
        for kind in ["query.user_profile", "query.aggregates"] {
            names.extend(of_tally(kind));
            names.extend(
                ["total", "score", "results.ok", "results.wrong_answer"].map(|key| format!("{kind}.{key}")),
            );
        }
        names.push("query.user_profile.with.empty.result".to_owned());
        names.extend(["status", "progress.pct", "progress.time.ms"].map(|key| format!("subscription.{key}")));
        let (mut found, mut names): (Vec<_>, Vec<_>) = (statistics.keys().cloned().collect(), names);
        found.sort();
        names.sort();
        assert_eq!(found, names);
    }

    #[test]
    fn long_texts_are_cut_between_letters() {
        assert!(shorten("ż".repeat(5000)).ends_with("(10000 bytes in all)"));
    }
}
