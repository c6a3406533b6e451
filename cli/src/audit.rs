//! `conrec audit`: proves from a run's files that each prompt of each committed iteration entered the sum exactly once
//! and that the digests form one chain. Reads only; takes no lock, so it may be asked while the run trains.

mod proof;

use crate::args::{Output, RunArgs};
use crate::failure::Failure;
use crate::stored_run;
use conrec_coordinator::exit_code::ExitCode;
use conrec_coordinator::store::RunObjects;
use conrec_domain::audit::{Audit, Evidence, Finding, Found, LEDGER, METRICS, PREPARED, Place, REPORT};
use conrec_domain::audit::{Reported, audit, read_lines};
use conrec_domain::ids::Digest;
use conrec_domain::manifest::Manifest;
use conrec_domain::work::Prepared;
use conrec_process::{result, say};
use serde::de::DeserializeOwned;

/// So often a run is looked at that goes on meanwhile.
const LOOKS: u32 = 20;

/// Audits and prints the proof, or what is broken.
///
/// # Errors
/// There is no such run, its files cannot be read, or they do not fit together.
pub fn run(args: &RunArgs) -> Result<u8, Failure> {
    let audit = stored_run::wait(settled(args))?;
    match args.output {
        Output::Text => result(format_args!("{}", proof::text(&args.run, &audit))),
        Output::Json => say!("{}", proof::json(&args.run, &audit)),
    }
    if audit.findings.is_empty() {
        return Ok(ExitCode::Done.code());
    }
    let message = format!("the files of run `{}` do not fit together: {} findings", args.run, audit.findings.len());
    Err(Failure::new(ExitCode::BadData, message))
}

/// Files of a run that trains may be of different moments: what does not fit is looked at again where the run went on
/// meanwhile.
async fn settled(args: &RunArgs) -> Result<Audit, Failure> {
    let run = stored_run::existing(args).await?;
    for _ in 0..LOOKS {
        let before = (run.read(LEDGER).await?, run.read(METRICS).await?);
        let audit = of(args, &run).await?;
        if audit.findings.is_empty() || (run.read(LEDGER).await?, run.read(METRICS).await?) == before {
            return Ok(audit);
        }
    }
    of(args, &run).await
}

async fn of(args: &RunArgs, run: &RunObjects) -> Result<Audit, Failure> {
    let spec = stored_run::spec(run).await?;
    let mut unread = Vec::new();
    let (ledger, found) = read_lines(LEDGER, &run.read(LEDGER).await?.unwrap_or_default());
    unread.extend(found);
    let (metrics, found) = read_lines(METRICS, &run.read(METRICS).await?.unwrap_or_default());
    unread.extend(found);
    let prepared: Option<Prepared> = parse(PREPARED, run.read(PREPARED).await?, &mut unread);
    let reported: Option<Reported> = parse(REPORT, run.read(REPORT).await?, &mut unread);
    let mut manifests: Vec<(String, Manifest)> = Vec::new();
    for key in run.checkpoint_keys().await?.into_iter().rev() {
        // A checkpoint without a manifest was never finished: it is none.
        let name = format!("{key}/manifest.json");
        match run.read(&name).await?.map(|content| Manifest::parse(&content)) {
            Some(Ok(manifest)) => manifests.push((key, manifest)),
            Some(Err(error)) => {
                unread.push(Found {
                    place: Place::file(&name),
                    what: Finding::Unreadable { message: error.to_string() },
                });
            }
            None => {}
        }
    }
    if prepared.is_none() && !ledger.is_empty() {
        let message = "it is missing or damaged, and without it no schedule is known".to_owned();
        unread.push(Found { place: Place::file(PREPARED), what: Finding::Unreadable { message } });
    }
    let mut audit = match &prepared {
        Some(prepared) => audit(&Evidence {
            run_id: &args.run,
            spec: &spec,
            prepared,
            ledger: &ledger,
            metrics: &metrics,
            manifests: &manifests,
            report: reported.as_ref(),
        }),
        None => Audit::default(),
    };
    unread.append(&mut audit.findings);
    audit.findings = unread;
    Ok(audit)
}

/// A file that is one JSON value, where it is there and can be read.
fn parse<T: DeserializeOwned>(name: &str, content: Option<impl AsRef<[u8]>>, unread: &mut Vec<Found>) -> Option<T> {
    match serde_json::from_slice(content?.as_ref()) {
        Ok(value) => Some(value),
        Err(error) => {
            unread.push(Found { place: Place::file(name), what: Finding::Unreadable { message: error.to_string() } });
            None
        }
    }
}

/// The first digits of a digest, as people compare them.
fn short(digest: Digest) -> String {
    format!("{:.12}", digest.to_string())
}
