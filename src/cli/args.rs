//! The command line as clap sees it.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum, ValueHint};

use crate::model::span::{exact_span, parse_span};

/// Makes the rounds of a fleet: one periodic job, one node after another.
///
/// Each invocation picks the node that was never served or was served longest ago, claims it with a lease in the
/// node's own tags, runs the job's steps on it and records the time.
#[derive(Debug, Parser)]
#[command(
    name = "roundsman",
    version,
    max_term_width = 100,
    propagate_version = true
)]
#[command(
    after_help = "A job is a path, or a name looked up in --jobs (`jobs`, then /etc/roundsman/jobs).\n\
    Exit status: 0 done or nothing to do, 1 a node failed, 2 usage, 3 --fail-on, 4 lease lost, 5 the outside failed."
)]
pub struct Cli {
    /// What stands before the command.
    #[command(flatten)]
    pub global: Global,
    /// What is to be done.
    #[command(subcommand)]
    pub command: Command,
}

/// What every command understands.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Work in this directory
    #[arg(short = 'C', global = true, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub directory: Option<PathBuf>,
    /// Read the settings from this file instead of ./roundsman.toml
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// Look for jobs here; may be given several times
    #[arg(id = "jobs-dir", long = "jobs", global = true, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub jobs: Vec<PathBuf>,
    /// Where the nodes are: aws or local
    #[arg(long, global = true, value_name = "KIND")]
    pub provider: Option<String>,
    /// The AWS region
    #[arg(long, global = true)]
    pub region: Option<String>,
    /// The AWS profile
    #[arg(long, global = true)]
    pub profile: Option<String>,
    /// How stdout is written
    #[arg(long, global = true, value_enum, default_value_t = Format::Human)]
    pub format: Format,
    /// How diagnostics (-v) are written
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text, value_name = "FORMAT")]
    pub log_format: LogFormat,
    /// When to use colour
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    pub color: Color,
    /// Say more; -vv and -vvv say even more
    #[arg(short, long, global = true, action = ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,
    /// Say only what was asked for, and errors
    #[arg(short, long, global = true)]
    pub quiet: bool,
}

/// How stdout is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Human,
    /// JSON: one object, for `run` one event a line
    Json,
}

/// How diagnostics are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people
    Text,
    /// One JSON object a line
    Json,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// What is to be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the next node that is due
    Run(Run),
    /// Show every node in the order it would be served, and why; writes nothing
    Plan(Plan),
    /// Show when nodes were served, what is overdue, locked, failed or on hold
    Status(Status),
    /// Validate settings and job files without touching anything
    Check(Check),
    /// Stop new claims on nodes, or on a whole fleet
    Hold(Hold),
    /// Lift a hold
    Unhold(Unhold),
    /// End the run on a node on purpose, whoever holds it
    #[command(long_about = STOP_ABOUT)]
    Stop(Stop),
    /// Break a node's lease
    Release(Release),
    /// Record work that was done elsewhere
    Mark(Mark),
    /// Measure how stale tag reads are and how long writes take, and compare that with the settings
    #[command(long_about = PROBE_ABOUT)]
    Probe(Probe),
    /// Print the settings in effect and where each came from
    Config(Config),
    /// Print the completion script of a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
    /// Print the JSON Schema of the job file
    Schema,
}

/// `run`.
#[derive(Debug, Args)]
pub struct Run {
    /// The job: a path or a name
    pub job: String,
    /// Serve this node (id, unique name or address), whatever its age
    #[arg(long, value_name = "ID")]
    pub node: Option<String>,
    /// How many nodes to claim at most: a number, or all
    #[arg(long, value_name = "N", default_value = "1", value_parser = max)]
    pub max: Max,
    /// How many nodes to have in hand at once
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub parallel: u32,
    /// Wait that long for what runs on nodes, then leave it to the next `run` (0s: wait for nothing)
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_span)]
    pub for_: Option<std::time::Duration>,
    /// Go on with runs that began under another job file, by the steps of this one
    #[arg(long)]
    pub accept_changed: bool,
    /// Show what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Exit 10 when nothing is due, 11 when something is due but blocked, 12 when a run was parked
    #[arg(long)]
    pub detailed_exitcode: bool,
}

/// `--max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Max(pub Option<u32>);

fn max(text: &str) -> Result<Max, String> {
    match text {
        "all" => Ok(Max(None)),
        _ => text
            .parse()
            .map(|max| Max(Some(max)))
            .map_err(|_| "a whole number, or `all`".to_owned()),
    }
}

/// `plan`.
#[derive(Debug, Args)]
pub struct Plan {
    /// The job: a path or a name
    pub job: String,
    /// Only this node (id, unique name or address), whatever its age
    #[arg(long, value_name = "ID")]
    pub node: Option<String>,
}

/// `status`.
#[derive(Debug, Args)]
pub struct Status {
    /// The jobs; all that there are when none is named
    pub jobs: Vec<String>,
    /// Exit 3 when a node is one of these
    #[arg(long, value_enum, value_delimiter = ',', value_name = "WHAT")]
    pub fail_on: Vec<FailOn>,
}

/// What `--fail-on` looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum FailOn {
    /// Its deadline has passed
    Overdue,
    /// Its latest run did not succeed
    Failed,
    /// Its lease has run out, or cannot be read
    Suspect,
}

