//! A few bits of chance for tests that disturb runs.

/// The same seed meets the same kinds of faults, though never the same moments.
pub struct Chance(pub u64);

impl Chance {
    /// A number from 0 to `bound - 1`; 0 of none.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33).checked_rem(bound).unwrap_or(0)
    }

    /// Brings a deck into a random order.
    pub fn shuffle<T>(&mut self, deck: &mut [T]) {
        for last in (1..deck.len()).rev() {
            let other = self.below(last as u64 + 1) as usize;
            deck.swap(last, other);
        }
    }
}
