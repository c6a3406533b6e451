//! The translation stage's prompts as a worker has them: of items that training time knows, read back from what was
//! prepared, with nothing but the base's own words and the item's codes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use conrec_domain::spec::{RunConfig, RunSpec};
use conrec_domain::work::Pass;
use conrec_policy::base_model::BaseModel;
use conrec_worker::pass_data::PassData;
use conrec_worker::prepare::{prepare, read};
use conrec_worker::run_folder::{Place, RunFolder};
use conrec_worker::stage_prompts::{LeasePrompts, StagePrompts};
use std::path::Path;

const CONFIG: &str = include_str!("../../tests/configs/pretrained.toml");

/// The prepared passes of the tiny config.
fn prepared(folder: &Path, overrides: &[&str]) -> (RunSpec, BaseModel, RunFolder) {
    tch::set_num_threads(1);
    let overrides: Vec<String> = overrides.iter().map(|one| (*one).to_owned()).collect();
    let mut config = RunConfig::parse_with(CONFIG, "pretrained.toml", &overrides).unwrap();
    config.model.base = format!("{}/../{}", env!("CARGO_MANIFEST_DIR"), config.model.base);
    let spec = RunSpec::check(config).unwrap();
    let base = BaseModel::load(&spec, Path::new(&spec.model.base)).unwrap();
    let place = Place { store: folder.to_str().unwrap().into(), scratch: None, run: "words".parse().unwrap() };
    let run = RunFolder::open(&place).unwrap();
    prepare(&spec, &base, &run).unwrap();
    (spec, base, run)
}

#[test]
fn each_item_of_training_time_is_asked_for_in_both_directions() {
    let store = tempfile::tempdir().unwrap();
    let (spec, base, folder) = prepared(store.path(), &["data.synthetic.items=1500"]);
    let dataset = read(&spec).unwrap();
    let pretrained = base.pretrained().unwrap();
    for pass in [Pass::Select, Pass::Refit] {
        let data = PassData::load(&spec, &folder, pass).unwrap();
        let train_end = data.prepared.windows.train_end;
        let mut seen: Vec<u32> = dataset.before(train_end).iter().map(|event| event.item).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(data.stages[0].len(), 2 * seen.len());
        assert!(seen.len() < data.prepared.ids.items(), "some items are met later only, or never");
        let StagePrompts::Translations(list) = &data.stages[0] else { panic!("another kind of stage") };
        for (at, (item, _)) in list.iter().enumerate() {
            assert_eq!(*item, seen[at / 2]);
            let codes: Vec<i64> = data.vocabulary.codes(data.prepared.ids.item_codes(*item)).collect();
            let title = pretrained.tokenizer.encode(&format!(" {}", dataset.items[*item as usize].title)).unwrap();
            let cut = &title[..title.len().min(6)];
            let LeasePrompts::Translations { titles, items } = data.prompts(&spec, 0, &[at as u32]).unwrap() else {
                panic!("another kind of prompt")
            };
            let wording = pretrained.wording.as_ref().unwrap();
            if let [title_sequence] = titles.as_slice() {
                let prompt = [&wording.to_title[0][..], &codes[..], &wording.to_title[1][..]].concat();
                let end: &[i64] = if title.len() > 6 { &[] } else { &[0] };
                assert_eq!((title_sequence.answer, at % 2), (prompt.len(), 0));
                assert_eq!(title_sequence.tokens, [&prompt[..], cut, end].concat());
            } else {
                let prompt = [&wording.to_item[0][..], cut, &wording.to_item[1][..]].concat();
                assert_eq!(items, [(prompt, data.prepared.ids.cell_of(*item).unwrap())]);
            }
        }
        assert!(data.prompts(&spec, 0, &[list.len() as u32]).is_err());
    }
}

#[test]
fn recent_days_keep_items_that_were_met_then() {
    let store = tempfile::tempdir().unwrap();
    let (spec, _, folder) = prepared(store.path(), &["stage.0.recent_days=1"]);
    let data = PassData::load(&spec, &folder, Pass::Select).unwrap();
    let end = data.prepared.windows.train_end;
    let mut recent: Vec<u32> =
        data.prepared.dataset.between(end - 86_400, end).iter().map(|event| event.item).collect();
    recent.sort_unstable();
    recent.dedup();
    assert!(recent.len() < data.prepared.ids.items() && data.stages[0].len() == 2 * recent.len());
}
