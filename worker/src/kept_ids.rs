//! Semantic ids that stay from run to run: every run leaves its quantizer and the ids of all items that it ever had in
//! `quantizer/`. A run that goes on from it gives items that are known there their ids, and all others codes from that
//! quantizer: nothing is fitted.

use crate::error::WorkerError;
use crate::run_folder::RunFolder;
use crate::semantic_ids::{IdSource, MadeIds, membership};
use conrec_domain::spec::{Collisions, RunSpec};
use conrec_feedback::collisions::SuffixError;
use conrec_feedback::dataset::Dataset;
use conrec_feedback::matrix::Matrix;
use conrec_feedback::semantic_id::SemanticIds;
use conrec_feedback::sid_files::{SidIndex, index_text};
use conrec_policy::kept_quantizer::KeptQuantizer;
use conrec_policy::rq_vae::cell_vectors;
use std::collections::{BTreeMap, BTreeSet};

/// Folder of the quantizer and its ids, in a run's folder.
pub const FOLDER: &str = "quantizer";
/// What turns items into codes.
const QUANTIZER: &str = "quantizer/quantizer.safetensors";
/// The ids of all items that ever had one.
const INDEX: &str = "quantizer/index.json";

/// What an earlier run left.
pub struct KeptIds {
    /// Its quantizer.
    pub quantizer: KeptQuantizer,
    known: BTreeMap<String, Vec<u16>>,
}

impl KeptIds {
    /// Reads what a run left; `spec` is that of the run that goes on from it.
    ///
    /// # Errors
    /// Files that are missing (a run of an older version, or one with published ids) or damaged, or ids of another shape.
    pub fn open(folder: &RunFolder, spec: &RunSpec) -> Result<Self, WorkerError> {
        folder.fetch(FOLDER)?;
        let quantizer = KeptQuantizer::read(&folder.path(QUANTIZER))?;
        let file = folder.path(INDEX);
        let index = SidIndex::read(&file)?;
        let of = &spec.semantic_id;
        index.check(&file, of.id_levels() as usize, of.codes as usize)?;
        let books = quantizer.fitted.codebooks();
        if books.len() != of.levels as usize || books.iter().any(|book| book.rows != of.codes as usize) {
            let sizes: Vec<String> = books.iter().map(|book| book.rows.to_string()).collect();
            return Err(WorkerError::Config {
                key: "warm_start.run",
                found: format!("a run whose levels have {} codes", sizes.join(", ")),
                allowed: format!("{} levels of {} codes, as [semantic_id] says", of.levels, of.codes),
            });
        }
        let known = index.entries().map(|(key, codes)| (key.to_owned(), codes.to_vec())).collect();
        Ok(Self { quantizer, known })
    }

    /// The ids of a catalogue. `source.vectors` are not looked at: the quantizer brings what makes its own.
    ///
    /// # Errors
    /// Vectors of another width than the quantizer's, cells too full for a suffix.
    pub fn ids(&self, source: &IdSource<'_>) -> Result<MadeIds, WorkerError> {
        let spec = &source.spec.semantic_id;
        let dataset = source.dataset;
        let vectors = self.quantizer.vectorizer.transform(dataset).ok_or_else(|| WorkerError::Config {
            key: "warm_start.run",
            found: "a run with other item vectors".to_owned(),
            allowed: "one with the same semantic_id.vectors and their width".to_owned(),
        })?;
        let levels = spec.levels as usize;
        let assigned = self.quantizer.fitted.assign(&vectors)?.codes;
        let mut of_item: Vec<Vec<u16>> = assigned.chunks(levels).map(<[u16]>::to_vec).collect();
        let mut new = Vec::new();
        for (item, codes) in of_item.iter_mut().enumerate() {
            match self.known.get(&dataset.items[item].key) {
                Some(known) => codes.clone_from(known),
                None => new.push(item),
            }
        }
        if spec.collisions == Collisions::Suffix {
            self.number(&mut of_item, &new, source)?;
        }
        let members = membership(source.candidates, dataset.items.len());
        let ids = SemanticIds::new(spec.id_levels() as usize, spec.codes as usize, of_item.concat(), &members)?;
        let mut codebooks = self.quantizer.fitted.codebooks().to_vec();
        if spec.collisions == Collisions::Suffix {
            let latent = codebooks.first().map_or(0, |book| book.cols);
            codebooks.push(Matrix::zeros(spec.codes as usize, latent));
        }
        let cell_vectors = cell_vectors(&ids, &codebooks)?;
        Ok(MadeIds { ids, cell_vectors, input_error: Vec::new(), without_id: 0, quantizer: None })
    }

