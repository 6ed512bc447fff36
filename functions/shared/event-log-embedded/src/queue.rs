//! The way from many callers to the one writer: bounded, and emptied as a whole.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

use event_log::{Error, Position};
use tokio::sync::oneshot;

use crate::error::unavailable;
use crate::record::Draft;

/// What may wait for the writer. At 15 MB/s it is a second's worth; with more the log would only grow slower, not faster.
const WAITING_BYTES: usize = 32 * 1024 * 1024;
/// The same in events: each takes a caller's task.
const WAITING_EVENTS: usize = 16 * 1024;
/// What is written and synced at once. Half of what may wait, so that callers are not refused during a long sync.
const GROUP_BYTES: usize = 16 * 1024 * 1024;

/// One event to be written, and who waits for it.
#[derive(Debug)]
pub(crate) struct Append {
    pub(crate) draft: Draft,
    pub(crate) answer: oneshot::Sender<Result<Position, Error>>,
}

/// The queue.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Append>,
    bytes: usize,
    /// Why nothing is taken in at the moment.
    refusing: Option<String>,
    closed: bool,
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics under this lock")
    }

    /// Puts one event in the queue, or says at once why not.
    pub(crate) fn push(&self, append: Append) -> Result<(), Error> {
        let mut state = self.state();
        if state.closed {
            return Err(unavailable("it is closed"));
        }
        if let Some(reason) = &state.refusing {
            return Err(unavailable(reason.clone()));
        }
        let bytes = append.draft.len();
        if state.bytes + bytes > WAITING_BYTES || state.waiting.len() >= WAITING_EVENTS {
            return Err(unavailable("too much waits to be written"));
        }
        state.bytes += bytes;
        state.waiting.push_back(append);
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// All that waits, up to the size of a group; waits for something. `None` when there will be nothing any more.
    pub(crate) fn take(&self) -> Option<Vec<Append>> {
        let mut state = self.state();
        while state.waiting.is_empty() && !state.closed {
            state = self.changed.wait(state).expect("nothing panics under this lock");
        }
        let (mut group, mut bytes) = (Vec::new(), 0);
        while let Some(append) = state.waiting.front() {
            if !group.is_empty() && bytes + append.draft.len() > GROUP_BYTES {
                break;
            }
            bytes += append.draft.len();
            group.extend(state.waiting.pop_front());
        }
        state.bytes -= bytes;
        (!group.is_empty()).then_some(group)
    }

    /// Refuses what waits and what comes, until [`Queue::accept`].
    pub(crate) fn refuse(&self, reason: &str) {
        let mut state = self.state();
        state.refusing = Some(reason.to_owned());
        state.bytes = 0;
        let refused = std::mem::take(&mut state.waiting);
        drop(state);
        for append in refused {
            // A caller that has gone does not want to know.
            let _ = append.answer.send(Err(unavailable(reason)));
        }
    }

    /// Takes events in again.
    pub(crate) fn accept(&self) {
        self.state().refusing = None;
    }

    /// What waits is still written, nothing new is taken in.
    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.changed.notify_all();
    }

    /// Waits for so long, or until the queue is closed: then the answer is true.
    pub(crate) fn closes_within(&self, time: Duration) -> bool {
        let state = self.state();
        let (state, _) = self
            .changed
            .wait_timeout_while(state, time, |state| !state.closed)
            .expect("nothing panics under this lock");
        state.closed
    }
}
