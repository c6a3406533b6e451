//! Config files and `--set`.

use conrec_domain::derived::Derived;
use conrec_domain::spec::{RunConfig, RunSpec};

/// A base that is valid, for what is laid over it.
const SMALL: &str = "[[stage]]\nname = \"a\"\nkind = \"next_item\"\niterations = 1\nprompts = 2\nprompts_per_lease = 1\n\
                     learning_rate = 0.01\n";

/// A config as a file; where it is allowed, all that is derived from it.
pub(crate) fn config(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(config) = RunConfig::parse(&text, "fuzz.toml") {
        checked(config);
    }
}

/// `--set`, one a line, over a valid config.
pub(crate) fn override_key(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let set: Vec<String> = text.lines().map(str::to_owned).collect();
    if let Ok(config) = RunConfig::parse_with(SMALL, "fuzz.toml", &set) {
        checked(config);
    }
}

fn checked(config: RunConfig) {
    let Ok(spec) = RunSpec::check(config) else {
        return;
    };
    let _ = Derived::of(&spec, None).rows();
    let Ok(text) = spec.to_toml() else {
        return;
    };
    // `run.toml` is read on resume: what was allowed once must be allowed again, as the same run.
    let again = RunConfig::parse(&text, "run.toml").and_then(RunSpec::check);
    let again = again.and_then(|again| again.digest());
    assert_eq!(again.ok(), spec.digest().ok(), "{text}");
}
