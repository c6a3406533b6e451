//! Which prompts an iteration takes, how they are cut into leases, and at which learning rate it is committed.
//! A pure function of the spec, the number of prompts and the iteration's place in its stage: never of the workers.

use crate::spec::{Clean, RunSpec, StageSpec};
use crate::work::{Cleaned, Pass};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::collections::BTreeSet;

/// The order of prompts of one stage in one pass: epochs, each a seeded permutation of all prompts.
///
/// No iteration crosses an epoch's end: a prompt that came twice in one iteration would sample the same completions
/// twice, as its draws depend on (seed, iteration, prompt). What is left of an epoch and does not fill an iteration is
/// dropped; every epoch has another order, so it falls on other prompts each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// The run's seed.
    pub seed: u64,
    /// Pass.
    pub pass: Pass,
    /// Index into `[[stage]]`.
    pub stage: u32,
    /// Number of training prompts of the stage in this pass.
    pub prompts: u32,
    /// Prompts an iteration.
    pub an_iteration: u32,
    /// Prompts a lease.
    pub a_lease: u32,
}

impl Schedule {
    /// The schedule of a stage that has `prompts` training prompts; none if the spec has no such stage.
    pub fn of(spec: &RunSpec, pass: Pass, stage: u32, prompts: u32) -> Option<Self> {
        let found = spec.stage.get(stage as usize)?;
        Some(Self {
            seed: spec.seed,
            pass,
            stage,
            prompts,
            an_iteration: found.prompts,
            a_lease: found.prompts_per_lease,
        })
    }

    /// The order of an epoch: a permutation of `0..prompts`.
    pub fn epoch(&self, epoch: u64) -> Vec<u32> {
        self.permutation(epoch, b"schedule")
    }

    /// A permutation of `0..prompts`, by Fisher and Yates from ChaCha8.
    fn permutation(&self, number: u64, purpose: &[u8; 8]) -> Vec<u32> {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&self.seed.to_le_bytes());
        key[8..16].copy_from_slice(&number.to_le_bytes());
        key[16..20].copy_from_slice(&self.stage.to_le_bytes());
        key[20] = match self.pass {
            Pass::Select => 0,
            Pass::Refit => 1,
        };
        key[24..].copy_from_slice(purpose);
        let mut random = ChaCha8Rng::from_seed(key);
        let mut order: Vec<u32> = (0..self.prompts).collect();
        for last in (1..order.len()).rev() {
            // 64 random bits times the bound: the bias is below 2^-32 and every platform gets the same number.
            let place = (u128::from(random.next_u64()) * (last as u128 + 1)) >> 64;
            order.swap(last, place as usize);
        }
        order
    }

    /// Iterations that an epoch fills; 0 if there are fewer prompts than one takes, which
    /// [`RunSpec::check_prompts`] refuses.
    pub fn iterations_an_epoch(&self) -> u32 {
        self.prompts.checked_div(self.an_iteration).unwrap_or(0)
    }

    /// The prompts of an iteration of the stage (the first is 0), each of them once. Empty if there are fewer prompts
    /// than an iteration takes.
    pub fn iteration(&self, iteration: u32) -> Vec<u32> {
        let an_epoch = self.iterations_an_epoch();
        let (Some(epoch), Some(place)) = (iteration.checked_div(an_epoch), iteration.checked_rem(an_epoch)) else {
            return Vec::new();
        };
        let wanted = self.an_iteration as usize;
        self.epoch(u64::from(epoch)).into_iter().skip(place as usize * wanted).take(wanted).collect()
    }

    /// The prompts of an iteration cut into leases, in order; the last may be shorter.
    pub fn leases(&self, iteration: u32) -> Vec<Vec<u32>> {
        let size = (self.a_lease as usize).max(1);
        self.iteration(iteration).chunks(size).map(<[u32]>::to_vec).collect()
    }

    /// For each lease of an iteration its reserve: up to `refill` prompts that may be taken, in order, where groups of the
    /// lease teach nothing. No prompt is in two reserves, or in a reserve and in the iteration: it would sample the same
    /// completions twice. Where there are too few others for all leases, each has less.
    pub fn reserves(&self, iteration: u32, refill: u32) -> Vec<Vec<u32>> {
        let taken: BTreeSet<u32> = self.iteration(iteration).into_iter().collect();
        let leases = taken.len().div_ceil((self.a_lease as usize).max(1));
        let others = (self.prompts as usize).saturating_sub(taken.len());
        let each = (refill as usize).min(others.checked_div(leases).unwrap_or(0));
        if each == 0 {
            return vec![Vec::new(); leases];
        }
        let mut order = self.permutation(u64::from(iteration), b"reserve\0");
        order.retain(|prompt| !taken.contains(prompt));
        order.chunks(each).take(leases).map(<[u32]>::to_vec).collect()
    }
}

