//! What a load came to.

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::lane::Lane;
use super::options::Kind;
use super::visibility::{Probes, Seen};
use crate::connection::Exception;
use crate::quantities::readable;
use crate::tally::{Latency, Tally};

/// The result.
#[derive(Debug)]
pub struct Report {
    /// Each kind of request.
    pub lanes: Vec<LaneReport>,
    /// The probes, and how many of their looks had not ended.
    pub visibility: Option<(Seen, u64)>,
    elapsed: Duration,
}

/// The result of one kind.
#[derive(Debug)]
pub struct LaneReport {
    /// Which.
    pub kind: Kind,
    /// The rate of an open loop.
    pub wanted_per_second: Option<f64>,
    /// Requests that were due and not sent, because all connections were busy.
    pub unsent: u64,
    /// The counts.
    pub tally: Tally,
}

impl Report {
    /// The result of a load from `start` to `end`.
    pub fn new(lanes: &[Arc<Lane>], probes: Option<&Probes>, start: Instant, end: Instant) -> Self {
        let lanes = lanes.iter().map(|lane| LaneReport {
            kind: lane.kind,
            wanted_per_second: lane.open.as_ref().map(|(pace, _)| pace.per_second),
            unsent: lane.unsent(),
            tally: lane.tally().clone(),
        });
        let visibility = probes.map(|probes| (probes.seen().clone(), probes.under_way()));
        Self { lanes: lanes.collect(), visibility, elapsed: end - start }
    }

    /// Something succeeded, and no kind failed too often.
    pub fn is_good(&self, max_failed_percent: f64) -> bool {
        self.lanes.iter().all(|lane| {
            let (total, failed) = (lane.tally.total(), lane.tally.failures());
            total > failed && 100.0 * failed as f64 <= max_failed_percent * total as f64
        })
    }

    /// Prints to standard output.
    pub fn print(&self, as_json: bool) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        if as_json { writeln!(out, "{:#}", self.to_json()) } else { out.write_all(self.to_text().as_bytes()) }
    }

    /// The result as JSON.
    pub fn to_json(&self) -> Value {
        let lanes: Map<String, Value> =
            self.lanes.iter().map(|lane| (lane.kind.name().to_owned(), self.lane_json(lane))).collect();
        let mut result = json!({"elapsed_s": self.elapsed.as_secs_f64(), "requests": lanes});
        if let Some((seen, under_way)) = &self.visibility {
            result["visibility"] = json!({
                "user_profiles": {"count": seen.profiles.count(), "after_ms": seen.profiles.to_json()},
                "aggregates": {"count": seen.aggregates.count(), "after_ms": seen.aggregates.to_json()},
                "unaccepted": seen.unaccepted,
                "lost": seen.lost,
                "not_seen_when_the_load_ended": under_way,
            });
        }
        result
    }

    fn lane_json(&self, lane: &LaneReport) -> Value {
        let tally = &lane.tally;
        json!({
            "loop": if lane.wanted_per_second.is_some() { "open" } else { "closed" },
            "wanted_per_second": lane.wanted_per_second,
            "total": tally.total(),
            "per_second": self.per_second(tally.total()),
            "succeeded_per_second": self.per_second(tally.successes()),
            "unsent": lane.unsent,
            "statuses": tally.statuses(),
            "exceptions": {
                "connect": tally.exceptions(Exception::Connect),
                "read.timeout": tally.exceptions(Exception::ReadTimeout),
                "other": tally.exceptions(Exception::Other),
            },
            "latency_ms": tally.latency.to_json(),
        })
    }

    fn per_second(&self, count: u64) -> f64 {
        count as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    fn to_text(&self) -> String {
        let mut text =
            format!("{} of load\n\n{}", readable(self.elapsed), heading("requests", "total", "2xx/s"));
        for LaneReport { kind, tally, .. } in &self.lanes {
            text +=
                &line(kind.name(), tally.total(), Some(self.per_second(tally.successes())), &tally.latency);
        }
        if let Some((seen, _)) = &self.visibility {
            text += &format!("\n{}", heading("204 to visible in", "tags", ""));
            text += &line("user_profiles", seen.profiles.count(), None, &seen.profiles);
            text += &line("aggregates", seen.aggregates.count(), None, &seen.aggregates);
        }
        text + "\n" + &self.failures()
    }

    fn failures(&self) -> String {
        let mut text = String::new();
        for LaneReport { kind, wanted_per_second, unsent, tally } in &self.lanes {
            let statuses = tally.statuses().iter().map(|(status, count)| format!("{count} × {status}"));
            let exceptions = [Exception::Connect, Exception::ReadTimeout, Exception::Other].into_iter();
            let exceptions =
                exceptions.map(|kind| (kind, tally.exceptions(kind))).filter(|(_, count)| *count > 0);
            let exceptions = exceptions.map(|(kind, count)| format!("{count} × {}", kind.name()));
            let all: Vec<String> = statuses.chain(exceptions).collect();
            text += &format!("{:<18} {}\n", kind.name(), all.join(", "));
            if let (Some(rate), 1..) = (wanted_per_second, unsent) {
                text += &format!(
                    "{:<18} {unsent} requests of {rate}/s were due and not sent: all connections were busy\n",
                    ""
                );
            }
        }
        if let Some((seen, under_way)) = &self.visibility {
            text += &format!(
                "{:<18} {} tags not accepted, {} never seen, {under_way} not yet seen at the end\n",
                "probes", seen.unaccepted, seen.lost
            );
        }
        text
    }
}

fn heading(what: &str, count: &str, rate: &str) -> String {
    let [p50, p90, p99, p999, p9999, max] = ["p50 ms", "p90", "p99", "p99.9", "p99.99", "max"];
    format!("{what:<18} {count:>10} {rate:>9} {p50:>9} {p90:>9} {p99:>9} {p999:>9} {p9999:>9} {max:>9}\n")
}

fn line(what: &str, count: u64, rate: Option<f64>, latency: &Latency) -> String {
    let rate = rate.map_or(String::new(), |rate| format!("{rate:.0}"));
    let mut text = format!("{what:<18} {count:>10} {rate:>9}");
    for quantile in [0.5, 0.9, 0.99, 0.999, 0.9999] {
        text += &format!(" {:>9.2}", latency.quantile_ms(quantile));
    }
    text + &format!(" {:>9.2}\n", latency.max_ms())
}
