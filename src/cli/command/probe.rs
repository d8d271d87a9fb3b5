//! `probe`: measure how stale reads are and how long writes take, and compare that with the settings.

use std::cell::Cell;
use std::time::Duration;

use crate::cli::args;
use crate::cli::command::operate::shown;
use crate::cli::context::{Context, answer, complain};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::kept::{self, Kept, KeptRow, Place};
use crate::cli::report::probe::{Probe, human, json, removal};
use crate::cli::report::text::harmless_line;
use crate::cli::world::{self, Lines, pick};
use crate::engine::probe::{Ended, Order, Probed, Ready, Removal, probe as measure, ready};
use crate::engine::stop::bell;
use crate::io::clock::SystemClock;
use crate::io::signals::{self, Signal};
use crate::model::id::ProbeId;
use crate::model::node::Node;
use crate::model::probe::advice::advise;
use crate::model::probe::find::find;
use crate::model::settings::ProviderKind;
use crate::model::span::{exact_span, short_span};
use crate::model::tag::probe_key;
use crate::model::time::{format_stamp, later};
use crate::port::Clock;

/// The most reads that one probe may plan: they are kept in memory.
const READS_MAX: u128 = 1_000_000;
/// For how long the tag's absence is looked for, beside what the settings say of reads.
const CONFIRM: Duration = Duration::from_secs(30);

const LOCAL: &str = "nothing to measure: a local store is one SQLite file, and every claim there is one transaction. \
                     No read is stale, nothing settles, and `claim-within` and `staleness` are not used";

/// Measures.
pub(super) async fn probe(context: &Context, args: &args::Probe) -> Result<Exit, Failure> {
    if context.settings().provider.kind == ProviderKind::Local {
        answer(&if context.json() {
            format!(
                "{}\n",
                serde_json::json!({ "v": 1, "provider": "local", "ended": "not-needed", "why": LOCAL })
            )
        } else {
            format!("{LOCAL}\n")
        });
        return Ok(Exit::Done);
    }
    world::available(context.settings())?;
    affordable(args)?;
    let lines = Lines::open(context.settings(), usize::from(args.connections)).await?;
    let first = lines
        .stores
        .first()
        .ok_or_else(|| Failure::usage("there is no connection", "this is a bug"))?;
    let node = pick(first.find(&args.node).await?, &args.node)?;
    let account = lines.account(&node.id).await;
    let order = order(context, args, &node)?;
    let ready = ready(&SystemClock, first, &order).await?;
    if let Some(tag) = &ready.leftover {
        complain(&format!(
            "a probe of {} has left its tag on {} at {}: it is replaced, and removed in the end\n",
            harmless_line(&tag.by),
            node.id,
            format_stamp(tag.at)
        ));
    }
    warn_of_run(context, &node)?;
    tell_begin(context, args, &node);
    let (probed, signal) = Box::pin(listen(&lines, &order, ready)).await?;
    let label = shown(&node);
    let settings = &context.settings().lease;
    let found = find(&probed.log, &probed.offsets, settings.claim_within);
    let advice = advise(&found, settings);
    let told = Probe {
        node: order.node.as_str(),
        label: &label,
        key: order.key.as_str(),
        region: &lines.region,
        account: account.as_deref(),
        connections: lines.stores.len(),
        probed: &probed,
        found: &found,
        advice: &advice,
        now: settings,
    };
    tell(context, &told);
    if probed.ended == Ended::Whole {
        remember(context, &told);
    }
    Ok(exit(&probed, signal))
}

/// Measures until it is done or told to stop.
async fn listen(
    lines: &Lines,
    order: &Order,
    ready: Ready,
) -> Result<(Probed, Option<Signal>), Failure> {
    let (bell, stop) = bell();
    let signal = Cell::new(None);
    let fleet = async |store: &world::AnyStore| store.find(order.node.as_str()).await;
    let measured = measure(&SystemClock, &lines.stores, &fleet, order, ready, stop);
    let probed = signals::while_listening(measured, |each| {
        signal.set(signal.get().or(Some(each)));
        bell.ring();
    });
    let probed = probed.await.map_err(|error| {
        Failure::usage(
            format!("signals cannot be listened to: {error}"),
            "this is a bug",
        )
    })?;
    Ok((probed, signal.get()))
}

/// # Errors
/// When it would make more reads than can be kept.
fn affordable(args: &args::Probe) -> Result<(), Failure> {
    let looks = args.for_.as_millis() / args.read_every.as_millis().max(1) + 1;
    let reads = looks * u128::from(args.connections) * 3;
    if reads > READS_MAX {
        return Err(Failure::usage(
            format!("that would be {reads} reads; a probe makes at most {READS_MAX}"),
            "probe for less time, over fewer connections, or with a longer --read-every",
        ));
    }
    Ok(())
}

