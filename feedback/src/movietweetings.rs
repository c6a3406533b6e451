//! Reads MovieTweetings: `ratings.dat` (`user::movie::rating::unix time`) and `movies.dat`
//! (`id::Title (Year)::Genre|Genre`), both UTF-8.

use crate::dataset::{Dataset, Item};
use crate::dataset_builder::{BuildError, Catalogue, DatasetBuilder, Mark, Record};
use conrec_domain::spec::DataSpec;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The two files of the dataset.
pub const RATINGS: &str = "ratings.dat";
/// Its catalogue.
pub const MOVIES: &str = "movies.dat";

/// Why the data cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A file cannot be opened or is not UTF-8.
    #[error(
        "cannot read {}: {source}; put MovieTweetings' ratings.dat and movies.dat there, or set data.path \
         to the folder that holds them",
        path.display()
    )]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The records make no dataset.
    #[error("{0}")]
    Build(#[from] BuildError),
}

/// Reads and cleans the dataset in `folder`. Users are numbered by their numeric id, items in the catalogue's order;
/// with `spec.max_users` only the first users stay.
pub fn read(folder: &Path, spec: &DataSpec) -> Result<Dataset, ReadError> {
    let mut builder = DatasetBuilder::new(spec, Catalogue::All);
    each_line(&folder.join(MOVIES), &mut builder, |line, builder| builder.item(parse_movie(line)?))?;
    let ratings = folder.join(RATINGS);
    each_line(&ratings, &mut builder, |line, builder| {
        let (user, item, value, time) = parse_rating(line)?;
        builder.push(Record { user: &user.to_string(), item, time, mark: Mark::Rating(value) })
    })?;
    Ok(builder.finish(&ratings.display().to_string())?)
}

/// Gives every line that is not blank to `take`; what it refuses is counted, the first with its place.
fn each_line(
    path: &Path,
    builder: &mut DatasetBuilder,
    mut take: impl FnMut(&str, &mut DatasetBuilder) -> Result<(), String>,
) -> Result<(), ReadError> {
    let text = fs::read_to_string(path).map_err(|source| ReadError::File { path: path.into(), source })?;
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let outcome = take(line, builder);
        builder.line(outcome, || format!("{}:{}", path.display(), number + 1));
    }
    Ok(())
}

fn parse_rating(line: &str) -> Result<(u64, &str, f64, i64), String> {
    let fields: Vec<&str> = line.split("::").collect();
    let [user, movie, rating, time] = fields[..] else {
        return Err(format!("found {} fields, expected 4: user::movie::rating::time", fields.len()));
    };
    let number = |what: &str, text: &str| format!("found {what} `{text}`, expected a number");
    let user_id = user.trim().parse().map_err(|_| number("user", user))?;
    let value: f64 = rating.trim().parse().map_err(|_| number("rating", rating))?;
    if !value.is_finite() {
        return Err(number("rating", rating));
    }
    let unix = time.trim().parse().map_err(|_| number("time", time))?;
    Ok((user_id, movie.trim(), value, unix))
}

fn parse_movie(line: &str) -> Result<Item, String> {
    let (key, rest) = line.split_once("::").ok_or("found 1 field, expected 3: id::Title (Year)::Genre|Genre")?;
    // A title may hold `::`; the genres are what comes after the last.
    let (full, genres) = rest.rsplit_once("::").ok_or("found 2 fields, expected 3: id::Title (Year)::Genre|Genre")?;
    if key.trim().is_empty() {
        return Err("found an empty movie id".into());
    }
    let (title, year) = split_year(full.trim());
    let categories = genres.split('|').map(str::trim).filter(|g| !g.is_empty()).map(str::to_owned).collect();
    Ok(Item { key: key.trim().to_owned(), title: title.to_owned(), year, categories })
}

