//! The whole report on made-up data whose regions are known to matter.

use super::document::document;
use super::measure::measure;
use super::subject::Subject;
use super::{SidReport, SidReportArgs, Verdict};
use clap::Parser;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    args: SidReportArgs,
}

/// One RQ-VAE epoch: what is measured, not how well it is fitted.
fn report(set: &[&str]) -> SidReport {
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/configs/tiny.toml");
    let words = ["sid-report", config, "--set", "semantic_id.epochs=1"];
    let words = words.into_iter().chain(set.iter().flat_map(|key| ["--set", *key]));
    measure(&Subject::open(&Line::parse_from(words).args).unwrap()).unwrap()
}

fn names(report: &SidReport) -> Vec<&str> {
    report.columns.iter().map(|column| column.name.as_str()).collect()
}

#[test]
fn ids_stand_beside_another_quantizer_and_controls_that_mean_nothing() {
    let report = report(&["semantic_id.quantizer=residual_k_means"]);
    assert_eq!(names(&report), ["residual_k_means", "rq_vae", "shuffled", "random"]);
    let overlap = |at: usize| report.columns[at].quality.overlap;
    assert!(overlap(0).share > 2.0 * overlap(0).by_chance, "{:?}", overlap(0));
    assert!(overlap(2).share < 1.5 * overlap(2).by_chance, "{:?}", overlap(2));
    // The same cells on other items.
    assert_eq!(report.columns[0].quality.usage, report.columns[2].quality.usage);
    assert_eq!((report.columns[0].input_error.len(), report.columns[2].input_error.len()), (3, 0));
    let first = report.columns[0].quality.depths[0];
    assert!(first.taste.unwrap().share > first.taste.unwrap().by_chance, "{first:?}");
    let [own, other] = report.stability.as_slice() else { panic!("{:?}", report.stability) };
    assert_eq!((own.quantizer.as_str(), other.quantizer.as_str()), ("residual_k_means", "rq_vae"));
    // More noise moves more items.
    let kept: Vec<f64> = own.noise.iter().map(|noise| noise.same_prefix[0]).collect();
    assert!(kept[0] > 0.8 && kept.windows(2).all(|pair| pair[0] >= pair[1]), "{kept:?}");
    assert!(own.time.is_some() && own.seeds.len() == 2);
    assert_eq!((report.same_as_run, report.findings[0].verdict), (None, Verdict::Good));

    let page = document(&report).html();
    for words in ["Do these ids mean anything?", "residual_k_means", "shuffled", "<svg"] {
        assert!(page.contains(words), "{words}");
    }
    assert!(!page.contains("http://") && !page.contains("https://"));
}

#[test]
fn ids_that_mean_nothing_are_found_out() {
    let report = report(&["semantic_id.quantizer=residual_k_means", "semantic_id.control=shuffled"]);
    assert_eq!(
        names(&report),
        ["residual_k_means, shuffled codes", "residual_k_means", "rq_vae", "shuffled", "random"]
    );
    for finding in report.findings.iter().filter(|finding| finding.by_chance.is_some()) {
        assert!(matches!(finding.verdict, Verdict::Bad | Verdict::Unclear), "{finding:?}");
    }
    // Nothing is said of the stability of what no quantizer made.
    assert!(report.findings.iter().all(|finding| !finding.question.contains("noise")));
}

#[test]
fn a_suffix_is_reported_as_a_level_of_its_own() {
    let report = report(&["semantic_id.quantizer=residual_k_means", "semantic_id.collisions=suffix"]);
    assert_eq!(names(&report)[0], "residual_k_means, suffix");
    let own = &report.columns[0].quality;
    assert_eq!((own.depths.len(), own.usage.collision_rate), (4, 0.0));
    assert!(report.findings.iter().any(|finding| finding.measure == "ids that need it"));
}

#[test]
fn what_is_neither_config_nor_run_is_refused() {
    let open = |words: &[&str]| Subject::open(&Line::parse_from(words).args).map(|_| ()).unwrap_err().to_string();
    assert!(open(&["sid-report", "Not A Run"]).contains("a config file that is there, or the name of a run"));
    assert!(open(&["sid-report", "a-run", "--set", "seed=1"]).contains("a run's config is what it is"));
}
