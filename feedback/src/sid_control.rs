//! Semantic ids that mean less than they seem to: what a report and an experiment compare with.

use crate::keyed_random::{below, shuffle_front, stream};
use conrec_domain::spec::Control;

/// Changes the codes (items x levels) as the control says; `codes` is K. The codes of non-candidates stay where they are
/// when codes are dealt out, so that the candidates' cells keep their sizes.
pub fn apply(control: Control, of_item: &mut [u16], levels: usize, codes: usize, (candidates, seed): (&[u32], u64)) {
    match control {
        Control::None => {}
        Control::Random => {
            let mut rng = stream(seed, "semantic_id.control.random");
            // K is at most 65536, so that every code fits.
            of_item.iter_mut().for_each(|code| *code = below(&mut rng, codes) as u16);
        }
        Control::Shuffled => {
            let mut order = candidates.to_vec();
            shuffle_front(&mut stream(seed, "semantic_id.control.shuffled"), &mut order, candidates.len());
            let before = of_item.to_vec();
            let row = |item: u32| item as usize * levels..(item as usize + 1) * levels;
            for (to, from) in candidates.iter().zip(&order) {
                of_item[row(*to)].copy_from_slice(&before[row(*from)]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes() -> Vec<u16> {
        (0..40u16).flat_map(|item| [item / 4, item % 4]).collect()
    }

    fn pairs(codes: &[u16], items: impl Iterator<Item = usize>) -> Vec<(u16, u16)> {
        let mut pairs: Vec<_> = items.map(|i| (codes[2 * i], codes[2 * i + 1])).collect();
        pairs.sort_unstable();
        pairs
    }

    #[test]
    fn shuffled_codes_are_the_same_codes_on_other_candidates() {
        let candidates: Vec<u32> = (0..30).collect();
        let mut shuffled = codes();
        apply(Control::Shuffled, &mut shuffled, 2, 10, (&candidates, 3));
        assert_ne!(shuffled, codes());
        assert_eq!(pairs(&shuffled, 0..30), pairs(&codes(), 0..30));
        assert_eq!(shuffled[60..], codes()[60..]);
        let kept = (0..30).filter(|i| shuffled[2 * i..2 * i + 2] == codes()[2 * i..2 * i + 2]).count();
        assert!(kept < 6, "{kept} of 30 items kept their codes");
        let mut again = codes();
        apply(Control::Shuffled, &mut again, 2, 10, (&candidates, 3));
        assert_eq!(shuffled, again);
        apply(Control::Shuffled, &mut again, 2, 10, (&candidates, 4));
        assert_ne!(shuffled, again);
    }

    #[test]
    fn random_codes_stay_below_k_and_none_changes_nothing() {
        let mut random = codes();
        apply(Control::Random, &mut random, 2, 10, (&[], 3));
        assert!(random != codes() && random.iter().all(|code| *code < 10));
        let mut kept = codes();
        apply(Control::None, &mut kept, 2, 10, (&[1, 2], 3));
        assert_eq!(kept, codes());
    }
}
