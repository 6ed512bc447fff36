//! How long a tag takes from its 204 until both queries show it: marked tags, each with a cookie and an origin of its own,
//! are posted besides the load, in its current minute, and asked for until they appear.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::StatusCode;
use serde_json::Value;

use super::lane::Load;
use crate::calendar::{self, MINUTE_MS, Precision};
use crate::connection::{Connection, Question};
use crate::dice::{Dice, Purpose};
use crate::gate::{Gate, Pace};
use crate::questions::uri;
use crate::tally::Latency;
use crate::target::{Endpoint, Target};

/// Marked tags that are waited for at once; more are due later, which does no harm to what is measured.
pub const PROBES_AT_ONCE: u32 = 16;

/// Pause between two looks, and so the coarseness of what is measured.
const PAUSE: Duration = Duration::from_millis(5);

/// A tag that does not appear in twice the time that the contract gives aggregates is lost.
const GIVE_UP: Duration = Duration::from_secs(120);

/// The probes of a load.
#[derive(Debug)]
pub struct Probes {
    /// When each is due.
    pub pace: Pace,
    /// Lets them through.
    pub gate: Gate,
    load: Arc<Load>,
    run: u64,
    under_way: AtomicU64,
    seen: Mutex<Seen>,
}

/// What was measured.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// From a 204 until the profile shows the tag.
    pub profiles: Latency,
    /// From a 204 until the aggregates count it.
    pub aggregates: Latency,
    /// Marked tags without a 204.
    pub unaccepted: u64,
    /// Looks at which a tag that had a 204 did not appear in time.
    pub lost: u64,
}

/// The connections of one probe.
struct Probe {
    tags: Connection,
    profiles: Connection,
    aggregates: Connection,
}

impl Probes {
    /// Probes that have not begun. Their names are new at each run, since a target may hold those of an earlier one.
    pub fn new(load: &Arc<Load>, pace: Pace) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let nanos = u64::try_from(now.as_nanos()).unwrap_or_default();
        let run = Dice::new(nanos, Purpose::Probe, u64::from(std::process::id())).roll() >> 24;
        let under_way = AtomicU64::new(0);
        Self { pace, gate: Gate::new(), load: Arc::clone(load), run, under_way, seen: Mutex::default() }
    }

    /// What was measured so far.
    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks that go on.
    pub fn under_way(&self) -> u64 {
        self.under_way.load(Ordering::Relaxed)
    }

    /// Posts marked tags, and waits for each, until the load ends.
    pub async fn drive(self: Arc<Self>, target: Target, worker: usize) {
        let pick = |endpoints: &[Endpoint]| Connection::new(endpoints[worker % endpoints.len()].clone());
        let mut probe = Probe {
            tags: pick(&target.user_tags),
            profiles: pick(&target.user_profiles),
            aggregates: pick(&target.aggregates),
        };
        while let Some(number) = self.gate.enter().await {
            self.measure(&mut probe, number).await;
        }
    }

    async fn measure(&self, probe: &mut Probe, number: u64) {
        let mark = format!("PROBE_{:010x}_{number}", self.run);
        let at_ms = self.load.stream.time_ms(self.load.sent());
        if !post(&mut probe.tags, &mark, at_ms).await {
            self.seen().unaccepted += 1;
            return;
        }
        let accepted = Instant::now();
        let in_profile = profile_path(&probe.profiles, &mark, at_ms);
        let in_aggregates = aggregates_path(&probe.aggregates, &mark, at_ms);
        tokio::join!(
            async {
                let shown = self
                    .look(&mut probe.profiles, in_profile, accepted, |answer| !answer["views"][0].is_null())
                    .await;
                self.note(shown, |seen| &mut seen.profiles);
            },
            async {
                let counts = |answer: &Value| answer["rows"][0][3].as_str().is_some_and(|count| count != "0");
                let shown = self.look(&mut probe.aggregates, in_aggregates, accepted, counts).await;
                self.note(shown, |seen| &mut seen.aggregates);
            }
        );
    }

    async fn look(
        &self,
        connection: &mut Connection,
        path: String,
        accepted: Instant,
        shows: impl Fn(&Value) -> bool,
    ) -> Option<Duration> {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        let mut shown = None;
        while shown.is_none() && accepted.elapsed() < GIVE_UP {
            let result =
                connection.ask(Question { uri: uri(path.clone()), body: Bytes::new(), key: None }).await;
            let answer = result.ok().and_then(|answer| serde_json::from_slice::<Value>(&answer.body).ok());
            if answer.is_some_and(|answer| shows(&answer)) {
                shown = Some(accepted.elapsed());
            } else {
                tokio::time::sleep(PAUSE).await;
            }
        }
        self.under_way.fetch_sub(1, Ordering::Relaxed);
        shown
    }

    fn note(&self, shown: Option<Duration>, latency: impl Fn(&mut Seen) -> &mut Latency) {
        let mut seen = self.seen();
        match shown {
            Some(after) => latency(&mut seen).add(after),
            None => seen.lost += 1,
        }
    }
}

async fn post(connection: &mut Connection, mark: &str, at_ms: i64) -> bool {
    let mut body = r#"{"time":""#.to_owned();
    calendar::push_instant(&mut body, at_ms, Precision::Milliseconds);
    write!(
        body,
        r#"Z","cookie":"{mark}","country":"PL","device":"PC","action":"VIEW","origin":"{mark}","product_info":{{"product_id":1,"brand_id":"Probe","category_id":"Probe","price":1}}}}"#
    )
    .expect("writing to a string cannot fail");
    let question =
        Question { uri: uri(connection.endpoint().path.clone()), body: Bytes::from(body), key: None };
    connection.ask(question).await.is_ok_and(|answer| answer.status == StatusCode::NO_CONTENT)
}

fn profile_path(connection: &Connection, mark: &str, at_ms: i64) -> String {
    let [from, to] = [at_ms, at_ms + 1].map(|at_ms| calendar::instant(at_ms, Precision::Milliseconds));
    format!("{}/{mark}?time_range={from}_{to}&limit=1", connection.endpoint().path)
}

fn aggregates_path(connection: &Connection, mark: &str, at_ms: i64) -> String {
    let minute = at_ms - at_ms.rem_euclid(MINUTE_MS);
    let [from, to] = [minute, minute + MINUTE_MS].map(|at_ms| calendar::instant(at_ms, Precision::Seconds));
    format!(
        "{}?time_range={from}_{to}&action=VIEW&origin={mark}&aggregates=COUNT",
        connection.endpoint().path
    )
}
