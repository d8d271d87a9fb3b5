//! The commands, a room each.

mod check;
mod generate;
mod operate;
mod plan;
mod probe;
mod run;
mod status;
mod stop;

use clap::{CommandFactory, Parser};

use crate::cli::args::{Cli, Command};
use crate::cli::context::{Context, answer, complain, look};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::{diagnostics, settings};
use crate::io::{environment, runtime};

/// Reads the command line, does what it says, and tells how it ended.
pub fn main() -> Exit {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers on stdout; everything else is a complaint on stderr. clap knows which.
            let _ = error.print();
            return if error.use_stderr() {
                Exit::Usage
            } else {
                Exit::Done
            };
        }
    };
    let look = look(&cli.global);
    match dispatch(cli, look) {
        Ok(exit) => exit,
        Err(failure) => {
            complain(&failure.show(look.colour, look.width));
            failure.exit()
        }
    }
}

fn dispatch(cli: Cli, look: crate::cli::report::Look) -> Result<Exit, Failure> {
    let Cli { global, command } = cli;
    diagnostics::start(&global, look);
    if let Some(directory) = &global.directory {
        environment::change_directory(directory).map_err(|error| {
            Failure::usage(
                format!(
                    "cannot work in `{}`: {}",
                    directory.display(),
                    plain(&error)
                ),
                "name a directory that is there with -C",
            )
        })?;
    }
    match &command {
        Command::Completions { shell } => return Ok(generate::completions(*shell)),
        Command::Man => return generate::man(),
        Command::Schema => return generate::schema(),
        Command::Config(config) if config.default => {
            answer(settings::DEFAULT_TOML);
            return Ok(Exit::Done);
        }
        _ => {}
    }
    let context = Context::new(global, look)?;
    runtime::run(async {
        match command {
            Command::Run(args) => Box::pin(run::run(&context, args)).await,
            Command::Plan(args) => plan::plan(&context, &args).await,
            Command::Status(args) => status::status(&context, &args).await,
            Command::Check(args) => check::check(&context, &args).await,
            Command::Hold(args) => operate::hold(&context, &args).await,
            Command::Unhold(args) => operate::unhold(&context, &args).await,
            Command::Stop(args) => Box::pin(stop::stop(&context, &args)).await,
            Command::Release(args) => operate::release(&context, &args).await,
            Command::Mark(args) => operate::mark(&context, &args).await,
            Command::Probe(args) => Box::pin(probe::probe(&context, &args)).await,
            Command::Config(_) => Ok(generate::config(&context)),
            Command::Completions { shell } => Ok(generate::completions(shell)),
            Command::Man => generate::man(),
            Command::Schema => generate::schema(),
        }
    })
    .map_err(|error| {
        Failure::usage(
            format!("cannot start: {error}"),
            "look whether this machine is out of memory or file handles",
        )
    })?
}

/// What the system says, without its number.
fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error ") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}

/// The command line as clap knows it, for what is generated from it.
fn command_line() -> clap::Command {
    Cli::command()
}
