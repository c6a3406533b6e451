//! The run's outcome in words: GRPO against SFT and against recent popularity, no better than the intervals allow.

use super::data::{Interval, ReportData};
use conrec_feedback::report_order::{base_of, is_own};

/// Which way GRPO lies from SFT on the main metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Above: the interval leaves chance out.
    Better,
    /// Cannot be told apart, or there is nothing to compare.
    Level,
    /// Below: the interval leaves chance out.
    Worse,
}

/// What the page says first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// For the colour.
    pub tone: Tone,
    /// One line.
    pub headline: String,
    /// The sentences below it, each with its numbers.
    pub sentences: Vec<String>,
}

/// The popularity baselines that see only the last days: the ones that are hard to beat.
const RECENT_POPULARITY: [&str; 3] = ["neg_pop_7d", "neg_pop_28d", "pop_7d"];

/// Compares GRPO with SFT on FHR and CandAcc, and with the best recent popularity on FHR.
pub fn verdict(report: &ReportData) -> Verdict {
    let Some(main) = comparison(report, "grpo", "sft", "fhr") else {
        let headline =
            if report.models.is_empty() { "Nothing was evaluated" } else { "GRPO and SFT were not compared" };
        return Verdict { tone: Tone::Level, headline: headline.into(), sentences: Vec::new() };
    };
    let metric = &main.metric;
    let headline = match (main.tone, main.left.value == main.right.value) {
        (Tone::Better, _) => format!("GRPO is above SFT on {metric}"),
        (Tone::Worse, _) => format!("GRPO is below SFT on {metric}"),
        (Tone::Level, true) => format!("GRPO and SFT have the same {metric}"),
        (Tone::Level, false) => format!("GRPO and SFT cannot be told apart on {metric}"),
    };
    let mut sentences = vec![main.sentence()];
    sentences.extend(comparison(report, "grpo", "sft", "cand_acc").map(|c| c.sentence()));
    sentences.extend(best_of(report, &RECENT_POPULARITY, "fhr").and_then(|rival| {
        let c = comparison(report, "grpo", rival, "fhr")?;
        Some(format!("Against recent popularity: {}", c.sentence()))
    }));
    for metric in ["fhr", "cand_acc"] {
        sentences.extend(best_rival(report, metric));
    }
    sentences.push(
        "One run with one seed: runs that differ in nothing but their seed differ too. `conrec reproduce` trains three."
            .to_owned(),
    );
    Verdict { tone: main.tone, headline, sentences }
}

/// Against the baseline that is best on this very window: the choice favours it, and leaves no room for choosing rivals.
fn best_rival(report: &ReportData, metric: &str) -> Option<String> {
    let rivals: Vec<&str> = report.models.keys().map(String::as_str).filter(|name| !is_own(name)).collect();
    let rival = best_of(report, &rivals, metric)?;
    let measured = rivals.iter().filter(|name| report.metric(name, metric).is_some()).count();
    let found = comparison(report, "grpo", rival, metric)?;
    Some(format!("Against the best of {measured} baselines, chosen on this window in its favour: {}", found.sentence()))
}

/// The name with the highest value of the metric.
fn best_of<'a>(report: &ReportData, names: &[&'a str], metric: &str) -> Option<&'a str> {
    let value = |name: &str| report.metric(name, metric).map(|(_, interval)| interval.value);
    names.iter().filter_map(|name| Some((*name, value(name)?))).max_by(|a, b| a.1.total_cmp(&b.1)).map(|(name, _)| name)
}

/// Two models on one metric.
struct Comparison {
    names: (String, String),
    metric: String,
    left: Interval,
    right: Interval,
    paired: Option<Interval>,
    tone: Tone,
}

fn comparison(report: &ReportData, left: &str, right: &str, name: &str) -> Option<Comparison> {
    let (metric, l) = report.metric(left, name)?;
    let (_, r) = report.metric(right, name)?;
    let paired = report.differences.iter().find_map(|d| {
        let straight = d.left == left && d.right == right && base_of(&d.metric) == name;
        let turned = d.left == right && d.right == left && base_of(&d.metric) == name;
        let negated = Interval {
            value: -d.interval.value,
            low: d.interval.high.map(|x| -x),
            high: d.interval.low.map(|x| -x),
            n: d.interval.n,
        };
        straight.then_some(d.interval).or_else(|| turned.then_some(negated))
    });
    let tone = tone(l, r, paired);
    let names = (shown(left), shown(right));
    Some(Comparison {
        names,
        metric: metric.to_uppercase().replace("CAND_ACC", "CandAcc"),
        left: l,
        right: r,
        paired,
        tone,
    })
}

/// Paired intervals decide where they exist; otherwise the two intervals must not touch.
fn tone(left: Interval, right: Interval, paired: Option<Interval>) -> Tone {
    if let Some(Interval { low: Some(low), high: Some(high), .. }) = paired {
        return match (low > 0.0, high < 0.0) {
            (true, _) => Tone::Better,
            (_, true) => Tone::Worse,
            (false, false) => Tone::Level,
        };
    }
    match (left.low, left.high, right.low, right.high) {
        (Some(low), _, _, Some(high)) if low > high => Tone::Better,
        (_, Some(high), Some(low), _) if high < low => Tone::Worse,
        _ => Tone::Level,
    }
}

