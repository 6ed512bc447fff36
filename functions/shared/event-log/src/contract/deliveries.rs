//! What holds for delivery over any log.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{Fixture, PATIENCE, append_numbered, number_of, numbered};
use crate::delivery::{Limits, Progress, Rejection, Sink, deliver};
use crate::{Append, Error, EventLog, Position, Recorded};

/// What a sink answers to an event's nth delivery, counted from one.
type Rule = dyn Fn(usize, usize) -> Answer + Send + Sync;

enum Answer {
    Take,
    Refuse(Rejection),
    Panic,
    /// No answer until the sink is dropped.
    Hang,
}

/// A sink that answers by a rule and remembers what it got.
struct Notebook {
    rule: Box<Rule>,
    seen: Mutex<Seen>,
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct Seen {
    delivered: BTreeMap<usize, usize>,
    buried: BTreeMap<usize, Vec<String>>,
}

impl Notebook {
    fn new(rule: impl Fn(usize, usize) -> Answer + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { rule: Box::new(rule), seen: Mutex::default(), changed: watch::Sender::new(()) })
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("nothing panics under this lock")
    }

    /// Waits until this holds.
    async fn until(&self, holds: impl Fn(&Seen) -> bool) {
        let mut changed = self.changed.subscribe();
        let wait = changed.wait_for(|()| holds(&self.seen()));
        timeout(PATIENCE, wait).await.expect("it never came").expect("the sink is still there");
    }
}

impl Sink for Notebook {
    async fn deliver(&self, recorded: Recorded) -> Result<(), Rejection> {
        let number = number_of(&recorded.event);
        let times = {
            let mut seen = self.seen();
            let times = seen.delivered.entry(number).or_default();
            *times += 1;
            *times
        };
        self.changed.send_replace(());
        match (self.rule)(number, times) {
            Answer::Take => Ok(()),
            Answer::Refuse(rejection) => Err(rejection),
            Answer::Panic => panic!("as the check wants it"),
            Answer::Hang => std::future::pending().await,
        }
    }

    async fn bury(&self, recorded: Recorded, reason: String) -> Result<(), Error> {
        let number = number_of(&recorded.event);
        let times = {
            let mut seen = self.seen();
            let reasons = seen.buried.entry(number).or_default();
            reasons.push(reason);
            reasons.len()
        };
        self.changed.send_replace(());
        // The first attempt to put an event aside fails.
        if times == 1 {
            Err(Error::Unavailable { reason: "not yet".to_owned(), cause: None })
        } else {
            Ok(())
        }
    }
}

/// A delivery under way.
struct Running {
    progress: Arc<Progress>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    fn start(log: &Arc<impl EventLog>, sink: &Arc<Notebook>, from: Position) -> Self {
        let progress = Arc::new(Progress::new("contract", from));
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(deliver(
            Arc::clone(log),
            Arc::clone(sink),
            limits(),
            Arc::clone(&progress),
            async move { stopped.await.unwrap_or(()) },
        ));
        Self { progress, stop, task }
    }

