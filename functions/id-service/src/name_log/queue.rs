//! Names that wait to be appended, from everybody who asks while an append is under way.

use std::sync::{Mutex, MutexGuard};

use model::Collection;

/// The most bytes of names that wait. Those of an asker who went away stay until the next flight, so there must be an
/// end to them; three of the largest calls fit. An asker who finds no room takes its own names along.
const MAX_WAITING_BYTES: usize = 32 * 1024 * 1024;
/// What a short name costs beside its text: a `String`.
const NAME_BYTES: usize = 24;

/// The number of a flight: everything that waits is appended together, in one flight after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Flight(u64);

/// Names that somebody misses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Missing {
    /// Their collection.
    pub(crate) collection: Collection,
    /// The names.
    pub(crate) names: Vec<String>,
}

/// The names that wait for the next flight.
#[derive(Debug, Default)]
pub(crate) struct Queue(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    flight: Flight,
    bytes: usize,
    names: Vec<Missing>,
}

impl Queue {
    /// Puts names into the next flight, and says which one that is; `None` if there is no room.
    pub(crate) fn join(&self, missing: Missing) -> Option<Flight> {
        let bytes: usize = missing.names.iter().map(|name| name.len() + NAME_BYTES).sum();
        let mut waiting = self.lock();
        if waiting.bytes + bytes > MAX_WAITING_BYTES {
            return None;
        }
        waiting.bytes += bytes;
        waiting.names.push(missing);
        Some(waiting.flight)
    }

    /// Takes all that wait, for a flight of this number.
    pub(crate) fn depart(&self) -> (Flight, Vec<Missing>) {
        let mut waiting = self.lock();
        let flight = waiting.flight;
        let next = Waiting { flight: Flight(flight.0 + 1), ..Waiting::default() };
        (flight, std::mem::replace(&mut *waiting, next).names)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().expect("nothing panics under this lock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(name: String) -> Missing {
        Missing { collection: Collection::BRAND, names: vec![name] }
    }

    #[test]
    fn names_fly_with_those_that_wait() {
        let queue = Queue::default();
        let first = queue.join(missing("a".into()));
        assert_eq!(queue.join(missing("b".into())), first);
        let (flight, names) = queue.depart();
        assert_eq!((Some(flight), names), (first, vec![missing("a".into()), missing("b".into())]));
        assert_ne!(queue.join(missing("c".into())), first);
        assert_eq!(queue.depart().1, [missing("c".into())]);
    }

    #[test]
    fn there_is_an_end_to_it() {
        let queue = Queue::default();
        assert!(queue.join(missing("x".repeat(MAX_WAITING_BYTES - NAME_BYTES))).is_some());
        assert_eq!(queue.join(missing(String::new())), None);
        queue.depart();
        assert!(queue.join(missing(String::new())).is_some());
    }
}
