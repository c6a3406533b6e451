//! KuaiRand (1K, Pure, 27K): each row of `log_*.csv` is a video that was shown, with flags of what the user did; `is_hate`
//! is an explicit dislike. Videos: `video_features_basic_*.csv`, and the captions and categories published beside.

use super::layout::{
    Categories, CategoryKind, Clock, Column, Delimited, EventFile, Feeling, Format, ItemFile, Layout, Time, Title,
};
use super::{ReadError, files};
use crate::dataset_builder::Catalogue;
use conrec_domain::spec::TimeUnit;
use std::path::{Path, PathBuf};

/// Flags that tell of pleasure.
const POSITIVE: [&str; 4] = ["is_like", "is_follow", "is_forward", "long_view"];

/// The files in `folder`, or in `data` below it as the archives have them.
pub(super) fn layout(folder: &Path) -> Result<Layout, ReadError> {
    let logs = files::first_matching(folder, &["log_*.csv", "data/log_*.csv"])?;
    if logs.is_empty() {
        return Err(files::none_of(folder, "KuaiRand", &["log_*.csv", "data/log_*.csv"]));
    }
    let event = |path| EventFile {
        path,
        format: Format::Delimited(Delimited::CSV),
        user: Column::named("user_id"),
        item: Column::named("video_id"),
        time: Time::Column { column: Column::named("time_ms"), unit: Clock::Known(TimeUnit::Milliseconds) },
        feeling: Feeling::Flags {
            negative: vec![Column::named("is_hate")],
            positive: POSITIVE.map(Column::named).into(),
        },
    };
    let find = |name: &str| files::first_matching(folder, &[name, &format!("data/{name}"), &format!("../{name}")]);
    let mut items = Vec::new();
    items.extend(find("kuairand_video_captions.csv")?.into_iter().map(captions));
    items.extend(find("kuairand_video_categories.csv")?.into_iter().map(categories));
    items.extend(find("video_features_basic_*.csv")?.into_iter().map(basic));
    Ok(Layout { events: logs.into_iter().map(event).collect(), items, catalogue: Catalogue::WithEvents })
}

fn captions(path: PathBuf) -> ItemFile {
    let title = Column::any(&["caption", "show_cover_text"]).optional();
    described(path, Some(Title { column: title, with_year: false }), Vec::new())
}

fn categories(path: PathBuf) -> ItemFile {
    let level = |level: &str| Categories {
        column: Column::named(&format!("{level}_level_category_name")).optional(),
        kind: CategoryKind::Names(String::new()),
    };
    described(path, None, ["first", "second", "third", "fourth"].map(level).into())
}

fn described(path: PathBuf, title: Option<Title>, categories: Vec<Categories>) -> ItemFile {
    let key = Column::any(&["final_video_id", "video_id"]);
    ItemFile { path, format: Format::Delimited(Delimited::CSV), key, title, year: None, categories }
}

fn basic(path: PathBuf) -> ItemFile {
    let column = |name: &str, kind| Categories { column: Column::named(name).optional(), kind };
    let categories =
        vec![column("tag", CategoryKind::Names(",".into())), column("author_id", CategoryKind::Numbered("author"))];
    ItemFile { year: Some(Column::named("upload_dt").optional()), ..described(path, None, categories) }
}