    async fn until_acknowledged(&self, end: Position) {
        timeout(PATIENCE, async {
            while self.progress.acknowledged() < end {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await
        .expect("it was never acknowledged");
    }

    async fn stop(self) -> Position {
        self.stop.send(()).expect("the loop still runs");
        self.task.await.expect("the loop ends in order");
        self.progress.acknowledged()
    }
}

/// Small, so that a check reaches them and does not wait.
fn limits() -> Limits {
    Limits {
        in_flight: 8,
        span: 64,
        pause: Duration::from_millis(2),
        pause_max: Duration::from_millis(20),
        drain: Duration::from_millis(200),
        ..Limits::default()
    }
}

fn later() -> Answer {
    Answer::Refuse(Rejection::Later("not now".to_owned()))
}

async fn open_with<F: Fixture>(fixture: &F, count: usize) -> (Arc<F::Log>, Vec<Position>, Position) {
    let log = Arc::new(fixture.open().await);
    let positions = append_numbered(&*log, count).await;
    let end = log.bounds().await.expect("bounds").end;
    (log, positions, end)
}

/// The smallest position with which an event at this one is acknowledged.
fn behind(position: Position) -> Position {
    Position(position.0 + 1)
}

/// Each event reaches the sink, those that were there and those that come, and the acknowledged position gets to the end.
pub async fn delivers_each_event(fixture: &impl Fixture) {
    let (log, _, end) = open_with(fixture, 150).await;
    let sink = Notebook::new(|_, _| Answer::Take);
    let running = Running::start(&log, &sink, Position::default());
    running.until_acknowledged(end).await;
    for number in 150..300 {
        log.append(numbered(number)).await.expect("append");
    }
    let end = log.bounds().await.expect("bounds").end;
    running.until_acknowledged(end).await;
    assert_eq!(running.stop().await, end);
    let delivered = &sink.seen().delivered;
    assert_eq!(delivered.keys().copied().collect::<Vec<_>>(), (0..300).collect::<Vec<_>>());
    assert!(delivered.values().all(|times| *times == 1), "delivered again without need");
}

/// Delivery begins where it is told to, and ends at the same place when there is nothing.
pub async fn delivers_from_the_checkpoint(fixture: &impl Fixture) {
    let (log, positions, end) = open_with(fixture, 20).await;
    let sink = Notebook::new(|_, _| Answer::Take);
    let running = Running::start(&log, &sink, positions[12]);
    running.until_acknowledged(end).await;
    assert_eq!(running.stop().await, end);
    assert_eq!(sink.seen().delivered.keys().copied().collect::<Vec<_>>(), (12..20).collect::<Vec<_>>());
    let running = Running::start(&log, &sink, end);
    assert_eq!(running.stop().await, end);
}

/// An event that is refused for now comes again until it is taken. Others pass it meanwhile, as far as the limits let
/// them; nothing behind it is acknowledged.
pub async fn later_holds_up_nobody(fixture: &impl Fixture) {
    let (log, positions, end) = open_with(fixture, 200).await;
    let (open, gate) = watch::channel(false);
    let sink = Notebook::new(move |number, times| match number {
        20 if !*gate.borrow() => later(),
        30..40 if times < 4 => later(),
        _ => Answer::Take,
    });
    let running = Running::start(&log, &sink, Position::default());
    let furthest = 20 + limits().span - 1;
    sink.until(|seen| seen.delivered.contains_key(&furthest) && seen.delivered[&20] > 3).await;
    running.until_acknowledged(behind(positions[19])).await;
    assert!(running.progress.acknowledged() <= positions[20]);
    assert!(!sink.seen().delivered.contains_key(&(furthest + 1)), "more is under way than the limits allow");
    open.send_replace(true);
    running.until_acknowledged(end).await;
    assert_eq!(running.stop().await, end);
    let seen = sink.seen();
    assert_eq!(seen.delivered.len(), 200);
    assert!((30..40).all(|number| seen.delivered[&number] == 4));
    assert!(seen.buried.is_empty());
}

/// An event that is refused for ever is put aside with the reason, and only then acknowledged.
pub async fn never_is_buried(fixture: &impl Fixture) {
    let (log, _, end) = open_with(fixture, 30).await;
    let sink = Notebook::new(|number, times| match (number, times) {
        (0 | 29, 1) => later(),
        (0 | 7 | 29, _) => Answer::Refuse(Rejection::Never(format!("{number} makes no sense"))),
        _ => Answer::Take,
    });
    let running = Running::start(&log, &sink, Position::default());
    running.until_acknowledged(end).await;
    running.stop().await;
    let seen = sink.seen();
    assert_eq!(seen.buried.keys().copied().collect::<Vec<_>>(), [0, 7, 29]);
    for (number, reasons) in &seen.buried {
        assert_eq!(*reasons, vec![format!("{number} makes no sense"); 2], "tried until it succeeded");
    }
    assert_eq!(seen.delivered.len(), 30);
}

/// A sink that panics has refused for now.
pub async fn panics_are_survived(fixture: &impl Fixture) {
    let (log, _, end) = open_with(fixture, 10).await;
    let sink =
        Notebook::new(|number, times| if number == 3 && times < 3 { Answer::Panic } else { Answer::Take });
    let running = Running::start(&log, &sink, Position::default());
    running.until_acknowledged(end).await;
    running.stop().await;
    assert_eq!(sink.seen().delivered[&3], 3);
}

/// The lag is the age of the oldest event that is not acknowledged, and zero after the last.
pub async fn lags_until_taken(fixture: &impl Fixture) {
    let (log, positions, end) = open_with(fixture, 10).await;
    let appended_ms = super::read(&*log, positions[4], 6).await[0].appended_ms;
    let (open, gate) = watch::channel(false);
    let sink =
        Notebook::new(move |number, _| if number == 4 && !*gate.borrow() { later() } else { Answer::Take });
    let running = Running::start(&log, &sink, Position::default());
    sink.until(|seen| seen.delivered.contains_key(&9)).await;
    running.until_acknowledged(behind(positions[3])).await;
    assert_eq!(running.progress.lag_ms(appended_ms + 5000), 5000);
    open.send_replace(true);
    running.until_acknowledged(end).await;
    assert_eq!(running.progress.lag_ms(u64::MAX), 0);
    running.stop().await;
}

/// What has not ended when the loop stops is not acknowledged, and the next loop delivers it.
pub async fn stops_without_losing(fixture: &impl Fixture) {
    let (log, positions, end) = open_with(fixture, 20).await;
    let sink = Notebook::new(|number, times| match (number, times) {
        (5, 1) => Answer::Hang,
        (3, 1) => later(),
        _ => Answer::Take,
    });
    let running = Running::start(&log, &sink, Position::default());
    sink.until(|seen| seen.delivered.contains_key(&19)).await;
    let stopped_at = running.stop().await;
    assert!((behind(positions[4])..=positions[5]).contains(&stopped_at));
    let running = Running::start(&log, &sink, stopped_at);
    running.until_acknowledged(end).await;
    running.stop().await;
    let seen = sink.seen();
    assert_eq!(seen.delivered[&5], 2);
    assert!((0..20).all(|number| seen.delivered.contains_key(&number)));
}