/// `check`.
#[derive(Debug, Args)]
pub struct Check {
    /// The jobs; all that there are when none is named
    pub jobs: Vec<String>,
    /// Also look at the fleets, agents and permissions; writes nothing
    #[arg(long)]
    pub live: bool,
}

/// `hold`.
#[derive(Debug, Args)]
#[command(
    override_usage = "roundsman hold [OPTIONS] <NODE>...\n       roundsman hold [OPTIONS] --fleet <JOB>"
)]
pub struct Hold {
    /// The nodes: ids, unique names or addresses
    #[arg(required_unless_present = "fleet")]
    pub nodes: Vec<String>,
    /// The whole fleet of this job
    #[arg(long, value_name = "JOB", conflicts_with = "nodes")]
    pub fleet: Option<String>,
    /// For how long; until it is lifted when left out
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_span)]
    pub for_: Option<std::time::Duration>,
    /// Why, for those who find it
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    pub reason: String,
}

/// `unhold`.
#[derive(Debug, Args)]
#[command(
    override_usage = "roundsman unhold [OPTIONS] <NODE>...\n       roundsman unhold [OPTIONS] --fleet <JOB>"
)]
pub struct Unhold {
    /// The nodes: ids, unique names or addresses
    #[arg(required_unless_present = "fleet")]
    pub nodes: Vec<String>,
    /// The whole fleet of this job
    #[arg(long, value_name = "JOB", conflicts_with = "nodes")]
    pub fleet: Option<String>,
}

const STOP_ABOUT: &str = "\
End the run on a node on purpose, whoever holds it

Claims the node over whoever holds it, ends the step that is under way there, does the job's clean-up, records \
`reason=stopped`, and lets go. The runner that held it notices when it next looks, ends a step of its own, touches nothing \
more and exits with 4. A run whose steps have all succeeded is committed instead.

On AWS, where a write may land late, the lock of a run that somebody held is kept for `request-life` after that, and \
where the job has steps on the runner, clean-up waits until such a step has ended for certain. The first ctrl-c or SIGTERM \
before the claim holds takes it back; a second one leaves at once, and the next `run` of the job finishes the stop.";

/// `stop`.
#[derive(Debug, Args)]
pub struct Stop {
    /// The node: id, unique name or address
    pub node: String,
    /// Only if its run is this one
    #[arg(long, value_name = "ID")]
    pub run: Option<String>,
}

/// `release`.
#[derive(Debug, Args)]
pub struct Release {
    /// The node: id, unique name or address
    pub node: String,
    /// Only if its lock is that of this run
    #[arg(long, value_name = "ID", conflicts_with = "value")]
    pub run: Option<String>,
    /// Only if its unreadable lock has exactly this value
    #[arg(long, value_name = "TEXT")]
    pub value: Option<String>,
    /// Leave its lock, and forget its mark: a node without a lock lets claims with any id execute again
    #[arg(long, conflicts_with_all = ["run", "value"])]
    pub fence: bool,
}

/// `mark`.
#[derive(Debug, Args)]
pub struct Mark {
    /// The job: a path or a name
    pub job: String,
    /// The node: id, unique name or address
    pub node: String,
    /// When the work was done (RFC 3339, a date, or epoch seconds)
    #[arg(long, value_name = "TIME")]
    pub at: String,
    /// Why it is recorded by hand
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
}

const PROBE_ABOUT: &str = "\
Measure how stale tag reads are and how long writes take, and compare that with the settings

Writes a tag of its own (`roundsman-probe`, after `[tags] prefix`) on one node of an AWS account, reads it all the while \
over several connections by each call that `run` uses, removes it, and says which lease settings it would choose. \
Nothing else is written, and no other tag is touched. It is safe on a node that is in service.

The first ctrl-c or SIGTERM ends it early, removes the tag, and shows what was measured so far. The result of a whole \
probe is kept on this machine; `config` warns of settings that are below it.

A local store needs no probe: it says so, and exits with 0.";

/// `probe`.
#[derive(Debug, Args)]
pub struct Probe {
    /// The node: id, unique name or address
    pub node: String,
    /// For how long: 5s to 1d. The longer, the rarer a stale read it can see
    #[arg(long = "for", value_name = "DURATION", default_value = "2m", value_parser = |text: &str| between(text, 5_000, 86_400_000))]
    pub for_: std::time::Duration,
    /// How many connections to read over: 1 to 16
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=16))]
    pub connections: u8,
    /// How far apart the reads by one call over one connection are: 100ms to 10s
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = |text: &str| between(text, 100, 10_000))]
    pub read_every: std::time::Duration,
    /// How far apart writes are on average: 1s to 30s
    #[arg(long, value_name = "DURATION", default_value = "4s", value_parser = |text: &str| between(text, 1_000, 30_000))]
    pub write_every: std::time::Duration,
}

fn between(text: &str, least_ms: u64, most_ms: u64) -> Result<std::time::Duration, String> {
    let ms = std::time::Duration::from_millis;
    let span = parse_span(text)?;
    if (ms(least_ms)..=ms(most_ms)).contains(&span) {
        return Ok(span);
    }
    let (least, most) = (exact_span(ms(least_ms)), exact_span(ms(most_ms)));
    Err(format!("from {least} to {most}"))
}

/// `config`.
#[derive(Debug, Args)]
pub struct Config {
    /// Print the commented defaults instead
    #[arg(long)]
    pub default: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        super::Cli::command().debug_assert();
    }
}
