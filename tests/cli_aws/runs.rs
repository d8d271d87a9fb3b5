//! Runs in good weather: what they leave, what they call, what stands on the wire meanwhile.

use std::collections::BTreeMap;

use roundsman::model::lock::{Lock, LockState};
use roundsman::model::span::parse_span;
use roundsman::model::time::parse_stamp;
use serde_json::json;

use crate::CALM;
use crate::cli::until;
use crate::site::{Pace, Site, cleanup, end, step, waiting};
use crate::support::Aws;

/// Every node has `last-` and `took-` in the contract's form, or nothing, as `served` says.
fn leaves_exactly(site: &Site<'_>, served: &[bool]) {
    for (n, served) in served.iter().enumerate() {
        let left = site.left(n);
        if !served {
            assert!(left.is_empty(), "{n}: {left:?}");
            continue;
        }
        let keys: Vec<&String> = left.keys().collect();
        assert_eq!(keys, ["last-hello", "took-hello"]);
        let last = &left["last-hello"];
        assert!(
            parse_stamp(last).is_some() && last.len() == 20 && last.ends_with('Z'),
            "{last}"
        );
        assert!(parse_span(&left["took-hello"]).is_ok(), "{left:?}");
    }
}

#[test]
fn a_run_over_a_group_leaves_the_time_and_nothing_else() {
    let site = Site::new(&CALM, "leaves", 3, Pace::Quick);
    site.job(&format!(
        "{}{}",
        step(&format!(
            "echo \"$ROUNDSMAN_NODE $ROUNDSMAN_NAME $ROUNDSMAN_ZONE $ROUNDSMAN_STEP\" >> '{}'",
            site.path("served")
        )),
        cleanup(&format!("echo tidy >> '{}'", site.path("served")))
    ));
    site.run(&["run", "hello"]).status(0).says("leaves-");
    let first = &site.nodes[0];
    let name = site.aws.tags(first)["Name"].clone();
    assert_eq!(
        site.lines("served"),
        [format!("{first} {name} eu-west-1a 1"), "tidy".to_owned()]
    );
    leaves_exactly(&site, &[true, false, false]);
    // Steps on nodes and beside roundsman leave the same.
    site.job(&format!(
        "{}on = \"runner\"\n",
        step("echo \"$ROUNDSMAN_NODE\" >> beside")
    ));
    site.run(&["run", "hello"]).status(0);
    assert_eq!(site.lines("beside"), [site.nodes[1].clone()]);
    leaves_exactly(&site, &[true, true, false]);
    let comments: Vec<usize> = (0..3).map(|n| site.sent(n).len()).collect();
    assert_eq!(comments, [2, 0, 0], "only the first went through SSM");
}

/// Calls since the last reset are exactly these; tells how often a command was polled, which time decides.
#[track_caller]
fn counted(aws: &Aws, expected: &[(&str, u64)]) -> u64 {
    let mut calls = aws.calls();
    let polls = calls.remove("ListCommandInvocations").unwrap_or(0);
    let expected: BTreeMap<String, u64> = expected
        .iter()
        .map(|&(action, count)| (action.to_owned(), count))
        .collect();
    assert_eq!(calls, expected);
    polls
}

#[test]
fn a_run_makes_no_call_that_it_does_not_need() {
    let aws = Aws::start();
    let site = Site::new(&aws, "counted", 10, Pace::Quick);
    site.job(&format!("{}on = \"runner\"\n", step("true")));
    aws.reset();
    site.run(&["run", "hello", "-v"]).status(0).says("API calls: 13 (CreateTags 3, DeleteTags 1, DescribeAutoScalingGroups 2, DescribeInstances 2, DescribeTags 5)");
    let without = [
        // The group's members and their instances: once to choose, and once to decide everything again when the claim
        // has settled, which is the third of its three reads of all locks too.
        ("DescribeAutoScalingGroups", 2),
        ("DescribeInstances", 2),
        // The read that justifies the claim; two of all locks after it has settled; one of the own lock for the
        // record and the release together; one after the delete, which sees that it is gone.
        ("DescribeTags", 5),
        // The claim, the step, the record.
        ("CreateTags", 3),
        // The lock.
        ("DeleteTags", 1),
    ];
    assert_eq!(counted(&aws, &without), 0);

    site.job(&step("true"));
    let mut with = without.to_vec();
    // Which agents answer, with each reading of the fleet; the step.
    with.extend([("DescribeInstanceInformation", 2), ("SendCommand", 1)]);
    // A step that ends at once is polled once, a second after it was sent; on a busy machine it may end later.
    let polls = (0..5).map(|_| {
        aws.reset();
        site.run(&["run", "hello"]).status(0);
        counted(&aws, &with)
    });
    assert!(polls.into_iter().any(|polls| polls == 1));

    let looking = [
        ("DescribeAutoScalingGroups", 1),
        ("DescribeInstances", 1),
        ("DescribeInstanceInformation", 1),
    ];
    // Looking costs one reading of the fleet, also where a node is named.
    for args in [
        &["plan", "hello"][..],
        &["plan", "hello", "--node", "counted-3"],
        &["run", "hello", "--dry-run"],
        &["status", "hello"],
    ] {
        aws.reset();
        site.run(args).status(0);
        assert_eq!(counted(&aws, &looking), 0);
    }
    // A fresh fleet has nothing to do: the same again, and nothing is written.
    for n in 0..10 {
        aws.set_tags(
            &site.nodes[n],
            &[("last-hello", &site.left(0)["last-hello"])],
        );
    }
    aws.reset();
    site.run(&["run", "hello"]).status(0).says("nothing is due");
    assert_eq!(counted(&aws, &looking), 0);
}