    /// Gives new items the first suffixes that no item of their cell ever had; those that are no candidates have 0 for now.
    fn number(&self, of_item: &mut [Vec<u16>], new: &[usize], source: &IdSource<'_>) -> Result<(), WorkerError> {
        let codes = source.spec.semantic_id.codes as usize;
        let mut taken: BTreeMap<Vec<u16>, BTreeSet<u16>> = BTreeMap::new();
        for known in self.known.values() {
            if let Some((suffix, cell)) = known.split_last() {
                taken.entry(cell.to_vec()).or_default().insert(*suffix);
            }
        }
        let candidates: BTreeSet<usize> = source.candidates.iter().map(|item| *item as usize).collect();
        for item in new {
            let cell = of_item[*item].clone();
            let mut suffix = 0;
            if candidates.contains(item) {
                let of_cell = taken.entry(cell.clone()).or_default();
                let free = (0..codes).filter_map(|code| u16::try_from(code).ok()).find(|code| !of_cell.contains(code));
                suffix = free.ok_or_else(|| {
                    let items = of_cell.len() + 1;
                    WorkerError::from(SuffixError { cell: SemanticIds::text(&cell), items, codes })
                })?;
                of_cell.insert(suffix);
            }
            of_item[*item].push(suffix);
        }
        Ok(())
    }
}

