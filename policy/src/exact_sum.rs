//! Gradients in 64-bit fixed point: integer addition has no order, so that no roster, no order of arrival and no
//! lease granted twice changes one bit of the sum.

use crate::error::PolicyError;
use crate::flat_parameters::FlatParameters;
use tch::{Device, Kind, Tensor};

/// The sum of gradients as integers, in units of 2^-bits.
#[derive(Debug)]
pub struct ExactSum {
    bits: u32,
    limit: f64,
    sum: Tensor,
    /// Of all elements of all that was added, modulo 2^64.
    check: i64,
}

impl ExactSum {
    /// An empty sum of `length` elements for at most `addends` gradients over all workers: with every element below
    /// 2^(62 - bits) / addends, no order of additions can overflow.
    pub fn new(length: usize, bits: u32, addends: u64) -> Self {
        let limit = (62.0 - f64::from(bits)).exp2() / addends.max(1) as f64;
        Self { bits, limit, sum: Tensor::zeros([length as i64], (Kind::Int64, Device::Cpu)), check: 0 }
    }

    /// Elements of the gradient below this in magnitude are accepted.
    pub fn limit(&self) -> f64 {
        self.limit
    }

    /// Adds a flat gradient (f32). Scaling by a power of two is exact in f32; only what lies below 2^-bits is rounded.
    ///
    /// # Errors
    /// Names the weight when an element is not finite or too large, or the length differs. The sum is unchanged then.
    pub fn add(&mut self, layout: &FlatParameters, gradient: &Tensor) -> Result<(), PolicyError> {
        layout.check("gradient", gradient)?;
        layout.check("sum of gradients", &self.sum)?;
        if layout.is_empty() {
            return Ok(());
        }
        // The maximum of values with a NaN among them is NaN.
        let largest = gradient.abs().max().double_value(&[]);
        if largest.is_nan() || largest >= self.limit {
            return Err(self.refusal(layout, gradient));
        }
        let scaled = gradient * f64::from(self.bits).exp2();
        let integers = scaled.round().to_kind(Kind::Int64);
        let check = integers.sum(Kind::Int64).int64_value(&[]);
        let _ = self.sum.f_add_(&integers)?;
        self.check = self.check.wrapping_add(check);
        Ok(())
    }

    /// The integers: what is summed over workers.
    pub fn integers(&self) -> &Tensor {
        &self.sum
    }

    /// The sum of all integers modulo 2^64 as it must be, known from what was added and not from the sum. A sum of which
    /// one bit was flipped has another one (checksums that go through a computation with its data: Huang and Abraham 1984).
    pub fn check(&self) -> i64 {
        self.check
    }

    /// Sets the sum to zero.
    pub fn clear(&mut self) {
        self.check = 0;
        let _ = self.sum.zero_();
    }

    /// The mean as f32: integers / 2^bits / divisor, computed in f64.
    ///
    /// # Errors
    /// When the divisor is 0 or `integers` has another length or kind.
    pub fn mean(&self, integers: &Tensor, divisor: u64) -> Result<Tensor, PolicyError> {
        if divisor == 0 {
            return Err(PolicyError::State("the sum of gradients is to be divided by 0 groups".into()));
        }
        if integers.size() != self.sum.size() || integers.kind() != Kind::Int64 {
            return Err(PolicyError::Tensor {
                name: "sum of gradients".into(),
                found: format!("{:?} {:?}", integers.kind(), integers.size()),
                expected: format!("Int64 {:?}", self.sum.size()),
            });
        }
        let scale = f64::from(self.bits).exp2();
        Ok((integers.to_kind(Kind::Double) / (scale * divisor as f64)).to_kind(Kind::Float))
    }

