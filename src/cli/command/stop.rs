//! `stop`: ends the run on a node on purpose.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use crate::cli::args;
use crate::cli::command::operate::{any_node, open, shown};
use crate::cli::command::run::{Report, tell_calls};
use crate::cli::context::{Context, answer, complain};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::report::text::harmless_line;
use crate::cli::world::World;
use crate::engine::Engine;
use crate::engine::halt::{Halted, halt, target};
use crate::engine::stop::bell;
use crate::event::{Counts, Event, EventKind};
use crate::io::signals::{self, Signal};
use crate::model::id::RunId;
use crate::model::lock::{Lock, Seen};
use crate::model::node::Node;
use crate::model::outcome::Outcome;
use crate::model::record::FailReason;
use crate::model::run::Result as RunResult;
use crate::model::span::short_span;
use crate::model::stop::{NoStop, without_file};
use crate::model::view::Rules;
use crate::port::{Ports, Store};

/// What is stopped, and by which job's rules.
struct Case {
    node: Node,
    lock: Lock,
    rules: Rules,
    /// Whether the job's file was found: without it there is no clean-up.
    has_file: bool,
}

/// Ends the run on a node.
pub(super) async fn stop(context: &Context, args: &args::Stop) -> Result<Exit, Failure> {
    let only = match &args.run {
        Some(run) => Some(run.parse().map_err(|_| {
            Failure::usage(
                format!("`{run}` is no run id"),
                "`status` shows the run of every lock: 26 letters and digits",
            )
        })?),
        None => None,
    };
    let world = open(context).await?;
    let case = find(context, &world, &args.node, only).await?;
    if !case.has_file {
        complain(&format!(
            "warning: there is no job `{}` in {}: what runs there is ended, and no clean-up is done\n",
            case.lock.job,
            context.dirs()
        ));
    }
    let (halted, unclean, signal) = serve(context, &world, &case).await?;
    if context.look.verbose {
        tell_calls(&world);
    }
    tell(context, &case, &halted, &unclean);
    let exit = exit(&halted, signal);
    Ok(if unclean.is_empty() {
        exit
    } else {
        exit.worse(Exit::NodeFailed)
    })
}

/// The node, its lock, and the rules of the job that stands in it.
async fn find(
    context: &Context,
    world: &World,
    wanted: &str,
    only: Option<RunId>,
) -> Result<Case, Failure> {
    let found = any_node(world, wanted).await?;
    let keys = context.common_keys()?;
    let tags = world.store().read_tags(&found.id).await?;
    let node = Node { tags, ..found };
    let value = node.tags.get(keys.lock.as_str()).map(String::as_str);
    let lock = match Seen::read(value) {
        Seen::Lock(lock) => lock,
        Seen::Free => return Err(refused(&node, &NoStop::Free)),
        Seen::Unreadable(text) => return Err(refused(&node, &NoStop::Unreadable(text))),
    };
    let job = context.job_of_lock(&lock)?;
    let has_file = job.is_some();
    let rules = context.rules(job.unwrap_or_else(|| without_file(&lock)))?;
    let case = Case {
        node,
        lock,
        rules,
        has_file,
    };
    let owner = context.owner();
    let engine = Engine {
        ports: world,
        rules: &case.rules,
        owner: &owner,
        report: &|_| {},
    };
    // Said before anything is written.
    match target(&engine, &case.node, only).await? {
        Ok(_) => Ok(case),
        Err(no) => Err(refused(&case.node, &no)),
    }
}

fn refused(node: &Node, no: &NoStop) -> Failure {
    let (message, help) = no.say(node.id.as_str());
    Failure::usage(message, help)
}

/// Stops it; tells the clean-up steps that did not succeed, and the first signal.
async fn serve(
    context: &Context,
    world: &World,
    case: &Case,
) -> Result<(Halted, Vec<String>, Option<Signal>), Failure> {
    let owner = context.owner();
    let (bell, told) = bell();
    let first = Cell::new(None);
    let report = Report::new(context, &case.rules);
    let unclean = RefCell::new(BTreeMap::new());
    let steps = case.rules.job.steps.len();
    let tell = |event: Event| {
        if let EventKind::StepFinished {
            step,
            name,
            outcome,
            ..
        } = &event.kind
            && usize::try_from(*step).is_ok_and(|step| step > steps)
            && case.has_file
        {
            // An attempt that is made again may succeed yet.
            let failed = (*outcome != Outcome::Ok).then(|| name.clone());
            unclean.borrow_mut().insert(*step, failed);
        }
        report.event(&event);
    };
    let engine = Engine {
        ports: world,
        rules: &case.rules,
        owner: &owner,
        report: &tell,
    };
    let halting = halt(&engine, &case.node, case.lock.run, told);
    let served = signals::while_listening(halting, |signal| {
        first.set(first.get().or(Some(signal)));
        bell.ring();
    });
    let halted = Box::pin(served).await.map_err(|error| {
        Failure::usage(
            format!("signals cannot be listened to: {error}"),
            "this is a bug",
        )
    })?;
    report.event(&Event {
        at: engine.now().wall,
        run: None,
        node: None,
        kind: EventKind::Finished(counts(&halted)),
    });
    report.finish();
    let unclean = unclean.into_inner().into_values().flatten().collect();
    Ok((halted, unclean, first.get()))
}

