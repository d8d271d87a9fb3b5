//! `hold`, `unhold`, `release` and `mark`: what operators do by hand.

use crate::cli::args;
use crate::cli::command::plan::{prepare, tell_created};
use crate::cli::context::{Context, answer, complain};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::report::text::harmless_line;
use crate::cli::world::{self, Purpose, World, find_node, pick};
use crate::engine::operate::{self, Which};
use crate::model::node::Node;
use crate::model::record::{Hold, Scope};
use crate::model::time::{format_stamp, later, parse_stamp};
use crate::port::{Ports, Store};

/// Stops work on nodes, or on a whole fleet.
pub(super) async fn hold(context: &Context, args: &args::Hold) -> Result<Exit, Failure> {
    let (world, nodes, scope) = targets(context, &args.nodes, args.fleet.as_deref()).await?;
    let keys = context.common_keys()?;
    let now = crate::engine::now(&world).wall;
    let hold = Hold {
        scope,
        by: context.owner(),
        at: Some(now),
        until: args.for_.map(|span| later(now, span)),
        reason: args.reason.clone(),
    };
    let until = hold.until.map_or_else(
        || "until it is lifted with `unhold`".to_owned(),
        |until| format!("until {}", format_stamp(until)),
    );
    for node in &nodes {
        let before = operate::hold(&world, &node.id, &keys.hold, &hold).await?;
        let replaced = before.map_or_else(String::new, |text| {
            format!("; this replaces: {}", harmless_line(&text))
        });
        answer(&format!("{} is on hold {until}{replaced}\n", shown(node)));
    }
    if scope == Scope::Fleet {
        answer("the whole fleet is on hold while any of its nodes bears this\n");
    }
    Ok(Exit::Done)
}

/// Lifts a hold.
pub(super) async fn unhold(context: &Context, args: &args::Unhold) -> Result<Exit, Failure> {
    let (world, nodes, _) = targets(context, &args.nodes, args.fleet.as_deref()).await?;
    let keys = context.common_keys()?;
    for node in &nodes {
        match operate::unhold(&world, &node.id, &keys.hold).await? {
            Some(value) => answer(&format!(
                "{} is no longer on hold (it said: {})\n",
                shown(node),
                harmless_line(&value)
            )),
            None => answer(&format!("{} was not on hold\n", shown(node))),
        }
    }
    Ok(Exit::Done)
}

/// Breaks a node's lease.
pub(super) async fn release(context: &Context, args: &args::Release) -> Result<Exit, Failure> {
    let world = open(context).await?;
    let node = any_node(&world, &args.node).await?;
    if args.fence {
        let key = context.common_keys()?.lock;
        let was = operate::reset_mark(&world, &node, &key).await?;
        answer(&match was {
            Some(was) => format!(
                "the mark of {} is forgotten: it was {}\n",
                shown(&node),
                harmless_line(&was)
            ),
            None => format!("{} has no mark\n", shown(&node)),
        });
        return Ok(Exit::Done);
    }
    let which = match (&args.run, &args.value) {
        (Some(run), _) => Which::Run(run.parse().map_err(|_| {
            Failure::usage(
                format!("`{run}` is no run id"),
                "`status` shows the run of every lock: 26 letters and digits",
            )
        })?),
        (None, Some(value)) => Which::Value(value.clone()),
        (None, None) => Which::Any,
    };
    let keys = context.common_keys()?;
    let released = operate::release(&world, &node, &keys.lock, &which).await?;
    answer(&format!(
        "{} is released; its lock said: {}\n",
        shown(&node),
        harmless_line(&released.value)
    ));
    for sentence in &released.running {
        complain(&format!("warning: {}\n", harmless_line(sentence)));
    }
    Ok(Exit::Done)
}

/// Records work that was done elsewhere.
pub(super) async fn mark(context: &Context, args: &args::Mark) -> Result<Exit, Failure> {
    let at = parse_stamp(&args.at).ok_or_else(|| {
        Failure::usage(
            format!("`{}` is no time", args.at),
            "write one like 2026-11-23T00:10:00Z, 2026-11-23, or epoch seconds",
        )
    })?;
    if args.reason.trim().is_empty() {
        return Err(Failure::usage(
            "`--reason` is empty",
            "say why the work is recorded by hand",
        ));
    }
    let (rules, world) = prepare(context, &args.job, Purpose::Act).await?;
    let node = find_node(&world, &rules.job.fleet, &args.node).await?;
    let before = operate::mark(&world, &node.id, (&rules.keys.lock, &rules.keys.last), at).await?;
    let before = before.map_or_else(
        || "it was never served before".to_owned(),
        |text| format!("it said {}", harmless_line(&text)),
    );
    answer(&format!(
        "{} of {} now says {} ({before}); reason: {}\n",
        rules.keys.last,
        shown(&node),
        format_stamp(at),
        harmless_line(&args.reason)
    ));
    tracing::info!(node = %node.id, at = %at, reason = %args.reason, "marked");
    Ok(Exit::Done)
}

pub(super) async fn open(context: &Context) -> Result<World, Failure> {
    let world = world::open(context.settings(), Purpose::Act, false).await?;
    tell_created(context, &world);
    Ok(world)
}

/// The nodes that a hold means: those that are named, or every node of a fleet.
async fn targets(
    context: &Context,
    names: &[String],
    fleet: Option<&str>,
) -> Result<(World, Vec<Node>, Scope), Failure> {
    let Some(job) = fleet else {
        let world = open(context).await?;
        let mut nodes = Vec::new();
        for name in names {
            nodes.push(any_node(&world, name).await?);
        }
        return Ok((world, nodes, Scope::Node));
    };
    let (rules, world) = prepare(context, job, Purpose::Act).await?;
    let nodes = world.store().read_fleet(&rules.job.fleet).await?;
    if nodes.is_empty() {
        return Err(Failure::usage(
            format!("the fleet of `{job}` is empty: there is no node that could bear the hold"),
            "look with `plan` what its selector picks",
        ));
    }
    Ok((world, nodes, Scope::Fleet))
}

/// A node of the provider, whatever job it belongs to.
///
/// AWS is not listed as a whole: a node is asked for by its id, its Name tag or its address.
pub(super) async fn any_node(world: &World, wanted: &str) -> Result<Node, Failure> {
    pick(world.find(wanted).await?, wanted)
}

pub(super) fn shown(node: &Node) -> String {
    match &node.name {
        Some(name) if name != node.id.as_str() => format!("{} ({})", harmless_line(name), node.id),
        _ => node.id.to_string(),
    }
}