/// `Title (1999)` -> (`Title`, 1999); a title without a year stays whole.
fn split_year(full: &str) -> (&str, Option<u16>) {
    let year = full.strip_suffix(')').and_then(|t| t.rsplit_once('(')).and_then(|(title, digits)| {
        let digits = Some(digits).filter(|d| d.len() == 4 && d.bytes().all(|b| b.is_ascii_digit()))?;
        Some((title.trim_end(), digits.parse().ok()?))
    });
    year.map_or((full, None), |(title, year)| (title, Some(year)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Sign;
    use tempfile::TempDir;

    fn folder(ratings: &str, movies: &str) -> TempDir {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join(RATINGS), ratings).unwrap();
        fs::write(folder.path().join(MOVIES), movies).unwrap();
        folder
    }

    const SOME_MOVIES: &str = "02::Café: A::B (1999)::Sci-Fi|Drama\n01::No year::\n02::Again (2000)::Drama\n";

    #[test]
    fn reads_cleans_and_counts() {
        let ratings = "10::01::5::300\n2::02::8::100\n2::02::8::100\n2::77::1::50\n10::02::6::300\n";
        let dir = folder(ratings, SOME_MOVIES);
        let data = read(dir.path(), &DataSpec { keep_unlisted_items: false, ..DataSpec::default() }).unwrap();
        assert_eq!(data.users, ["2", "10"]);
        let expected = Item {
            key: "02".into(),
            title: "Café: A::B".into(),
            year: Some(1999),
            categories: vec!["Sci-Fi".into(), "Drama".into()],
        };
        assert_eq!(data.items[0], expected);
        assert_eq!((data.items[1].title.as_str(), data.items[1].year), ("No year", None));
        assert!(data.items[1].categories.is_empty());
        let events: Vec<_> = data.events.iter().map(|e| (e.time, e.user, e.item, e.sign)).collect();
        assert_eq!(events, [(100, 0, 0, Sign::Positive), (300, 1, 0, Sign::Neutral), (300, 1, 1, Sign::Negative)]);
        assert_eq!(
            data.dropped.to_string(),
            "dropped 1 duplicate items, 1 ratings of unknown items, 1 duplicate ratings"
        );
    }

    #[test]
    fn keeps_only_the_first_users() {
        let dir = folder("10::01::5::3\n9::02::8::1\n11::02::8::1\n", SOME_MOVIES);
        let data = read(dir.path(), &DataSpec { max_users: 2, ..DataSpec::default() }).unwrap();
        assert_eq!(data.users, ["9", "10"]);
        assert_eq!((data.dropped.users_over_limit, data.dropped.ratings_over_limit), (1, 1));
    }

    #[test]
    fn malformed_lines_are_counted_and_the_first_is_named() {
        let dir = folder("1::01::5::3\n1::01::five::3\n1::01::5\n", SOME_MOVIES);
        let error = read(dir.path(), &DataSpec::default()).unwrap_err().to_string();
        assert!(error.contains("ratings.dat:2: found rating `five`, expected a number; 2 of 6 lines"), "{error}");
        let data = read(dir.path(), &DataSpec { malformed_share: 0.5, ..DataSpec::default() }).unwrap();
        assert_eq!((data.events.len(), data.dropped.malformed_lines), (1, 2));
    }

    #[test]
    fn a_missing_file_is_named_with_what_to_do() {
        let dir = TempDir::new().unwrap();
        let error = read(dir.path(), &DataSpec::default()).unwrap_err().to_string();
        assert!(error.contains("movies.dat") && error.contains("data.path"), "{error}");
    }

    #[test]
    fn no_rating_of_a_known_movie_is_an_error() {
        let dir = folder("1::77::5::3\n", SOME_MOVIES);
        let spec = DataSpec { keep_unlisted_items: false, ..DataSpec::default() };
        let error = read(dir.path(), &spec).unwrap_err().to_string();
        assert!(error.contains("no events") && error.contains("1 ratings of unknown items"), "{error}");
    }
}
