//! Which events were read, which are under way, and up to where all are done with.

use std::collections::{BTreeMap, VecDeque};

use cloudevents::Data;

use super::Limits;
use crate::{Position, Recorded};

/// What an event holds beside its data, roughly: attributes, places in queues.
const EVENT_OVERHEAD_BYTES: usize = 512;

/// The events between the acknowledged position and what was read.
#[derive(Debug)]
pub(super) struct Window {
    acknowledged: Position,
    read_to: Position,
    /// Read and not yet handed out.
    waiting: VecDeque<Recorded>,
    /// Handed out, or done with while an older one is not.
    taken: BTreeMap<Position, Taken>,
    in_flight: usize,
    in_flight_bytes: usize,
    newest_ms: u64,
    limits: Limits,
}

#[derive(Debug)]
struct Taken {
    next: Position,
    appended_ms: u64,
    bytes: usize,
    done: bool,
}

impl Window {
    pub(super) fn new(from: Position, limits: &Limits) -> Self {
        Self {
            acknowledged: from,
            read_to: from,
            waiting: VecDeque::new(),
            taken: BTreeMap::new(),
            in_flight: 0,
            in_flight_bytes: 0,
            newest_ms: 0,
            limits: limits.clone(),
        }
    }

    /// Everything before it is done with.
    pub(super) fn acknowledged(&self) -> Position {
        self.acknowledged
    }

    /// Where to read on.
    pub(super) fn read_to(&self) -> Position {
        self.read_to
    }

    /// When the oldest event that is not acknowledged was appended.
    pub(super) fn oldest_ms(&self) -> Option<u64> {
        let taken = self.taken.values().next().map(|oldest| oldest.appended_ms);
        taken.or_else(|| self.waiting.front().map(|oldest| oldest.appended_ms))
    }

    /// When the newest event that was read was appended.
    pub(super) fn newest_ms(&self) -> u64 {
        self.newest_ms
    }

    /// Whether it is time to read more: all that was read is handed out.
    pub(super) fn wants_more(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes in what was read at [`Window::read_to`].
    pub(super) fn extend(&mut self, events: Vec<Recorded>) {
        if let Some(last) = events.last() {
            self.read_to = last.next;
            self.newest_ms = last.appended_ms;
        }
        self.waiting.extend(events);
    }

    /// The next event to deliver, if the limits allow for another one.
    pub(super) fn take(&mut self) -> Option<Recorded> {
        let bytes = size(self.waiting.front()?);
        let room = self.in_flight < self.limits.in_flight
            && self.taken.len() < self.limits.span
            && self.in_flight_bytes + bytes <= self.limits.in_flight_bytes;
        if !room && self.in_flight > 0 {
            return None;
        }
        let recorded = self.waiting.pop_front()?;
        self.in_flight += 1;
        self.in_flight_bytes += bytes;
        let taken = Taken { next: recorded.next, appended_ms: recorded.appended_ms, bytes, done: false };
        self.taken.insert(recorded.position, taken);
        Some(recorded)
    }

    /// The event there is done with.
    pub(super) fn done(&mut self, position: Position) {
        let taken = self.taken.get_mut(&position).expect("only what was taken is done");
        taken.done = true;
        self.in_flight -= 1;
        self.in_flight_bytes -= taken.bytes;
        while let Some(oldest) = self.taken.first_entry().filter(|oldest| oldest.get().done) {
            self.acknowledged = oldest.remove().next;
        }
    }
}

fn size(recorded: &Recorded) -> usize {
    let data = match recorded.event.data() {
        Some(Data::Binary(bytes)) => bytes.len(),
        Some(Data::String(text)) => text.len(),
        // JSON values are many small pieces; ours carry bytes, so a rough figure will do.
        Some(Data::Json(_)) => EVENT_OVERHEAD_BYTES,
        None => 0,
    };
    data + EVENT_OVERHEAD_BYTES
}
