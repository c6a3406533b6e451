//! `conrec rollback`: back to what served before, as an entry of the history of promotions.

use crate::args::{Output, StoreArgs};
use crate::failure::Failure;
use crate::nightly::now;
use crate::stored_run;
use clap::Args;
use conrec_coordinator::exit_code::ExitCode;
use conrec_coordinator::store::StoreError;
use conrec_domain::nightly::{Promotion, Why};
use conrec_nightly::Nights;
use conrec_process::say;
use conrec_store::Store;
use serde_json::json;

/// `conrec rollback`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  conrec rollback --list                    what served when
  conrec rollback                           back to what served before the newest promotion
  conrec rollback --to 3 --store s3://bucket/conrec

A rollback adds an entry and removes nothing; the next night goes on from what serves then. It does not wait for a night that
runs: that night is evaluated again, against what serves now.")]
pub struct RollbackArgs {
    /// The number of the promotion whose run is to serve; default: what served before
    #[arg(long, value_name = "N", conflicts_with = "list")]
    to: Option<u64>,
    /// Only list all promotions and rollbacks, oldest first
    #[arg(long)]
    list: bool,
    /// The store.
    #[command(flatten)]
    store: StoreArgs,
    /// What is printed
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

impl RollbackArgs {
    /// Whether nothing is changed.
    pub fn only_lists(&self) -> bool {
        self.list
    }
}

/// Goes back, or lists.
///
/// # Errors
/// There is nothing to go back to; the store fails.
pub fn run(args: &RollbackArgs) -> Result<u8, Failure> {
    stored_run::wait(rollback(args))
}

async fn rollback(args: &RollbackArgs) -> Result<u8, Failure> {
    let store = Store::at(&args.store.store).map_err(StoreError::from)?;
    if args.list {
        list(args, &Nights::of(store).history().await?);
        return Ok(ExitCode::Done.code());
    }
    let nights = Nights::open(store, conrec_store::chance()).await?;
    let entry = nights.rollback(args.to, now()).await?;
    match args.output {
        Output::Json => say!("{}", json!({"promoted": entry, "place": nights.place("promoted.json")})),
        Output::Text => {
            say!("{}", line(&entry));
            say!("  {}  what serves", nights.place("promoted.json"));
        }
    }
    Ok(ExitCode::Done.code())
}

fn list(args: &RollbackArgs, history: &[Promotion]) {
    match args.output {
        Output::Json => say!("{}", json!({ "promotions": history })),
        Output::Text if history.is_empty() => say!("nothing was promoted yet"),
        Output::Text => history.iter().for_each(|entry| say!("{}", line(entry))),
    }
}

fn line(entry: &Promotion) -> String {
    let why = match entry.why {
        Why::Night => format!("night {}", entry.night),
        Why::Rollback { to } => format!("rolled back to promotion {to}"),
    };
    format!("promotion {}: run {} serves, {why}", entry.number, entry.run)
}
