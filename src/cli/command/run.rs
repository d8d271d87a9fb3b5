//! `run`: serve the next node that is due.

use std::cell::Cell;

use crate::cli::args;
use crate::cli::command::plan::{prepare, show};
use crate::cli::context::{Context, answer, complain};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::report::closing;
use crate::cli::report::human::Human;
use crate::cli::report::json::Lines;
use crate::cli::world::{Purpose, World, find_node};
use crate::engine::Engine;
use crate::engine::round::{Orders, Round, round};
use crate::engine::stop::bell;
use crate::event::Event;
use crate::io::signals::{self, Signal};
use crate::model::view::Rules;

/// Runs one invocation.
pub(super) async fn run(context: &Context, args: args::Run) -> Result<Exit, Failure> {
    let purpose = if args.dry_run {
        Purpose::Look
    } else {
        Purpose::Act
    };
    let (rules, world) = prepare(context, &args.job, purpose).await?;
    if args.dry_run {
        show(context, &rules, &world, args.node.as_deref()).await?;
        return Ok(Exit::Done);
    }
    let only = match args.node.as_deref() {
        Some(wanted) => Some(find_node(&world, &rules.job.fleet, wanted).await?.id),
        None => None,
    };
    let orders = Orders {
        max: if only.is_some() {
            Some(args.max.0.unwrap_or(1))
        } else {
            args.max.0
        },
        only,
        parallel: args.parallel,
        wait: args.for_,
        accept_changed: args.accept_changed,
    };
    let (round, signal) = Box::pin(serve(context, &rules, &world, &orders)).await?;
    if !context.json() && !context.look.quiet {
        answer(&format!("{}\n", closing::sentence(&rules, &round)));
    }
    if context.look.verbose {
        tell_calls(&world);
    }
    if let Some(error) = &round.error {
        complain(&Failure::Outside(error.clone()).show(context.look.colour, context.look.width));
    }
    let named = orders.only.is_some();
    Ok(exit(&round, signal, args.detailed_exitcode, named))
}

async fn serve(
    context: &Context,
    rules: &Rules,
    world: &World,
    orders: &Orders,
) -> Result<(Round, Option<Signal>), Failure> {
    let owner = context.owner();
    let (bell, stop) = bell();
    let first = Cell::new(None);
    let report = Report::new(context, rules);
    let tell = |event: Event| report.event(&event);
    let engine = Engine {
        ports: world,
        rules,
        owner: &owner,
        report: &tell,
    };
    let credentials = async || world.credentials_end().await;
    let serving = engine.leaving_in_time(&bell, credentials, round(&engine, orders, stop));
    let served = signals::while_listening(serving, |signal| {
        first.set(first.get().or(Some(signal)));
        bell.ring();
    });
    let round = Box::pin(served).await.map_err(|error| {
        Failure::usage(
            format!("signals cannot be listened to: {error}"),
            "this is a bug",
        )
    })?;
    report.finish();
    Ok((round, first.get()))
}

/// The exit status. `named`: the node was asked for by name, so that it is wanted whatever its age.
fn exit(round: &Round, signal: Option<Signal>, detailed: bool, named: bool) -> Exit {
    let counts = &round.counts;
    let mut exit = Exit::Done;
    if detailed && counts.claimed == 0 {
        let owed = round
            .last_look
            .iter()
            .flat_map(|(_, rows)| rows)
            .any(|row| row.owed);
        exit = if owed || named || counts.claims_lost > 0 {
            Exit::Blocked
        } else {
            Exit::NothingDue
        };
    }
    if detailed && counts.parked > 0 {
        exit = exit.worse(Exit::Parked);
    }
    if counts.failed > 0 {
        exit = exit.worse(Exit::NodeFailed);
    }
    if counts.leases_lost > 0 {
        exit = exit.worse(Exit::LeaseLost);
    }
    if round.error.is_some() {
        exit = exit.worse(Exit::Outside);
    }
    match signal.filter(|_| round.cut_short) {
        Some(Signal::Interrupt) => exit.worse(Exit::Interrupted),
        Some(Signal::Terminate) => exit.worse(Exit::Terminated),
        None => exit,
    }
}

/// Says how many API calls the invocation made.
pub(super) fn tell_calls(world: &World) {
    let calls = world.calls();
    if !calls.is_empty() {
        let each: Vec<String> = calls
            .iter()
            .map(|(action, count)| format!("{action} {count}"))
            .collect();
        complain(&format!(
            "API calls: {} ({})\n",
            calls.values().sum::<u64>(),
            each.join(", ")
        ));
    }
}

/// Who is told: people on stderr, or programs on stdout.
pub(super) enum Report {
    Human(Box<Human>),
    Json(Lines),
}

impl Report {
    pub(super) fn new(context: &Context, rules: &Rules) -> Self {
        if context.json() {
            return Self::Json(Lines::new(rules.job.name.to_string()));
        }
        Self::Human(Box::new(Human::new(context.look)))
    }

    pub(super) fn event(&self, event: &Event) {
        match self {
            Self::Human(human) => human.event(event),
            Self::Json(lines) => lines.event(event),
        }
    }

    pub(super) fn finish(&self) {
        if let Self::Human(human) = self {
            human.finish();
        }
    }
}
