//! Did a list find what the user truly dislikes? Only the generator of synthetic data can say: it knows, at every
//! moment, which regions of the catalogue a user dislikes. A negative of the horizon is one draw from them; a list may be
//! right about a region without naming the very item that was shown next.
//!
//! * `true_region@20`: share of the list's 20 places that hold an item of a region disliked at t0; a place left empty is a
//!   miss. By chance: the share of such items in what may be listed.
//! * `true_region_recall@20`: share of the regions disliked at t0 (those with an item in the catalogue) of which the list
//!   holds an item. By chance: of 20 different items drawn evenly.

use crate::dataset::Truth;
use crate::instance::Instance;

/// The regions that the user of each instance dislikes at its t0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrueRegions {
    region_of_item: Vec<Option<u32>>,
    /// By region: whether an item of the catalogue lies in it.
    reachable: Vec<bool>,
    /// By instance, ascending.
    disliked: Vec<Vec<u32>>,
}

/// Both metrics of one list; `None` where the user dislikes no region at t0 that could be met.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RegionOutcome {
    /// Share of the places.
    pub share: Option<f64>,
    /// Share of the regions.
    pub recall: Option<f64>,
}

impl TrueRegions {
    /// Looks up what each instance's user dislikes; `catalogue` are the items that may be listed, ascending.
    pub fn new(truth: &Truth, instances: &[Instance], catalogue: &[u32]) -> Self {
        let regions = truth.region_of_item.iter().flatten().max().map_or(0, |most| *most as usize + 1);
        let mut reachable = vec![false; regions];
        for region in catalogue.iter().filter_map(|item| truth.region_of_item.get(*item as usize).copied().flatten()) {
            reachable[region as usize] = true;
        }
        let of_user = |user: u32| {
            let from = truth.disliked.partition_point(|stretch| stretch.user < user);
            truth.disliked[from..].iter().take_while(move |stretch| stretch.user == user)
        };
        let at = |instance: &Instance| {
            let now = of_user(instance.user).filter(|stretch| stretch.holds(instance.t0));
            let mut regions: Vec<u32> = now.map(|stretch| stretch.region).collect();
            regions.sort_unstable();
            regions
        };
        Self { region_of_item: truth.region_of_item.clone(), reachable, disliked: instances.iter().map(at).collect() }
    }

    /// Only the instances of `keep`, in that order.
    pub fn thinned(&self, keep: &[usize]) -> Self {
        let disliked = keep.iter().map(|i| self.disliked[*i].clone()).collect();
        Self { disliked, ..self.clone() }
    }

    /// Measures the list of instance `i`, which has `places` places.
    pub fn outcome(&self, i: usize, list: &[u32], places: usize) -> RegionOutcome {
        let targets = self.targets(i);
        if targets.is_empty() {
            return RegionOutcome { share: None, recall: None };
        }
        let found: Vec<u32> = list.iter().filter_map(|item| self.target_of(*item, &targets)).collect();
        let met = targets.iter().filter(|region| found.contains(region)).count();
        RegionOutcome {
            share: Some(found.len() as f64 / places.max(1) as f64),
            recall: Some(met as f64 / targets.len() as f64),
        }
    }

    /// What a list drawn evenly and without repetition from `catalogue` without `excluded` (sorted) would get.
    pub fn chance(&self, i: usize, (catalogue, excluded): (&[u32], &[u32]), places: usize) -> RegionOutcome {
        let targets = self.targets(i);
        if targets.is_empty() {
            return RegionOutcome { share: None, recall: None };
        }
        let mut items = vec![0u64; targets.len()];
        let mut open = 0u64;
        for item in catalogue.iter().filter(|item| excluded.binary_search(item).is_err()) {
            open += 1;
            if let Some(place) = self.target_of(*item, &targets).and_then(|r| targets.binary_search(&r).ok()) {
                items[place] += 1;
            }
        }
        let drawn = open.min(places as u64);
        let share = items.iter().sum::<u64>() as f64 / open.max(1) as f64 * drawn as f64 / places.max(1) as f64;
        let recall = items.iter().map(|items| met(*items, open, drawn)).sum::<f64>() / targets.len() as f64;
        RegionOutcome { share: Some(share), recall: Some(recall) }
    }

