//! What a process says: results on stdout, words and log lines on stderr. Nobody may be there to hear it (a pipe whose
//! reader has ended, a full disk under a log): that costs the words, never the work.

use std::fmt::Arguments;
use std::io::{Error, ErrorKind, IsTerminal, Write};
use std::sync::Mutex;
use tracing_subscriber::EnvFilter;

/// The first thing that stdout did not take.
static UNSAID: Mutex<Option<ErrorKind>> = Mutex::new(None);

/// A line of results, on stdout; arguments as for `format!`.
#[macro_export]
macro_rules! say {
    ($($argument:tt)*) => {
        $crate::result(::std::format_args!("{}\n", ::std::format_args!($($argument)*)))
    };
}

/// A line for people, on stderr; arguments as for `format!`.
#[macro_export]
macro_rules! note {
    ($($argument:tt)*) => {
        $crate::word(::std::format_args!("{}\n", ::std::format_args!($($argument)*)))
    };
}

/// Results on stdout, as they are.
pub fn result(text: Arguments<'_>) {
    let mut stdout = std::io::stdout().lock();
    if let Err(error) = stdout.write_fmt(text).and_then(|()| stdout.flush()) {
        first(error.kind());
    }
}

/// Words for people on stderr, as they are.
pub fn word(text: Arguments<'_>) {
    // Whoever does not read it misses it.
    let _ = std::io::stderr().lock().write_fmt(text);
}

/// Whether stdout has taken all results so far.
pub fn is_heard() -> bool {
    UNSAID.lock().is_ok_and(|unsaid| unsaid.is_none())
}

/// Why results are missing in what stdout leads to. A reader that has ended wanted no more: nothing is missing then.
pub fn missing() -> Option<Error> {
    let unsaid = UNSAID.lock().ok().and_then(|unsaid| *unsaid)?;
    (unsaid != ErrorKind::BrokenPipe).then(|| unsaid.into())
}

fn first(kind: ErrorKind) {
    if let Ok(mut unsaid) = UNSAID.lock() {
        unsaid.get_or_insert(kind);
    }
}

/// From here on log lines go to stderr; `CONREC_LOG` sets what is logged (default: info).
pub fn log_to_stderr() {
    let filter = EnvFilter::try_from_env("CONREC_LOG").unwrap_or_else(|_| EnvFilter::new("info,object_store=warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        // Said on stderr too, and the process would end where it cannot be said.
        .log_internal_errors(false)
        .init();
}
