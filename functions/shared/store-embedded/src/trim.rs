//! Trims lists to their newest tags while their files are merged anyway: no put has to read.
//!
//! A merge sees some of a list's entries, newest first. One that is not among the newest [`KEPT_TAGS`] of some of the
//! list is not among the newest of the whole list either, so it may go, whatever the merge does not see. The same holds
//! for the versions of one key, which all hold the same tag: where the newest goes, an older one that shows up again in
//! its place goes the next time. Entries of before an erasure go too, and do not count.

use std::sync::Arc;

use fjall::compaction::filter::{
    CompactionFilter, CompactionFilterResult, Context, Factory, ItemAccessor, Verdict,
};
use store::KEPT_TAGS;

use crate::erased::Erased;
use crate::profiles::{self, LIST_BYTES};

/// Makes a filter for each merge.
pub(crate) struct Trim {
    pub(crate) erased: Arc<Erased>,
}

struct Filter {
    erased: Option<Arc<Erased>>,
    list: Vec<u8>,
    erased_before_ms: u64,
    kept: usize,
    last_key: Vec<u8>,
    last_goes: bool,
}

impl Factory for Trim {
    fn name(&self) -> &str {
        "newest tags"
    }

    fn make_filter(&self, _: &Context) -> Box<dyn CompactionFilter> {
        // Before the erasures are known, erased entries would count and push out others.
        let erased = self.erased.is_filled().then(|| Arc::clone(&self.erased));
        Box::new(Filter {
            erased,
            list: Vec::new(),
            erased_before_ms: 0,
            kept: 0,
            last_key: Vec::new(),
            last_goes: false,
        })
    }
}

impl CompactionFilter for Filter {
    fn filter_item(&mut self, item: ItemAccessor<'_>, _: &Context) -> CompactionFilterResult {
        let Some(erased) = &self.erased else { return Ok(Verdict::Keep) };
        let key = item.key();
        let Some(list) = key.get(..LIST_BYTES) else { return Ok(Verdict::Keep) };
        if self.list != list {
            self.list.clear();
            self.list.extend_from_slice(list);
            self.kept = 0;
            self.erased_before_ms = profiles::cookie_of(list).map_or(0, |cookie| erased.before_ms(&cookie));
        } else if **key == self.last_key[..] {
            // An older version of the same tag shares its fate.
            return Ok(verdict(self.last_goes));
        }
        self.last_key.clear();
        self.last_key.extend_from_slice(key);
        self.last_goes = self.kept == KEPT_TAGS
            || self.erased_before_ms > 0 && profiles::accepted_ms(&item.value()?) < self.erased_before_ms;
        self.kept += usize::from(!self.last_goes);
        Ok(verdict(self.last_goes))
    }
}

const fn verdict(goes: bool) -> Verdict {
    if goes { Verdict::Destroy } else { Verdict::Keep }
}
