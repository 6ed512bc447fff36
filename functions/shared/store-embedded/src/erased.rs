//! Who was erased, and when: in memory whole, since every put and every read asks.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{OnceLock, RwLock};

use crate::profiles::CookieHash;

/// The erasures of all shoppers. Shared with the trimming of compactions, which may begin before it is filled.
#[derive(Debug, Default)]
pub(crate) struct Erased {
    filled: OnceLock<()>,
    count: AtomicUsize,
    times: RwLock<HashMap<CookieHash, u64>>,
}

impl Erased {
    /// What was stored; once, before the store is used.
    pub(crate) fn fill(&self, stored: HashMap<CookieHash, u64>) {
        self.count.store(stored.len(), Ordering::Release);
        *self.times.write().expect("nothing panics under this lock") = stored;
        self.filled.get_or_init(|| ());
    }

    pub(crate) fn is_filled(&self) -> bool {
        self.filled.get().is_some()
    }

    /// Entries accepted before this time are gone; 0 for a shopper who was never erased.
    pub(crate) fn before_ms(&self, cookie: &CookieHash) -> u64 {
        if self.count.load(Ordering::Acquire) == 0 {
            return 0;
        }
        self.times.read().expect("nothing panics under this lock").get(cookie).copied().unwrap_or(0)
    }

    /// Raises a shopper's time.
    pub(crate) fn raise(&self, cookie: CookieHash, accepted_before_ms: u64) {
        let mut times = self.times.write().expect("nothing panics under this lock");
        let time = times.entry(cookie).or_default();
        *time = (*time).max(accepted_before_ms);
        self.count.store(times.len(), Ordering::Release);
    }
}
