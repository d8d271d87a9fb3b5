//! Runs that are left to the next invocation, which any machine makes.

use serde_json::{Value, json};

use crate::CALM;
use crate::cli::until;
use crate::site::{Pace, Site, end, signal, step, waiting};

/// Two steps, the first of which waits for the file `go`.
fn two_steps(site: &Site<'_>) {
    let second = step(&format!("echo second >> '{}'", site.path("second")));
    site.job(&(waiting(site) + &second.replace("\"work\"", "\"more\"")));
}

/// How often something was done, by the lines of a file.
fn times(site: &Site<'_>, file: &str) -> usize {
    let path = site.folder.file(file);
    std::fs::read_to_string(path).map_or(0, |text| text.lines().count())
}

fn is_parked(site: &Site<'_>) -> bool {
    site.lock(0)
        .is_some_and(|lock| lock.state.label() == "parked")
}

#[test]
fn invocations_that_wait_for_nothing_bring_a_run_to_its_end_between_them() {
    let site = Site::new(&CALM, "for-0s", 1, Pace::Quick);
    two_steps(&site);
    let once = || site.run(&["run", "hello", "--for", "0s", "--detailed-exitcode"]);
    once().status(12).says("parked");
    assert!(is_parked(&site));
    until("the step has begun", 60, || times(&site, "begun") == 1);
    once().status(12).says("adopted");
    site.folder.write("go", "");
    until("SSM says that it has ended", 60, || {
        site.sent(0)[0]["Status"] == "Success"
    });
    // It finds the end of the first and begins the second.
    once().status(12).says("step 2 more started");
    until("SSM says that the second has ended", 60, || {
        site.sent(0).last().expect("sent")["Status"] == "Success"
    });
    once().status(0).says("served 1 node");
    assert_eq!((times(&site, "begun"), times(&site, "second")), (1, 1));
    assert_eq!(site.keys(0), ["last-hello", "took-hello"]);
}

#[test]
fn a_signal_parks_the_run_within_five_seconds_and_the_next_one_records_it() {
    let site = Site::new(&CALM, "parked", 1, Pace::Quick);
    two_steps(&site);
    let child = site.start(&["run", "hello", "--format", "json"]);
    until("the step has begun", 60, || times(&site, "begun") == 1);
    signal("TERM", &child);
    until("the lock says parked", 5, || is_parked(&site));
    let ran = end(child).status(0);
    let events: Vec<Value> = ran
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("an object"))
        .collect();
    let parked = events
        .iter()
        .find(|event| event["event"] == "parked")
        .expect("told");
    assert_eq!(
        (&parked["why"], &parked["step"]),
        (&json!("signal"), &json!(1))
    );
    let sent = site.sent(0).len();
    assert_eq!(site.reason(0), "parked");
    site.run(&["status", "hello"]).status(0);
    assert_eq!(site.sent(0).len(), sent, "whoever only looks sends nothing");
    site.folder.write("go", "");
    site.run(&["run", "hello"]).status(0).says("served 1 node");
    assert_eq!((times(&site, "begun"), times(&site, "second")), (1, 1));
    assert_eq!(site.keys(0), ["last-hello", "took-hello"]);
}

#[test]
fn a_run_is_parked_before_credentials_end_that_are_not_renewed() {
    let site = Site::new(&CALM, "credentials", 1, Pace::Quick);
    two_steps(&site);
    // They end two minutes and a quarter from now, and whoever asks again is told the same.
    let ends = roundsman::model::time::later(site.plan_time(), std::time::Duration::from_secs(135));
    let told = json!({"Version": 1, "AccessKeyId": "test", "SecretAccessKey": "test", "SessionToken": "test",
        "Expiration": ends.to_string()});
    site.folder.write("credentials.json", told.to_string());
    let config = format!(
        "[profile ends]\nregion = eu-west-1\ncredential_process = cat {}\n",
        site.path("credentials.json")
    );
    site.folder.write("aws-config", config);
    let mut command = site.command(&["run", "hello", "--profile", "ends"]);
    command
        .env_remove("AWS_ACCESS_KEY_ID")
        .env_remove("AWS_SECRET_ACCESS_KEY")
        .env("AWS_CONFIG_FILE", site.path("aws-config"));
    let child = command.spawn().expect("it starts");
    end(child)
        .status(0)
        .says("the credentials end")
        .says("parked (the credentials end soon)");
    assert!(is_parked(&site) && times(&site, "begun") == 1);
    site.folder.write("go", "");
    site.run(&["run", "hello"]).status(0).says("served 1 node");
    assert_eq!((times(&site, "begun"), times(&site, "second")), (1, 1));
}