#[test]
fn the_lock_says_how_far_the_run_has_come() {
    let site = Site::new(&CALM, "wire", 1, Pace::Brief);
    site.job(&format!("{}{}", waiting(&site), cleanup("sleep 1")));
    let child = site.start(&["run", "hello", "--format", "json"]);
    let mut seen: Vec<Lock> = Vec::new();
    until("the lock comes and goes", 60, || {
        match site.lock(0) {
            Some(lock) if seen.last() != Some(&lock) => seen.push(lock),
            Some(_) => {}
            None => return !seen.is_empty(),
        }
        if seen.iter().filter(|lock| lock.step == 1).count() > 1 {
            site.folder.write("go", "");
        }
        false
    });
    end(child).status(0).says("\"renewed\"");
    let numbers: Vec<u32> = seen.iter().map(|lock| lock.seq).collect();
    let wanted: Vec<u32> = (1..).take(seen.len()).collect();
    assert_eq!(numbers, wanted, "every write counts: {seen:?}");
    let mut stages: Vec<(LockState, u32)> =
        seen.iter().map(|lock| (lock.state, lock.step)).collect();
    stages.dedup();
    let held = LockState::Held;
    assert_eq!(stages, [(LockState::Settling, 0), (held, 1), (held, 2)]);
    let first = &seen[0];
    for lock in &seen {
        let same = (&lock.run, &lock.claim, &lock.set, &lock.file, lock.was);
        let expected = (&first.run, &first.claim, &first.set, &first.file, None);
        assert_eq!(same, expected);
        assert_eq!(
            (lock.owner.as_str(), lock.job.as_str()),
            ("tester", "hello")
        );
    }
    assert!(seen.is_sorted_by_key(|lock| lock.until), "{seen:?}");
    let comments: Vec<_> = site
        .sent(0)
        .iter()
        .map(|command| command["Comment"].clone())
        .collect();
    let comment = |number| json!(format!("roundsman hello {} {number}", first.run));
    assert_eq!(comments, [comment("1.1"), comment("2.1")]);
}

#[test]
fn nodes_that_are_not_in_service_are_not_served_and_count() {
    let site = Site::serving(&CALM, "states", 5, "true");
    let out = [
        json!({"state": "stopped"}),
        json!({"lifecycle": "Standby"}),
        json!({"lifecycle": "Levitating"}),
    ];
    for (node, is) in site.nodes.iter().zip(&out) {
        site.aws.instance(node, is);
    }
    site.aws
        .instance(&site.nodes[3], &json!({"agent": "ConnectionLost"}));
    let reasons: Vec<String> = (0..5).map(|n| site.reason(n)).collect();
    let o = "out-of-service";
    assert_eq!(reasons, [o, o, o, "agent-offline", "limit"]);
    site.run(&["run", "hello", "--max", "all", "--detailed-exitcode"])
        .status(11)
        .says("all blocked");
    site.run(&[
        "run",
        "hello",
        "--node",
        &site.nodes[4],
        "--detailed-exitcode",
    ])
    .status(11)
    .says("3 of at most 1 in the fleet not well");
    // Three out of service and the claim are four.
    let work = step("true");
    site.job(&format!("{work}[limits]\nnodes = 3\n"));
    site.run(&["run", "hello", "--detailed-exitcode"])
        .status(11);
    site.job(&format!("{work}[limits]\nnodes = 4\n"));
    site.run(&["run", "hello", "--max", "all"]).status(0);
    leaves_exactly(&site, &[false, false, false, false, true]);
    for n in 0..4 {
        site.run(&[
            "run",
            "hello",
            "--node",
            &site.nodes[n],
            "--detailed-exitcode",
        ])
        .status(11);
        assert!(site.left(n).is_empty());
    }
}