fn counts(halted: &Halted) -> Counts {
    let none = Counts::default();
    match halted {
        Halted::Stopped { result, .. } => Counts {
            claimed: 1,
            committed: u32::from(!matches!(result, RunResult::Failed { .. })),
            failed: u32::from(!matches!(result, RunResult::Done)),
            ..none
        },
        Halted::ClaimLost { .. } => Counts {
            claims_lost: 1,
            ..none
        },
        Halted::LeaseLost(_) => Counts {
            claimed: 1,
            leases_lost: 1,
            ..none
        },
        Halted::Over | Halted::Not(_) | Halted::Outside(_) | Halted::Left => none,
    }
}

/// Says what came of it and what to do next: on stdout what was asked for, on stderr what went wrong.
fn tell(context: &Context, case: &Case, halted: &Halted, unclean: &[String]) {
    let (node, lock) = (shown(&case.node), &case.lock);
    let what = format!("run {} of {}", lock.run, lock.job);
    let again = format!("stop it again, or look with `status {}`", lock.job);
    let (good, text) = match halted {
        Halted::Stopped { found, result } => {
            let owner = harmless_line(&found.owner);
            (true, stopped(case, &what, &owner, (*result, unclean)))
        }
        Halted::Over => (true, format!("{what} on {node} has ended by itself")),
        Halted::Not(no) => {
            let (message, help) = no.say(case.node.id.as_str());
            (false, format!("{message}\n  help: {help}"))
        }
        Halted::ClaimLost { why } => (
            false,
            format!("{node} was not stopped: {why}\n  help: {again}"),
        ),
        Halted::LeaseLost(_) => (
            false,
            format!("{node}: the stop lost its own lease before it was done\n  help: {again}"),
        ),
        Halted::Outside(error) => {
            let failure = Failure::Outside(error.clone());
            return complain(&failure.show(context.look.colour, context.look.width));
        }
        Halted::Left => {
            let spans = case.rules.lease.ttl + case.rules.lease.margin;
            (
                false,
                format!(
                    "{node} was left before the stop was done\n  help: stop it again; else a `run` of {} goes on with what is \
                     there, as soon as its lease has been over for a while (in {} at the latest)",
                    lock.job,
                    short_span(spans)
                ),
            )
        }
    };
    if good && !context.json() && !context.look.quiet {
        answer(&format!("{text}\n"));
    } else if !good {
        complain(&format!("error: {text}\n"));
    }
}

fn stopped(
    case: &Case,
    what: &str,
    owner: &str,
    (result, unclean): (RunResult, &[String]),
) -> String {
    let node = shown(&case.node);
    let fail = &case.rules.keys.fail;
    let cleanup = match (case.has_file, case.rules.job.cleanup.is_empty()) {
        (false, _) => "no clean-up was done, since its job file is not here".to_owned(),
        _ if !unclean.is_empty() => format!(
            "clean-up did not succeed ({}): look there",
            harmless_line(&unclean.join(", "))
        ),
        (true, true) => "its job has no clean-up".to_owned(),
        (true, false) => "clean-up is done".to_owned(),
    };
    match result {
        RunResult::Failed {
            reason: FailReason::Stopped,
            ..
        } => format!(
            "{what} on {node} is stopped ({owner} had it); {cleanup}; {fail} says reason=stopped; the node is free, and due: \
             `hold` keeps it from the next `run`"
        ),
        RunResult::Failed { reason, .. } => format!(
            "{what} on {node} had failed already ({reason}; {owner} had it); {cleanup}; {fail} says so; the node is free"
        ),
        RunResult::Done | RunResult::DoneUnclean { .. } => format!(
            "{what} on {node} had done all of its steps, and is committed ({owner} had it); {cleanup}; the node is free"
        ),
    }
}

/// The exit status.
fn exit(halted: &Halted, signal: Option<Signal>) -> Exit {
    match halted {
        Halted::Stopped {
            result: RunResult::DoneUnclean { .. },
            ..
        } => Exit::NodeFailed,
        Halted::Stopped { .. } | Halted::Over => Exit::Done,
        Halted::Not(_) => Exit::Usage,
        Halted::ClaimLost { .. } | Halted::LeaseLost(None) => Exit::LeaseLost,
        Halted::LeaseLost(Some(_)) | Halted::Outside(_) => Exit::Outside,
        Halted::Left => match signal {
            Some(Signal::Interrupt) | None => Exit::Interrupted,
            Some(Signal::Terminate) => Exit::Terminated,
        },
    }
}
