//! Shows statuses on stderr: a bar on a terminal, plain lines elsewhere, nothing when asked to be quiet.

use crate::progress::{Lines, Pace, describe, duration};
use conrec_domain::status::{Activity, Status};
use conrec_process::note;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Two lines: what is being done, and how far the run is.
const BAR: &str = "{spinner:.cyan} {wide_msg}\n  {bar:36.cyan/240} {pos}/{len} iterations · {elapsed}{prefix}";

/// Where progress goes.
pub struct ProgressView {
    start: Instant,
    kind: Kind,
}

enum Kind {
    Quiet,
    Plain(Lines),
    Bar(ProgressBar, Pace),
}

impl ProgressView {
    /// A view that fits stderr.
    pub fn new(quiet: bool) -> Self {
        let kind = if quiet {
            Kind::Quiet
        } else if std::io::stderr().is_terminal() {
            Kind::Bar(bar(), Pace::default())
        } else {
            Kind::Plain(Lines::default())
        };
        Self { start: Instant::now(), kind }
    }

    /// Shows a status.
    pub fn show(&mut self, status: &Status) {
        let now = self.start.elapsed();
        match &mut self.kind {
            Kind::Quiet => {}
            Kind::Plain(lines) => {
                if let Some(line) = lines.line(status, now) {
                    note!("{line}");
                }
            }
            Kind::Bar(bar, pace) => {
                bar.set_length(status.iterations_planned);
                bar.set_position(status.iteration.0);
                if let Some(left) = pace.left(status, now) {
                    bar.set_prefix(format!(" · {} left", duration(left)));
                }
                if matches!(
                    status.activity,
                    Activity::Decided { .. }
                        | Activity::Prepared { .. }
                        | Activity::Lost { .. }
                        | Activity::Left { .. }
                        | Activity::CheckpointMissed { .. }
                        | Activity::Skipped { .. }
                ) {
                    bar.println(format!("  {}", describe(&status.activity)));
                } else {
                    bar.set_message(describe(&status.activity));
                }
            }
        }
    }

    /// A sentence that stays.
    pub fn say(&self, text: &str) {
        match &self.kind {
            Kind::Quiet => {}
            Kind::Plain(_) => note!("{text}"),
            Kind::Bar(bar, _) => bar.println(text),
        }
    }

    /// Takes the bar away; what was said stays.
    pub fn close(&self) {
        if let Kind::Bar(bar, _) = &self.kind {
            bar.finish_and_clear();
        }
    }
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template(BAR) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}
