//! Runners that die, at every moment at which they wait; and the next invocation, which goes on with what they left.

use std::cell::Cell;
use std::pin::Pin;
use std::task::Poll;

use super::*;

/// One invocation that dies at the `nth` moment at which it waits for anything; `false`: it had ended before.
pub(crate) fn dies(world: &World, rules: &Rules, nth: usize) -> bool {
    let quiet = |_: Event| {};
    let engine = Engine {
        ports: world,
        rules,
        owner: "dead@host",
        report: &quiet,
    };
    let (_bell, stop) = bell();
    let orders = orders(Some(1), 1);
    let mut run: Option<Pin<Box<dyn Future<Output = Round>>>> =
        Some(Box::pin(round(&engine, &orders, stop)));
    let (mut left, mut known) = (nth, None);
    world.play(std::future::poll_fn(move |context| {
        // The clock also wakes those who are long past what they waited for: that is no other moment.
        let moment = Some((
            world.clock.boot(),
            world.store.calls(),
            world.shell.sent().len(),
        ));
        if known != moment {
            if left == 0 {
                run = None;
                return Poll::Ready(true);
            }
            left -= 1;
            known = moment;
        }
        match run.as_mut() {
            Some(future) => future.as_mut().poll(context).map(|_| false),
            None => Poll::Ready(true),
        }
    }))
}

/// Long enough for a lease to end and its margin to pass.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1_560);

/// A job with so many steps on the node, and a clean-up step.
pub(crate) fn with_cleanup(steps: usize) -> Job {
    let mut job = job();
    job.steps = (1..=steps)
        .map(|n| step(&format!("s{n}"), On::Node))
        .collect();
    job.cleanup.push(Cleanup {
        step: step("tidy", On::Node),
        when: When::Always,
    });
    job
}

/// Has every step take so long, and end well but for those that are named.
pub(crate) fn takes(world: &World, seconds: u64, failing: &'static [(u32, u32)]) {
    world.shell.plan(move |_, order| {
        let outcome = if failing.contains(&(order.step, order.attempt)) {
            Outcome::Failed
        } else {
            Outcome::Ok
        };
        Plan::Ends(Duration::from_secs(seconds), outcome)
    });
}

/// The attempts that were sent, in order, without their node.
pub(crate) fn attempts(world: &World) -> Vec<(u32, u32)> {
    let sent = world.shell.sent();
    sent.into_iter()
        .map(|(_, step, attempt)| (step, attempt))
        .collect()
}

/// The runs that have sent anything.
fn runs(world: &World) -> usize {
    let runs: std::collections::BTreeSet<_> =
        world.shell.orders().iter().map(|order| order.run).collect();
    runs.len()
}

pub(crate) fn keys(world: &World) -> Vec<String> {
    world.store.tags("a").into_keys().collect()
}

/// Plays a job whose runner dies at each of its awaits in turn, and whose steps take that long, to its end by one
/// more invocation; `deaths` more of them die on the way. Gives how many deaths there were.
fn matrix(
    job: &Job,
    takes_s: u64,
    failing: &'static [(u32, u32)],
    check: impl Fn(&World, &str),
) -> usize {
    let rules = rules(job.clone());
    for nth in 1.. {
        let world = World::new(vec![node("a", &[])], Consistency::Eventual, 1);
        takes(&world, takes_s, failing);
        if !dies(&world, &rules, nth) {
            return nth - 1;
        }
        world.clock.pass(PATIENCE);
        let (round, _) = once(&world, &rules);
        let what = format!("death {nth}, steps of {takes_s} s");
        assert!(
            round.error.is_none() && round.counts.leases_lost == 0,
            "{what}: {round:?}"
        );
        check(&world, &what);
    }
    0
}

#[test]
fn wherever_a_runner_dies_the_work_is_done_once_and_recorded() {
    let mut deaths = 0;
    for takes_s in [5, 700, 3_000] {
        for job in [job(), with_cleanup(1), with_cleanup(2)] {
            let all: Vec<(u32, u32)> = (1..)
                .zip(job.steps.iter().chain(job.cleanup.iter().map(|c| &c.step)))
                .map(|(n, _)| (n, 1))
                .collect();
            deaths += matrix(&job, takes_s, &[], |world, what| {
                assert_eq!(attempts(world), all, "{what}");
                assert_eq!(keys(world), ["last-repair", "took-repair"], "{what}");
                assert_eq!(runs(world), 1, "{what}");
            });
        }
    }
    assert!(deaths > 250, "{deaths}");
}

#[test]
fn wherever_a_runner_dies_retries_and_failures_are_the_same() {
    let mut retried = with_cleanup(2);
    retried.steps[1].retries = 1;
    let all = [(1, 1), (2, 1), (2, 2), (3, 1)];
    for takes_s in [5, 2_000] {
        matrix(&retried, takes_s, &[(2, 1)], |world, what| {
            assert_eq!(attempts(world), all, "{what}");
            assert_eq!(keys(world), ["last-repair", "took-repair"], "{what}");
        });
        // It fails for good. Whoever comes after the record begins a run of its own, which fails as well.
        matrix(&retried, takes_s, &[(2, 1), (2, 2)], |world, what| {
            let sent = attempts(world);
            assert_eq!(sent[..4], all, "{what}");
            assert_eq!(sent.len(), 4 * runs(world), "{what}: {sent:?}");
            assert_eq!(keys(world), ["fail-repair"], "{what}");
            let fail = world.store.tags("a")["fail-repair"].clone();
            let count = format!("v1 count={} ", runs(world));
            assert!(
                fail.starts_with(&count) && fail.ends_with(" step=2 reason=failed"),
                "{what}: {fail}"
            );
        });
    }
}

