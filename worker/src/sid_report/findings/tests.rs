//! Verdicts of figures that are set by hand.

use super::*;
use crate::sid_report::{NoiseStability, SeedStability, TimeStability};
use conrec_feedback::semantic_id::{LevelUsage, SidUsage};
use conrec_feedback::sid_quality::{DepthQuality, FanOut};

fn agreement(share: f64, by_chance: f64, cases: usize) -> Agreement {
    Agreement { share, by_chance, cases }
}

/// Two levels of four codes; everything is as it should be.
fn good() -> Column {
    let depth = |depth, variance, taste| DepthQuality {
        depth,
        prefixes: 4,
        fan_out: FanOut { mean: 3.0, most: 4, forced: 0.1 },
        variance_left: agreement(variance, 0.9, 100),
        neighbours: agreement(0.5, 0.1, 100),
        purity: Some(agreement(0.7, 0.4, 100)),
        taste: Some(taste),
    };
    let level = LevelUsage { used: 4, dead: 0, perplexity: 3.6, gini: 0.1 };
    Column {
        name: "rq_vae".into(),
        own: true,
        input_error: vec![0.6, 0.3],
        without_id: 0,
        quality: SidQuality {
            usage: SidUsage { items: 100, cells: 95, collision_rate: 0.05, largest_cell: 2, levels: vec![level; 2] },
            overlap: agreement(0.6, 0.1, 100),
            depths: vec![depth(1, 0.5, agreement(0.4, 0.2, 5000)), depth(2, 0.3, agreement(0.2, 0.1, 5000))],
        },
    }
}

fn stable(ami: f64, kept: f64) -> QuantizerStability {
    let depths = || vec![DepthStability { depth: 1, adjusted_mutual_information: ami, adjusted_rand_index: ami }];
    QuantizerStability {
        quantizer: "rq_vae".into(),
        noise: vec![NoiseStability { noise: NOISE, same_prefix: vec![kept, 0.0] }],
        seeds: vec![SeedStability { seed: 1, depths: depths() }],
        time: Some(TimeStability { train_end: 0, items: 90, depths: depths() }),
    }
}

fn judged(column: Column, stability: Option<&QuantizerStability>, has_suffix: bool) -> Vec<Finding> {
    let mut control = column.clone();
    (control.own, control.name) = (false, SHUFFLED.into());
    control.quality.overlap.share = 0.11;
    findings(&Asked { columns: &[column, control], stability, levels: 2, has_suffix })
}

fn verdict(found: &[Finding], measure: &str) -> Verdict {
    found.iter().find(|finding| finding.measure.contains(measure)).map(|finding| finding.verdict).unwrap()
}

#[test]
fn good_ids_are_called_good_beside_chance_and_the_control() {
    let found = judged(good(), Some(&stable(0.8, 0.95)), false);
    assert_eq!(found.len(), 12);
    for finding in &found {
        assert_eq!(finding.verdict, Verdict::Good, "{finding:?}");
    }
    assert_eq!((found[0].value, found[0].by_chance, found[0].shuffled), (0.6, Some(0.1), Some(0.11)));
    // First codes leave 0.5 of the variance, where chance leaves 0.9.
    assert!((found[1].value - 0.5).abs() < 1e-12 && (found[1].by_chance.unwrap() - 0.1).abs() < 1e-12);
}

#[test]
fn each_figure_has_a_point_where_nothing_is_left_of_it() {
    let mut column = good();
    column.quality.overlap.share = 0.12;
    column.quality.depths[0].variance_left.share = 0.88;
    column.input_error = vec![0.5, 0.95];
    column.quality.depths[0].purity = Some(agreement(0.41, 0.4, 10_000));
    column.quality.usage.collision_rate = 0.2;
    column.quality.usage.levels[1].perplexity = 0.5;
    column.quality.depths[1].fan_out.forced = 0.9;
    let found = judged(column, Some(&stable(0.1, 0.8)), false);
    let of = |measure| verdict(&found, measure);
    assert_eq!((of("neighbours"), of("variance"), of("purity")), (Verdict::Bad, Verdict::Bad, Verdict::Bad));
    assert_eq!(of("squared error"), Verdict::Bad);
    assert_eq!((of("beyond the first"), of("perplexity")), (Verdict::Weak, Verdict::Bad));
    assert_eq!(of("one code may follow"), Verdict::Bad);
    assert_eq!((of("seed"), of("earlier"), of("noise")), (Verdict::Bad, Verdict::Bad, Verdict::Weak));
}

#[test]
fn dislikes_count_beyond_doubt_only() {
    let with = |share, cases| {
        let mut column = good();
        column.quality.depths[0].taste = Some(agreement(share, 0.2, cases));
        verdict(&judged(column, None, false), "one first code")
    };
    // Twice chance over 4 pairs is what chance does, over 5000 it is not.
    assert_eq!((with(0.4, 4), with(0.4, 5000)), (Verdict::Unclear, Verdict::Good));
    assert_eq!((with(0.25, 5000), with(0.21, 5000)), (Verdict::Weak, Verdict::Bad));
}

#[test]
fn what_cannot_be_asked_is_left_out() {
    let mut column = good();
    for depth in &mut column.quality.depths {
        (depth.purity, depth.taste) = (None, None);
    }
    let found = judged(column, None, false);
    assert!(found.iter().all(|finding| !finding.question.contains("categories") && !finding.question.contains("user")));
    assert_eq!(found.len(), 6);
}

#[test]
fn a_suffix_is_judged_by_how_many_ids_need_it() {
    let mut column = good();
    let mut suffix = column.quality.depths[1];
    (suffix.depth, suffix.fan_out.forced) = (3, 0.6);
    column.quality.depths.push(suffix);
    assert_eq!(verdict(&judged(column, None, true), "need it"), Verdict::Bad);
}
