//! `plan`: every node in the order it would be served. Writes nothing; the same decision as `run`.

use crate::cli::args;
use crate::cli::context::{Context, answer, complain};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::report::{json, table};
use crate::cli::world::{self, Purpose, World, pick};
use crate::engine::observe::observe;
use crate::model::decide::{Wish, decide};
use crate::model::view::Rules;

/// Shows the plan of a job.
pub(super) async fn plan(context: &Context, args: &args::Plan) -> Result<Exit, Failure> {
    let (rules, world) = prepare(context, &args.job, Purpose::Look).await?;
    show(context, &rules, &world, args.node.as_deref()).await?;
    Ok(Exit::Done)
}

/// The rules of a job and the world it acts in.
pub(super) async fn prepare(
    context: &Context,
    job: &str,
    purpose: Purpose,
) -> Result<(Rules, World), Failure> {
    world::available(context.settings())?;
    let rules = context.rules(context.job(job)?)?;
    let world = world::open(context.settings(), purpose, rules.on_node()).await?;
    tell_created(context, &world);
    Ok((rules, world))
}

/// Says that a store was made, in one line with its full path.
pub(super) fn tell_created(context: &Context, world: &World) {
    if let Some(path) = world.created.as_ref().filter(|_| !context.look.quiet) {
        complain(&format!("created the store {}\n", path.display()));
    }
}

/// Reads, decides, and shows.
pub(super) async fn show(
    context: &Context,
    rules: &Rules,
    world: &World,
    node: Option<&str>,
) -> Result<(), Failure> {
    let view = observe(world, rules, None).await?;
    let only = match node {
        Some(wanted) => Some(pick(view.nodes.clone(), wanted)?.id),
        None => None,
    };
    let rows = decide(
        rules,
        &view,
        &Wish {
            only,
            ..Wish::default()
        },
    );
    if context.json() {
        let plan = serde_json::to_string(&json::plan(rules, &view, &rows)).unwrap_or_default();
        answer(&format!("{plan}\n"));
    } else {
        answer(&table::plan(rules, &view, &rows, context.look));
    }
    Ok(())
}
