//! How every table of models is ordered and its metrics found, so that all of them read alike.

/// Our own policies in the order people look for: an adapter that was asked for, GRPO, SFT, and the two with popularity.
const OWN: [&str; 5] = ["adapter", "grpo", "sft", "grpo_with_popularity", "sft_with_popularity"];

/// Whether a model of a report is one of ours; the others are what it is held against.
pub fn is_own(model: &str) -> bool {
    OWN.contains(&model)
}

/// Names of models as tables show them: ours, then the others by `value`, highest first, then by name.
pub fn in_order<'a>(models: impl Iterator<Item = &'a str>, value: impl Fn(&str) -> f64) -> Vec<&'a str> {
    let place = |name: &str| OWN.iter().position(|own| *own == name).unwrap_or(OWN.len());
    let mut names: Vec<&str> = models.collect();
    names.sort_by(|a, b| place(a).cmp(&place(b)).then(value(b).total_cmp(&value(a))).then(a.cmp(b)));
    names
}

/// A metric without the length of the list: `fhr` of `fhr@20`.
pub fn base_of(metric: &str) -> &str {
    metric.split('@').next().unwrap_or(metric)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_come_first_and_the_others_by_their_value() {
        let models = ["rocchio", "sft", "a", "grpo_with_popularity", "grpo", "neg_pop"];
        let value = |name: &str| if name == "neg_pop" { 0.3 } else { 0.1 };
        let expected = ["grpo", "sft", "grpo_with_popularity", "neg_pop", "a", "rocchio"];
        assert_eq!(in_order(models.into_iter(), value), expected);
        assert!(is_own("sft_with_popularity") && !is_own("neg_pop"));
    }

    #[test]
    fn the_length_of_the_list_is_no_part_of_a_metrics_base() {
        assert_eq!([base_of("fhr@20"), base_of("cand_acc"), base_of("fhr@20_7d")], ["fhr", "cand_acc", "fhr"]);
    }
}
