use super::*;
use crate::model::job::{Step, StepAction};
use crate::model::lock::tests::sample;
use crate::model::node::{Activity, Command, Evidence, Service};
use crate::model::record::{Fail, FailReason};
use crate::model::view::tests::{node, now, rules, view};

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A lock of the sample job that somebody holds.
fn held() -> Lock {
    Lock {
        set: rules().lease.set(),
        until: later(now(), secs(600)),
        ..sample()
    }
}

fn ended(ago: i64) -> Timestamp {
    now()
        .checked_sub(jiff::SignedDuration::from_secs(ago))
        .expect("a time")
}

fn ask(
    tags: &[(&str, &str)],
    commands: Vec<Command>,
    only: Option<RunId>,
) -> Result<Target, NoStop> {
    let mut view = view(vec![node("a", tags)]);
    let id = view.nodes[0].id.clone();
    view.evidence.insert(id, Evidence::Commands(commands));
    target(&rules(), &view, &view.nodes[0], only)
}

fn of(lock: &Lock) -> Result<Target, NoStop> {
    ask(&[("lock", &lock.format())], Vec::new(), None)
}

fn command(run: RunId, activity: Activity) -> Command {
    Command {
        job: sample().job,
        run,
        step: 2,
        attempt: 1,
        activity,
        handle: None,
    }
}

#[test]
fn a_run_that_is_held_parked_or_left_is_stopped_and_only_the_living_are_waited_for() {
    for (state, was, until, living) in [
        (LockState::Held, None, later(now(), secs(600)), true),
        (LockState::Held, None, ended(10), true),
        (LockState::Held, None, ended(4_000), false),
        (LockState::Parked, None, later(now(), secs(600)), false),
        (LockState::Stopping, None, ended(4_000), false),
        (
            LockState::Settling,
            Some(LockState::Held),
            later(now(), secs(600)),
            true,
        ),
    ] {
        let lock = Lock {
            state,
            was,
            until,
            ..held()
        };
        let target = of(&lock).expect("it is stopped");
        assert_eq!(target.living, living, "{lock:?}");
        assert_eq!(target.found.value, lock.format());
        assert_eq!(
            (target.run.run, target.run.step, target.run.state),
            (lock.run, lock.step, LockState::Stopping)
        );
    }
}

#[test]
fn the_value_of_a_stop_is_the_runs_with_what_it_found_and_an_id_of_its_own() {
    let claim = ClaimId::new(u64::pow(2, 42), 9);
    let adopting = Lock {
        state: LockState::Settling,
        was: Some(LockState::Parked),
        ..held()
    };
    for (lock, was) in [(held(), LockState::Held), (adopting, LockState::Parked)] {
        let target = of(&lock).expect("it is stopped");
        let own = own_lock(&rules(), &target, "op", claim);
        assert_eq!(
            (own.claim, own.was, own.state),
            (claim, Some(was), LockState::Settling)
        );
        assert_eq!(
            (own.run, own.step, own.file),
            (lock.run, lock.step, lock.file)
        );
        assert_eq!(own.owner, "op");
        assert_eq!(granted(own).was, Some(LockState::Stopping));
    }
}

#[test]
fn what_is_no_run_or_is_being_ended_or_is_not_understood_is_left_alone() {
    let begins = Lock {
        state: LockState::Settling,
        step: 0,
        ..held()
    };
    assert!(matches!(of(&begins), Err(NoStop::Begins(_))));
    let stopping = Lock {
        state: LockState::Stopping,
        ..held()
    };
    let free_at = later(stopping.until, rules().lease.margin);
    assert_eq!(
        of(&stopping).expect_err("it is being stopped"),
        NoStop::Already(Box::new(stopping.clone()), free_at)
    );
    let finishing = Lock {
        state: LockState::Settling,
        was: Some(LockState::Stopping),
        ..held()
    };
    assert!(matches!(of(&finishing), Err(NoStop::Already(..))));
    assert_eq!(ask(&[], Vec::new(), None), Err(NoStop::Free));
    assert_eq!(
        ask(&[("lock", "yes")], Vec::new(), None),
        Err(NoStop::Unreadable("yes".to_owned()))
    );
    let other = Lock {
        set: crate::model::lock::Digest::of([9, 9, 9, 9]),
        ..held()
    };
    assert!(matches!(of(&other), Err(NoStop::OtherSettings(..))));
}

#[test]
fn a_claim_that_never_began_is_no_run_and_hides_none() {
    let left = Lock {
        state: LockState::Settling,
        step: 0,
        until: ended(4_000),
        ..held()
    };
    assert!(matches!(of(&left), Err(NoStop::Over(_))));
    let hidden = command(RunId::new(9, 9), Activity::InProgress);
    let found = ask(&[("lock", &left.format())], vec![hidden], None);
    assert!(matches!(found, Err(NoStop::Unclear(_))), "{found:?}");
}

