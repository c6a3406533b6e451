//! What the figures say, question by question, as a reviewer would ask them; the bounds are ours, and said.

use super::measure::{Column, SHUFFLED};
use super::stability::QuantizerStability;
use conrec_feedback::sid_quality::{Agreement, DepthStability, SidQuality};
use serde::Serialize;

/// Length of the noise whose effect is judged, relative to the length of a vector.
const NOISE: f64 = 0.05;

/// Standard errors by which a share must exceed chance to count at all.
const ERRORS: f64 = 3.0;

/// Times chance that a share of pairs should be.
const RATIO: f64 = 1.5;

/// The answer to one question about the ids.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// The question.
    pub question: &'static str,
    /// What the figure is.
    pub measure: &'static str,
    /// The figure.
    pub value: f64,
    /// What chance gives; none where chance has no part in it.
    pub by_chance: Option<f64>,
    /// The same figure of the ids dealt out to other items.
    pub shuffled: Option<f64>,
    /// What is asked of it.
    pub asked: String,
    /// What it comes to.
    pub verdict: Verdict,
}

/// How a figure stands to its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It keeps the bound.
    Good,
    /// Between the bound and the point where nothing is left.
    Weak,
    /// No better than nothing.
    Bad,
    /// Too few cases: a good figure could not be told from chance.
    Unclear,
}

impl Verdict {
    /// For people.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Weak => "weak",
            Self::Bad => "BAD",
            Self::Unclear => "too few cases",
        }
    }

    /// At least `good`, or at least `weak`.
    fn at_least(value: f64, (good, weak): (f64, f64)) -> Self {
        if value >= good {
            Self::Good
        } else if value >= weak {
            Self::Weak
        } else {
            Self::Bad
        }
    }

    /// At most `good`, or at most `weak`.
    fn at_most(value: f64, (good, weak): (f64, f64)) -> Self {
        Self::at_least(-value, (-good, -weak))
    }
}

/// What is judged.
pub(super) struct Asked<'a> {
    /// The ids in question first.
    pub columns: &'a [Column],
    /// Of the quantizer that made them; none for others.
    pub stability: Option<&'a QuantizerStability>,
    /// Levels that the quantizer made.
    pub levels: usize,
    /// Whether one more level tells items apart.
    pub has_suffix: bool,
}

/// Answers each question that the data allows.
pub(super) fn findings(asked: &Asked<'_>) -> Vec<Finding> {
    let Some(own) = asked.columns.iter().find(|column| column.own) else { return Vec::new() };
    let shuffled = asked.columns.iter().find(|column| column.name == SHUFFLED);
    let both = Both { own: &own.quality, shuffled: shuffled.map(|column| &column.quality) };
    let mut all = meaning(&both, asked.levels);
    if let Some(error) = own.input_error.last() {
        let question = "Do the codes rebuild the vectors?";
        all.push(finding(question, "squared error, 1 is the mean's", *error, most(*error, (0.5, 0.9))));
    }
    all.extend(shape(&own.quality, asked));
    all.extend(asked.stability.into_iter().flat_map(stays));
    all
}

/// The ids in question and the same on other items.
struct Both<'a> {
    own: &'a SidQuality,
    shuffled: Option<&'a SidQuality>,
}

impl Both<'_> {
    /// A share that is judged by how much of the way from chance to 1 it goes.
    fn share(
        &self,
        (question, measure): (&'static str, &'static str),
        of: impl Fn(&SidQuality) -> Option<Agreement>,
        bounds: (f64, f64),
    ) -> Option<Finding> {
        let found = of(self.own)?;
        let rest = 1.0 - found.by_chance;
        let way = (found.share - found.by_chance) / rest.max(f64::EPSILON);
        let good = found.by_chance + bounds.0 * rest;
        Some(Finding {
            question,
            measure,
            value: found.share,
            by_chance: Some(found.by_chance),
            shuffled: self.shuffled.and_then(&of).map(|agreement| agreement.share),
            asked: format!("{:.0} % of the way to 1", bounds.0 * 100.0),
            verdict: beyond_doubt(found, good, Verdict::at_least(way, bounds)),
        })
    }

    /// Dislikes under one prefix: few however good the ids, so that they are judged by their ratio to chance.
    fn taste(&self, (question, measure): (&'static str, &'static str), depth: usize) -> Option<Finding> {
        let of = |quality: &SidQuality| quality.depths.get(depth).and_then(|depth| depth.taste);
        let found = of(self.own)?;
        let p = found.by_chance;
        let ratio = found.share / p.max(f64::EPSILON);
        Some(Finding {
            question,
            measure,
            value: found.share,
            by_chance: Some(p),
            shuffled: self.shuffled.and_then(of).map(|agreement| agreement.share),
            asked: format!("{RATIO} times chance"),
            verdict: beyond_doubt(found, RATIO * p, Verdict::at_least(ratio, (RATIO, 1.1))),
        })
    }
}

