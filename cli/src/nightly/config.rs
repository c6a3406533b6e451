//! From the config that is given to the config of a night: its window of days, and what it goes on from.

use crate::args::ConfigArgs;
use crate::failure::Failure;
use conrec_coordinator::exit_code::ExitCode;
use conrec_domain::day::Day;
use conrec_domain::nightly::Start;
use conrec_domain::spec::{NightlySpec, RunConfig, RunSpec, WarmStartSpec};

/// The config as it stands in the file, with what was set.
///
/// # Errors
/// It cannot be read, or is no config.
pub fn given(args: &ConfigArgs) -> Result<RunConfig, Failure> {
    let file = args.config.display();
    let text = std::fs::read_to_string(&args.config)
        .map_err(|error| Failure::new(ExitCode::BadConfig, format!("cannot read config {file}: {error}")))?;
    let config = RunConfig::parse_with(&text, &file.to_string(), &args.set)?;
    if config.warm_start != WarmStartSpec::default() {
        let message = "warm_start is set: a night goes on from what serves; leave the section out";
        return Err(Failure::new(ExitCode::BadConfig, message));
    }
    Ok(config)
}

/// The config of a night's run. The rules of `[nightly]` are left out of it, so that none of them makes another run of it.
///
/// # Errors
/// A value that is not allowed.
pub fn of_night(given: &RunConfig, night: Day, start: Option<&Start>) -> Result<RunSpec, Failure> {
    // Its rules are checked too, before they are left out.
    RunSpec::check(windowed(given.clone(), night))?;
    let mut config = RunConfig { nightly: NightlySpec::default(), ..windowed(given.clone(), night) };
    if let Some(Start::Warm { run, state, .. }) = start {
        config.warm_start = WarmStartSpec { run: run.to_string(), state: state.to_string() };
    }
    Ok(RunSpec::check(config)?)
}

fn windowed(mut config: RunConfig, night: Day) -> RunConfig {
    let first = night.plus(1 - i64::from(config.nightly.window_days));
    (config.data.from, config.data.until) = (first.to_string(), night.to_string());
    config
}

#[cfg(test)]
mod tests {
    use super::*;
    use conrec_domain::ids::Digest;

    #[test]
    fn a_night_has_its_window_and_its_start_and_no_rules() {
        let text = include_str!("../../../configs/smoke.toml");
        let given = RunConfig::parse_with(text, "smoke.toml", &["nightly.window_days=30".into()]).unwrap();
        let night: Day = "2013-09-06".parse().unwrap();
        let cold = of_night(&given, night, Some(&Start::Cold)).unwrap();
        assert_eq!((cold.data.from.as_str(), cold.data.until.as_str()), ("2013-08-08", "2013-09-06"));
        assert_eq!((&cold.nightly, cold.warm_start.run.as_str()), (&NightlySpec::default(), ""));
        let start = Start::Warm { run: "night-2013-09-05".parse().unwrap(), number: 3, state: Digest::of(b"x") };
        let warm = of_night(&given, night, Some(&start)).unwrap();
        assert_eq!(warm.warm_start.run, "night-2013-09-05");
        assert_eq!(warm.warm_start.state, Digest::of(b"x").to_string());
        let bad = RunConfig { nightly: NightlySpec { confidence: 1.0, ..NightlySpec::default() }, ..given };
        assert!(of_night(&bad, night, None).unwrap_err().message.contains("nightly.confidence"));
    }
}
