//! All item-level baselines of the report, by name, fitted on training time.

use crate::dislike_rate::{DislikeRate, DislikeRateContent};
use crate::item_knn::ItemKnn;
use crate::item_scores::ItemScores;
use crate::matrix::Matrix;
use crate::popularity::Popularity;
use crate::rocchio::Rocchio;
use crate::swing::Swing;
use crate::training_time::TrainingTime;
use conrec_domain::spec::{RewardSpec, SwingSpec};
use std::sync::Arc;

/// A baseline with its name in the report.
pub type Named = (&'static str, Box<dyn ItemScores>);

/// Fits every item-level baseline. `content`: one row an item, of length 1 (see `content_vectors`); gamma and
/// Swing's parameters are the reward's.
pub fn fit_baselines(training: &TrainingTime, content: &Arc<Matrix>, reward: &RewardSpec) -> Vec<Named> {
    let rocchio = |gamma| Rocchio::new(Arc::clone(content), gamma);
    // Without neighbours Swing is switched off in the reward; the baseline still needs some.
    let neighbours =
        if reward.swing.neighbours == 0 { SwingSpec::default().neighbours } else { reward.swing.neighbours };
    let swing = SwingSpec { neighbours, ..reward.swing.clone() };
    vec![
        ("neg_pop", Box::new(Popularity::of_negatives(training, None))),
        ("neg_pop_7d", Box::new(Popularity::of_negatives(training, Some(7)))),
        ("neg_pop_28d", Box::new(Popularity::of_negatives(training, Some(28)))),
        ("pop_7d", Box::new(Popularity::of_all(training, Some(7)))),
        ("item_knn", Box::new(ItemKnn::fit(training))),
        ("swing", Box::new(Swing::fit(training, &swing))),
        ("rocchio", Box::new(rocchio(reward.gamma))),
        ("dislike_rate", Box::new(DislikeRate::fit(training))),
        ("dislike_rate_content", Box::new(DislikeRateContent::new(DislikeRate::fit(training), rocchio(0.0)))),
    ]
}
