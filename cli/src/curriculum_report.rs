//! `conrec curriculum-report`: does the order of the curriculum matter, and what do gamma, beta and the horizon do?

use crate::experiment_report::{ExperimentArgs, ExperimentReport};
use crate::experiment_tables::{rows, runs_as_json, section};
use crate::failure::Failure;
use crate::stored_run;
use clap::{Args, ValueEnum};
use conrec_coordinator::exit_code::ExitCode;
use conrec_domain::arms::{Arm, beta_arms, gamma_arms, horizon_arms, order_arms};
use conrec_domain::spec::RunConfig;
use conrec_feedback::metrics::{COLUMNS, CURVE_COLUMNS, Column};
use serde_json::{Map, Value, json};

/// `conrec curriculum-report`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  conrec curriculum-report demo                             hours: some 15 configs, three seeds each
  conrec curriculum-report smoke --seeds 1 --sweep order    a quick look at the form; one seed is no measurement
  conrec curriculum-report my-data.toml --sweep gamma,beta --workers 4

Each arm is an ordinary run (`conrec report`, `conrec audit`): a complete one is not trained again, and the same command
goes on after a stop. Writes curriculum.html, .md and .json, and the arms' configs and logs. What is compared, and how it
is to be read: docs/curriculum.md.")]
pub struct CurriculumArgs {
    /// Of what, and how.
    #[command(flatten)]
    pub experiment: ExperimentArgs,
    /// What is varied
    #[arg(long, value_enum, value_name = "WHAT", value_delimiter = ',', default_values_t = Sweep::ALL)]
    pub sweep: Vec<Sweep>,
}

/// What is varied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Sweep {
    /// The order of the GRPO stages' contexts, at equal samples
    Order,
    /// reward.gamma
    Gamma,
    /// beta of the GRPO stages
    Beta,
    /// data.horizon_days
    Horizon,
}

impl Sweep {
    const ALL: [Self; 4] = [Self::Order, Self::Gamma, Self::Beta, Self::Horizon];

    fn name(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Gamma => "gamma",
            Self::Beta => "beta",
            Self::Horizon => "horizon",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Order => "The order of contexts, at equal samples",
            Self::Gamma => "gamma: the weight of future positives",
            Self::Beta => "beta: the weight of the distance to the reference",
            Self::Horizon => "The horizon that rewards are made from",
        }
    }

    fn arms(self, given: &RunConfig) -> Vec<Arm> {
        match self {
            Self::Order => order_arms(given),
            Self::Gamma => gamma_arms(given),
            Self::Beta => beta_arms(given),
            Self::Horizon => horizon_arms(given),
        }
    }

    /// Arms with other horizons are measured with what means the same in all of them.
    fn columns(self) -> &'static [Column] {
        match self {
            Self::Order | Self::Gamma | Self::Beta => &COLUMNS,
            Self::Horizon => &CURVE_COLUMNS,
        }
    }
}

/// Trains what is to be compared and writes the report.
///
/// # Errors
/// No such config, a run that fails, a folder that cannot be written.
pub fn run(args: &CurriculumArgs) -> Result<u8, Failure> {
    stored_run::wait(curriculum_report(args))
}

async fn curriculum_report(args: &CurriculumArgs) -> Result<u8, Failure> {
    let report = ExperimentReport::new(&args.experiment, "curriculum")?;
    let chosen: Vec<Sweep> = Sweep::ALL.into_iter().filter(|sweep| args.sweep.contains(sweep)).collect();
    let arms: Vec<Vec<Arm>> = chosen.iter().map(|sweep| sweep.arms(&report.given)).collect();
    let Some(trained) = report.train(&arms.concat()).await? else {
        return Ok(ExitCode::Stopped.code());
    };
    let (mut sections, mut tables) = (Vec::new(), Map::new());
    for (sweep, arms) in chosen.iter().zip(&arms) {
        let comparison = report.comparison(&trained, sweep.columns());
        let policies = report.policies(arms, &trained);
        sections.push(section(sweep.title(), &comparison, &policies, arms));
        tables.insert(sweep.name().to_owned(), rows(&comparison, &policies, policies.first()));
    }
    let identity = report.identity(&trained)?;
    let mut json = json!({"dataset": report.name, "identity": identity, "runs": runs_as_json(&trained)});
    json["tables"] = Value::Object(tables);
    report.write(&report.document("The curriculum on", sections, (&trained, &identity)), &json)
}
