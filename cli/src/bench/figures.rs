//! Repeated measurements as median, range and number.

use serde_json::{Value, json};

/// Median, least and most of some numbers, with three digits after the point; null of none.
pub fn spread(values: &[f64]) -> Value {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    match (sorted.first(), sorted.last(), median(&sorted)) {
        (Some(least), Some(most), Some(median)) => {
            let [median, min, max] = [median, *least, *most].map(rounded);
            json!({"median": median, "min": min, "max": max, "repetitions": sorted.len()})
        }
        _ => Value::Null,
    }
}

/// The number in the middle of sorted ones; of an even number, the mean of the two.
fn median(sorted: &[f64]) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    Some(f64::midpoint(*sorted.get(last / 2)?, *sorted.get(last.div_ceil(2))?))
}

/// `part` in percent of `whole`, by their medians.
pub fn percent(part: &Value, whole: &Value) -> Value {
    match (part["median"].as_f64(), whole["median"].as_f64()) {
        (Some(part), Some(whole)) if whole > 0.0 => json!(rounded(100.0 * part / whole)),
        _ => Value::Null,
    }
}

fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_is_the_mean_of_the_two_in_the_middle() {
        let spread = spread(&[4.0, 1.0, 2.0, 30.0]);
        assert_eq!(spread, json!({"median": 3.0, "min": 1.0, "max": 30.0, "repetitions": 4}));
        assert_eq!(percent(&spread, &json!({"median": 6.0})), json!(50.0));
    }

    #[test]
    fn nothing_measured_is_null() {
        assert_eq!(spread(&[]), Value::Null);
        assert_eq!(percent(&Value::Null, &json!({"median": 6.0})), Value::Null);
    }
}
