//! `conrec checkpoints`: what of a run is in the store, whether it is whole, and what of it may go. Takes no lock, so it
//! may be asked while the run trains.

use crate::args::{CheckpointArgs, CheckpointsAction, CheckpointsArgs, Output, PruneArgs, RunArgs};
use crate::failure::Failure;
use crate::stored_run;
use conrec_coordinator::exit_code::ExitCode;
use conrec_coordinator::store::Found;
use conrec_domain::manifest::Manifest;
use conrec_domain::spec::{CheckpointSpec, RunConfig};
use conrec_process::say;
use serde_json::{Value, json};

/// Lists, inspects, verifies or prunes.
///
/// # Errors
/// There is no such run or checkpoint; with `verify` and `inspect`, also when a checkpoint is damaged.
pub fn run(args: &CheckpointsArgs) -> Result<u8, Failure> {
    stored_run::wait(async {
        match &args.action {
            CheckpointsAction::List(args) => list(args, false).await,
            CheckpointsAction::Verify(args) => list(args, true).await,
            CheckpointsAction::Inspect(args) => inspect(args).await,
            CheckpointsAction::Prune(args) => prune(args).await,
        }
    })
}

async fn list(args: &RunArgs, every_byte: bool) -> Result<u8, Failure> {
    let run = stored_run::existing(args).await?;
    let found = run.checkpoints(every_byte).await?;
    if args.output == Output::Json {
        let rows: Vec<Value> = found.iter().map(row).collect();
        say!("{}", json!({"run_id": args.run.as_str(), "every_byte_read": every_byte, "checkpoints": rows}));
    } else {
        print_table(args, &found, every_byte);
    }
    if !every_byte {
        return Ok(ExitCode::Done.code());
    }
    let mut damaged = 0;
    for unusable in found.iter().filter(|f| f.manifest.is_err()) {
        // It may have been finished or pruned meanwhile. Without a manifest it never was, or is not yet: that is no damage.
        let still = run.checkpoint(&unusable.key).await?.manifest.is_err();
        damaged += u32::from(still && run.read(&format!("{}/manifest.json", unusable.key)).await?.is_some());
    }
    if damaged > 0 {
        let message = format!("{damaged} of {} checkpoints of run `{}` are damaged", found.len(), args.run);
        return Err(Failure::new(ExitCode::BadData, message));
    }
    Ok(ExitCode::Done.code())
}

fn row(found: &Found) -> Value {
    match &found.manifest {
        Ok(m) => json!({"key": found.key, "whole": true, "bytes": bytes(m), "iteration": m.iteration.0,
                        "state_digest": m.state_digest.to_string()}),
        Err(why) => json!({"key": found.key, "whole": false, "why": why}),
    }
}

fn print_table(args: &RunArgs, found: &[Found], every_byte: bool) {
    if found.is_empty() {
        say!("run `{}` has no checkpoints", args.run);
    }
    let whole = if every_byte { "whole, every byte read" } else { "whole" };
    for f in found {
        match &f.manifest {
            Ok(m) => say!(
                "{}  iteration {:>6}  {:>8} KiB  state {:.16}  {whole}",
                f.key,
                m.iteration.0,
                bytes(m).div_ceil(1024),
                m.state_digest.to_string(),
            ),
            Err(why) => say!("{}  not usable: {why}", f.key),
        }
    }
}

fn bytes(manifest: &Manifest) -> u64 {
    manifest.parts.iter().map(|part| part.bytes).sum()
}

/// One checkpoint in full; every byte of it is read.
async fn inspect(args: &CheckpointArgs) -> Result<u8, Failure> {
    let run = stored_run::existing(&args.run).await?;
    let key = format!("checkpoints/{}", args.key.trim_start_matches("checkpoints/").trim_end_matches('/'));
    if run.is_absent(&key).await? {
        let (run, name) = (&args.run.run, args.key.as_str());
        let message =
            format!("run `{run}` has no checkpoint `{name}`; `conrec checkpoints list {run}` names those it has");
        return Err(Failure::new(ExitCode::Usage, message));
    }
    let found = run.checkpoint(&key).await?;
    let manifest = match found.manifest {
        Ok(manifest) => manifest,
        Err(why) => return Err(Failure::new(ExitCode::BadData, format!("{}: {why}", run.place(&key)))),
    };
    if args.run.output == Output::Json {
        let content = manifest.to_json().map_err(|error| Failure::new(ExitCode::BadData, error.to_string()))?;
        say!("{}", json!({"key": key, "whole": true, "bytes": bytes(&manifest), "manifest": content}));
        return Ok(ExitCode::Done.code());
    }
    let cursor = &manifest.cursor;
    say!("{}  whole, every byte read", run.place(&key));
    say!("  iteration     {} (roster {})", manifest.iteration, manifest.fence);
    say!("  goes on at    pass {:?}, stage {}, {:?}", cursor.pass, cursor.stage, cursor.at);
    say!("  state         {}", manifest.state_digest);
    say!("  config        {}", manifest.config_digest);
    say!("  data          {}", manifest.data_digest);
    say!("  code version  {}", manifest.code_version);
    for part in &manifest.parts {
        say!("  {:>12} bytes  {}  {}", part.bytes, part.sha256, part.name);
    }
    Ok(ExitCode::Done.code())
}

async fn prune(args: &PruneArgs) -> Result<u8, Failure> {
    let run = stored_run::existing(&args.run).await?;
    let text = run.read("run.toml").await?.unwrap_or_default();
    let config = RunConfig::parse(&String::from_utf8_lossy(&text), &run.place("run.toml"))?;
    let configured = config.checkpoint;
    let rules = CheckpointSpec {
        keep_last: args.keep_last.unwrap_or(configured.keep_last),
        keep_every: args.keep_every.unwrap_or(configured.keep_every),
        keep_best: args.keep_best.unwrap_or(configured.keep_best),
        keep_stage_ends: args.keep_stage_ends || configured.keep_stage_ends,
        ..configured
    };
    let removed = run.prune_surplus(&rules).await?;
    if args.run.output == Output::Json {
        say!("{}", json!({"run_id": args.run.run.as_str(), "removed": removed}));
        return Ok(ExitCode::Done.code());
    }
    for key in &removed {
        say!("{key}  removed");
    }
    if removed.is_empty() {
        say!("run `{}` has no checkpoint that retention does not keep", args.run.run);
    }
    Ok(ExitCode::Done.code())
}
