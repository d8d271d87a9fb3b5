//! Runs of which one call, or some in a row, go wrong; and what has to come of each all the same.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::case::{Case, Invocation, SHORT};
use crate::message::Request;
use crate::proxy::{Fate, Proxy};
use crate::support::Aws;

/// Longer than `claim-within`, and shorter than a call waits.
pub(crate) const OVER_G: Duration = Duration::from_secs(3);
/// Longer than a call waits (10 s), and within `request-life`.
pub(crate) const OVER_TIME_OUT: Duration = Duration::from_secs(11);

/// How many runs are under way at once.
const AT_ONCE: usize = 24;

/// One run with a call that goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Wrong {
    /// Where the step runs: `node` or `runner`.
    pub(crate) on: &'static str,
    pub(crate) action: String,
    /// Which call of that action, from 0: numbers over all calls shift when the machine is slow and a read is
    /// repeated.
    pub(crate) nth: usize,
    /// How many of that action's calls from there on.
    pub(crate) times: usize,
    pub(crate) fate: Fate,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Came {
    invocations: usize,
    first_status: i32,
    seconds: u64,
}

/// The job of a case: its step takes so long.
pub(crate) fn job(case: &Case<'_>, on: &str, seconds: f64) -> String {
    format!(
        "{}timeout = \"8s\"\non = \"{on}\"\n",
        case.measuring(seconds)
    )
}

/// Every way to go wrong that a call of this action has.
pub(crate) fn fates(action: &str) -> Vec<Fate> {
    let mut fates = vec![
        Fate::LostBefore,
        Fate::LostAfter,
        Fate::Throttled,
        Fate::Slow(OVER_G),
        Fate::Slow(OVER_TIME_OUT),
        Fate::Twice,
    ];
    if ["CreateTags", "DeleteTags", "SendCommand"].contains(&action) {
        fates.extend([
            Fate::Delayed(OVER_G),
            Fate::Delayed(OVER_TIME_OUT),
            Fate::LostThenDone(OVER_G),
            Fate::Again(OVER_G),
        ]);
    }
    fates
}

/// The calls of a run in calm weather, in their order.
pub(crate) fn calm(aws: &Aws, on: &'static str) -> Vec<String> {
    let group: &'static str = format!("calm-{on}").leak();
    let case = Case::new(aws, group, 1, SHORT, Proxy::new(aws, |_, _| Fate::Pass));
    case.site.job(&job(&case, on, 0.5));
    let all = case.serve(1);
    assert_eq!(all[0].ran.status, Some(0));
    assert_eq!(case.worked(), [1, 1, 0]);
    let calls: Vec<String> = case
        .proxy
        .log()
        .into_iter()
        .map(|call| call.action)
        .collect();
    println!(
        "{} calls with a step on the {on}: {}",
        calls.len(),
        calls.join(" ")
    );
    calls
}

/// Every call of those, going wrong in every way, `times` in a row.
pub(crate) fn each_of(calls: &[String], on: &'static str, times: usize) -> Vec<Wrong> {
    let mut cases = Vec::new();
    for (number, action) in calls.iter().enumerate() {
        let nth = calls[..number]
            .iter()
            .filter(|earlier| *earlier == action)
            .count();
        cases.extend(fates(action).into_iter().map(|fate| Wrong {
            on,
            action: action.clone(),
            nth,
            times,
            fate,
        }));
    }
    cases
}