/// The verdict where the share exceeds chance by more than chance does; unclear where not even `good` would.
fn beyond_doubt(found: Agreement, good: f64, verdict: Verdict) -> Verdict {
    let p = found.by_chance;
    let doubt = ERRORS * (p * (1.0 - p) / found.cases.max(1) as f64).sqrt();
    if found.share - p > doubt {
        verdict
    } else if p + doubt >= good {
        Verdict::Unclear
    } else {
        Verdict::Bad
    }
}

fn meaning(both: &Both<'_>, levels: usize) -> Vec<Finding> {
    let first = |quality: &SidQuality| quality.depths.first().copied();
    let explained = |quality: &SidQuality| {
        let left = first(quality)?.variance_left;
        Some(Agreement { share: 1.0 - left.share, by_chance: 1.0 - left.by_chance, cases: left.cases })
    };
    let like = "Are items with like ids like items?";
    let dislike = "Do ids gather what one user dislikes?";
    [
        both.share((like, "nearest neighbours that ids keep"), |q| Some(q.overlap), (0.2, 0.05)),
        both.share((like, "variance that first codes explain"), explained, (0.3, 0.1)),
        both.share(("Do ids know categories?", "purity of first codes"), |q| first(q)?.purity, (0.1, 0.03)),
        both.taste((dislike, "successive dislikes with one first code"), 0),
        both.taste((dislike, "successive dislikes with one semantic id"), levels.saturating_sub(1)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn finding(question: &'static str, measure: &'static str, value: f64, judged: (String, Verdict)) -> Finding {
    Finding { question, measure, value, by_chance: None, shuffled: None, asked: judged.0, verdict: judged.1 }
}

fn most(value: f64, bounds: (f64, f64)) -> (String, Verdict) {
    (format!("at most {}", bounds.0), Verdict::at_most(value, bounds))
}

fn least(value: f64, bounds: (f64, f64)) -> (String, Verdict) {
    (format!("at least {}", bounds.0), Verdict::at_least(value, bounds))
}

fn shape(own: &SidQuality, asked: &Asked<'_>) -> Vec<Finding> {
    let usage = &own.usage;
    let used =
        usage.levels.iter().take(asked.levels).map(|level| level.perplexity / (level.used + level.dead).max(1) as f64);
    let used = used.fold(1.0, f64::min);
    let mut all = vec![
        finding(
            "Can ids tell items apart?",
            "items beyond the first of their id",
            usage.collision_rate,
            most(usage.collision_rate, (0.1, 0.3)),
        ),
        finding("Are the codes used?", "least even level: perplexity / K", used, least(used, (0.5, 0.2))),
    ];
    if let (Some(last), true) = (own.depths.get(asked.levels.saturating_sub(1)), asked.levels > 1) {
        let forced = last.fan_out.forced;
        let question = "Does the last level decide anything?";
        all.push(finding(question, "prefixes that one code may follow", forced, most(forced, (0.5, 0.8))));
    }
    if asked.has_suffix
        && let Some(suffix) = own.depths.last()
    {
        let forced = 1.0 - suffix.fan_out.forced;
        let question = "How much does the suffix have to do?";
        all.push(finding(question, "ids that need it", forced, most(forced, (0.1, 0.3))));
    }
    all
}

fn stays(of: &QuantizerStability) -> Vec<Finding> {
    let ami = |depths: &[DepthStability]| depths.first().map(|depth| depth.adjusted_mutual_information);
    let mut all = Vec::new();
    if let Some(found) = of.seeds.iter().filter_map(|seed| ami(&seed.depths)).reduce(f64::min) {
        let question = "Are they the items' or chance's?";
        all.push(finding(question, "first codes, another seed: least AMI", found, least(found, (0.5, 0.25))));
    }
    if let Some(found) = of.time.as_ref().and_then(|time| ami(&time.depths)) {
        all.push(finding("Do they last?", "first codes, fitted earlier: AMI", found, least(found, (0.5, 0.25))));
    }
    if let Some(found) = of.noise.iter().find(|noise| noise.noise == NOISE).and_then(|n| n.same_prefix.first()) {
        let question = "Do they bear noise?";
        all.push(finding(question, "first codes kept under 5 % noise", *found, least(*found, (0.9, 0.7))));
    }
    all
}

#[cfg(test)]
mod tests;
