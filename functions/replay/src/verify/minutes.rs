//! What the log says of each minute: how many tags and the sum of their prices, of all brands and of some.

use std::collections::{BTreeMap, HashSet};

use columns::Totals;
use model::{AcceptedTag, Action, BucketStart, OwnIdentity};

use super::{hash, is_chosen};

/// Brands that are compared by themselves: each costs as many questions as all of them together.
pub(super) const BRANDS: usize = 4;

/// What is asked of a minute and an action: of all brands, and of each that was chosen, in the order of
/// [`Minutes::brands`].
pub(super) type Figures = [Totals; 1 + BRANDS];

/// Minutes at the floor and above it.
#[derive(Debug)]
pub(super) struct Minutes {
    floor: Option<BucketStart>,
    one_in: u64,
    limit: usize,
    identities: usize,
    minutes: BTreeMap<BucketStart, Minute>,
    /// Those with the smallest hashes: whoever is among them at the end was so when it came first.
    brands: Vec<(u64, String)>,
}

#[derive(Debug, Default)]
struct Minute {
    figures: [Figures; Action::ALL.len()],
    own: HashSet<OwnIdentity>,
}

impl Minutes {
    /// Of these minutes, with at most so many identities of clients in memory.
    pub(super) fn new(floor: Option<BucketStart>, limit: usize) -> Self {
        let (minutes, brands) = (BTreeMap::new(), Vec::with_capacity(BRANDS));
        Self { floor, one_in: 1, limit, identities: 0, minutes, brands }
    }

    /// Counts a tag of a batch that was not counted yet.
    pub(super) fn add(&mut self, accepted: &AcceptedTag) {
        let tag = &accepted.tag;
        let bucket = tag.time.instant().bucket();
        if !self.takes(bucket) {
            return;
        }
        let brand = self.brand(&tag.product.brand);
        let minute = self.minutes.entry(bucket).or_default();
        if let Some(identity) = accepted.identity {
            if !minute.own.insert(identity) {
                return;
            }
            self.identities += 1;
        }
        let figures = &mut minute.figures[usize::from(tag.action.code())];
        let price = tag.product.price.into();
        figures[0].add_row(price);
        if let Some(brand) = brand {
            figures[1 + brand].add_row(price);
        }
        if self.identities > self.limit {
            self.leave_out_half();
        }
    }

    /// Whether this minute is compared.
    pub(super) fn takes(&self, bucket: BucketStart) -> bool {
        self.floor.is_none_or(|floor| bucket >= floor) && is_chosen(&bucket.to_ordered_bytes(), self.one_in)
    }

    /// The minutes that hold data, ascending.
    pub(super) fn buckets(&self) -> impl Iterator<Item = BucketStart> {
        self.minutes.keys().copied()
    }

    /// What is to be answered.
    pub(super) fn figures(&self, bucket: BucketStart, action: Action) -> Figures {
        let minute = self.minutes.get(&bucket);
        minute.map_or_else(Figures::default, |minute| minute.figures[usize::from(action.code())])
    }

    /// The brands that are compared by themselves.
    pub(super) fn brands(&self) -> Vec<String> {
        self.brands.iter().map(|(_, brand)| brand.clone()).collect()
    }

    /// One in so many minutes is compared.
    pub(super) fn one_in(&self) -> u64 {
        self.one_in
    }

    /// The place of a brand among the chosen ones.
    fn brand(&mut self, name: &str) -> Option<usize> {
        if let Some(place) = self.brands.iter().position(|(_, chosen)| chosen == name) {
            return Some(place);
        }
        let candidate = (hash(name.as_bytes()), name.to_owned());
        if self.brands.len() < BRANDS {
            self.brands.push(candidate);
            return Some(self.brands.len() - 1);
        }
        let (place, largest) = self.brands.iter().enumerate().max_by_key(|(_, brand)| *brand)?;
        if candidate > *largest {
            return None;
        }
        self.brands[place] = candidate;
        for minute in self.minutes.values_mut() {
            minute.figures.iter_mut().for_each(|figures| figures[1 + place] = Totals::default());
        }
        Some(place)
    }

    fn leave_out_half(&mut self) {
        self.one_in *= 2;
        let one_in = self.one_in;
        self.minutes.retain(|bucket, _| is_chosen(&bucket.to_ordered_bytes(), one_in));
        self.identities = self.minutes.values().map(|minute| minute.own.len()).sum();
    }
}

#[cfg(test)]
mod tests {
    use model::UserTag;

    use super::*;

    fn tag(minute: u32, brand: &str, key: Option<u32>) -> AcceptedTag {
        let text = format!(
            r#"{{"time":"2022-03-22T12:{minute:02}:00Z","cookie":"c","country":"PL","device":"PC","action":"VIEW","origin":"o",
            "product_info":{{"product_id":1,"brand_id":"{brand}","category_id":"k","price":2}}}}"#
        );
        let tag = UserTag::from_json(text.as_bytes()).unwrap();
        let identity = key.map(|key| OwnIdentity::of_key(&key.to_string(), &tag));
        AcceptedTag { tag, identity }
    }

    #[test]
    fn the_same_brands_are_chosen_in_any_order_and_counted_whole() {
        let names: Vec<String> = (0..60).map(|name| format!("b{name}")).collect();
        let count = |names: &[String]| {
            let mut minutes = Minutes::new(None, 1);
            for round in 0..3 {
                names.iter().for_each(|name| minutes.add(&tag(round, name, None)));
            }
            let counts = minutes.figures(minutes.buckets().next().unwrap(), Action::View);
            assert_eq!(counts.map(|totals| totals.count), [60, 1, 1, 1, 1]);
            let mut brands = minutes.brands();
            brands.sort();
            brands
        };
        let reversed: Vec<String> = names.iter().rev().cloned().collect();
        assert_eq!(count(&names), count(&reversed));
    }

    #[test]
    fn holds_no_more_identities_than_it_may() {
        let mut minutes = Minutes::new(None, 30);
        for key in 0..10 {
            (0..60).for_each(|minute| minutes.add(&tag(minute, "b", Some(key))));
        }
        assert!(minutes.one_in() > 1 && minutes.identities <= 30);
        for bucket in minutes.buckets() {
            assert_eq!(minutes.figures(bucket, Action::View)[0].count, 10, "whole or not at all");
        }
    }
}
