//! Reads that show the past: harmless up to `staleness`, and two at work on one node beyond it.

use std::process::Child;
use std::time::{Duration, Instant};

use crate::case::{Case, Invocation, SHORT, ended};
use crate::cli::until;
use crate::lots::Lots;
use crate::message::Request;
use crate::proxy::{Fate, Proxy};
use crate::support::Aws;

/// P.
const STALENESS: Duration = Duration::from_secs(1);
/// Settings in which P is [`STALENESS`]. D is 5 s.
const STALE: &str = "claim-within = \"2s\"\nstaleness = \"1s\"\nskew = \"500ms\"\nmargin = \"2s\"\nttl = \"16s\"\n\
                     request-life = \"14s\"\n";

/// The same with more time for an answer, where many ask on a small machine. D is 7 s.
const STALE_CROWDED: &str = "claim-within = \"4s\"\nstaleness = \"1s\"\nskew = \"500ms\"\nmargin = \"2s\"\n\
                             ttl = \"24s\"\nrequest-life = \"14s\"\n";

/// How long many runners may take, come again and again, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(240);

/// Every read shows what was true up to P ago, the present included.
fn forgetful(aws: &Aws, seed: u64) -> Proxy {
    let plan = |_, call: &Request| {
        if call.action.starts_with("Describe") {
            Fate::Stale(STALENESS)
        } else {
            Fate::Pass
        }
    };
    Proxy::new(aws, plan).with_past(Lots::new(seed))
}

#[test]
fn with_reads_as_stale_as_the_settings_say_each_node_is_served_once() {
    let aws = Aws::start();
    let seed = Lots::seed("stale, alone");
    std::thread::scope(|scope| {
        for n in 0..8 {
            let aws = &aws;
            scope.spawn(move || {
                let group: &'static str = format!("stale-{n}").leak();
                let case = Case::new(aws, group, 2, STALE, forgetful(aws, seed + n));
                case.site.job(&case.measuring(0.3));
                // One after the other at once, so that each begins in what the one before has left a moment ago; the
                // last two find all served.
                let (began, mut all) = (Instant::now(), Vec::new());
                while case.worked()[1] < 2 && began.elapsed() < PATIENCE {
                    all.push(case.run(&["run", "hello"]));
                }
                for _ in 0..2 {
                    all.push(case.run(&["run", "hello", "--max", "all"]));
                }
                let committed = all.iter().map(|it| it.count("committed")).sum();
                let log = || format!("seed {}\n{}\n{all:#?}", seed + n, case.calls());
                assert_eq!(
                    (case.worked(), committed),
                    ([2, 2, 0], 2_usize),
                    "{}",
                    log()
                );
                assert!(case.most_at_work() <= 1, "{}", log());
                for node in 0..2 {
                    let keys = case.site.keys(node);
                    assert_eq!(keys, ["last-hello", "took-hello"], "{}", log());
                }
            });
        }
    });
}

#[test]
fn many_runners_with_stale_reads_keep_to_the_limits() {
    let aws = Aws::start();
    let seed = Lots::seed("stale, many");
    std::thread::scope(|scope| {
        for (n, limit) in [(0, 1), (1, 2)] {
            let aws = &aws;
            scope.spawn(move || {
                let group: &'static str = format!("stale-many-{limit}").leak();
                let case = Case::new(aws, group, 3, STALE_CROWDED, forgetful(aws, seed + n));
                let job = format!("{}[limits]\nnodes = {limit}\n", case.measuring(1.0));
                case.site.job(&job);
                let mut all: Vec<Invocation> = Vec::new();
                let began = Instant::now();
                while case.site.lines("ended").len() < 3 && began.elapsed() < PATIENCE {
                    let children: Vec<Child> = (0..5)
                        .map(|_| case.start(&["run", "hello", "--max", "all", "--parallel", "2"]))
                        .collect();
                    all.extend(children.into_iter().map(|it| Invocation::read(ended(it))));
                    std::thread::sleep(Duration::from_secs(1));
                }
                let log = || format!("seed {}\n{}\n{all:#?}", seed + n, case.calls());
                assert_eq!(case.worked(), [3, 3, 0], "{}", log());
                assert!(case.most_at_work() <= limit, "{}", log());
                let told = |event| all.iter().map(|it| it.count(event)).sum::<usize>();
                println!(
                    "limit {limit}: {} invocations, {} claims lost, {} leases lost",
                    all.len(),
                    told("claim-lost"),
                    told("lease-lost")
                );
                assert_eq!(told("committed"), 3, "{}", log());
            });
        }
    });
}

/// Waits until the first node may be served again.
fn due(case: &Case<'_>) {
    until("it is due again", 20, || case.site.reason(0) == "age");
}

#[test]
fn with_reads_far_staler_than_the_settings_say_two_are_at_work_and_these_tests_see_it() {
    let aws = Aws::start();
    let blind = |_, call: &Request| {
        if call.action.starts_with("Describe") {
            Fate::Blind
        } else {
            Fate::Pass
        }
    };
    let ours = Proxy::new(&aws, blind).blind();
    let theirs = Proxy::new(&aws, blind).blind();
    let mut case = Case::new(&aws, "blind", 1, SHORT, ours);
    case.site.job(&case.measuring(4.0));
    let hourly = case.site.folder.read("jobs/hello.toml");
    // The fence on the node would refuse the second, whatever the tags say.
    let often = "fence = \"off\"\n".to_owned() + &hourly.replace("\"1h\"", "\"1s\"");
    case.site.folder.write("jobs/hello.toml", often);
    // A run each, so that each wire knows what will be asked; from then on each shows its own writes alone.
    case.run(&["run", "hello"]).ran.status(0);
    let ours = std::mem::replace(&mut case.proxy, theirs);
    due(&case);
    case.run(&["run", "hello"]).ran.status(0);
    assert_eq!(case.worked(), [2, 2, 0]);
    due(&case);
    let claims = case.proxy.claims();
    let there = case.start(&["run", "hello"]);
    let theirs = std::mem::replace(&mut case.proxy, ours);
    // What the first sees of its own write must not have the other's in it.
    until("the first claims", 60, || theirs.claims() > claims);
    theirs.quiet();
    let here = case.start(&["run", "hello"]);
    let both = [there, here].map(|child| ended(child).calm());
    theirs.quiet();
    let [begun, _, overlaps] = case.worked();
    assert_eq!((begun, overlaps), (4, 1), "{both:#?}\n{}", case.calls());
    assert_eq!(case.most_at_work(), 1, "on one node: {}", case.calls());
}
