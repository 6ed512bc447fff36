//! How all instances do now, told once a second to whoever looks.
//!
//! All streams look at one board, which whoever comes first in a second brings up to date. Nothing is asked while nobody looks.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use function::{Failure, Reply, Stream};
use futures_util::stream::unfold;
use model::clock::{Clock, SystemClock};
use serde::Serialize;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};

use crate::surroundings::{Lag, Measured, Surroundings};

const LOOK_EACH: Duration = Duration::from_secs(1);
/// As many look at once.
const MOST_STREAMS: usize = 64;
/// What is told of what could not be asked.
const MOST_PROBLEMS: usize = 10;
/// Routes whose answers are those to queries.
const QUERIES: [&str; 3] = ["/user_profiles/{cookie}", "/aggregates", "/explore"];

const REQUESTS: &str = "http_server_request_duration_seconds_count";
const ACCEPTED: &str = "allezon_newest_accepted_time_seconds";
const VISIBLE: &str = "allezon_newest_visible_time_seconds";
/// What workers tell where nobody who accepts tags can be asked.
const APPLIED: &str = "allezon_aggregate_tags_applied_total";
const TOOK: [&str; 2] =
    ["allezon_visibility_duration_seconds_sum", "allezon_visibility_duration_seconds_count"];

/// The board, and who looks at it.
#[derive(Debug)]
pub(crate) struct Now<S> {
    surroundings: Arc<S>,
    board: Mutex<Board>,
    places: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Board {
    looked: Option<Instant>,
    /// What each instance measured then.
    readings: HashMap<String, Reading>,
    visibility_ms: HashMap<String, u64>,
    told: Bytes,
}

/// Requests of some kinds: as many since a start, or in a second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
struct Requests {
    tags: f64,
    queries: f64,
    refused: f64,
    failed: f64,
}

/// What one instance measures, as far as it matters here.
#[derive(Debug, Default, PartialEq)]
struct Reading {
    counts: Requests,
    /// When the newest durable tag was accepted, in s since 1970.
    accepted_s: Option<f64>,
    /// When the newest tag that a worker has applied was.
    visible_s: HashMap<String, f64>,
    /// How long all batches that a worker has applied took until then, in s, and how many they were.
    took: HashMap<String, [f64; 2]>,
    /// Tags that were applied.
    applied: f64,
}

#[derive(Debug, Serialize)]
struct Told<'t> {
    at_ms: u64,
    rates: Option<Requests>,
    visibility_ms: &'t HashMap<String, u64>,
    lag: Vec<Lag>,
    problems: &'t [String],
}

struct Watcher<S> {
    now: Arc<Now<S>>,
    next: Instant,
    until: Instant,
    _place: OwnedSemaphorePermit,
}

impl<S: Surroundings> Now<S> {
    pub(crate) fn new(surroundings: Arc<S>) -> Self {
        Self { surroundings, board: Mutex::default(), places: Arc::new(Semaphore::new(MOST_STREAMS)) }
    }

    /// A stream of what the board says.
    pub(crate) fn watch(self: &Arc<Self>) -> Result<Reply, Failure> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_| Failure::unavailable("too many look at once"))?;
        let now = Instant::now();
        let watcher = Watcher { now: Arc::clone(self), next: now, until: now + Stream::LASTS, _place: place };
        Ok(Reply::Stream(Stream::events(unfold(watcher, Watcher::next))))
    }

    async fn look(&self) -> Bytes {
        let mut board = self.board.lock().await;
        let now = Instant::now();
        let since = board.looked.map(|looked| now - looked);
        if since.is_none_or(|since| since >= LOOK_EACH / 2) {
            let (Measured { instances, mut problems }, lag) =
                tokio::join!(self.surroundings.measured(), self.surroundings.lag());
            let lag = lag.unwrap_or_else(|error| {
                problems.push(error.to_string());
                Vec::new()
            });
            problems.truncate(MOST_PROBLEMS);
            let readings: HashMap<String, Reading> =
                instances.into_iter().map(|(name, text)| (name, Reading::of(&text))).collect();
            let visibility_ms = age(&readings).unwrap_or_else(|| match since {
                // Since a start is no answer: that began with what others had left.
                None => HashMap::new(),
                Some(_) => took(&board.readings, &readings, &board.visibility_ms),
            });
            let told = Told {
                at_ms: SystemClock.now_ms(),
                rates: since.map(|since| rates(&board.readings, &readings, since)),
                visibility_ms: &visibility_ms,
                lag,
                problems: &problems,
            };
            let json = serde_json::to_string(&told).expect("numbers and strings are JSON");
            board.told = format!("event: now\ndata: {json}\n\n").into();
            board.readings = readings;
            board.visibility_ms = visibility_ms;
            board.looked = Some(now);
        }
        board.told.clone()
    }
}

impl<S: Surroundings> Watcher<S> {
    async fn next(mut self) -> Option<(Bytes, Self)> {
        sleep_until(self.next).await;
        self.next = Instant::now() + LOOK_EACH;
        if self.next >= self.until {
            return None;
        }
        let told = self.now.look().await;
        Some((told, self))
    }
}