impl Comparison {
    fn sentence(&self) -> String {
        let (left, right) = (&self.names.0, &self.names.1);
        let apart = apart(self.left, self.right);
        let relation = match (self.tone, apart, self.paired) {
            (Tone::Better, Some(true), _) => format!("{left} is above {right}, intervals apart"),
            (Tone::Worse, Some(true), _) => format!("{left} is below {right}, intervals apart"),
            (Tone::Better, _, _) => format!("{left} is above {right} user by user, though the two intervals overlap"),
            (Tone::Worse, _, _) => format!("{left} is below {right} user by user, though the two intervals overlap"),
            (Tone::Level, None, None) => format!("{left} and {right} have no intervals, so nothing can be said"),
            (Tone::Level, _, _) => format!("{left} and {right} cannot be told apart"),
        };
        let difference =
            self.paired.map(|d| format!("; paired difference {:+.4}{}", d.value, range(d, true))).unwrap_or_default();
        format!(
            "{}: {relation} ({:.4}{} against {:.4}{}{difference}).",
            self.metric,
            self.left.value,
            range(self.left, false),
            self.right.value,
            range(self.right, false),
        )
    }
}

/// Whether two intervals do not touch; none when one of them is unknown.
fn apart(a: Interval, b: Interval) -> Option<bool> {
    Some(a.low? > b.high? || a.high? < b.low?)
}

fn range(interval: Interval, signed: bool) -> String {
    match (interval.low, interval.high) {
        (Some(low), Some(high)) if signed => format!(" [{low:+.4}, {high:+.4}]"),
        (Some(low), Some(high)) => format!(" [{low:.4}, {high:.4}]"),
        _ => String::new(),
    }
}

/// `GRPO` and `SFT` in capitals; the baselines by their names.
fn shown(model: &str) -> String {
    match model {
        "grpo" | "sft" => model.to_uppercase(),
        _ => model.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::data::Difference;
    use super::super::sample;
    use super::*;

    fn interval(value: f64, low: f64, high: f64) -> Interval {
        Interval { value, low: Some(low), high: Some(high), n: Some(100) }
    }

    fn report(grpo: Interval, sft: Interval, paired: Option<Interval>) -> ReportData {
        let (mut report, _) = sample::run();
        for (name, value) in [("grpo", grpo), ("sft", sft)] {
            report.models.entry(name.into()).or_default().insert("fhr@20".into(), value);
        }
        report.differences = paired
            .map(|interval| Difference { left: "grpo".into(), right: "sft".into(), metric: "fhr@20".into(), interval })
            .into_iter()
            .collect();
        report
    }

    #[test]
    fn intervals_apart_are_called_above() {
        let v = verdict(&report(interval(0.3, 0.28, 0.32), interval(0.2, 0.18, 0.22), None));
        assert_eq!(v.tone, Tone::Better);
        assert!(v.sentences[0].contains("intervals apart"), "{}", v.sentences[0]);
    }

    #[test]
    fn overlapping_intervals_without_a_paired_test_are_level() {
        let v = verdict(&report(interval(0.23, 0.20, 0.26), interval(0.2, 0.18, 0.22), None));
        assert_eq!(v.tone, Tone::Level);
        assert!(v.headline.contains("cannot be told apart"));
    }

    #[test]
    fn a_paired_difference_below_zero_is_called_below_even_when_intervals_overlap() {
        let paired = interval(-0.01, -0.018, -0.002);
        let v = verdict(&report(interval(0.20, 0.17, 0.23), interval(0.21, 0.18, 0.24), Some(paired)));
        assert_eq!(v.tone, Tone::Worse);
        assert!(v.sentences[0].contains("overlap") && v.sentences[0].contains("-0.0100 [-0.0180, -0.0020]"));
    }

    #[test]
    fn a_paired_difference_given_the_other_way_round_is_turned() {
        let mut report = report(interval(0.3, 0.1, 0.5), interval(0.2, 0.1, 0.5), Some(interval(-0.1, -0.15, -0.05)));
        let d = &mut report.differences[0];
        (d.left, d.right) = ("sft".into(), "grpo".into());
        assert_eq!(verdict(&report).tone, Tone::Better);
    }

    #[test]
    fn the_best_baseline_is_named_whatever_it_is_and_so_is_the_single_seed() {
        let mut report = report(interval(0.3, 0.28, 0.32), interval(0.2, 0.18, 0.22), None);
        report.models.get_mut("rocchio").unwrap().insert("fhr@20".into(), interval(0.58, 0.5, 0.63));
        report.models.get_mut("sft").unwrap().insert("cand_acc".into(), interval(0.9, 0.8, 0.95));
        let v = verdict(&report);
        let all = v.sentences.join("\n");
        assert!(all.contains("best of 6 baselines") && all.contains("GRPO is below rocchio, intervals apart"), "{all}");
        assert!(all.contains("CandAcc: GRPO is below dislike_rate"), "SFT is no baseline: {all}");
        assert!(all.contains("one seed"), "{all}");
    }

    #[test]
    fn recent_popularity_is_named_with_its_best_member() {
        let mut report = report(interval(0.2, 0.18, 0.22), interval(0.2, 0.18, 0.22), None);
        report.models.get_mut("neg_pop_7d").unwrap().insert("fhr@20".into(), interval(0.24, 0.225, 0.267));
        let v = verdict(&report);
        let last = v.sentences.iter().find(|sentence| sentence.starts_with("Against recent")).unwrap();
        assert!(last.contains("GRPO is below neg_pop_7d, intervals apart"), "{last}");
    }
}
