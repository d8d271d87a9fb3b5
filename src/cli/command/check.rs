//! `check`: validate without touching anything; with `--live`, look at what the files speak of.

use serde_json::{Value, json};

use crate::cli::args;
use crate::cli::context::{Context, answer, complain};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::jobs::Loaded;
use crate::cli::problem::{FileProblems, render};
use crate::cli::report::json::VERSION;
use crate::cli::report::table::plural;
use crate::cli::world::{self, Purpose, World};
use crate::model::job::{Job, Step};
use crate::model::node::{Agent, Service};
use crate::model::problem::Problem;
use crate::model::settings::ProviderKind;
use crate::model::span::short_span;
use crate::model::view::Rules;
use crate::port::{Ports, Put, Store};

/// Checks the named jobs, or all that there are.
pub(super) async fn check(context: &Context, args: &args::Check) -> Result<Exit, Failure> {
    let (good, wrong) = context.jobs(&args.jobs);
    if context.json() && !(good.is_empty() && wrong.is_empty()) {
        return Ok(as_json(context, &good, &wrong, args.live).await);
    }
    let mut exit = Exit::Done;
    for failure in &wrong {
        complain(&failure.show(context.look.colour, context.look.width));
        exit = exit.worse(failure.exit());
    }
    if good.is_empty() && wrong.is_empty() {
        return Err(Failure::usage(
            format!("there is no job in {}", context.dirs()),
            "a job is a file `<name>.toml` there; --jobs looks elsewhere",
        ));
    }
    for loaded in good {
        let said = render(&loaded.warnings, context.look.colour, context.look.width);
        complain(&said);
        let job = &loaded.job;
        answer(&format!(
            "{}: ok, every {}, {}\n",
            loaded.path.display(),
            short_span(job.every),
            steps(job)
        ));
        for caution in cautions(context, job) {
            complain(&format!("warning: {}: {caution}\n", loaded.path.display()));
        }
        if args.live {
            let rules = context.rules(loaded.job)?;
            exit = exit.worse(live(context, &rules).await);
        }
    }
    Ok(exit)
}

/// The same as one JSON object: each file with what is wrong with it, and where.
async fn as_json(context: &Context, good: &[Loaded], wrong: &[Failure], with_live: bool) -> Exit {
    let mut exit = Exit::Done;
    let mut files: Vec<Value> = Vec::new();
    for failure in wrong {
        exit = exit.worse(failure.exit());
        match failure {
            Failure::Files(all) => {
                files.extend(all.iter().map(|problems| file(context, problems, None)));
            }
            Failure::Usage { message, .. } => {
                files.push(json!({ "ok": false, "errors": [{ "message": message }] }));
            }
            Failure::Outside(error) => {
                files.push(json!({ "ok": false, "errors": [{ "message": error.message }] }));
            }
        }
    }
    for loaded in good {
        let mut entry = file(context, &loaded.warnings, Some(loaded));
        if with_live {
            let looked = match context.rules(loaded.job.clone()) {
                Ok(rules) => look(context, &rules).await,
                Err(failure) => Err(failure),
            };
            entry["live"] = match looked {
                Ok(lines) => json!({ "ok": true, "lines": lines }),
                Err(failure) => {
                    exit = exit.worse(failure.exit());
                    json!({ "ok": false, "error": failure.show(false, usize::MAX).trim_end() })
                }
            };
        }
        files.push(entry);
    }
    answer(&format!("{}\n", json!({ "v": VERSION, "files": files })));
    exit
}

