//! Axes with round numbers.

/// Marks of an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// The first mark.
    pub from: f64,
    /// Distance of two marks: 1, 2 or 5 times a power of ten.
    pub tick: f64,
    /// Distances from the first mark to the last.
    pub ticks: u32,
}

impl Scale {
    /// Marks that cover `low..=high`, about five of them.
    pub fn covering(low: f64, high: f64) -> Self {
        let (low, high) = if low.is_finite() && high.is_finite() { (low, high) } else { (0.0, 1.0) };
        let span = if high > low { high - low } else { high.abs().max(1e-9) };
        let raw = span / 5.0;
        let power = 10_f64.powf(raw.log10().floor());
        let tick = [1.0, 2.0, 5.0].iter().map(|m| m * power).find(|t| *t >= raw * 0.999).unwrap_or(power * 10.0);
        let from = (low / tick + 1e-9).floor() * tick;
        let ticks = ((high - from) / tick - 1e-9).ceil().max(1.0) as u32;
        Self { from, tick, ticks }
    }

    /// The last mark.
    pub fn to(self) -> f64 {
        self.from + self.tick * f64::from(self.ticks)
    }

    /// All marks.
    pub fn marks(self) -> impl Iterator<Item = f64> {
        (0..=self.ticks).map(move |i| self.from + self.tick * f64::from(i))
    }

    /// Where a value lies between first and last mark, 0 to 1.
    pub fn place(self, value: f64) -> f64 {
        (value - self.from) / (self.to() - self.from)
    }

    /// Decimals that tell two marks apart.
    pub fn decimals(self) -> usize {
        (-self.tick.log10().floor()).clamp(0.0, 9.0) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_round_and_cover_the_values() {
        for (low, high, tick, count) in [
            (0.0, 0.267, 0.1, 3),
            (0.0, 0.9, 0.2, 5),
            (0.0, 0.04, 0.01, 4),
            (0.0, 0.012, 0.005, 3),
            (-3.0, 7.0, 2.0, 6),
        ] {
            let scale = Scale::covering(low, high);
            assert!((scale.tick - tick).abs() < 1e-12, "{low}..{high}: {scale:?}");
            assert_eq!(scale.ticks, count, "{low}..{high}: {scale:?}");
            assert!(scale.from <= low + 1e-9 && scale.to() >= high - 1e-9);
        }
    }

    #[test]
    fn strange_values_still_have_an_axis() {
        for (low, high) in [(0.0, 0.0), (1.0, 1.0), (f64::NAN, 1.0), (f64::INFINITY, f64::NEG_INFINITY), (-2.0, -2.0)] {
            let scale = Scale::covering(low, high);
            assert!(scale.tick > 0.0 && scale.ticks >= 1 && scale.to() > scale.from, "{low}..{high}: {scale:?}");
        }
    }
}