impl Reading {
    fn of(text: &str) -> Self {
        let mut reading = Self::default();
        for Sample { name, labels, value } in text.lines().filter_map(sample) {
            match name {
                ACCEPTED => reading.accepted_s = Some(value),
                VISIBLE => {
                    reading.visible_s.insert(label(labels, "function").unwrap_or_default(), value);
                }
                APPLIED => reading.applied = value,
                name if let Some(part) = TOOK.iter().position(|each| *each == name) => {
                    let worker = label(labels, "function").unwrap_or_default();
                    reading.took.entry(worker).or_default()[part] = value;
                }
                REQUESTS => reading.counts.add(labels, value),
                _ => {}
            }
        }
        reading
    }
}

impl Requests {
    fn add(&mut self, labels: &str, count: f64) {
        let route = label(labels, "http_route").unwrap_or_default();
        match label(labels, "http_response_status_code").and_then(|code| code.bytes().next()) {
            Some(b'2') if route == "/user_tags" => self.tags += count,
            Some(b'2') if QUERIES.contains(&route.as_str()) => self.queries += count,
            Some(b'4') => self.refused += count,
            Some(b'5') => self.failed += count,
            _ => {}
        }
    }
}

/// How much a count has grown since the look before. An instance that was not there then has begun since; one that counts less than
/// before has begun anew.
fn grown(
    before: &HashMap<String, Reading>,
    readings: &HashMap<String, Reading>,
    count: impl Fn(&Reading) -> f64,
) -> f64 {
    let grown = |(name, reading): (&String, &Reading)| {
        let (now, before) = (count(reading), before.get(name).map_or(0.0, &count));
        if now < before { now } else { now - before }
    };
    readings.iter().map(grown).sum()
}

/// What was answered in a second. Where who takes tags cannot be asked, those count that are applied.
fn rates(
    before: &HashMap<String, Reading>,
    readings: &HashMap<String, Reading>,
    since: Duration,
) -> Requests {
    let of = |count: fn(&Reading) -> f64| {
        (grown(before, readings, count) / since.as_secs_f64() * 10.0).round() / 10.0
    };
    let takers_tell = readings.values().any(|reading| reading.accepted_s.is_some());
    Requests {
        tags: of(if takers_tell { |reading| reading.counts.tags } else { |reading| reading.applied }),
        queries: of(|reading| reading.counts.queries),
        refused: of(|reading| reading.counts.refused),
        failed: of(|reading| reading.counts.failed),
    }
}

/// How far the newest visible tag is behind the newest durable one, for each worker; none where who takes tags cannot be asked.
fn age(readings: &HashMap<String, Reading>) -> Option<HashMap<String, u64>> {
    let accepted = readings.values().filter_map(|reading| reading.accepted_s).reduce(f64::max)?;
    let mut visible: HashMap<String, f64> = HashMap::new();
    for (worker, at) in readings.values().flat_map(|reading| &reading.visible_s) {
        let newest = visible.entry(worker.clone()).or_insert(*at);
        *newest = newest.max(*at);
    }
    let age = |(worker, at): (String, f64)| (worker, ((accepted - at).max(0.0) * 1_000.0).round() as u64);
    Some(visible.into_iter().map(age).collect())
}

/// How long the batches took, on average, that became visible since the look before; where none did, what was told then.
fn took(
    before: &HashMap<String, Reading>,
    readings: &HashMap<String, Reading>,
    told: &HashMap<String, u64>,
) -> HashMap<String, u64> {
    let mut all = told.clone();
    for worker in readings.values().flat_map(|reading| reading.took.keys()) {
        let of = |part: usize| {
            grown(before, readings, |reading| reading.took.get(worker).map_or(0.0, |took| took[part]))
        };
        let batches = of(1);
        if batches > 0.0 {
            all.insert(worker.clone(), (of(0) / batches * 1_000.0).round() as u64);
        }
    }
    all
}

/// One line of Prometheus' text format.
struct Sample<'t> {
    name: &'t str,
    /// What stands between the braces.
    labels: &'t str,
    value: f64,
}

/// The sample in a line, if there is one. The library for this, prometheus-parse, loses labels whose values have braces, as routes
/// have.
fn sample(line: &str) -> Option<Sample<'_>> {
    let (rest, value) = line.trim_end().rsplit_once(' ')?;
    let (name, labels) = match rest.split_once('{') {
        Some((name, labels)) => (name, labels.strip_suffix('}')?),
        None => (rest, ""),
    };
    (!name.starts_with('#')).then_some(Sample { name, labels, value: value.parse().ok()? })
}

