//! How much work is let in at once: requests being answered, and bytes of their bodies.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts requests and bytes, and refuses those over the limits. A refusal changes nothing.
#[derive(Debug)]
pub(crate) struct Gate {
    requests: AtomicUsize,
    bytes: AtomicUsize,
    max_requests: usize,
    max_bytes: usize,
}

/// A place among the requests being answered; given back when dropped.
#[derive(Debug)]
pub(crate) struct Place<'g>(&'g Gate);

/// Bytes that one request holds; given back when dropped.
#[derive(Debug)]
pub(crate) struct Held<'g> {
    gate: &'g Gate,
    bytes: usize,
}

impl Gate {
    pub(crate) fn new(max_requests: usize, max_bytes: usize) -> Self {
        Self { requests: AtomicUsize::new(0), bytes: AtomicUsize::new(0), max_requests, max_bytes }
    }

    /// A place, or none when all are taken.
    pub(crate) fn enter(&self) -> Option<Place<'_>> {
        let place = Place(self);
        // Counted first, so that two callers cannot both take the last place; `place` gives it back.
        (self.requests.fetch_add(1, Ordering::Relaxed) < self.max_requests).then_some(place)
    }

    /// A look before a body is read: whether there is no room for another request now.
    pub(crate) fn is_full(&self) -> bool {
        self.requests() >= self.max_requests || self.bytes.load(Ordering::Relaxed) >= self.max_bytes
    }

    /// Nothing held yet.
    pub(crate) fn hold(&self) -> Held<'_> {
        Held { gate: self, bytes: 0 }
    }

    /// Requests being answered now.
    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }
}

impl Held<'_> {
    /// Takes room for more bytes; false when there is none, and then nothing was taken.
    #[must_use]
    pub(crate) fn grow(&mut self, bytes: usize) -> bool {
        let before = self.gate.bytes.fetch_add(bytes, Ordering::Relaxed);
        let fits = before.saturating_add(bytes) <= self.gate.max_bytes;
        if fits {
            self.bytes += bytes;
        } else {
            self.gate.bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
        fits
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.gate.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_given_back() {
        let gate = Gate::new(1, 10);
        let place = gate.enter();
        assert!(place.is_some() && gate.is_full());
        assert!(gate.enter().is_none());
        assert_eq!(gate.requests(), 1);
        drop(place);
        assert!(gate.enter().is_some());
        assert_eq!(gate.requests(), 0);
    }

    #[test]
    fn bytes_are_given_back_and_a_refusal_takes_none() {
        let gate = Gate::new(1, 10);
        let mut held = gate.hold();
        assert!(held.grow(6));
        assert!(!held.grow(5));
        assert!(held.grow(4));
        assert!(gate.is_full());
        drop(held);
        assert!(gate.hold().grow(10));
        assert!(!gate.is_full());
    }
}
