//! The one thread that writes: takes all that waits, writes and syncs it as one group, answers everyone.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use event_log::Position;

use crate::error::unavailable;
use crate::file::Step;
use crate::housekeeping::{Job, Prepared};
use crate::queue::{Append, Queue};
use crate::segment::{Active, Fault, Name};
use crate::segments::Segments;

/// How long to wait before a failed write is followed by another attempt to begin a segment, at first and at most.
const PAUSE: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// The writer.
pub(crate) struct Writer {
    pub(crate) segments: Arc<Segments>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) jobs: mpsc::Sender<Job>,
    pub(crate) prepared: Prepared,
    pub(crate) segment_bytes: u64,
    /// The segment that is written; none after a failure.
    pub(crate) current: Option<Current>,
    /// The number of the next segment: larger than of any that was begun or tried.
    pub(crate) next_number: u64,
    /// Behind the newest durable event.
    pub(crate) end: Position,
}

/// The segment that is written.
pub(crate) struct Current {
    active: Active,
    name: Name,
    next: Position,
    bytes: u64,
}

/// Callers wait for the writer. However it ends, they learn it.
struct CloseOnDrop(Arc<Queue>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
        self.0.refuse("it is closed");
    }
}

impl Writer {
    /// Writes until the queue is closed and empty.
    pub(crate) fn run(mut self) -> Option<Active> {
        let _close = CloseOnDrop(Arc::clone(&self.queue));
        while self.current.is_some() || self.begin_again() {
            let Some(group) = self.queue.take() else { break };
            if let Err(fault) = self.write(group) {
                self.give_up(&fault);
            }
        }
        self.current.map(|current| current.active)
    }

    /// Begins a segment with these records in it: durable and part of the log when this returns.
    pub(crate) fn begin(&mut self, base: Position, records: &[(Position, Vec<u8>)]) -> Result<(), Fault> {
        let segments = Arc::clone(&self.segments);
        let (disk, directory) = (&segments.disk, &segments.directory);
        let active = match self.prepared.take() {
            Some(active) => active,
            None => Active::create(disk, directory)?,
        };
        let name = Name { number: self.next_number, base };
        self.next_number += 1;
        active.complete(disk, directory, &name, records)?;
        segments.add(name.clone(), active.segment.clone());
        if let Some(full) = self.current.take() {
            full.active.seal();
            self.send(Job::Sync(full.active.file));
        }
        let own =
            records.iter().filter(|(position, _)| *position >= Name::first_of(name.number)).count() as u64;
        let next = Position(Name::first_of(name.number).0 + own);
        self.current = Some(Current { active, name, next, bytes: bytes(records) });
        Ok(())
    }

    fn write(&mut self, group: Vec<Append>) -> Result<(), Fault> {
        let room = self.current.as_ref().filter(|current| current.bytes < self.segment_bytes);
        let full = room.is_none();
        let first = room.map_or(Name::first_of(self.next_number), |current| current.next);
        let (answers, records) = seal(group, first);
        let end = Position(first.0 + records.len() as u64);
        let written = if full { self.begin(self.end, &records) } else { self.append(&records) };
        match written {
            Ok(()) => self.answer(answers, first, end),
            Err(fault) => {
                refuse(answers, &fault);
                return Err(fault);
            }
        }
        Ok(())
    }

    fn append(&mut self, records: &[(Position, Vec<u8>)]) -> Result<(), Fault> {
        let current = self.current.as_mut().expect("there is room in the current segment");
        current.active.append(records)?;
        current.next.0 += records.len() as u64;
        let before = current.bytes;
        current.bytes += bytes(records);
        let half = self.segment_bytes / 2;
        if before < half && current.bytes >= half {
            self.send(Job::Prepare);
        }
        Ok(())
    }

    fn answer(&mut self, answers: Vec<Answer>, first: Position, end: Position) {
        self.end = end;
        self.segments.publish(end);
        // Only a test can make this fail, and then the answers are as good as lost.
        if self.segments.disk.step(Step::Answer).is_err() {
            return;
        }
        for (position, answer) in (first.0..).zip(answers) {
            // A caller that has gone does not want to know.
            let _ = answer.send(Ok(Position(position)));
        }
    }

    /// A segment whose write or sync failed is never trusted beyond what was durable before.
    fn give_up(&mut self, fault: &Fault) {
        tracing::error!(%fault, "cannot write the log, appends are refused until it goes on in a new segment");
        self.queue.refuse(&format!("cannot write: {fault}"));
        if let Some(failed) = self.current.take() {
            failed.active.seal();
            self.segments.forget(failed.name.number);
        }
    }

    /// Begins a new segment after a failure, as often as it takes. It says durably where the failed one ends. False when
    /// the log was closed meanwhile.
    fn begin_again(&mut self) -> bool {
        let mut pause = PAUSE;
        loop {
            match self.begin(self.end, &[]) {
                Ok(()) => break,
                Err(fault) => {
                    tracing::debug!(%fault, "cannot begin a segment yet");
                    self.queue.refuse(&format!("cannot write: {fault}"));
                }
            }
            if self.queue.closes_within(pause) {
                return false;
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
        tracing::info!(segment = self.next_number - 1, "the log goes on");
        self.queue.accept();
        true
    }

    fn send(&self, job: Job) {
        // Housekeeping ends after the writer.
        let _ = self.jobs.send(job);
    }
}

type Answer = tokio::sync::oneshot::Sender<Result<Position, event_log::Error>>;

fn refuse(answers: Vec<Answer>, fault: &Fault) {
    for answer in answers {
        // A caller that has gone does not want to know.
        let _ = answer.send(Err(unavailable(format!("cannot write: {fault}"))));
    }
}

fn seal(group: Vec<Append>, first: Position) -> (Vec<Answer>, Vec<(Position, Vec<u8>)>) {
    let numbered = (first.0..).zip(group);
    numbered.map(|(position, append)| (append.answer, (Position(position), append.draft.seal(first)))).unzip()
}

fn bytes(records: &[(Position, Vec<u8>)]) -> u64 {
    records.iter().map(|(_, record)| record.len() as u64).sum()
}
