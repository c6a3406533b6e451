//! How a document's command is run here: what stands for its placeholders, what makes it small, what is left out.
//! A command that no table names is run as it stands.

use std::net::TcpListener;

/// Commands that are not run, and why.
const LEFT_OUT: [(&str, &str); 7] = [
    ("./conrec curriculum-report demo", "it takes hours; tests/tests/curriculum_report.rs runs it on the tiny config"),
    ("scripts/test", "it runs this test"),
    ("scripts/setup", "it downloads libtorch; a build without it has no tests"),
    ("scripts/setup-emulators", "it downloads what only the tests need"),
    ("scripts/setup-kubernetes", "it downloads what only the tests need"),
    ("scripts/check-manifests --case overlays/prod", "tests/tests/manifests.rs runs it where its tools are"),
    ("./conrec reproduce DATASET", "tests/tests/reproduce.rs runs it; every arm is a run"),
];

/// A run that stands for `RUN`; it is trained first.
pub const RUN: &str = "documents";
/// How it is trained; the bench's models have this epsilon.
pub const TRAIN_RUN: &str = "./conrec train tests/configs/tiny.toml --run-id documents --set model.rms_norm_eps=1e-6";

/// A word of the documents, and what stands for it. Longer words come before those that they hold.
const WORDS: [(&str, &str); 8] = [
    ("RUN", RUN),
    ("runs/RUN/adapter", "runs/documents/adapter"),
    ("runs/RUN/base_model", "runs/documents/base_model"),
    // Its shape is the run's own; see ADDED.
    ("DIR", "runs/documents/base_model"),
    ("/shared/runs", "runs"),
    // The bucket that the command's environment leads to.
    ("s3://BUCKET/runs", "gs://runs-of-tests/runs"),
    ("THIS_HOST", "127.0.0.1"),
    ("HOST:7000", "127.0.0.1:PORT"),
];

/// Makes a job small without changing what it does.
const SMALL: &str = "--set stage.0.warmup=0 --set stage.1.warmup=0 --set stage.2.warmup=0 --set data.max_users=1500 --set semantic_id.epochs=2 --set semantic_id.text_dimensions=16 \
    --set semantic_id.interaction_dimensions=16 --set model.hidden=32 --set model.layers=1 --set model.intermediate=64 \
    --set model.max_prompt_tokens=32 --set evaluation.bootstrap=20 --set evaluation.validation_instances=16 --set baseline.sasrec.epochs=1 --set baseline.sasrec.hidden=16 \
    --set stage.0.iterations=1 --set stage.1.iterations=1 --set stage.2.iterations=1 --set stage.3.iterations=1 \
    --set stage.4.iterations=1 --set stage.5.iterations=1";

/// The same for a config with three stages, of which each night is to be good enough.
const SMALL_NIGHT: &str = "--set stage.0.warmup=0 --set semantic_id.epochs=2 --set semantic_id.text_dimensions=16 \
    --set model.hidden=32 --set model.layers=1 --set model.intermediate=64 --set model.max_prompt_tokens=32 \
    --set evaluation.bootstrap=20 --set evaluation.validation_instances=16 --set stage.0.iterations=1 \
    --set stage.1.iterations=1 --set stage.2.iterations=1 --set nightly.tolerance=1.0";

/// A job that is still under way whenever an operator comes.
const ENDLESS: &str = "--set data.max_users=1500 --set semantic_id.epochs=2 --set semantic_id.text_dimensions=16 \
    --set semantic_id.interaction_dimensions=16 --set model.hidden=32 --set model.layers=1 --set model.intermediate=64 \
    --set model.max_prompt_tokens=32 --set stage.0.iterations=1000000";

/// The beginning of a command, what is added at its end, and why. The first that fits counts.
const ADDED: [(&str, &str, &str); 11] = [
    ("./conrec nightly configs/nightly.toml", SMALL_NIGHT, "a night is to be promoted, and soon"),
    ("./conrec submit configs/smoke.toml", SMALL, "one whole smoke run is enough"),
    ("./conrec submit configs/demo.toml", ENDLESS, "it must not be over before it is paused"),
    ("./conrec train configs/table.toml", SMALL, "it takes as long as the demo"),
    ("./conrec prepare configs/table.toml", SMALL, "the whole catalogue takes half a minute"),
    ("./conrec train configs/demo.toml", SMALL, "it takes five minutes"),
    ("./conrec prepare configs/demo.toml", SMALL, "the whole catalogue takes half a minute"),
    ("./conrec train configs/smoke.toml --", SMALL, "one whole smoke run is enough"),
    ("./conrec coordinator configs/smoke.toml", SMALL, "one whole smoke run is enough"),
    ("./conrec bench faults", "--runs 1 --workers 2", "ten repetitions take minutes"),
    (
        "./conrec bench iteration --model-dir",
        "--hidden 32 --layers 2 --heads 2 --intermediate 64 --levels 3 --codes 16 --vocab 53 --cells 100",
        "the model of the run that stands in has this shape",
    ),
];

/// Words for one test: a free port is the only thing that is not fixed.
pub struct StandIns {
    port: u16,
}

impl StandIns {
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self { port: listener.local_addr().unwrap().port() }
    }

    /// The command as it is run here; none when it is left out.
    pub fn of(&self, command: &str) -> Option<String> {
        if LEFT_OUT.iter().any(|(left_out, _)| *left_out == command) {
            return None;
        }
        let added = ADDED.iter().find(|(begins, ..)| command.starts_with(begins)).map_or("", |(_, added, _)| added);
        let words = command.split(' ').map(|word| self.word(word)).collect::<Vec<_>>().join(" ");
        Some(format!("{words} {added}").trim_end().to_owned())
    }

    fn word(&self, word: &str) -> String {
        let found = WORDS.iter().find(|(stands, _)| *stands == word).map_or(word, |(_, stand_in)| stand_in);
        found.replace("PORT", &self.port.to_string()).replace("0.0.0.0:7000", &format!("127.0.0.1:{}", self.port))
    }
}

#[test]
fn a_command_that_no_table_names_is_run_as_it_stands() {
    let stand_ins = StandIns { port: 5 };
    assert_eq!(stand_ins.of("./conrec dance --fast").unwrap(), "./conrec dance --fast");
    assert_eq!(stand_ins.of("./conrec report RUN").unwrap(), "./conrec report documents");
    assert_eq!(
        stand_ins.of("./conrec worker --coordinator HOST:7000").unwrap(),
        "./conrec worker --coordinator 127.0.0.1:5"
    );
    assert_eq!(stand_ins.of("scripts/test"), None);
    assert!(stand_ins.of("scripts/test --fast").is_some());
}
