//! What the log says of some shoppers: the newest tags of each list, and whether they were erased.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use model::{AcceptedTag, Action, Batch, BatchId, Cookie, Erasure, Instant, OwnIdentity, UserTag};
use store::KEPT_TAGS;

use super::is_chosen;

/// A list is cut back to [`KEPT_TAGS`] when it has so many: seldom, and not far beyond what is needed.
const CUT_AT: usize = 2 * KEPT_TAGS;

/// Some shoppers.
#[derive(Debug)]
pub(super) struct Profiles {
    one_in: u64,
    limit: usize,
    held: usize,
    shoppers: HashMap<Cookie, Shopper>,
}

/// What one shopper did, as far as the log tells.
#[derive(Debug, Default)]
struct Shopper {
    erased_before_ms: u64,
    lists: [List; Action::ALL.len()],
}

/// The newest tags of one action, erased ones among them.
#[derive(Debug, Default)]
struct List {
    tags: BTreeMap<Key, Held>,
    /// Whether there were more.
    was_cut: bool,
}

/// Newest first; equal times in the order of identities.
type Key = (Reverse<Instant>, u64);

#[derive(Debug)]
struct Held {
    accepted_ms: u64,
    tag: UserTag,
}

/// What a list must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Expected {
    /// These tags, newest first, and when each was accepted.
    pub(super) tags: Vec<(u64, UserTag)>,
    /// There may be others at this time and before: a list is trimmed at any time, and erased ones may have taken the places
    /// of older ones or not.
    pub(super) open_before: Option<Instant>,
}

impl Profiles {
    /// Of one in so many shoppers, with at most so many tags in memory.
    pub(super) fn new(one_in: u64, limit: usize) -> Self {
        Self { one_in, limit, held: 0, shoppers: HashMap::new() }
    }

    /// Puts the tags of a batch, as the profile-worker does.
    pub(super) fn add(&mut self, id: &BatchId, batch: &Batch) {
        let hashes = id.tag_hashes();
        for (index, accepted) in batch.tags.iter().enumerate() {
            if is_chosen(accepted.tag.cookie.0.as_bytes(), self.one_in) {
                let identity = accepted.identity.map_or_else(|| hashes(index), OwnIdentity::short);
                self.put(identity, batch.accepted_ms, accepted);
            }
        }
        self.keep_within_limit();
    }

    /// Erases a shopper.
    pub(super) fn erase(&mut self, erasure: Erasure) {
        if is_chosen(erasure.cookie.0.as_bytes(), self.one_in) {
            let shopper = self.shoppers.entry(erasure.cookie).or_insert_with(|| {
                self.held += 1;
                Shopper::default()
            });
            shopper.erased_before_ms = shopper.erased_before_ms.max(erasure.accepted_before_ms);
            self.keep_within_limit();
        }
    }

    /// The shoppers.
    pub(super) fn cookies(&self) -> impl Iterator<Item = &Cookie> {
        self.shoppers.keys()
    }

    /// What a list must be; none for a shopper who is not compared.
    pub(super) fn expected(&self, cookie: &Cookie, action: Action) -> Option<Expected> {
        let shopper = self.shoppers.get(cookie)?;
        let list = &shopper.lists[usize::from(action.code())];
        let newest = || list.tags.iter().take(KEPT_TAGS);
        let lives = |held: &Held| held.accepted_ms >= shopper.erased_before_ms;
        let is_over = list.was_cut || list.tags.len() > KEPT_TAGS;
        let some_erased = newest().any(|(_, held)| !lives(held));
        let oldest = newest().next_back().map(|((Reverse(instant), _), _)| *instant);
        let tags = newest().filter(|(_, held)| lives(held));
        Some(Expected {
            tags: tags.map(|(_, held)| (held.accepted_ms, held.tag.clone())).collect(),
            open_before: oldest.filter(|_| is_over && some_erased),
        })
    }

    /// One in so many shoppers is compared.
    pub(super) fn one_in(&self) -> u64 {
        self.one_in
    }

    fn put(&mut self, identity: u64, accepted_ms: u64, accepted: &AcceptedTag) {
        let tag = &accepted.tag;
        let shopper = match self.shoppers.get_mut(&tag.cookie) {
            Some(shopper) => shopper,
            None => {
                self.held += 1;
                self.shoppers.entry(tag.cookie.clone()).or_default()
            }
        };
        let list = &mut shopper.lists[usize::from(tag.action.code())];
        let key = (Reverse(tag.time.instant()), identity);
        if let Some(held) = list.tags.get_mut(&key) {
            held.accepted_ms = held.accepted_ms.max(accepted_ms);
            return;
        }
        list.tags.insert(key, Held { accepted_ms, tag: tag.clone() });
        self.held += 1;
        if list.tags.len() >= CUT_AT {
            while list.tags.len() > KEPT_TAGS {
                list.tags.pop_last();
                self.held -= 1;
            }
            list.was_cut = true;
        }
    }

    fn keep_within_limit(&mut self) {
        while self.held > self.limit && self.one_in < u64::MAX / 2 {
            self.one_in *= 2;
            let one_in = self.one_in;
            self.shoppers.retain(|cookie, _| is_chosen(cookie.0.as_bytes(), one_in));
            self.held = self.shoppers.values().map(Shopper::held).sum();
        }
    }
}

impl Shopper {
    fn held(&self) -> usize {
        1 + self.lists.iter().map(|list| list.tags.len()).sum::<usize>()
    }
}
