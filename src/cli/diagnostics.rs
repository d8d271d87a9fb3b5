//! Diagnostics (`-v`), apart from the report: what roundsman's own parts say.

use tracing_subscriber::EnvFilter;

use crate::cli::args::{Global, LogFormat};
use crate::cli::report::Look;

/// Starts them. Warnings are always told; `-v` adds what is done, `-vv` how, `-vvv` what the libraries say.
pub fn start(global: &Global, look: Look) {
    let level = match (global.quiet, global.verbose) {
        (true, _) => "error",
        (false, 0) => "roundsman=warn,error",
        (false, 1) => "roundsman=info,warn",
        (false, 2) => "roundsman=debug,info",
        (false, _) => "trace",
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(level))
        .with_writer(std::io::stderr)
        .with_ansi(look.colour)
        .with_target(global.verbose > 1);
    // A second start in one process (tests) keeps the first.
    let _ = match (global.log_format, look.journald) {
        (LogFormat::Json, _) => builder.json().try_init(),
        (LogFormat::Text, true) => builder.without_time().try_init(),
        (LogFormat::Text, false) => builder.try_init(),
    };
}
