//! `[data]`: which events are read, how they are split in time, and what makes an instance.

use super::TableSpec;
use crate::day::Day;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Where events come from and how they become instances (method: time split, thresholds).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataSpec {
    /// The reader to use.
    pub source: Source,
    /// Folder of the dataset's files; unused by the synthetic source.
    pub path: String,
    /// A rating at or below this is a negative.
    pub negative_at_most: f64,
    /// A rating at or above this is a positive; between the two lies `neutral`.
    pub positive_at_least: f64,
    /// Length of the future window that makes a target, in days.
    pub horizon_days: u32,
    /// Ask at the end of a negative's day what the user dislikes on later days; else at the negative itself.
    pub later_day_only: bool,
    /// Days between the validation window's end and the test window's start; at least the horizon, so that no target of
    /// the validation window lies in the test window.
    pub gap_days: u32,
    /// Length of the validation window, in days.
    pub validation_days: u32,
    /// Length of the test window, in days.
    pub test_days: u32,
    /// First day whose events are read, such as `2013-04-03` (UTC); empty: from the first event on.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub from: String,
    /// Last day whose events are read; empty: to the last event.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub until: String,
    /// The reader stops when more than this share of lines cannot be read.
    pub malformed_share: f64,
    /// Keep only the first n users by id (0: all); for quick runs.
    pub max_users: u32,
    /// Keep events of items that the catalogue lacks; such an item has its id for a title.
    pub keep_unlisted_items: bool,
    /// The columns of any table; used only with `source = "table"`.
    pub table: TableSpec,
    /// The generator's settings; used only with `source = "synthetic"`.
    pub synthetic: SyntheticSpec,
}

impl Default for DataSpec {
    fn default() -> Self {
        Self {
            source: Source::MovieTweetings,
            path: "data/movietweetings-100k".into(),
            negative_at_most: 5.0,
            positive_at_least: 7.0,
            horizon_days: 7,
            later_day_only: false,
            gap_days: 7,
            validation_days: 14,
            test_days: 25,
            from: String::new(),
            until: String::new(),
            malformed_share: 0.001,
            max_users: 0,
            keep_unlisted_items: true,
            table: TableSpec::default(),
            synthetic: SyntheticSpec::default(),
        }
    }
}

impl DataSpec {
    /// The days that are read; none where the config leaves them open.
    pub fn days(&self) -> (Option<Day>, Option<Day>) {
        (self.from.parse().ok(), self.until.parse().ok())
    }

    /// The times that are read: from the first second of `from` to before the first second after `until`.
    pub fn times(&self) -> Range<i64> {
        let (from, until) = self.days();
        from.map_or(i64::MIN, Day::start)..until.map_or(i64::MAX, Day::end)
    }

    /// Names of the table's files of events, with the days of the window in the place of `{date}`, oldest first.
    pub fn event_files(&self) -> Vec<String> {
        let days: Vec<Day> = match self.days() {
            (Some(from), Some(until)) => from.through(until).collect(),
            _ => Vec::new(),
        };
        let of = |name: &String| -> Vec<String> {
            if !name.contains(DATE) {
                return vec![name.clone()];
            }
            days.iter().map(|day| name.replace(DATE, &day.to_string())).collect()
        };
        self.table.events.iter().flat_map(of).collect()
    }

    /// Whether each day has files of its own.
    pub fn is_daily(&self) -> bool {
        self.source == Source::Table && self.table.events.iter().any(|name| name.contains(DATE))
    }
}

/// What stands for a day in the name of a file.
pub const DATE: &str = "{date}";

/// The datasets that have a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// `ratings.dat` and `movies.dat`, `::` separated.
    #[serde(rename = "movietweetings")]
    MovieTweetings,
    /// MovieLens 100k, 1M, 10M, 20M, 25M, 32M or latest, as its files say.
    #[serde(rename = "movielens")]
    MovieLens,
    /// RecBole's atomic files: `*.inter` and `*.item`.
    #[serde(rename = "recbole")]
    RecBole,
    /// Amazon reviews of 2014: `ratings_*.csv` or `reviews_*.json.gz`, and `meta_*.json.gz`.
    #[serde(rename = "amazon_2014")]
    Amazon2014,
    /// Amazon reviews of 2018.
    #[serde(rename = "amazon_2018")]
    Amazon2018,
    /// Amazon reviews of 2023: `*.jsonl.gz` and `meta_*.jsonl.gz`.
    #[serde(rename = "amazon_2023")]
    Amazon2023,
    /// KuaiRand 1K, Pure or 27K: `log_*.csv` with `is_hate`.
    #[serde(rename = "kuairand")]
    KuaiRand,
    /// Yambda's flat Parquet files of dislikes, likes and listens.
    Yambda,
    /// VK-LSVD's Parquet files of a week each.
    VkLsvd,
    /// Reviews on Steam: `australian_user_reviews.json.gz` and `steam_games.json.gz`.
    Steam,
    /// Any CSV, Parquet or JSON lines by the columns of `[data.table]`.
    Table,
    /// Made by the seeded generator; the truth is known.
    Synthetic,
}

/// The seeded generator: users with disliked regions of the catalogue that drift slowly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SyntheticSpec {
    /// Number of users.
    pub users: u32,
    /// Number of items.
    pub items: u32,
    /// Number of regions (clusters) of the catalogue.
    pub regions: u32,
    /// Length of the stream, in days.
    pub days: u32,
    /// Mean exposures a user sees in a day.
    pub exposures_per_day: f64,
    /// Disliked regions a user.
    pub disliked_regions: u32,
    /// Liked regions a user.
    pub liked_regions: u32,
    /// Probability that an exposed item of a disliked region is marked negative.
    pub dislike_rate: f64,
    /// Probability that an exposed item outside every disliked region is marked negative.
    pub noise_rate: f64,
    /// Probability that an exposed item of a liked region is marked positive.
    pub like_rate: f64,
    /// Probability a day that one of a user's disliked regions moves to another.
    pub drift_rate: f64,
    /// Exponent of the popularity of items in exposures; 0 is uniform.
    pub popularity: f64,
    /// Weight of personal taste in exposures: 0 exposes by popularity only.
    pub personal: f64,
    /// Days during which items of a region just disliked are shown less.
    pub filter_days: u32,
    /// Probability that an item drawn from such a region is shown all the same.
    pub filtered_rate: f64,
    /// Keep exposures that draw no reaction, as neutral events; without them only dislikes and likes are left.
    pub neutral_events: bool,
    /// Share of items that belong to no region.
    pub neutral_share: f64,
    /// Dimension of the item vectors.
    pub dimensions: u32,
    /// Standard deviation of an item's vector around its region's centre.
    pub spread: f64,
}

impl Default for SyntheticSpec {
    fn default() -> Self {
        Self {
            users: 2000,
            items: 1200,
            regions: 40,
            days: 90,
            exposures_per_day: 2.0,
            disliked_regions: 3,
            liked_regions: 4,
            dislike_rate: 0.5,
            noise_rate: 0.01,
            like_rate: 0.3,
            drift_rate: 0.01,
            popularity: 0.2,
            personal: 0.5,
            filter_days: 1,
            filtered_rate: 0.1,
            neutral_events: true,
            neutral_share: 0.1,
            dimensions: 32,
            spread: 0.35,
        }
    }
}
