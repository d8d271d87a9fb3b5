//! Jobs that reboot their node, by the real binary over SSM.

use serde_json::json;

use crate::CALM;
use crate::cli::until;
use crate::site::{Pace, Site, end, step};
use crate::test_aws::Aws;

/// A step, a reboot, and another step. Each leaves a line with the boot id under which it ran.
fn patching(site: &Site<'_>) {
    let writes = |word: &str| format!("echo {word} $(cat $HOME/boot_id) >> '{}'", site.path("ran"));
    let reboot = format!(
        "[[step]]\nname = \"restart\"\nreboot = true\ntimeout = \"5m\"\nready = '''\n{}\n'''\n",
        writes("ready")
    );
    let after = step(&writes("after")).replace("\"work\"", "\"after\"");
    site.job(&(step(&writes("before")) + &reboot + &after));
}

/// What ran, and under how many boots.
fn ran(site: &Site<'_>) -> (Vec<String>, usize) {
    let lines = site.lines("ran");
    let split = lines.iter().filter_map(|line| line.split_once(' '));
    let (words, boots): (Vec<_>, std::collections::BTreeSet<_>) = split.unzip();
    (words.into_iter().map(str::to_owned).collect(), boots.len())
}

fn is_done(site: &Site<'_>) {
    let (words, boots) = ran(site);
    assert_eq!((words.join(" ").as_str(), boots), ("before ready after", 2));
    assert_eq!(site.keys(0), ["last-hello", "took-hello"]);
}

#[test]
fn a_node_is_rebooted_over_ssm_and_the_run_goes_on_there() {
    let site = Site::new(&CALM, "reboots", 1, Pace::Quick);
    patching(&site);
    site.run(&["run", "hello"]).status(0);
    is_done(&site);
}

#[test]
fn a_runner_that_is_killed_at_any_send_of_a_reboot_job_leaves_one_reboot() {
    let aws = Aws::start();
    // The sends: the step, the reboot, the same again when the node is back, the step after it.
    let table = [
        ("at-reboot", 1, "before"),
        ("after-reboot", 1, "after"),
        ("at-ready", 2, "before"),
        ("after-ready", 2, "after"),
    ];
    std::thread::scope(|scope| {
        for (group, skip, when) in table {
            let aws = &aws;
            scope.spawn(move || {
                let site = Site::new(aws, group, 1, Pace::Quick);
                patching(&site);
                aws.fault(&json!({
                    "mode": "signal", "when": when, "action": "SendCommand", "skip": skip, "caller": group,
                }));
                let mut command = site.command(&["run", "hello"]);
                command.env("AWS_ACCESS_KEY_ID", group);
                let killed = end(command.spawn().expect("it starts"));
                assert_eq!(killed.status, None, "{group}: it was killed: {killed:?}");
                until("it is served", 180, || {
                    site.run(&["run", "hello"]).status(0);
                    site.keys(0) == ["last-hello", "took-hello"]
                });
                is_done(&site);
            });
        }
    });
}
