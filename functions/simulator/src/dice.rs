//! Numbers that look random and are the same for the same seed, on every machine and in every version.
//!
//! The generator is SplitMix64 (Steele, Lea, Flood: *Fast Splittable Pseudorandom Number Generators*, 2014). It is
//! written out here because a stream must stay the same for its seed when a library changes its generator.

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// A short row of dice rolls, found from a seed, a purpose and a number without rolling those before it.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// The dice for one number; different purposes of the same seed have nothing to do with each other.
    pub fn new(seed: u64, purpose: Purpose, number: u64) -> Self {
        let room = mix(seed ^ mix(GOLDEN.wrapping_mul(purpose as u64 + 1)));
        Self(mix(room ^ mix(number.wrapping_add(GOLDEN))))
    }

    /// The next 64 bits.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix(self.0)
    }

    /// A number below `limit`; 0 when the limit is 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        let high = (u128::from(self.roll()) * u128::from(limit)) >> 64;
        u64::try_from(high).expect("a product's upper half is below the limit")
    }

    /// As [`Dice::below`], for the numbers that this crate indexes with.
    pub fn below_u32(&mut self, limit: u32) -> u32 {
        u32::try_from(self.below(u64::from(limit))).expect("below a 32-bit limit")
    }

    /// A number from `from` to `to`, both included.
    pub fn between(&mut self, from: i64, to: i64) -> i64 {
        from + i64::try_from(self.below(from.abs_diff(to) + 1)).expect("ranges are far smaller than 2^63")
    }

    /// True in `percent` of 100 rolls.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// What dice are rolled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The fields of a user tag.
    Tag,
    /// The letters of a cookie.
    Cookie,
    /// A question about a profile.
    ProfileQuestion,
    /// A question about aggregates.
    AggregatesQuestion,
    /// A probe of the time until a tag is visible.
    Probe,
}

fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_generator_is_the_published_one() {
        // The first two values of SplitMix64 from state 0, from the published test vector.
        let mut dice = Dice(0);
        assert_eq!(dice.roll(), 0xe220_a839_7b1d_cdaf);
        assert_eq!(dice.roll(), 0x6e78_9e6a_a1b9_65f4);
    }

    #[test]
    fn purposes_and_numbers_have_their_own_dice() {
        let first = Dice::new(1, Purpose::Tag, 0).roll();
        assert_ne!(first, Dice::new(1, Purpose::Tag, 1).roll());
        assert_ne!(first, Dice::new(1, Purpose::Cookie, 0).roll());
        assert_ne!(first, Dice::new(2, Purpose::Tag, 0).roll());
        assert_eq!(first, Dice::new(1, Purpose::Tag, 0).roll());
    }

    #[test]
    fn rolls_are_uniform() {
        let mut counts = [0_u32; 10];
        for number in 0..10_000 {
            counts[usize::try_from(Dice::new(7, Purpose::Tag, number).below(10)).unwrap()] += 1;
        }
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
    }

    proptest! {
        #[test]
        fn rolls_stay_in_their_range(seed: u64, number: u64, from in -1000_i64..1000, width in 0_i64..1000) {
            let mut dice = Dice::new(seed, Purpose::Tag, number);
            prop_assert!((from..=from + width).contains(&dice.between(from, from + width)));
            prop_assert_eq!(dice.below(0), 0);
            prop_assert_eq!(dice.below(1), 0);
        }
    }
}
