//! The `roundsman` command.

use std::process::ExitCode;

use roundsman::cli::command;
use roundsman::cli::exit::Exit;

fn main() -> ExitCode {
    // A panic is a bug: it has its message on stderr by now, and an exit status of its own.
    std::panic::catch_unwind(command::main)
        .unwrap_or(Exit::Bug)
        .into()
}