fn order(context: &Context, args: &args::Probe, node: &Node) -> Result<Order, Failure> {
    let settings = context.settings();
    let key = probe_key(&settings.prefix).map_err(|bad| {
        Failure::usage(
            format!("the probe's tag cannot be named: {bad}"),
            "shorten `[tags] prefix`",
        )
    })?;
    let now = u64::try_from(SystemClock.wall().as_millisecond()).unwrap_or_default();
    Ok(Order {
        node: node.id.clone(),
        key,
        probe: ProbeId::new(now, SystemClock.random()),
        by: context.owner(),
        for_: args.for_,
        write_every: args.write_every,
        read_every: args.read_every,
        confirm: CONFIRM.saturating_add(settings.lease.staleness.saturating_mul(3)),
    })
}

/// Two writers at once make EC2 refuse one of them, and that may be the run.
fn warn_of_run(context: &Context, node: &Node) -> Result<(), Failure> {
    if node.tags.contains_key(context.common_keys()?.lock.as_str()) {
        complain(&format!(
            "warning: {} is locked, so a run may be at work there: the probe's writes can get in the way of its own \
             (ConcurrentTagAccess), which it then tries again; a node without a lock is the better choice\n",
            node.id
        ));
    }
    Ok(())
}

fn tell_begin(context: &Context, args: &args::Probe, node: &Node) {
    if context.look.quiet {
        return;
    }
    let per_second = f64::from(args.connections) / args.read_every.as_secs_f64();
    complain(&format!(
        "probing {} for {} over {} connections, a write every {} or so: about {:.0} DescribeTags and {per_second:.0} \
         DescribeInstances a second; ctrl-c ends it early and removes the tag\n",
        shown(node),
        short_span(args.for_),
        args.connections,
        exact_span(args.write_every),
        per_second * 2.0
    ));
}

/// The figures on stdout, what became of the tag on stderr.
fn tell(context: &Context, told: &Probe<'_>) {
    let probed = told.probed;
    if context.json() {
        let object = serde_json::to_string(&json(told)).unwrap_or_default();
        answer(&format!("{object}\n"));
    } else if !matches!(probed.ended, Ended::Trouble(_)) {
        answer(&human(told, context.look));
    }
    let request_life = context.settings().lease.request_life;
    let may_return = probed.outstanding.map(|begun| begun.plus(request_life));
    let may_return = may_return
        .filter(|until| *until > SystemClock.boot())
        .map(|until| {
            let left = until.since(SystemClock.boot());
            format_stamp(later(SystemClock.wall(), left))
        });
    let (warning, sentence) = removal(told.node, told.key, &probed.removal, may_return.as_deref());
    if warning {
        complain(&format!("warning: {}\n", harmless_line(&sentence)));
    } else if !context.look.quiet {
        complain(&format!("{}\n", harmless_line(&sentence)));
    }
    if let Ended::Trouble(error) = &probed.ended {
        let shown = Failure::Outside(error.clone()).show(context.look.colour, context.look.width);
        complain(&format!(
            "{shown}the probe ended after {}; nothing is concluded from it\n",
            short_span(probed.took)
        ));
    }
}

/// Keeps the result for `config`. That it cannot be kept is told, and no more.
fn remember(context: &Context, told: &Probe<'_>) {
    let kept = Kept {
        place: Place {
            region: Some(told.region.to_owned()),
            ..Place::of(context.settings())
        },
        account: told.account.map(str::to_owned),
        node: told.node.to_owned(),
        at: format_stamp(told.probed.began),
        reads: told.found.reads(),
        found: told.advice.rows.iter().map(KeptRow::from).collect(),
    };
    match kept::keep(kept) {
        Ok(path) if context.look.verbose => complain(&format!("kept in {}\n", path.display())),
        Ok(_) => {}
        Err(why) => complain(&format!(
            "warning: the result is not kept, so `config` will not know of it: {}\n",
            harmless_line(&why.to_string())
        )),
    }
}

fn exit(probed: &Probed, signal: Option<Signal>) -> Exit {
    let mut exit = match (&probed.ended, &probed.removal) {
        (Ended::Trouble(_), _) | (_, Removal::Perhaps { .. }) => Exit::Outside,
        (Ended::Whole | Ended::Signal, Removal::NotWritten | Removal::Gone) => Exit::Done,
    };
    // A signal that came when all was measured has abandoned nothing but perhaps the tag.
    let abandoned = probed.ended == Ended::Signal || exit == Exit::Outside;
    if let Some(signal) = signal.filter(|_| abandoned) {
        exit = exit.worse(match signal {
            Signal::Interrupt => Exit::Interrupted,
            Signal::Terminate => Exit::Terminated,
        });
    }
    exit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_that_could_not_be_kept_in_memory_is_refused() {
        let args = |for_: u64, every: u64, connections| args::Probe {
            node: "a".to_owned(),
            for_: Duration::from_secs(for_),
            connections,
            read_every: Duration::from_millis(every),
            write_every: Duration::from_secs(4),
        };
        assert!(affordable(&args(120, 1_000, 4)).is_ok());
        assert!(affordable(&args(3_600, 100, 4)).is_ok());
        assert!(affordable(&args(86_400, 1_000, 4)).is_err());
    }
}