/// The value of a label.
fn label(labels: &str, wanted: &str) -> Option<String> {
    let mut rest = labels;
    loop {
        let (name, after) = rest.split_once("=\"")?;
        let mut value = String::new();
        let mut characters = after.char_indices();
        let end = loop {
            match characters.next()? {
                (at, '"') => break at,
                (_, '\\') => value.push(match characters.next()?.1 {
                    'n' => '\n',
                    other => other,
                }),
                (_, other) => value.push(other),
            }
        };
        if name == wanted {
            return Some(value);
        }
        rest = after[end + 1..].trim_start_matches(',');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"# HELP http_server_request_duration_seconds Duration of HTTP server requests
# TYPE http_server_request_duration_seconds histogram
http_server_request_duration_seconds_bucket{http_request_method="POST",http_response_status_code="204",http_route="/user_tags",le="0.005"} 3
http_server_request_duration_seconds_bucket{http_request_method="POST",http_response_status_code="204",http_route="/user_tags",le="+Inf"} 5
http_server_request_duration_seconds_sum{http_request_method="POST",http_response_status_code="204",http_route="/user_tags"} 0.1
http_server_request_duration_seconds_count{http_request_method="POST",http_response_status_code="204",http_route="/user_tags"} 5
http_server_request_duration_seconds_bucket{http_request_method="POST",http_response_status_code="200",http_route="/aggregates",le="+Inf"} 7
http_server_request_duration_seconds_sum{http_request_method="POST",http_response_status_code="200",http_route="/aggregates"} 1
http_server_request_duration_seconds_count{http_request_method="POST",http_response_status_code="200",http_route="/aggregates"} 7
http_server_request_duration_seconds_count{http_request_method="POST",http_response_status_code="200",http_route="/user_profiles/{cookie}",otel_scope_name="runtime"} 3
http_server_request_duration_seconds_bucket{http_request_method="POST",http_response_status_code="400",le="+Inf"} 2
http_server_request_duration_seconds_sum{http_request_method="POST",http_response_status_code="400"} 1
http_server_request_duration_seconds_count{http_request_method="POST",http_response_status_code="400"} 2
# TYPE allezon_newest_accepted_time_seconds gauge
allezon_newest_accepted_time_seconds 1000.5
# TYPE allezon_newest_visible_time_seconds gauge
allezon_newest_visible_time_seconds{function="profile-worker"} 1000.4
allezon_newest_visible_time_seconds{function="aggregate-worker"} 1000.6
"#;

    #[test]
    fn a_text_is_read() {
        let reading = Reading::of(TEXT);
        assert_eq!(reading.counts, Requests { tags: 5.0, queries: 10.0, refused: 2.0, failed: 0.0 });
        let readings = HashMap::from([("a".to_owned(), reading)]);
        let expected = [("profile-worker".to_owned(), 100), ("aggregate-worker".to_owned(), 0)];
        assert_eq!(age(&readings), Some(HashMap::from(expected)));
        assert_eq!(Reading::of("what is this { no metrics"), Reading::default());
    }

    #[test]
    fn labels_are_read_whatever_is_in_them() {
        let labels = r#"a="x,y=\"{1}\"",b="\\",c="#;
        assert_eq!(label(labels, "a").as_deref(), Some(r#"x,y="{1}""#));
        assert_eq!(label(labels, "b").as_deref(), Some("\\"));
        assert_eq!(label(labels, "c"), None);
        assert_eq!(label(labels, "d"), None);
    }

    #[test]
    fn an_instance_that_began_anew_counts_from_its_beginning() {
        let reading = |tags| Reading {
            counts: Requests { tags, ..Requests::default() },
            accepted_s: Some(1.0),
            ..Reading::default()
        };
        let of = |counts: &[(&str, f64)]| -> HashMap<String, Reading> {
            counts.iter().map(|(name, tags)| ((*name).to_owned(), reading(*tags))).collect()
        };
        let before = of(&[("a", 100.0), ("b", 50.0), ("gone", 9.0)]);
        let now = of(&[("a", 110.0), ("b", 4.0), ("new", 6.0)]);
        assert!((rates(&before, &now, Duration::from_secs(2)).tags - 10.0).abs() < 1e-9);
    }

    #[test]
    fn where_nobody_who_takes_tags_can_be_asked_the_workers_tell() {
        let at = |tags: u32, batches: u32, sum_s: &str| {
            let text = format!(
                "allezon_aggregate_tags_applied_total {tags}\n\
                 allezon_visibility_duration_seconds_bucket{{function=\"profile-worker\",le=\"+Inf\"}} {batches}\n\
                 allezon_visibility_duration_seconds_sum{{function=\"profile-worker\"}} {sum_s}\n\
                 allezon_visibility_duration_seconds_count{{function=\"profile-worker\"}} {batches}\n"
            );
            HashMap::from([("allezon".to_owned(), Reading::of(&text))])
        };
        let (first, second) = (at(1_000, 100, "50"), at(1_060, 104, "50.1"));
        assert_eq!(age(&second), None);
        assert!((rates(&first, &second, Duration::from_secs(2)).tags - 30.0).abs() < 1e-9);
        let told = took(&first, &second, &HashMap::new());
        assert_eq!(told, HashMap::from([("profile-worker".to_owned(), 25)]));
        assert_eq!(took(&second, &second, &told), told, "nothing became visible since");
    }
}
