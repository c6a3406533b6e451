//! The rules of `[data]` and `[data.synthetic]`; those of `[data.table]` stand beside.

use super::{Findings, table};
use crate::day::{Day, SECONDS};
use crate::spec::{DataSpec, Source, Statistics, SyntheticSpec, Violation};

/// Longest stream and window in days: a century; larger numbers are typing errors.
const DAYS_AT_MOST: u32 = 36_500;

/// Checks `[data]`; `statistics` decide how many gaps there are.
pub(super) fn check(data: &DataSpec, statistics: Statistics, findings: &mut Findings) {
    let DataSpec {
        source,
        path,
        negative_at_most,
        positive_at_least,
        horizon_days,
        later_day_only: _,
        gap_days,
        validation_days,
        test_days,
        from,
        until,
        malformed_share,
        max_users: _, // every number is allowed: 0 keeps all users
        keep_unlisted_items: _,
        table,
        synthetic,
    } = data;
    findings.require(
        *source == Source::Synthetic || !path.trim().is_empty(),
        "data.path",
        format!("{path:?}"),
        "the folder that holds the dataset's files",
    );
    if *source == Source::Table {
        table::check(table, findings);
    }
    findings.require(
        negative_at_most.is_finite() && positive_at_least.is_finite() && negative_at_most < positive_at_least,
        "data.negative_at_most",
        negative_at_most,
        &format!("a finite number below data.positive_at_least = {positive_at_least}: a rating cannot be both"),
    );
    for (key, days) in [
        ("data.horizon_days", *horizon_days),
        ("data.validation_days", *validation_days),
        ("data.test_days", *test_days),
    ] {
        findings.require((1..=DAYS_AT_MOST).contains(&days), key, days, "1 to 36500 days");
    }
    check_gap(*gap_days, *horizon_days, findings);
    check_days((from, until), data.is_daily(), findings);
    findings.share("data.malformed_share", *malformed_share);
    check_synthetic(synthetic, findings);
    // A gap that is too short would count for less than it must.
    if *source == Source::Synthetic && gap_days >= horizon_days {
        check_stream(data, statistics, findings);
    }
}

/// A horizon that begins in the validation window must end before the test window begins.
fn check_gap(gap_days: u32, horizon_days: u32, findings: &mut Findings) {
    findings.require(gap_days <= DAYS_AT_MOST, "data.gap_days", gap_days, "data.horizon_days to 36500 days");
    findings.require(
        gap_days >= horizon_days || horizon_days > DAYS_AT_MOST,
        "data.gap_days",
        gap_days,
        &format!(
            "{horizon_days} or more with data.horizon_days = {horizon_days}: with less, targets of the validation window lie \
             in the test window, and what is chosen on the one has seen the other; set data.gap_days = {horizon_days}, or \
             a shorter data.horizon_days"
        ),
    );
}

/// The window of days; files with a day in their name need both of its ends.
fn check_days((from, until): (&str, &str), is_daily: bool, findings: &mut Findings) {
    let parsed = [("data.from", from), ("data.until", until)].map(|(key, text)| {
        let day = text.parse::<Day>().ok();
        let allowed = if is_daily {
            "a day such as 2013-04-03: data.table.events has {date} in it, so the window must be known"
        } else {
            "a day such as 2013-04-03, or \"\""
        };
        findings.require(day.is_some() || (text.is_empty() && !is_daily), key, format!("{text:?}"), allowed);
        day
    });
    if let [Some(first), Some(last)] = parsed {
        let days = last.start().saturating_sub(first.start()) / SECONDS;
        let holds = first <= last && days < i64::from(DAYS_AT_MOST);
        findings.require(holds, "data.until", last, &format!("data.from = {first} or up to 36500 days later"));
    }
}

/// The generator's stream must be longer than horizon, windows and gaps. Other sources are as long as they are: what
/// reads them checks the same.
fn check_stream(data: &DataSpec, statistics: Statistics, findings: &mut Findings) {
    let days = data.synthetic.days;
    let stream = format!("the stream has data.synthetic.days = {days}");
    if let Err(overrun) = data.check_windows(statistics, u64::from(days.saturating_sub(1)), &stream) {
        findings.0.push(overrun.longest.unwrap_or_else(|| Violation {
            key: "data.synthetic.days".into(),
            found: days.to_string(),
            allowed: format!("more than {}: {}, and some must be left to train on", overrun.needed, overrun.parts),
        }));
    }
}

/// Checks `[data.synthetic]`; the rules hold whatever the source is, so that a mistake is found early.
fn check_synthetic(synthetic: &SyntheticSpec, findings: &mut Findings) {
    let SyntheticSpec {
        users,
        items,
        regions,
        days,
        exposures_per_day,
        disliked_regions,
        liked_regions,
        dislike_rate,
        noise_rate,
        like_rate,
        drift_rate,
        popularity,
        personal,
        filter_days,
        filtered_rate,
        // Either is allowed.
        neutral_events: _,
        neutral_share,
        dimensions,
        spread,
    } = synthetic;
    findings.at_least_one("data.synthetic.users", *users);
    findings.at_least_one("data.synthetic.regions", *regions);
    findings.require(
        items >= regions,
        "data.synthetic.items",
        items,
        &format!("at least data.synthetic.regions = {regions}: an item a region"),
    );
    findings.require((1..=DAYS_AT_MOST).contains(days), "data.synthetic.days", days, "1 to 36500 days");
    findings.above_zero("data.synthetic.exposures_per_day", *exposures_per_day);
    findings.at_least_one("data.synthetic.disliked_regions", *disliked_regions);
    findings.require(
        u64::from(*disliked_regions) + u64::from(*liked_regions) <= u64::from(*regions),
        "data.synthetic.disliked_regions",
        disliked_regions,
        &format!("together with liked_regions = {liked_regions} at most regions = {regions}"),
    );
    for (key, rate) in [
        ("data.synthetic.dislike_rate", *dislike_rate),
        ("data.synthetic.noise_rate", *noise_rate),
        ("data.synthetic.like_rate", *like_rate),
        ("data.synthetic.drift_rate", *drift_rate),
        ("data.synthetic.filtered_rate", *filtered_rate),
    ] {
        findings.share(key, rate);
    }
    findings.not_negative("data.synthetic.popularity", *popularity);
    findings.not_negative("data.synthetic.personal", *personal);
    findings.require(filter_days <= days, "data.synthetic.filter_days", filter_days, "at most data.synthetic.days");
    findings.below_one("data.synthetic.neutral_share", *neutral_share);
    findings.at_least_one("data.synthetic.dimensions", *dimensions);
    findings.not_negative("data.synthetic.spread", *spread);
}
