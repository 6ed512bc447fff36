//! The log, from its oldest event on.

use std::time::Duration;

use event_log::{EventLog, Position, Recorded};
use model::batch::BatchError;
use model::{BucketStart, TopicEvent};

use super::minutes::Minutes;
use super::profiles::Profiles;
use super::report::Counts;
use super::seen::Seen;
use super::{Sampling, Stop};
use crate::progress::Bar;

/// As much of a log is read at once.
const READ_BYTES: usize = 4 << 20;
/// How long a read waits for what should be there.
const READ_WAIT: Duration = Duration::from_secs(10);
/// An erasure reaches so far behind the time when it was appended: clocks differ by less, and an append takes less.
const ERASURE_REACH_MS: u64 = 10_000;

/// What was read, and what the log says so far.
#[derive(Debug)]
pub(super) struct Reading<L> {
    parts: Vec<Part<L>>,
    seen: Seen,
    pub(super) minutes: Minutes,
    pub(super) profiles: Profiles,
    pub(super) counts: Counts,
    /// Whether everything is known that was ever appended.
    pub(super) is_whole: bool,
    /// If not: since when everything is known.
    pub(super) known_since_ms: Option<u64>,
}

#[derive(Debug)]
struct Part<L> {
    log: L,
    next: Position,
    /// Whether it let go what stood before `next`.
    follows_gap: bool,
}

impl<L: EventLog> Reading<L> {
    /// At the beginning of these parts.
    pub(super) fn new(parts: Vec<L>, sampling: Sampling, floor: Option<BucketStart>) -> Self {
        let part = |log| Part { log, next: Position::default(), follows_gap: false };
        Self {
            parts: parts.into_iter().map(part).collect(),
            seen: Seen::default(),
            minutes: Minutes::new(floor, sampling.held),
            profiles: Profiles::new(sampling.one_in.get(), sampling.held),
            counts: Counts::default(),
            is_whole: true,
            known_since_ms: None,
        }
    }

    /// Reads each part to the end that it has at the beginning of this call.
    pub(super) async fn read_on(&mut self, shows: bool) -> Result<(), Stop> {
        let mut ends = Vec::with_capacity(self.parts.len());
        for part in &mut self.parts {
            let bounds = part.log.bounds().await?;
            if bounds.oldest > part.next {
                (self.is_whole, part.follows_gap) = (false, true);
            }
            part.next = part.next.max(bounds.oldest);
            ends.push((part.next, bounds.end));
        }
        let total = ends.iter().map(|(from, end)| end.0.saturating_sub(from.0)).sum();
        let mut bar = shows.then(|| Bar::new("tags", total));
        let mut done = 0;
        for (place, (from, end)) in ends.into_iter().enumerate() {
            while self.parts[place].next < end && self.read_some(place, end).await? {
                let here = self.parts[place].next.min(end).0 - from.0;
                bar.iter_mut().for_each(|bar| bar.show(done + here, self.counts.tags));
            }
            done += end.0.saturating_sub(from.0);
            // What is let go while we read may have been let go before we were there.
            self.is_whole &= self.parts[place].log.bounds().await?.oldest <= from;
        }
        bar.iter().for_each(Bar::finish);
        Ok(())
    }

    /// Whether nothing can be said of tags accepted then, since their erasure may have been let go.
    pub(super) fn may_be_erased(&self, accepted_ms: u64) -> bool {
        self.known_since_ms.is_some_and(|since_ms| accepted_ms < since_ms + ERASURE_REACH_MS)
    }

    /// Whether there was something.
    async fn read_some(&mut self, place: usize, end: Position) -> Result<bool, Stop> {
        let part = &mut self.parts[place];
        let recorded = part.log.read(part.next, READ_BYTES, READ_WAIT).await?;
        let Some(first) = recorded.first() else { return Ok(false) };
        if std::mem::take(&mut part.follows_gap) {
            self.known_since_ms = self.known_since_ms.max(Some(first.appended_ms));
        }
        for recorded in recorded {
            if recorded.position >= end {
                break;
            }
            self.parts[place].next = recorded.next;
            self.apply(&recorded);
        }
        Ok(true)
    }

    fn apply(&mut self, recorded: &Recorded) {
        match TopicEvent::from_event(&recorded.event) {
            Ok(TopicEvent::Accepted(id, batch)) if self.seen.insert(&id) => {
                batch.tags.iter().for_each(|accepted| self.minutes.add(accepted));
                self.profiles.add(&id, &batch);
                self.counts.tags += batch.tags.len() as u64;
                self.counts.batches += 1;
            }
            Ok(TopicEvent::Accepted(..)) => self.counts.repeats += 1,
            Ok(TopicEvent::Erased(erasure)) => self.profiles.erase(erasure),
            Err(BatchError::Newer(_)) => self.counts.newer += 1,
            Err(BatchError::Damaged(_)) => self.counts.unreadable += 1,
        }
    }
}
