//! `simulator replay`: posts the lines of a recording, says which were refused and why, and goes on.

pub mod feed;
pub mod options;
pub mod report;

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, ensure};
use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Mutex as Turns, watch};
use tokio::task::JoinSet;

use self::feed::{Feed, Speed};
use self::options::ReplayOptions;
use self::report::{Report, reason};
use crate::connection::{Answer, Connection, Exception, Question};
use crate::gate::Pace;
use crate::preflight;
use crate::progress::Progress;
use crate::questions::uri;
use crate::recording::{Line, Recording};
use crate::score::connections;
use crate::target::Target;

/// First pause before a line is repeated; each next one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The longest pause, whatever the target wishes.
const MAX_PAUSE: Duration = Duration::from_secs(10);

/// The replay ends when requests fail and no line was accepted or refused for so long.
const GIVE_UP: Duration = Duration::from_secs(60);

/// How often the progress is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// Replays, prints, and says how to exit.
pub async fn run(options: &ReplayOptions) -> anyhow::Result<ExitCode> {
    let (report, ended) = replay(options).await?;
    report.print(options.json)?;
    ended?;
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Posts all lines. Beside the report stands why the recording could not be read to its end.
pub async fn replay(options: &ReplayOptions) -> anyhow::Result<(Report, anyhow::Result<()>)> {
    ensure!(options.speed >= 0.0 && options.speed.is_finite(), "--speed must not be negative");
    let target = Target::new(&options.target)?;
    let file = options.file.display().to_string();
    let recording = Recording::open(&options.file).with_context(|| format!("cannot open {file}"))?;
    preflight::reach(&target.user_tags[0], options.target.wait).await?;
    let replay = Replay::new(options, recording);
    let mut workers = JoinSet::new();
    for connection in connections(&target.user_tags, options.connections) {
        workers.spawn(Arc::clone(&replay).drive(connection));
    }
    let stopped = replay.watch(&mut workers).await?;
    let report = replay.report().clone();
    let ended = match replay.failed_read().take() {
        Some(error) => Err(anyhow::Error::from(error).context(format!("cannot read {file} to its end"))),
        None => stopped,
    };
    Ok((report, ended))
}

struct Replay {
    options: ReplayOptions,
    key: Option<String>,
    total_bytes: u64,
    read_bytes: Arc<AtomicU64>,
    start: Instant,
    feed: Turns<Feed>,
    /// Becomes true when the replay is stopped: nobody waits for a line's time then, or to repeat one.
    stopped: watch::Sender<bool>,
    report: Mutex<Report>,
    failed_read: Mutex<Option<std::io::Error>>,
    notes: Mutex<Vec<String>>,
}

/// What came of a line.
enum Outcome {
    Accepted,
    Refused(Answer),
    Lost(String),
}

impl Replay {
    fn new(options: &ReplayOptions, recording: Recording) -> Arc<Self> {
        let start = Instant::now();
        let speed = match options.rate {
            Some(per_second) => Speed::Steady(Pace { start, per_second }),
            None if options.speed > 0.0 => Speed::Recorded(options.speed),
            None => Speed::Unpaced,
        };
        Arc::new(Self {
            key: (!options.no_keys).then(|| options.key.clone().unwrap_or_else(fresh_key)),
            options: options.clone(),
            total_bytes: recording.total_bytes.unwrap_or(0),
            read_bytes: Arc::clone(&recording.read_bytes),
            start,
            feed: Turns::new(Feed::new(recording, speed)),
            stopped: watch::Sender::new(false),
            report: Mutex::default(),
            failed_read: Mutex::default(),
            notes: Mutex::default(),
        })
    }

    fn report(&self) -> MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed_read(&self) -> MutexGuard<'_, Option<std::io::Error>> {
        self.failed_read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn notes(&self) -> MutexGuard<'_, Vec<String>> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows progress and refused lines until the workers are done.
    async fn watch(&self, workers: &mut JoinSet<()>) -> anyhow::Result<anyhow::Result<()>> {
        let mut progress = Progress::new(self.total_bytes);
        let mut interrupts = signal(SignalKind::interrupt())?;
        let mut stopped = Ok(());
        loop {
            tokio::select! {
                ended = workers.join_next() => match ended {
                    Some(ended) => ended?,
                    None => break,
                },
                _ = interrupts.recv() => {
                    stopped = Err(anyhow::anyhow!("interrupted"));
                    self.stopped.send_replace(true);
                }
                () = tokio::time::sleep(LOOK) => {
                    if self.report().failing_since.is_some_and(|since| since.elapsed() > GIVE_UP) {
                        stopped = Err(anyhow::anyhow!("given up: the target has answered nothing for {GIVE_UP:?}"));
                        self.stopped.send_replace(true);
                    }
                }
            }
            for note in self.notes().drain(..) {
                progress.note(&note);
            }
            if progress.is_due() {
                let text = self.report().summary(self.start.elapsed());
                progress.show_plain(self.read_bytes.load(Ordering::Relaxed), &text);
            }
        }
        for note in self.notes().drain(..) {
            progress.note(&note);
        }
        progress.finish();
        self.report().elapsed = self.start.elapsed();
        Ok(stopped)
    }

    async fn stopped(&self) {
        // The sender lives as long as we do, so this ends only when it says so.
        let _ = self.stopped.subscribe().wait_for(|stopped| *stopped).await;
    }

    async fn drive(self: Arc<Self>, mut connection: Connection) {
        loop {
            let line = tokio::select! {
                biased;
                () = self.stopped() => None,
                line = async { self.feed.lock().await.next().await } => line,
            };
            match line {
                None => return,
                Some(Err(error)) => *self.failed_read() = Some(error),
                Some(Ok(line)) => {
                    let outcome = self.post(&mut connection, &line).await;
                    self.note(&line, outcome);
                }
            }
        }
    }

    async fn post(&self, connection: &mut Connection, line: &Line) -> Outcome {
        if line.is_cut {
            return Outcome::Lost("the line is longer than 1 MiB".to_owned());
        }
        let body = Bytes::copy_from_slice(&line.text);
        let key = self.key.as_ref().map(|key| format!("{key}-{}", line.number));
        let key = key.map(|key| HeaderValue::try_from(key).expect("keys are printable"));
        let mut pause = FIRST_PAUSE;
        let mut attempts = 0;
        loop {
            let uri = uri(connection.endpoint().path.clone());
            let sent = Instant::now();
            let result = connection.ask(Question { uri, body: body.clone(), key: key.clone() }).await;
            self.report().tally.add(&result, sent.elapsed());
            let (why, wish) = match result {
                Ok(answer) if answer.status.is_success() => return Outcome::Accepted,
                Ok(answer)
                    if answer.status.is_client_error() && answer.status != StatusCode::TOO_MANY_REQUESTS =>
                {
                    return Outcome::Refused(answer);
                }
                Ok(answer) => (reason(&answer), answer.retry_after_s.map(Duration::from_secs)),
                Err(exception) if self.key.is_none() && exception != Exception::Connect => {
                    return Outcome::Lost(format!("{}, and may be stored or not", exception.name()));
                }
                Err(exception) => (exception.name().to_owned(), None),
            };
            self.report().failing_since.get_or_insert_with(Instant::now);
            if attempts == self.options.retries {
                return Outcome::Lost(why);
            }
            attempts += 1;
            self.report().retried += 1;
            tokio::select! {
                () = tokio::time::sleep(pause.max(wish.unwrap_or_default()).min(MAX_PAUSE)) => {}
                () = self.stopped() => return Outcome::Lost(why),
            }
            pause *= 2;
        }
    }

    fn note(&self, line: &Line, outcome: Outcome) {
        let mut report = self.report();
        report.lines += 1;
        let note = match outcome {
            Outcome::Accepted => {
                report.accepted += 1;
                None
            }
            Outcome::Refused(answer) => {
                report.refused += 1;
                Some(format!("line {}: refused, {}", line.number, reason(&answer)))
            }
            Outcome::Lost(why) => {
                report.lost += 1;
                self.notes()
                    .extend(self.shown(&report, format!("line {}: not accepted, {why}", line.number)));
                return;
            }
        };
        report.failing_since = None;
        self.notes().extend(note.and_then(|note| self.shown(&report, note)));
    }

    fn shown(&self, report: &Report, note: String) -> Option<String> {
        (report.refused + report.lost <= self.options.show_refused).then_some(note)
    }
}

/// A key that no other replay has.
fn fresh_key() -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    format!("replay-{:x}-{:x}", now.as_nanos(), std::process::id())
}