fn one(aws: &Aws, wrong: &Wrong) -> Came {
    let began = Instant::now();
    let Wrong {
        on,
        action,
        nth,
        times,
        fate,
    } = wrong.clone();
    let group: &'static str = format!("{on}-{action}-{nth}-{times}-{fate:?}").leak();
    let mut seen = 0;
    let plan = move |_, call: &Request| {
        let ours = call.action == action;
        seen += usize::from(ours);
        if ours && (nth + 1..=nth + times).contains(&seen) {
            fate
        } else {
            Fate::Pass
        }
    };
    let case = Case::new(aws, group, 1, SHORT, Proxy::new(aws, plan));
    // Long enough that a second send would meet the first.
    let seconds = if wrong.action == "SendCommand" {
        4.0
    } else {
        0.5
    };
    case.site.job(&job(&case, on, seconds));
    let all = case.serve(5 + wrong.times);
    let log = || format!("{wrong:?}\n{}\n{all:#?}", case.calls());
    let log_of_wrongs = case
        .proxy
        .log()
        .into_iter()
        .filter(|call| call.fate != Fate::Pass);
    assert!(
        (1..=wrong.times).contains(&log_of_wrongs.count()),
        "{}",
        log()
    );
    let [begun, ended, overlaps] = case.worked();
    assert_eq!(overlaps, 0, "never two at once: {}", log());
    assert_eq!(begun, ended, "nothing was cut short: {}", log());
    assert_eq!(begun, 1, "it ran once: {}", log());
    recorded(&case, &all);
    Came {
        invocations: all.len(),
        first_status: all[0].ran.status.unwrap_or(-1),
        seconds: began.elapsed().as_secs(),
    }
}

/// One invocation has told that it recorded the run, and what it told is what the tag says; or none has, because the
/// write was not answered before the lease ended, and landed: then that one has said so.
fn recorded(case: &Case<'_>, all: &[Invocation]) {
    let events = || all.iter().flat_map(|it| &it.events);
    let told: Vec<_> = events()
        .filter(|each| each["event"] == "committed")
        .collect();
    let log = || format!("{}\n{all:#?}", case.calls());
    if let [committed] = told[..] {
        let last = case.site.left(0)["last-hello"].clone();
        assert_eq!(committed["last"], last, "{}", log());
        return;
    }
    let unanswered = all
        .iter()
        .any(|it| it.ran.status == Some(5) && it.count("lease-lost") == 1);
    assert!(told.is_empty() && unanswered, "recorded once: {}", log());
}

/// Runs every case, so many at once; the ones that fail say so together in the end.
pub(crate) fn all_of(aws: &Aws, mut cases: Vec<Wrong>) {
    // What waits longest begins first.
    cases.sort_by_key(|wrong| {
        let slow = Fate::Slow(OVER_TIME_OUT);
        (wrong.action != "SendCommand", wrong.fate != slow)
    });
    let (began, count) = (Instant::now(), cases.len());
    let (came, failed) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    at_once(cases, |wrong| {
        match catch_unwind(AssertUnwindSafe(|| one(aws, &wrong))) {
            Ok(it) => came.lock().expect("a list").push((wrong, it)),
            Err(_) => failed.lock().expect("a list").push(wrong),
        }
    });
    let mut came = came.into_inner().expect("a list");
    came.sort();
    println!("{count} cases in {:.0?}", began.elapsed());
    table(&came);
    let failed = failed.into_inner().expect("a list");
    assert!(failed.is_empty(), "{failed:#?}");
    assert_eq!(came.len(), count);
}

/// Does something with every case, so many at once.
pub(crate) fn at_once<T: Send>(cases: Vec<T>, each: impl Fn(T) + Sync) {
    let queue = Mutex::new(cases.into_iter());
    let next = || queue.lock().expect("the queue").next();
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(case) = next() {
                    each(case);
                }
            });
        }
    });
}

/// By action and fate: how many cases, and of each how many invocations it took, how the first ended, and how long.
fn table(came: &[(Wrong, Came)]) {
    let mut rows: BTreeMap<(&str, &str, Fate), Vec<String>> = BTreeMap::new();
    for (
        Wrong {
            on, action, fate, ..
        },
        it,
    ) in came
    {
        let told = format!("{}/{}/{}s", it.invocations, it.first_status, it.seconds);
        rows.entry((on, action, *fate)).or_default().push(told);
    }
    println!("step on, action, fate, cases: invocations/status of the first/seconds of each");
    for ((on, action, fate), all) in rows {
        let fate = format!("{fate:?}");
        println!(
            "{on:6} {action:27} {fate:17} {:2}: {}",
            all.len(),
            all.join(" ")
        );
    }
}
