//! What operators do by hand, to nodes that they name by id, by Name tag or by address.

use crate::CALM;
use crate::cli::until;
use crate::site::{Pace, Site, cleanup, end, waiting};

#[test]
fn nodes_are_held_and_unheld_by_id_name_or_address() {
    let site = Site::serving(&CALM, "names", 2, "true");
    let id = site.nodes[0].clone();
    let row = site.plan()[&id].clone();
    let text = |key: &str| row[key].as_str().expect("text").to_owned();
    for called in [id.clone(), text("name"), text("address")] {
        site.run(&["hold", &called, "--for", "1h", "--reason", "disk swap"])
            .status(0)
            .says(&id)
            .says("is on hold until");
        let hold = &site.left(0)["hold"];
        assert!(hold.starts_with("v1 scope=node by=tester at="), "{hold}");
        assert!(hold.ends_with(" reason=disk swap"), "{hold}");
        assert_eq!(site.reason(0), "hold");
        site.run(&["unhold", &called])
            .status(0)
            .says("no longer on hold");
        assert!(site.left(0).is_empty(), "{called}");
    }
    assert!(site.left(1).is_empty());
    for nobody in ["i-0123456789abcdef0", "nobody", "192.0.2.1"] {
        site.run(&["hold", nobody]).status(2).says(nobody);
    }
}

#[test]
fn a_fleet_is_held_as_a_whole() {
    let site = Site::serving(&CALM, "whole", 2, "true");
    site.run(&["hold", "--fleet", "hello"])
        .status(0)
        .says("the whole fleet");
    assert_eq!([site.reason(0), site.reason(1)], ["hold", "hold"]);
    site.run(&["run", "hello", "--detailed-exitcode"])
        .status(11)
        .says("the fleet is on hold by tester");
    site.run(&["unhold", "--fleet", "hello"]).status(0);
    assert!(site.left(0).is_empty() && site.left(1).is_empty());
    assert!(site.sent(0).is_empty());
}

#[test]
fn work_done_elsewhere_is_marked_and_never_dated_back() {
    let site = Site::serving(&CALM, "marked", 2, "true");
    let name = site.aws.tags(&site.nodes[0])["Name"].clone();
    let mark = |at: &str| site.run(&["mark", "hello", &name, "--at", at, "--reason", "by hand"]);
    mark("2026-01-02")
        .status(0)
        .says("it was never served before");
    assert_eq!(site.left(0)["last-hello"], "2026-01-02T00:00:00Z");
    mark("2026-01-01").status(2).says("later");
    mark("2199-01-01").status(2).says("future");
    assert_eq!(site.keys(0), ["last-hello"]);
}

#[test]
fn a_lease_that_is_broken_stops_its_holder_and_says_what_still_runs() {
    let site = Site::new(&CALM, "broken", 1, Pace::Brief);
    site.job(&waiting(&site));
    let child = site.start(&["run", "hello"]);
    until("the step has begun", 60, || {
        site.folder.file("begun").exists()
    });
    let id = &site.nodes[0];
    site.run(&["status"]).status(0).says("held by tester");
    site.run(&["mark", "hello", id, "--at", "2026-01-01", "--reason", "x"])
        .status(2)
        .says("is locked");
    site.run(&["release", id, "--run", "01ARZ3NDEKTSV4RRFFQ69G5FAV"])
        .status(2)
        .says("not of");
    let run = site.lock(0).expect("held").run.to_string();
    site.run(&["release", id, "--run", &run])
        .status(0)
        .says("is released")
        .says(&format!(
            "step 1 of hello (run {run}) may still run on {id}"
        ));
    // Its holder finds that out at its next look, within a third of the lease, and touches nothing more.
    end(child).status(4).says("lease");
    assert!(site.left(0).is_empty());
    site.run(&["release", id]).status(2).says("has no lock");
    site.folder.write("go", "");
}

#[test]
fn a_living_run_is_stopped_over_its_holder_who_touches_nothing_more() {
    let site = Site::new(&CALM, "stopped", 1, Pace::Brief);
    let tidy = format!("echo x >> '{}'", site.path("cleaned"));
    site.job(&(waiting(&site) + &cleanup(&tidy)));
    let child = site.start(&["run", "hello"]);
    until("the step has begun", 60, || {
        site.folder.file("begun").exists()
    });
    let id = &site.nodes[0];
    let run = site.lock(0).expect("held").run.to_string();
    let stopped = site.start(&["stop", id, "--run", &run]);
    // Its holder notices while the stop is still kept, and never comes back.
    end(child).status(4).says("lease lost");
    end(stopped)
        .status(0)
        .says(&format!("run {run} of hello on"))
        .says("is stopped (tester had it); clean-up is done")
        .says("its lock is kept for");
    assert_eq!(site.keys(0), ["fail-hello"]);
    assert!(site.left(0)["fail-hello"].ends_with("step=1 reason=stopped"));
    assert_eq!(site.lines("begun").len(), 1);
    assert_eq!(site.lines("cleaned").len(), 1);
    site.run(&["stop", id]).status(2).says("has no lock");
    site.folder.write("go", "");
}

#[test]
fn a_live_check_looks_at_fleet_agents_and_permissions_and_writes_nothing() {
    let site = Site::serving(&CALM, "checked", 3, "true");
    let offline = site.nodes[1].clone();
    site.aws
        .instance(&offline, &serde_json::json!({"agent": "ConnectionLost"}));
    site.aws
        .instance(&site.nodes[2], &serde_json::json!({"state": "stopped"}));
    site.run(&["check", "--live"])
        .status(0)
        .says("the fleet has 3 nodes, 1 out of service")
        .says(&format!("the SSM agent of {offline} does not answer"))
        .says("its tags may be written and deleted");
    for action in ["CreateTags", "DeleteTags"] {
        let fault = serde_json::json!({"action": action, "mode": "deny", "node": site.nodes[0]});
        CALM.fault(&fault);
        site.run(&["check", "hello", "--live"])
            .status(5)
            .says(&format!("not allowed to ec2:{action} on {}", site.nodes[0]));
    }
    assert!((0..3).all(|n| site.left(n).is_empty()));
}