    fn refusal(&self, layout: &FlatParameters, gradient: &Tensor) -> PolicyError {
        let values = match Vec::<f32>::try_from(gradient) {
            Ok(values) => values,
            Err(error) => return error.into(),
        };
        let index = values.iter().position(|v| v.is_nan() || f64::from(v.abs()) >= self.limit).unwrap_or(0);
        let (name, offset) = layout.holding(index).map_or(("?", 0), |e| (e.name.as_str(), e.offset));
        PolicyError::Gradient {
            name: name.to_owned(),
            element: index - offset,
            value: values[index],
            limit: self.limit,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn layout(length: i64) -> FlatParameters {
        let mut layout = FlatParameters::default();
        layout.push("a".into(), &[2]);
        layout.push("b".into(), &[length - 2]);
        layout
    }

    fn sum_of(gradients: &[&Vec<f32>]) -> Tensor {
        let layout = layout(gradients[0].len() as i64);
        let mut sum = ExactSum::new(layout.len(), 48, gradients.len() as u64);
        for gradient in gradients {
            sum.add(&layout, &Tensor::from_slice(gradient)).unwrap();
        }
        sum.integers().copy()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn the_sum_has_no_order_and_is_that_of_f64(
            rows in prop::collection::vec(prop::collection::vec(-20f32..20.0, 6), 2..12), turn in 0usize..12,
        ) {
            let all: Vec<&Vec<f32>> = rows.iter().collect();
            let mut turned = all.clone();
            turned.rotate_left(turn % rows.len());
            turned.swap(0, 1);
            let integers = sum_of(&all);
            prop_assert!(integers == sum_of(&turned));
            let mean = ExactSum::new(6, 48, 12).mean(&integers, 3).unwrap();
            for column in 0..6 {
                let expected = rows.iter().map(|r| f64::from(r[column])).sum::<f64>();
                let magnitude = rows.iter().map(|r| f64::from(r[column]).abs()).sum::<f64>();
                let found = integers.int64_value(&[column as i64]) as f64 / 48f64.exp2();
                prop_assert!((found - expected).abs() <= 1e-6 * magnitude.min(expected.abs()) + 1e-13);
                let of_mean = mean.double_value(&[column as i64]);
                prop_assert!((of_mean - expected / 3.0).abs() <= 1e-7 * magnitude);
            }
        }
    }

    #[test]
    fn values_of_every_size_keep_a_millionth_of_themselves() {
        let values: Vec<f32> =
            (0..40).map(|i| 1.234_567_9 * 2f32.powi(-i + 8) * if i % 2 == 0 { 1.0 } else { -1.0 }).collect();
        let integers = sum_of(&[&values, &values, &values]);
        for (i, v) in values.iter().enumerate().take(33) {
            let found = integers.int64_value(&[i as i64]) as f64 / 48f64.exp2();
            assert!((found / (3.0 * f64::from(*v)) - 1.0).abs() < 1e-6, "{v}: {found}");
        }
    }

    #[test]
    fn what_does_not_fit_is_named_and_leaves_the_sum_as_it_was() {
        let layout = layout(5);
        let mut sum = ExactSum::new(5, 48, 4);
        assert_eq!(sum.limit(), 4096.0);
        for bad in [f32::NAN, f32::INFINITY, -4096.0] {
            let error = sum.add(&layout, &Tensor::from_slice(&[0.0, 1.0, 2.0, bad, 3.0])).unwrap_err().to_string();
            assert!(error.starts_with(&format!("gradient of `b` at element 1 is {bad}")), "{error}");
        }
        assert_eq!(sum.integers().abs().max().int64_value(&[]), 0);
        assert!(sum.add(&layout, &Tensor::from_slice(&[1f32])).is_err());
        sum.add(&layout, &Tensor::from_slice(&[0.5f32, -4095.0, 0.0, 0.0, 0.0])).unwrap();
        assert_eq!(sum.integers().int64_value(&[0]), 1 << 47);
        assert!(sum.mean(sum.integers(), 0).is_err());
        assert!(sum.mean(&Tensor::from_slice(&[1i64]), 1).is_err());
    }
}