/// A schedule over what cleaning left of a stage's prompts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CleanedSchedule {
    schedule: Schedule,
    /// The prompts that are left, where some were dropped: the schedule's numbers are places in it.
    kept: Option<Vec<u32>>,
}

impl Schedule {
    /// The schedule of a stage that had `prompts` training prompts before it was cleaned, if it was; none if the spec
    /// has no such stage.
    pub fn of_cleaned(
        spec: &RunSpec,
        pass: Pass,
        stage: u32,
        (prompts, cleaned): (u32, Option<&Cleaned>),
    ) -> Option<CleanedSchedule> {
        let drops = spec.stage.get(stage as usize)?.clean == Clean::Drop;
        let kept = cleaned.filter(|_| drops).map(Cleaned::kept);
        let left = kept.as_ref().map_or(prompts, |kept| u32::try_from(kept.len()).unwrap_or(u32::MAX));
        Some(CleanedSchedule { schedule: Self::of(spec, pass, stage, left)?, kept })
    }
}

impl CleanedSchedule {
    /// As [`Schedule::iteration`].
    pub fn iteration(&self, iteration: u32) -> Vec<u32> {
        self.named(self.schedule.iteration(iteration))
    }

    /// As [`Schedule::leases`].
    pub fn leases(&self, iteration: u32) -> Vec<Vec<u32>> {
        self.schedule.leases(iteration).into_iter().map(|lease| self.named(lease)).collect()
    }

    /// As [`Schedule::reserves`].
    pub fn reserves(&self, iteration: u32, refill: u32) -> Vec<Vec<u32>> {
        self.schedule.reserves(iteration, refill).into_iter().map(|reserve| self.named(reserve)).collect()
    }

    /// From places among the prompts that are left to the prompts.
    fn named(&self, places: Vec<u32>) -> Vec<u32> {
        match &self.kept {
            Some(kept) => places.iter().filter_map(|place| kept.get(*place as usize).copied()).collect(),
            None => places,
        }
    }
}

/// The learning rate of an iteration of a stage (the first is 0): it rises linearly to the full rate at iteration
/// `warmup`, then falls linearly to `final_rate` of it at the spec's last iteration. The refit pass uses the same
/// denominator, so that each of its iterations has the rate that its twin of the select pass had.
pub fn learning_rate(stage: &StageSpec, iteration: u32) -> f64 {
    let place = f64::from(iteration) + 1.0;
    let peak = f64::from(stage.warmup.max(1));
    if place <= peak {
        return stage.learning_rate * (place / peak);
    }
    let fall = ((place - peak) / (f64::from(stage.iterations) - peak)).min(1.0);
    stage.learning_rate * (1.0 - (1.0 - stage.final_rate) * fall)
}

/// `0..instances` cut into ranges of evaluation leases, in order.
pub fn evaluation_ranges(instances: u32, a_lease: u32) -> Vec<(u32, u32)> {
    let size = a_lease.max(1);
    (0..instances.div_ceil(size)).map(|i| (i * size, (i * size).saturating_add(size).min(instances))).collect()
}
