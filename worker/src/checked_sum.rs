//! The sum over a roster, with a check that goes through it: what each member's integers add up to is summed beside
//! them, so that what was damaged in a member's memory or on its way is seen by whoever has the result.

use crate::collective::{Collective, CollectiveError};
use crate::error::WorkerError;

/// Elements that are summed besides: both halves of the check, so that no sum of theirs leaves the range.
const HALVES: usize = 2;

/// Replaces this member's integers by the sums over all members. `check` is what its integers add up to modulo 2^64,
/// known from elsewhere than from them.
///
/// # Errors
/// [`WorkerError::Damaged`] when the own integers add up to something else: nothing of them was sent then. A sum that
/// does not fit the sum of the checks ends the roster, as any failure of the collective.
pub fn checked_sum(collective: &dyn Collective, mut values: Vec<i64>, check: i64) -> Result<Vec<i64>, WorkerError> {
    let found = add_up(&values);
    if found != check {
        let what = format!("the sum of gradients adds up to {found:x}, what was added to it to {check:x}");
        return Err(WorkerError::Damaged(what));
    }
    values.extend([check & i64::from(u32::MAX), (check >> 32) & i64::from(u32::MAX)]);
    collective.all_reduce_sum(&mut values)?;
    let halves = values.split_off(values.len() - HALVES);
    let (found, expected) = (add_up(&values), halves[0].wrapping_add(halves[1].wrapping_shl(32)));
    if found != expected {
        let message =
            format!("the sums add up to {found:x}, those of the members to {expected:x}: a value was damaged");
        return Err(CollectiveError::Other { call: "all_reduce_sum", message }.into());
    }
    Ok(values)
}

fn add_up(values: &[i64]) -> i64 {
    values.iter().fold(0, |sum, value| sum.wrapping_add(*value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collective::Single;
    use std::sync::Mutex;

    /// A collective of three members that gives back what it is told to, whatever happened on the way.
    struct Roster {
        others: Vec<Vec<i64>>,
        flip: Option<(usize, u32)>,
        sent: Mutex<bool>,
    }

    impl Collective for Roster {
        fn rank(&self) -> u32 {
            0
        }

        fn world(&self) -> u32 {
            self.others.len() as u32 + 1
        }

        fn all_reduce_sum(&self, values: &mut [i64]) -> Result<(), CollectiveError> {
            *self.sent.lock().unwrap() = true;
            for other in &self.others {
                let check = add_up(other);
                let halves = [check & i64::from(u32::MAX), (check >> 32) & i64::from(u32::MAX)];
                values.iter_mut().zip(other.iter().chain(&halves)).for_each(|(value, add)| *value += add);
            }
            if let Some((element, bit)) = self.flip {
                values[element] ^= 1i64 << bit;
            }
            Ok(())
        }

        fn all_reduce_sum_f32(&self, _: &mut [f32]) -> Result<(), CollectiveError> {
            Ok(())
        }

        fn broadcast(&self, _: &mut [u8], _: u32) -> Result<(), CollectiveError> {
            Ok(())
        }

        fn barrier(&self) -> Result<(), CollectiveError> {
            Ok(())
        }

        fn abort(&self) {}
    }

    fn roster(flip: Option<(usize, u32)>) -> Roster {
        let others = vec![vec![-5, i64::MAX / 4, -1 << 61, 9], vec![1 << 40, i64::MAX / 4, 17, -9]];
        Roster { others, flip, sent: Mutex::new(false) }
    }

    const OWN: [i64; 4] = [-7, 3, 1 << 61, 0];

    #[test]
    fn sums_of_any_sign_and_size_fit_their_checks() {
        let sums = checked_sum(&roster(None), OWN.to_vec(), add_up(&OWN)).unwrap();
        assert_eq!(sums, [(1 << 40) - 12, i64::MAX / 4 * 2 + 3, 17, 0]);
        assert_eq!(checked_sum(&Single::new(), OWN.to_vec(), add_up(&OWN)).unwrap(), OWN);
        assert_eq!(checked_sum(&Single::new(), vec![], 0).unwrap(), [0i64; 0]);
    }

    #[test]
    fn every_bit_that_is_flipped_on_the_way_breaks_the_roster() {
        let right = checked_sum(&roster(None), OWN.to_vec(), add_up(&OWN)).unwrap();
        for element in 0..OWN.len() + HALVES {
            for bit in 0..64 {
                match checked_sum(&roster(Some((element, bit))), OWN.to_vec(), add_up(&OWN)) {
                    Err(error) => assert!(matches!(error, WorkerError::Collective(_)), "{element} {bit}: {error}"),
                    // What lies above the upper half means nothing.
                    Ok(sums) => assert!(sums == right && element == OWN.len() + 1 && bit >= 32, "{element} {bit}"),
                }
            }
        }
    }

    #[test]
    fn an_own_sum_that_was_damaged_is_not_sent() {
        for bit in 0..64 {
            let mut values = OWN.to_vec();
            values[1] ^= 1 << bit;
            let roster = roster(None);
            let error = checked_sum(&roster, values, add_up(&OWN)).unwrap_err();
            assert!(matches!(error, WorkerError::Damaged(_)), "{error}");
            assert!(!*roster.sent.lock().unwrap());
        }
    }
}