/// Leaves a pass's quantizer and ids for runs to come; `kept`: what the run itself went on from, whose items stay known.
///
/// # Errors
/// Files that cannot be written.
pub fn leave(
    folder: &RunFolder,
    quantizer: &KeptQuantizer,
    (dataset, ids): (&Dataset, &SemanticIds),
    kept: Option<&KeptIds>,
) -> Result<(), WorkerError> {
    let mut known = kept.map(|kept| kept.known.clone()).unwrap_or_default();
    // Only candidates have a cell; what others would get is decided when they become some.
    for cell in 0..ids.cells() {
        for item in ids.cell_items(cell as u32) {
            let key = &dataset.items[*item as usize].key;
            known.entry(key.clone()).or_insert_with(|| ids.item_codes(*item).to_vec());
        }
    }
    let path = folder.path(FOLDER);
    std::fs::create_dir_all(&path).map_err(|e| WorkerError::file(&path, e))?;
    quantizer.write(&folder.path(QUANTIZER))?;
    folder.publish(QUANTIZER)?;
    folder.write(INDEX, index_text(known.iter().map(|(key, codes)| (key.as_str(), codes.as_slice()))).as_bytes())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_folder::Place;
    use crate::semantic_ids::make_ids;
    use conrec_domain::spec::RunConfig;
    use conrec_feedback::dataset::Item;
    use conrec_feedback::tf_idf::TextFeatures;
    use conrec_feedback::vectorizer::{Content, Vectorizer};

    fn item(i: u16) -> Item {
        let (part, of) = (i % 5, i % 7);
        let categories = vec![["Drama", "War", "Comedy"][usize::from(i % 3)].to_owned()];
        Item { key: format!("i{i}"), title: format!("part {part} of {of}"), year: Some(1990 + i % 9), categories }
    }

    fn spec(collisions: &str) -> RunSpec {
        let sets = ["semantic_id.levels=2", "semantic_id.codes=16", collisions].map(str::to_owned);
        let text = include_str!("../../tests/configs/tiny.toml");
        RunSpec::check(RunConfig::parse_with(text, "tiny.toml", &sets).unwrap()).unwrap()
    }

    /// Leaves a quantizer that was fitted on 40 items, all of them but the last candidates; gives the ids.
    fn left(folder: &RunFolder, spec: &RunSpec) -> SemanticIds {
        let dataset = Dataset { items: (0..40).map(item).collect(), ..Dataset::default() };
        let candidates: Vec<u32> = (0..39).collect();
        let features = TextFeatures::fit(&dataset.items, &candidates, 8, 1);
        let vectorizer = Vectorizer { content: Content::Text(features), interactions: 0 };
        let vectors = vectorizer.transform(&dataset).unwrap();
        let source = IdSource { spec, dataset: &dataset, vectors: &vectors, candidates: &candidates };
        let made = make_ids(&source).unwrap();
        let quantizer = KeptQuantizer { vectorizer, fitted: made.quantizer.unwrap() };
        leave(folder, &quantizer, (&dataset, &made.ids), None).unwrap();
        made.ids
    }

    fn folder(store: &tempfile::TempDir) -> RunFolder {
        let store = store.path().to_str().unwrap().to_owned();
        RunFolder::open(&Place { store, scratch: None, run: "earlier".parse().unwrap() }).unwrap()
    }

    /// The catalogue of a later day: 10 of the items are gone, 20 are new.
    fn later() -> Dataset {
        Dataset { items: (10..60).map(item).collect(), ..Dataset::default() }
    }

    #[test]
    fn known_items_keep_their_ids_and_new_ones_get_codes_of_the_same_meaning() {
        let (store, spec) = (tempfile::tempdir().unwrap(), spec("semantic_id.collisions=none"));
        let folder = folder(&store);
        let before = left(&folder, &spec);
        let kept = KeptIds::open(&folder, &spec).unwrap();
        let (dataset, candidates) = (later(), (0..50).collect::<Vec<u32>>());
        let none = Matrix::zeros(0, 0);
        let source = IdSource { spec: &spec, dataset: &dataset, vectors: &none, candidates: &candidates };
        let made = kept.ids(&source).unwrap();
        for at in 0..29 {
            assert_eq!(made.ids.item_codes(at), before.item_codes(at + 10), "item {at}");
        }
        // New items get what the quantizer says of their text.
        let vectors = kept.quantizer.vectorizer.transform(&dataset).unwrap();
        let assigned = kept.quantizer.fitted.assign(&vectors).unwrap().codes;
        for at in 30..50u32 {
            assert_eq!(made.ids.item_codes(at), &assigned[at as usize * 2..][..2], "item {at}");
        }
        // What is left now knows the items that are gone too.
        leave(&folder, &kept.quantizer, (&dataset, &made.ids), Some(&kept)).unwrap();
        let again = KeptIds::open(&folder, &spec).unwrap();
        assert_eq!(again.known.len(), 60, "39 of then, one that was no candidate, and 20 new ones");
        assert_eq!(again.known["i3"], before.item_codes(3));
    }

    #[test]
    fn a_new_item_gets_a_suffix_that_no_item_of_its_cell_ever_had() {
        let (store, spec) = (tempfile::tempdir().unwrap(), spec("semantic_id.collisions=suffix"));
        let folder = folder(&store);
        left(&folder, &spec);
        let kept = KeptIds::open(&folder, &spec).unwrap();
        let (dataset, candidates) = (later(), (0..45).collect::<Vec<u32>>());
        let none = Matrix::zeros(0, 0);
        let source = IdSource { spec: &spec, dataset: &dataset, vectors: &none, candidates: &candidates };
        let made = kept.ids(&source).unwrap();
        for at in 30..45u32 {
            let own = made.ids.item_codes(at);
            let others = kept.known.values().filter(|known| known.as_slice() == own).count();
            assert_eq!(others, 0, "item {at}");
        }
    }

    #[test]
    fn another_shape_is_refused_with_the_key_that_is_to_blame() {
        let (store, spec) = (tempfile::tempdir().unwrap(), spec("semantic_id.collisions=none"));
        let folder = folder(&store);
        left(&folder, &spec);
        let mut wider: RunConfig = (*spec).clone();
        wider.semantic_id.codes = 17;
        let error = KeptIds::open(&folder, &RunSpec::check(wider).unwrap()).err().unwrap().to_string();
        assert!(error.contains("warm_start.run") && error.contains("2 levels of 17 codes"), "{error}");
    }
}