#[test]
fn what_may_have_finished_on_an_instance_before_it_stopped_is_not_let_go_of() {
    let lock = held();
    let mut view = view(vec![node("a", &[("lock", &lock.format())])]);
    view.nodes[0].service = Service::Out {
        why: "instance is stopped".to_owned(),
        stopped: true,
    };
    let mut ask = |run| {
        let commands = vec![command(run, Activity::InProgress)];
        let id = view.nodes[0].id.clone();
        view.evidence.insert(id, Evidence::Commands(commands));
        target(&rules(), &view, &view.nodes[0], None)
    };
    assert!(ask(lock.run).is_ok());
    assert!(matches!(ask(RunId::new(9, 9)), Err(NoStop::Unclear(_))));
}

#[test]
fn only_the_run_that_is_meant_is_stopped() {
    let lock = held();
    let tags = [("lock", lock.format())];
    let tags = [(tags[0].0, tags[0].1.as_str())];
    assert!(ask(&tags, Vec::new(), Some(lock.run)).is_ok());
    let another = RunId::new(5, 5);
    assert!(matches!(
        ask(&tags, Vec::new(), Some(another)),
        Err(NoStop::AnotherRun(_))
    ));
}

#[test]
fn a_run_that_has_been_recorded_is_past_being_stopped() {
    let lock = held();
    let fail = Fail::following(None, now(), lock.run, 1, FailReason::Failed).format();
    let over = ask(
        &[("lock", &lock.format()), ("fail-repair", &fail)],
        Vec::new(),
        None,
    );
    assert!(matches!(over, Err(NoStop::Over(_))), "{over:?}");
}

#[test]
fn a_step_of_another_run_is_not_let_go_of_with_the_lock() {
    let lock = held();
    let text = lock.format();
    let tags = [("lock", text.as_str())];
    let own = command(lock.run, Activity::InProgress);
    assert!(ask(&tags, vec![own], None).is_ok());
    let hidden = command(
        RunId::new(sample().run.epoch_ms() + 9, 9),
        Activity::InProgress,
    );
    assert!(matches!(
        ask(&tags, vec![hidden], None),
        Err(NoStop::Unclear(_))
    ));
    let mut blind = view(vec![node("a", &tags)]);
    let id = blind.nodes[0].id.clone();
    blind
        .evidence
        .insert(id, Evidence::Unavailable("throttled".to_owned()));
    let unclear = target(&rules(), &blind, &blind.nodes[0], None);
    assert_eq!(
        unclear,
        Err(NoStop::Unclear(
            "what runs there could not be asked: throttled".to_owned()
        ))
    );
}

#[test]
fn a_settled_stop_enters_while_the_run_is_there_and_ends_when_it_has_ended() {
    let lock = held();
    let judged = |tags: &[(&str, &str)], evidence: Evidence| {
        let mut view = view(vec![node("a", tags)]);
        let id = view.nodes[0].id.clone();
        view.evidence.insert(id, evidence);
        stands(&rules(), &view, &view.nodes[0], &lock)
    };
    let nothing = || Evidence::Commands(Vec::new());
    assert_eq!(judged(&[], nothing()), Standing::Enter);
    let at = format_stamp(now());
    assert!(matches!(
        judged(&[("last-repair", &at)], nothing()),
        Standing::Ended(_)
    ));
    assert!(matches!(
        judged(&[], Evidence::Unavailable("away".to_owned())),
        Standing::Withdraw(_)
    ));
}

#[test]
fn clean_up_waits_only_where_a_living_runner_may_have_a_step_of_its_own() {
    let mut rules = rules();
    let own_until = later(now(), secs(1_200));
    let after = |rules: &Rules, lock: &Lock| clean_up_after(rules, lock, now(), own_until);
    let on_node = Lock {
        file: rules.job.file_digest(),
        ..held()
    };
    assert_eq!(after(&rules, &on_node), None);
    let waits = Some(later(own_until, rules.lease.margin));
    assert_eq!(after(&rules, &held()), waits, "another job file");
    let step = Step {
        name: "beside".to_owned(),
        action: StepAction::Run("true".to_owned()),
        on: On::Runner,
        timeout: secs(60),
        retries: 0,
    };
    rules.job.steps.insert(0, step);
    let known = |step, state, until| Lock {
        file: rules.job.file_digest(),
        step,
        state,
        until,
        ..held()
    };
    let to_come = later(now(), secs(600));
    assert_eq!(after(&rules, &known(1, LockState::Held, to_come)), waits);
    assert_eq!(after(&rules, &known(0, LockState::Held, to_come)), waits);
    let past = known(2, LockState::Held, to_come);
    assert_eq!(after(&rules, &past), None, "the runner's step is over");
    assert_eq!(after(&rules, &known(1, LockState::Parked, to_come)), None);
    assert_eq!(
        after(&rules, &known(1, LockState::Held, ended(4_000))),
        None
    );
}

#[test]
fn a_job_without_its_file_has_names_and_nothing_else() {
    let lock = held();
    let job = without_file(&lock);
    assert_eq!((&job.name, &job.task), (&lock.job, &lock.task));
    assert!(job.steps.is_empty() && job.cleanup.is_empty());
    assert_ne!(job.file_digest(), lock.file);
}

#[test]
fn after_a_loss_a_stop_waits_until_one_that_it_met_holds() {
    let lease = rules().lease;
    let least = lease.settle() + secs(2);
    assert_eq!(wait_after_loss(&lease, 0), least);
    let most = wait_after_loss(&lease, u128::MAX);
    assert!(most >= least && most < least + lease.settle(), "{most:?}");
}