fn file(context: &Context, problems: &FileProblems, loaded: Option<&Loaded>) -> Value {
    let all = |list: &[Problem]| -> Vec<Value> {
        list.iter()
            .map(|each| problem(&problems.text, each))
            .collect()
    };
    let mut warnings = all(&problems.warnings);
    let cautions = loaded
        .map(|loaded| cautions(context, &loaded.job))
        .unwrap_or_default();
    warnings.extend(
        cautions.into_iter().map(
            |message| json!({ "message": message, "help": null, "line": null, "column": null }),
        ),
    );
    let name = loaded.map_or_else(
        || problems.name.clone(),
        |loaded| loaded.path.display().to_string(),
    );
    json!({
        "file": name,
        "job": loaded.map(|loaded| loaded.job.name.to_string()),
        "ok": problems.errors.is_empty(),
        "errors": all(&problems.errors),
        "warnings": warnings,
    })
}

/// Lines and columns count from 1.
fn problem(text: &str, problem: &Problem) -> Value {
    let before = problem
        .span
        .as_ref()
        .and_then(|span| text.get(..span.start));
    let line = before.map(|before| before.matches('\n').count() + 1);
    let column = before.map(|before| {
        before
            .rsplit('\n')
            .next()
            .unwrap_or_default()
            .chars()
            .count()
            + 1
    });
    json!({ "line": line, "column": column, "message": problem.message, "help": problem.help })
}

/// `1 step`, `2 steps and 1 clean-up`.
fn steps(job: &Job) -> String {
    let steps = plural(job.steps.len(), "step");
    match job.cleanup.len() {
        0 => steps,
        count => format!("{steps} and {}", plural(count, "clean-up")),
    }
}

/// What only job and settings together say: nodes without `via` are this machine, which goes down under its runner.
fn cautions(context: &Context, job: &Job) -> Vec<String> {
    let provider = &context.settings().provider;
    let here = provider.kind == ProviderKind::Local && provider.local.via.is_none();
    let reboots = job.steps.iter().filter(|step| step.reboots() && here);
    let caution = |step: &Step| {
        format!(
            "step `{}` reboots this machine, and roundsman with it: there is no `via` in [provider.local]. Whoever invokes \
             it next, such as a timer at boot, goes on with the run",
            step.name
        )
    };
    reboots.map(caution).collect()
}

async fn live(context: &Context, rules: &Rules) -> Exit {
    let job = &rules.job.name;
    match look(context, rules).await {
        Ok(lines) => {
            for line in lines {
                answer(&format!("{job}: {line}\n"));
            }
            Exit::Done
        }
        Err(failure) => {
            complain(&format!(
                "{job}: {}",
                failure.show(context.look.colour, context.look.width)
            ));
            failure.exit()
        }
    }
}

async fn look(context: &Context, rules: &Rules) -> Result<Vec<String>, Failure> {
    let world = world::open(context.settings(), Purpose::Look, rules.on_node()).await?;
    let nodes = world.store().read_fleet(&rules.job.fleet).await?;
    let out = nodes
        .iter()
        .filter(|node| matches!(node.service, Service::Out { .. }))
        .count();
    let offline: Vec<&str> = nodes
        .iter()
        .filter(|node| node.agent == Agent::Offline)
        .map(|node| node.id.as_str())
        .collect();
    let mut lines = vec![format!(
        "the fleet has {}, {out} out of service",
        plural(nodes.len(), "node")
    )];
    if !offline.is_empty() {
        lines.push(format!(
            "the SSM agent of {} does not answer",
            offline.join(", ")
        ));
    }
    match nodes.first() {
        Some(node) => {
            permissions(&world, rules, &node.id).await?;
            lines.push(format!(
                "its tags may be written and deleted (asked for {})",
                node.id
            ));
        }
        None => {
            lines
                .push("no node is picked by its selector: nothing would ever be served".to_owned());
        }
    }
    Ok(lines)
}

async fn permissions(
    world: &World,
    rules: &Rules,
    node: &crate::model::id::NodeId,
) -> Result<(), Failure> {
    let keys = &rules.keys;
    let value = || "check".to_owned();
    let put = Put::one(keys.lock.clone(), value())
        .and(keys.last.clone(), value())
        .and(keys.took.clone(), value())
        .and(keys.fail.clone(), value());
    Ok(world.may_tag(node, &put).await?)
}