    /// The regions disliked at t0 that a list could meet.
    fn targets(&self, i: usize) -> Vec<u32> {
        let can_be_met = |region: &u32| self.reachable.get(*region as usize).copied().unwrap_or(false);
        self.disliked.get(i).into_iter().flatten().copied().filter(can_be_met).collect()
    }

    fn target_of(&self, item: u32, targets: &[u32]) -> Option<u32> {
        let region = self.region_of_item.get(item as usize).copied().flatten()?;
        targets.binary_search(&region).is_ok().then_some(region)
    }
}

/// Probability that `drawn` of `open` items, without repetition, hold one of `items` of them.
fn met(items: u64, open: u64, drawn: u64) -> f64 {
    let missed = |k: u64| (open.saturating_sub(items + k)) as f64 / (open - k) as f64;
    1.0 - (0..drawn).map(missed).product::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::DislikedRegion;

    /// Items 0 to 5 in regions 0, 0, 1, 2, none, 3; region 3 is not in the catalogue. User 1 dislikes region 0 until 10 and
    /// region 2 from 10, and always 1 and 3.
    fn sample(t0: i64) -> TrueRegions {
        let stretch = |user, region, from, to| DislikedRegion { user, region, from, to };
        let truth = Truth {
            region_of_item: vec![Some(0), Some(0), Some(1), Some(2), None, Some(3)],
            disliked: vec![
                stretch(0, 2, 0, 20),
                stretch(1, 0, 0, 10),
                stretch(1, 1, 0, 20),
                stretch(1, 3, 0, 20),
                stretch(1, 2, 10, 20),
                stretch(2, 0, 0, 20),
            ],
        };
        let instance = Instance { user: 1, t0, next: 0, gts: vec![0], fps: vec![] };
        TrueRegions::new(&truth, &[instance], &[0, 1, 2, 3, 4])
    }

    #[test]
    fn places_and_regions_count_at_the_moment_that_is_asked_about() {
        let outcome = |t0, list: &[u32]| {
            let RegionOutcome { share, recall } = sample(t0).outcome(0, list, 4);
            (share.unwrap(), recall.unwrap())
        };
        assert_eq!(outcome(9, &[0, 1, 3, 4]), (0.5, 0.5));
        assert_eq!(outcome(10, &[0, 1, 3, 4]), (0.25, 0.5));
        assert_eq!(outcome(9, &[2, 0]), (0.5, 1.0), "places left empty are misses");
        assert_eq!(outcome(9, &[5]), (0.0, 0.0), "what is not in the catalogue counts for nothing");
        assert_eq!(outcome(9, &[]), (0.0, 0.0));
    }

    #[test]
    fn who_dislikes_nothing_that_could_be_met_does_not_count() {
        let truth = Truth { region_of_item: vec![Some(0)], disliked: Vec::new() };
        let instance = Instance { user: 1, t0: 5, next: 0, gts: vec![0], fps: vec![] };
        let regions = TrueRegions::new(&truth, &[instance], &[0]);
        assert_eq!(regions.outcome(0, &[0], 20), RegionOutcome { share: None, recall: None });
        assert_eq!(regions.chance(0, (&[0], &[]), 20), RegionOutcome { share: None, recall: None });
        assert_eq!(regions.outcome(9, &[0], 20).share, None);
    }

    #[test]
    fn chance_is_the_mean_over_all_lists() {
        let regions = sample(5);
        let (catalogue, excluded) = ([0, 1, 2, 3, 4], [4]);
        let (mut share, mut recall, mut lists) = (0.0, 0.0, 0.0);
        for a in 0..4 {
            for b in (0..4).filter(|b| *b != a) {
                let found = regions.outcome(0, &[a, b], 2);
                share += found.share.unwrap();
                recall += found.recall.unwrap();
                lists += 1.0;
            }
        }
        let found = regions.chance(0, (&catalogue, &excluded), 2);
        assert!((found.share.unwrap() - share / lists).abs() < 1e-12, "{found:?}");
        assert!((found.recall.unwrap() - recall / lists).abs() < 1e-12, "{found:?}");
        // More places than items: all are listed, and the others stay empty.
        let all = regions.chance(0, (&catalogue, &excluded), 8);
        assert_eq!((all.share, all.recall), (Some(3.0 / 8.0), Some(1.0)));
    }
}
