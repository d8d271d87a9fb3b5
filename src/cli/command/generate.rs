//! `config`, `completions`, `man` and `schema`: what is generated rather than done.

use crate::cli::command::command_line;
use crate::cli::context::{Context, answer, complain};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::kept;
use crate::cli::report::text::harmless_line;
use crate::model::job::file;

/// `config`: the settings in effect, as TOML, each with the place it came from; on stderr those that are below what the
/// last probe found.
pub(super) fn config(context: &Context) -> Exit {
    let effective = context.loaded.effective();
    let warnings = kept::warnings(context.settings()).unwrap_or_else(|why| {
        vec![format!("what the last probe found cannot be read, so the settings are not compared with it: {why}")]
    });
    for warning in &warnings {
        complain(&format!("warning: {}\n", harmless_line(warning)));
    }
    if context.json() {
        let all: Vec<_> = effective
            .iter()
            .map(|each| serde_json::json!({ "key": each.key, "value": each.value, "from": each.origin.to_string() }))
            .collect();
        answer(&format!(
            "{}\n",
            serde_json::json!({ "v": 1, "settings": all, "warnings": warnings })
        ));
        return Exit::Done;
    }
    let width = effective
        .iter()
        .map(|each| each.key.len() + each.value.len() + 3)
        .max()
        .unwrap_or(0)
        .min(60);
    let mut lines = String::new();
    for each in &effective {
        let setting = format!("{} = {}", each.key, each.value);
        lines.push_str(&format!("{setting:width$}  # {}\n", each.origin));
    }
    let settle = crate::model::span::format_span(context.settings().lease.settle());
    answer(&format!(
        "{lines}\n# settle time, derived: {settle}\n# digest of the lease settings (`set=` in locks): {}\n",
        context.settings().lease.set()
    ));
    Exit::Done
}

/// `completions`: the completion script of a shell.
pub(super) fn completions(shell: clap_complete::Shell) -> Exit {
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut command_line(), "roundsman", &mut out);
    answer(&String::from_utf8_lossy(&out));
    Exit::Done
}

/// `man`: the manual page, and one for each command behind it.
pub(super) fn man() -> Result<Exit, Failure> {
    let mut out = Vec::new();
    let mut whole = command_line();
    whole.build();
    let commands = whole
        .get_subcommands()
        .filter(|each| each.get_name() != "help");
    // `man` reads one page after another from one file: the program's, then one for each command.
    let pages = std::iter::once(whole.clone()).chain(commands.cloned());
    for page in pages {
        clap_mangen::Man::new(page)
            .render(&mut out)
            .map_err(|error| {
                Failure::usage(
                    format!("the manual page cannot be made: {error}"),
                    "this is a bug",
                )
            })?;
    }
    answer(&String::from_utf8_lossy(&out));
    Ok(Exit::Done)
}

/// `schema`: the JSON Schema of the job file.
pub(super) fn schema() -> Result<Exit, Failure> {
    let text = serde_json::to_string_pretty(&file::schema()).map_err(|error| {
        Failure::usage(
            format!("the schema cannot be made: {error}"),
            "this is a bug",
        )
    })?;
    answer(&format!("{text}\n"));
    Ok(Exit::Done)
}
