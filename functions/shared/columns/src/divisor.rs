//! Division by a number that stays the same, as one multiplication.

/// A divisor prepared.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Divisor {
    by: u64,
    reciprocal: u64,
}

impl Divisor {
    /// For division by `by`, which is not 0.
    pub(crate) fn new(by: u64) -> Self {
        Self { by, reciprocal: u64::MAX / by }
    }

    /// Quotient and remainder. By the reciprocal, rounded down, the quotient comes out right or 1 too small (Barrett).
    #[inline]
    pub(crate) fn divide(self, number: u64) -> (u64, u64) {
        let quotient = ((u128::from(number) * u128::from(self.reciprocal)) >> u64::BITS) as u64;
        let rest = number - quotient * self.by;
        if rest >= self.by { (quotient + 1, rest - self.by) } else { (quotient, rest) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn divides(number in any::<u64>(), by in 1u64.., drop in 0u32..64, drop_by in 0u32..64) {
            let by = (by >> drop_by).max(1);
            for number in [number >> drop, (number / by).wrapping_mul(by), (number / by).wrapping_mul(by).wrapping_sub(1)] {
                prop_assert_eq!(Divisor::new(by).divide(number), (number / by, number % by));
            }
        }
    }

    #[test]
    fn divides_at_the_ends() {
        for by in [1, 2, 3, u64::MAX - 1, u64::MAX] {
            for number in [0, 1, by - 1, by, by.saturating_add(1), u64::MAX - 1, u64::MAX] {
                assert_eq!(Divisor::new(by).divide(number), (number / by, number % by));
            }
        }
    }
}
