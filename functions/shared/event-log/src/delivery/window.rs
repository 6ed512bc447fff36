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

#[cfg(test)]
mod tests {
    use cloudevents::Event;
    use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

    use super::*;

    fn recorded(number: u64) -> Recorded {
        // Positions have gaps, as after a restart.
        let position = number * 3;
        Recorded {
            position: Position(position),
            next: Position(position + 1),
            appended_ms: number,
            event: Event::default(),
        }
    }

    proptest! {
        /// In whatever order events are done with: the acknowledged position is behind the last one that has only done
        /// ones before it, the limits hold, and in the end all are acknowledged.
        #[test]
        fn acknowledges_what_is_done(
            count in 1..60_u64,
            in_flight in 1..8_usize,
            span in 1..16_usize,
            picks in prop::collection::vec(any::<prop::sample::Index>(), 60),
        ) {
            let limits = Limits { in_flight, span, ..Limits::default() };
            let mut window = Window::new(Position(0), &limits);
            window.extend((0..count).map(recorded).collect());
            let (mut under_way, mut done) = (Vec::new(), vec![false; count as usize]);
            for pick in picks {
                while let Some(taken) = window.take() {
                    under_way.push(taken.appended_ms);
                }
                prop_assert!(under_way.len() <= in_flight);
                if under_way.is_empty() {
                    break;
                }
                let number = under_way.swap_remove(pick.index(under_way.len()));
                window.done(Position(number * 3));
                done[number as usize] = true;
                let oldest = done.iter().position(|done| !done);
                prop_assert_eq!(window.oldest_ms(), oldest.map(|oldest| oldest as u64));
                let acknowledged = oldest.map_or(count, |oldest| oldest as u64);
                prop_assert_eq!(window.acknowledged().0, acknowledged.checked_sub(1).map_or(0, |last| last * 3 + 1));
                prop_assert!(under_way.iter().all(|number| *number < acknowledged + span as u64));
            }
            prop_assert!(done.iter().all(|done| *done));
            prop_assert!(window.wants_more());
        }

        /// The bytes under way are bounded, but one event is always under way, however large.
        #[test]
        fn bounds_the_bytes(sizes in prop::collection::vec(0..3_000_usize, 1..40), limit in 512..4_000_usize) {
            let limits = Limits { in_flight_bytes: limit, ..Limits::default() };
            let mut window = Window::new(Position(0), &limits);
            let events = (0..).zip(&sizes).map(|(number, size)| {
                let mut recorded = recorded(number);
                recorded.event.set_data_unchecked(vec![0; *size]);
                recorded
            });
            window.extend(events.collect());
            let mut taken_in_all = 0;
            while taken_in_all < sizes.len() {
                let taken: Vec<_> = std::iter::from_fn(|| window.take()).collect();
                let bytes: usize = taken.iter().map(size).sum();
                prop_assert!(taken.len() == 1 || !taken.is_empty() && bytes <= limit);
                taken_in_all += taken.len();
                for recorded in taken {
                    window.done(recorded.position);
                }
            }
        }
    }
}