#[test]
fn wherever_an_adopter_dies_as_well_the_work_is_done_once() {
    let rules = rules(with_cleanup(2));
    let mut deaths = 0;
    for first in (1..).step_by(3) {
        let begin = || {
            let world = World::new(vec![node("a", &[])], Consistency::Eventual, 1);
            takes(&world, 2_000, &[]);
            let died = dies(&world, &rules, first);
            world.clock.pass(PATIENCE);
            (world, died)
        };
        if !begin().1 {
            break;
        }
        for second in (1..).step_by(2) {
            let (world, _) = begin();
            if !dies(&world, &rules, second) {
                break;
            }
            deaths += 1;
            world.clock.pass(PATIENCE);
            once(&world, &rules);
            let what = format!("deaths {first} and {second}");
            assert_eq!(attempts(&world), [(1, 1), (2, 1), (3, 1)], "{what}");
            assert_eq!(keys(&world), ["last-repair", "took-repair"], "{what}");
            assert_eq!(runs(&world), 1, "{what}");
        }
    }
    assert!(deaths > 200, "{deaths}");
}

#[test]
fn a_step_beside_roundsman_is_never_taken_for_done_on_nobodys_word() {
    let mut job = with_cleanup(3);
    job.steps[1].on = On::Runner;
    let deaths = matrix(&job, 100, &[], |world, what| {
        let sent = attempts(world);
        let times = |step| sent.iter().filter(|sent| sent.0 == step).count();
        // It has no evidence: begun last, it starts again. What runs on the node never does.
        assert!(
            times(1) == 1 && times(3) == 1 && times(4) == 1,
            "{what}: {sent:?}"
        );
        assert!((1..=2).contains(&times(2)), "{what}: {sent:?}");
        assert_eq!(keys(world), ["last-repair", "took-repair"], "{what}");
    });
    assert!(deaths > 30, "{deaths}");
    // In clean-up only evidence tells: there is none of the last step.
    let mut last = with_cleanup(2);
    last.steps[1].on = On::Runner;
    let unknown = Cell::new(0);
    matrix(&last, 100, &[], |world, what| {
        let (keys, begun) = (keys(world), attempts(world));
        if keys == ["fail-repair"] {
            unknown.set(unknown.get() + 1);
            let fail = world.store.tags("a")["fail-repair"].clone();
            assert!(fail.ends_with(" step=2 reason=unknown"), "{what}: {fail}");
            assert_eq!(
                begun,
                [(1, 1), (2, 1), (3, 1)],
                "{what}: clean-up ran, no step again"
            );
        } else {
            assert_eq!(keys, ["last-repair", "took-repair"], "{what}");
        }
    });
    assert!(unknown.get() > 3, "{unknown:?}");
}

/// A node that keeps a journal, as the wrapper does: a finished attempt is answered from it, a running one is busy.
fn journal(world: &World, seconds: u64) -> Rc<RefCell<Vec<(u32, u32)>>> {
    let executed = Rc::new(RefCell::new(Vec::new()));
    let (begun, clock, list) = (
        RefCell::new(BTreeMap::new()),
        world.clock.clone(),
        Rc::clone(&executed),
    );
    world.shell.plan(move |_, order| {
        let (now, span) = (clock.boot(), Duration::from_secs(seconds));
        let attempt = (order.step, order.attempt);
        let began = *begun
            .borrow_mut()
            .entry((order.run, attempt))
            .or_insert_with(|| {
                list.borrow_mut().push(attempt);
                now
            });
        match now {
            _ if began == now => Plan::Ends(span, Outcome::Ok),
            _ if now < began.plus(span) => Plan::Ends(Duration::from_secs(1), Outcome::Busy),
            _ => Plan::Ends(Duration::from_secs(1), Outcome::Ok),
        }
    });
    executed
}

#[test]
fn without_evidence_the_nodes_journal_answers_and_nothing_is_executed_twice() {
    let mut job = job();
    job.steps.push(step("second", On::Node));
    let rules = rules(job);
    for takes_s in [5, 2_500] {
        for nth in 1.. {
            let world = World::new(vec![node("a", &[])], Consistency::Transactional, 1);
            let executed = journal(&world, takes_s);
            if !dies(&world, &rules, nth) {
                assert!(nth > 8, "{nth}");
                break;
            }
            world.clock.pass(PATIENCE);
            once(&world, &rules);
            let what = format!("death {nth}, steps of {takes_s} s");
            assert_eq!(*executed.borrow(), [(1, 1), (2, 1)], "{what}");
            assert_eq!(keys(&world), ["last-repair", "took-repair"], "{what}");
        }
    }
}
