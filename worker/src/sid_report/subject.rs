//! What the report is about: a config's data read now, or what a run prepared.

use super::SidReportArgs;
use crate::base_folder::open_base;
use crate::error::WorkerError;
use crate::item_vectors::take_vectors;
use crate::prepare::read;
use crate::provenance::{VERSION, of_run};
use conrec_domain::ids::RunId;
use conrec_domain::spec::{RunConfig, RunSpec, Statistics, VectorSource};
use conrec_domain::work::Pass;
use conrec_feedback::dataset::Dataset;
use conrec_feedback::prepared::PreparedPass;
use conrec_feedback::provenance::Provenance;
use conrec_feedback::semantic_id::SemanticIds;
use conrec_feedback::split::passes;
use std::path::Path;
use std::sync::Arc;

/// Data and times at which statistics end.
pub(super) struct Subject {
    pub name: String,
    pub spec: RunSpec,
    pub dataset: Arc<Dataset>,
    /// End of training time of each pass; the last is the one whose ids are reported.
    pub train_ends: Vec<i64>,
    /// What names the figures.
    pub identity: Provenance,
    /// The ids that the run has.
    pub of_run: Option<SemanticIds>,
}

impl Subject {
    /// A path that is there is a config; everything else is the name of a run.
    pub fn open(args: &SidReportArgs) -> Result<Self, WorkerError> {
        let path = Path::new(&args.subject);
        if path.is_file() { Self::of_config(args, path) } else { Self::of_run(args) }
    }

    fn of_config(args: &SidReportArgs, path: &Path) -> Result<Self, WorkerError> {
        let text = std::fs::read_to_string(path)
            .map_err(|e| WorkerError::ConfigFile { path: path.to_owned(), message: e.to_string() })?;
        let spec = RunSpec::check(RunConfig::parse_with(&text, &args.subject, &args.set)?)?;
        compute_as(&spec);
        let mut dataset = read(&spec)?;
        let base = (spec.semantic_id.vectors == VectorSource::BaseModel).then(|| open_base(&spec)).transpose()?;
        take_vectors(&mut dataset, &spec, base.as_ref())?;
        let (first, last) = (dataset.first_time().unwrap_or_default(), dataset.last_time().unwrap_or_default());
        let windows = passes(&spec.data, spec.evaluation.statistics, first, last)?;
        let train_ends = windows.iter().map(|windows| windows.train_end).collect();
        let identity = Provenance::new(&spec, spec.digest()?, VERSION);
        Ok(Self { name: args.subject.clone(), spec, dataset: Arc::new(dataset), train_ends, identity, of_run: None })
    }

    fn of_run(args: &SidReportArgs) -> Result<Self, WorkerError> {
        let usage = |allowed| WorkerError::Usage { option: "CONFIG|RUN", found: args.subject.clone(), allowed };
        let run: RunId =
            args.subject.parse().map_err(|_| usage("a config file that is there, or the name of a run"))?;
        if !args.set.is_empty() {
            return Err(usage("a config file, with --set: a run's config is what it is"));
        }
        let (spec, folder) = args.store.open(&run)?;
        compute_as(&spec);
        let names: &[Pass] = match spec.evaluation.statistics {
            Statistics::Refit => &[Pass::Select, Pass::Refit],
            Statistics::Frozen => &[Pass::Select],
        };
        let mut train_ends = Vec::new();
        let mut newest = None;
        for pass in names {
            folder.fetch(pass.folder())?;
            let prepared = PreparedPass::load(&folder.path(pass.folder()))?;
            train_ends.push(prepared.windows.train_end);
            newest = Some(prepared);
        }
        let pass = newest.ok_or_else(|| WorkerError::Protocol("a run without a pass".into()))?;
        let identity = of_run(&spec, &folder, &pass, None)?;
        let PreparedPass { dataset, ids, .. } = pass;
        Ok(Self { name: args.subject.clone(), spec, dataset, train_ends, identity, of_run: Some(ids) })
    }
}

/// The number of libtorch's threads fixes the bits: it is set before anything is computed, item vectors too.
fn compute_as(spec: &RunSpec) {
    tch::set_num_threads(i32::try_from(spec.cluster.threads).unwrap_or(1));
}
