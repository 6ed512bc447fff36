//! One event's way to the sink: attempt, pause, attempt again, until it is taken or buried.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::counters::Counters;
use super::{Limits, Rejection, Sink};
use crate::{EventLog, Position, Recorded};

/// An attempt that failed so often is worth a line in the log, and so is each so-manieth after it.
const ATTEMPTS_PER_LOG_LINE: u32 = 10;

/// What all attempts share.
pub(super) struct Attempts<L, S> {
    log: Arc<L>,
    sink: Arc<S>,
    limits: Limits,
    consumer: Arc<str>,
    counters: Counters,
}

impl<L, S> Clone for Attempts<L, S> {
    fn clone(&self) -> Self {
        Self {
            log: Arc::clone(&self.log),
            sink: Arc::clone(&self.sink),
            limits: self.limits.clone(),
            consumer: Arc::clone(&self.consumer),
            counters: self.counters.clone(),
        }
    }
}

impl<L: EventLog, S: Sink> Attempts<L, S> {
    pub(super) fn new(log: Arc<L>, sink: Arc<S>, limits: Limits, consumer: Arc<str>) -> Self {
        let counters = Counters::new(Arc::clone(&consumer));
        Self { log, sink, limits, consumer, counters }
    }

    pub(super) fn log(&self) -> Arc<L> {
        Arc::clone(&self.log)
    }

    /// Delivers one event until it is taken, or buried. The event is handed over, not copied: for another attempt it is
    /// read from the log again.
    pub(super) async fn until_done(self, recorded: Recorded) -> Position {
        let position = recorded.position;
        let mut next = Some(recorded);
        let mut attempt = 0_u32;
        loop {
            let recorded = match next.take() {
                Some(recorded) => recorded,
                None => self.read_again(position).await,
            };
            match self.attempt(recorded).await {
                Ok(()) => break self.counters.delivered(),
                Err(Rejection::Later(reason)) => {
                    attempt = attempt.saturating_add(1);
                    self.counters.retried();
                    self.note(position, attempt, &reason);
                    sleep(self.pause(attempt)).await;
                }
                Err(Rejection::Never(reason)) => {
                    tracing::warn!(
                        consumer = &*self.consumer,
                        position = position.0,
                        reason,
                        "event refused for ever"
                    );
                    break self.bury(position, &reason).await;
                }
            }
        }
        position
    }

    /// On a task of its own, so that sinks run on all processors, and that a panic is one failed attempt.
    async fn attempt(&self, recorded: Recorded) -> Result<(), Rejection> {
        let sink = Arc::clone(&self.sink);
        run(tokio::spawn(async move { sink.deliver(recorded).await })).await
    }

    async fn bury(&self, position: Position, reason: &str) {
        let mut attempt = 0_u32;
        loop {
            let recorded = self.read_again(position).await;
            let (sink, words) = (Arc::clone(&self.sink), reason.to_owned());
            let buried = tokio::spawn(async move {
                sink.bury(recorded, words).await.map_err(|error| Rejection::Later(error.to_string()))
            });
            match run(buried).await {
                Ok(()) => return self.counters.dead_lettered(),
                Err(Rejection::Later(why) | Rejection::Never(why)) => {
                    attempt = attempt.saturating_add(1);
                    self.note(position, attempt, &why);
                    sleep(self.pause(attempt)).await;
                }
            }
        }
    }

    /// What is not acknowledged is still in the log, so this ends when the log can be read.
    async fn read_again(&self, position: Position) -> Recorded {
        let mut attempt = 0_u32;
        loop {
            match self.log.read(position, 1, Duration::ZERO).await {
                Ok(mut events) if events.first().is_some_and(|found| found.position == position) => {
                    return events.swap_remove(0);
                }
                Ok(_) => tracing::error!(
                    consumer = &*self.consumer,
                    position = position.0,
                    "event gone from the log"
                ),
                Err(error) => self.note(position, attempt.saturating_add(1), &error.to_string()),
            }
            attempt = attempt.saturating_add(1);
            sleep(self.pause(attempt)).await;
        }
    }

    fn pause(&self, attempt: u32) -> Duration {
        self.limits.pause.saturating_mul(attempt).min(self.limits.pause_max)
    }

    fn note(&self, position: Position, attempt: u32, reason: &str) {
        if attempt.is_multiple_of(ATTEMPTS_PER_LOG_LINE) {
            tracing::warn!(
                consumer = &*self.consumer,
                position = position.0,
                attempt,
                reason,
                "event refused for now"
            );
        } else {
            tracing::debug!(
                consumer = &*self.consumer,
                position = position.0,
                attempt,
                reason,
                "event refused for now"
            );
        }
    }
}

/// Waits for a task; it ends with us if we are dropped.
async fn run(task: JoinHandle<Result<(), Rejection>>) -> Result<(), Rejection> {
    struct AbortOnDrop(JoinHandle<Result<(), Rejection>>);
    impl Drop for AbortOnDrop {
        fn drop(&mut self) {
            self.0.abort();
        }
    }
    let mut task = AbortOnDrop(task);
    match (&mut task.0).await {
        Ok(outcome) => outcome,
        Err(failure) => Err(Rejection::Later(format!("the sink did not answer: {failure}"))),
    }
}
