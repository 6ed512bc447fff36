//! A log, its delivery to a sink, and its dead letters.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cloudevents::{AttributesReader, Event, EventBuilder, EventBuilderV10};
use deliverer::{HttpSink, SinkOptions};
use event_log::delivery::{Limits, Progress, deliver};
use event_log::{Append, Error, EventLog, Position};
use event_log_embedded::{Durability, EmbeddedLog, Keep, Options};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A delivery under way.
pub(crate) struct Delivery {
    log: Arc<EmbeddedLog>,
    pub(crate) dead_letters: Arc<DeadLetters>,
    progress: Arc<Progress>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
    _directory: TempDir,
}

/// A log whose first appends may fail.
pub(crate) struct DeadLetters {
    log: EmbeddedLog,
    pub(crate) failures: AtomicUsize,
}

/// To this address, without long pauses.
pub(crate) fn options(url: &str) -> SinkOptions {
    SinkOptions { pause_ms: 1, ..SinkOptions::new(url) }
}

/// An event of this id, which says what is to be done with it.
pub(crate) fn event(id: &str, data: &str) -> Event {
    let event = EventBuilderV10::new().id(id).source("/test").ty("test.event");
    event.data("text/plain", data.as_bytes().to_vec()).build().unwrap()
}

impl Delivery {
    pub(crate) fn start(options: &SinkOptions) -> Self {
        let directory = TempDir::new().unwrap();
        let open = |name: &str| {
            let options =
                Options { durability: Durability::Process, keep: Keep::Forever, ..Options::default() };
            EmbeddedLog::open(directory.path().join(name), options).unwrap()
        };
        let log = Arc::new(open("log"));
        let dead_letters = Arc::new(DeadLetters { log: open("dead-letters"), failures: AtomicUsize::new(0) });
        let sink = Arc::new(HttpSink::new(options, Arc::clone(&dead_letters)).unwrap());
        let progress = Arc::new(Progress::new("test", Position::default()));
        let (stop, stopped) = oneshot::channel();
        // What is under way at the end is not waited for.
        let limits = Limits { drain: Duration::ZERO, ..options.limits() };
        let task = tokio::spawn(deliver(Arc::clone(&log), sink, limits, Arc::clone(&progress), async {
            let _ = stopped.await;
        }));
        Self { log, dead_letters, progress, stop, task, _directory: directory }
    }

    pub(crate) async fn append(&self, event: Event) {
        self.log.append(event).await.unwrap();
    }

    /// Waits until everything is taken or buried.
    pub(crate) async fn until_done(&self) {
        let end = self.log.bounds().await.unwrap().end;
        while self.progress.acknowledged() < end {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Waits until so many events are buried.
    pub(crate) async fn buried(&self, count: usize) -> Vec<Event> {
        let mut next = Position::default();
        let mut events = Vec::new();
        while events.len() < count {
            for recorded in self.dead_letters.log.read(next, 1 << 20, Duration::from_secs(1)).await.unwrap() {
                next = recorded.next;
                events.push(recorded.event);
            }
        }
        events.sort_by(|one, other| one.id().cmp(other.id()));
        events
    }

    /// Ends it, and gives what is buried.
    pub(crate) async fn stop(self) -> Vec<Event> {
        let bounds = self.dead_letters.log.bounds().await.unwrap();
        let buried = if bounds.end > bounds.oldest { self.buried(1).await } else { Vec::new() };
        let _ = self.stop.send(());
        self.task.await.unwrap();
        buried
    }
}

impl Append for DeadLetters {
    async fn append(&self, event: Event) -> Result<Position, Error> {
        let fails = |left: usize| left.checked_sub(1);
        if self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fails).is_ok() {
            return Err(Error::Unavailable { reason: "not yet".into(), cause: None });
        }
        self.log.append(event).await
    }
}
