//! Many processes at once: never more at work than the limit, each node once, and no fighting for the same node.

use std::process::Child;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::case::{Case, Invocation, ended};
use crate::lots::{Lots, large};
use crate::message::Request;
use crate::proxy::{Fate, Logged, Proxy};
use crate::support::Aws;

/// Answers are slow where many ask on a small machine. D is 5.4 s.
const CROWDED: &str = "claim-within = \"4s\"\nstaleness = \"200ms\"\nskew = \"500ms\"\nmargin = \"5s\"\nttl = \"60s\"\n\
                       request-life = \"15s\"\n";
const SETTLE: Duration = Duration::from_millis(5_400);

/// As many runners as there are free slots. All see all nodes free, and all find the first one free: the worst that can
/// happen to them.
fn race(aws: &Aws, runners: usize) {
    let group: &'static str = format!("race-{runners}").leak();
    let (mut looks, mut reads) = (0, 0);
    let plan = move |_, call: &Request| {
        let (seen, at_most) = match call.action.as_str() {
            "DescribeInstances" => (&mut looks, 9),
            "DescribeTags" => (&mut reads, 2),
            _ => return Fate::Pass,
        };
        *seen += 1;
        if *seen <= runners {
            Fate::Together(runners, Duration::from_secs(at_most))
        } else {
            Fate::Pass
        }
    };
    let case = Case::new(aws, group, runners, CROWDED, Proxy::new(aws, plan));
    case.site.job(&format!(
        "{}on = \"runner\"\n[limits]\nnodes = {runners}\n",
        case.measuring(0.5)
    ));
    let began = Instant::now();
    let children: Vec<Child> = (0..runners)
        .map(|_| case.start(&["run", "hello"]))
        .collect();
    let all: Vec<Invocation> = children
        .into_iter()
        .map(|child| Invocation::read(ended(child)))
        .collect();
    let took = began.elapsed();
    let told = |event| all.iter().map(|it| it.count(event)).sum::<usize>();
    let log = case.proxy.log();
    let claims: Vec<_> = log.iter().filter(|call| call.claims).collect();
    let gained = told("claimed");
    let each = f64::from(u32::try_from(claims.len()).expect("few"))
        / f64::from(u32::try_from(gained).expect("few"));
    let after = |call: Option<&&Logged>| call.map_or(0.0, |call| call.after.as_secs_f64());
    let span = after(claims.last()) - after(claims.first());
    println!(
        "R = {runners:2}: {gained:2} runs gained, {:3} claims ({each:.2} for each), {:2} lost; from the first claim to the \
         last {span:.1}s ({:.1} settle times); all over after {:.1}s",
        claims.len(),
        told("claim-lost"),
        span / SETTLE.as_secs_f64(),
        took.as_secs_f64(),
    );
    // The first claim of each is for the same node, so the second comes when that has settled, and few need a third.
    assert!(each <= 3.0, "{}", case.calls());
    assert!(
        span <= 4.0_f64.max(f64::from(u32::try_from(runners).expect("few")) / 4.0)
            * SETTLE.as_secs_f64(),
        "{}",
        case.calls()
    );
    assert_eq!(case.worked(), [runners, runners, 0], "{}", case.calls());
    let mut served: Vec<String> = case.site.lines("ended");
    served.sort();
    assert_eq!(served, case.site.nodes, "each node once: {}", case.calls());
    for it in &all {
        assert_eq!(
            (it.ran.status, it.count("committed")),
            (Some(0), 1),
            "{it:#?}"
        );
    }
}

#[test]
fn runners_on_as_many_free_slots_do_not_fight_for_the_same_node() {
    let aws = Aws::start();
    let all: &[usize] = if large() { &[2, 8, 32] } else { &[2, 8] };
    for runners in all {
        race(&aws, *runners);
    }
}

/// So many processes at a time until every node is served; whoever finds no room comes again a while later, like a timer.
fn crowd(aws: &Aws, processes: usize, nodes: usize, limit: usize, within: Duration) {
    let group: &'static str = format!("crowd-{processes}-{nodes}").leak();
    let case = Case::new(
        aws,
        group,
        nodes,
        CROWDED,
        Proxy::new(aws, |_, _| Fate::Pass),
    );
    case.site.job(&format!(
        "{}[limits]\nnodes = {limit}\n",
        case.measuring(4.0)
    ));
    let seed = Lots::seed(group);
    let began = Instant::now();
    let all = Mutex::new(Vec::new());
    let parallel = limit.to_string();
    std::thread::scope(|scope| {
        for n in 0..processes {
            let (case, all, parallel) = (&case, &all, &parallel);
            scope.spawn(move || {
                let mut lots = Lots::new(seed + u64::try_from(n).expect("few"));
                while case.site.lines("ended").len() < nodes {
                    assert!(began.elapsed() < within, "{}", case.calls());
                    let args = ["run", "hello", "--max", "all", "--parallel", parallel];
                    let it = case.run(&args);
                    all.lock().expect("a list").push(it);
                    let pause = u64::try_from(2_000 + lots.below(4_000)).expect("short");
                    std::thread::sleep(Duration::from_millis(pause));
                }
            });
        }
    });
    let all = all.into_inner().expect("a list");
    let told = |event| all.iter().map(|it| it.count(event)).sum::<usize>();
    let claims = case.proxy.claims();
    println!(
        "{processes} processes, {nodes} nodes, limit {limit}: {:.0?}, {} invocations, {claims} claims, {} lost, \
         {} leases lost, {} calls, at most {} at work",
        began.elapsed(),
        all.len(),
        told("claim-lost"),
        told("lease-lost"),
        case.proxy.log().len(),
        case.most_at_work(),
    );
    // More than one, so that the limit was there to be broken.
    assert!(
        (2..=limit).contains(&case.most_at_work()),
        "{}",
        case.calls()
    );
    assert_eq!(case.worked(), [nodes, nodes, 0], "{}", case.calls());
    let mut served: Vec<String> = case.site.lines("ended");
    served.sort();
    assert_eq!(served, case.site.nodes, "each node once");
    assert_eq!(told("committed"), nodes);
    for node in 0..nodes {
        assert_eq!(case.site.keys(node), ["last-hello", "took-hello"]);
    }
}

#[test]
fn there_are_never_more_at_work_than_the_limit_and_each_node_is_served_once() {
    let aws = Aws::start();
    if large() {
        crowd(&aws, 32, 50, 5, Duration::from_secs(900));
    } else {
        crowd(&aws, 12, 6, 3, Duration::from_secs(300));
    }
}
