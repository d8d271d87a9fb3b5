//! Run Command: what runs, what is said of it, what ends it.

use serde_json::{Value, json};

use crate::ask::{ended, look, send, ssm, until};
use crate::test_aws::{Aws, Settings};

/// One with a single node.
fn site() -> (Aws, String) {
    let aws = Aws::start();
    let node = aws.fleet(None, 1, &[]).remove(0);
    (aws, node)
}

fn invocations(aws: &Aws, command: &str) -> Vec<Value> {
    let told = ssm(
        aws,
        "ListCommandInvocations",
        &json!({"CommandId": command, "Details": true}),
    );
    told.json()["CommandInvocations"]
        .as_array()
        .expect("a list")
        .clone()
}

fn is_alive(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// What a script wrote into its node's folder.
fn wrote(aws: &Aws, node: &str, name: &str) -> String {
    std::fs::read_to_string(aws.root().join(node).join(name)).unwrap_or_default()
}

#[test]
fn a_script_runs_in_its_nodes_folder_and_is_told_of() {
    let (aws, node) = site();
    let home = aws.root().join(&node);
    let command = send(
        &aws,
        &node,
        "until test -e \"$HOME/go\"; do sleep 0.05; done; pwd; echo alas >&2; exit 3",
    );
    until("it runs", 10, || {
        look(&aws, &node, &command)["Status"] == "InProgress"
    });
    assert_eq!(look(&aws, &node, &command)["ResponseCode"], -1);
    std::fs::write(home.join("go"), "").expect("a file");
    let told = ended(&aws, &node, &command);
    assert_eq!(
        (&told["Status"], &told["ResponseCode"]),
        (&json!("Failed"), &json!(3))
    );
    assert_eq!(told["StandardErrorContent"], "alas\n");
    let out = told["StandardOutputContent"].as_str().expect("text");
    assert!(out.starts_with(home.to_str().expect("text")), "{out}");
    let listed = &invocations(&aws, &command)[0]["CommandPlugins"][0];
    let output = listed["Output"].as_str().expect("text");
    assert!(
        output.ends_with("\n----------ERROR-------\nalas\n"),
        "{output}"
    );
}

#[test]
fn output_is_cut_where_aws_cuts_it() {
    let (aws, node) = site();
    let command = send(&aws, &node, "printf '%030000d' 1; printf '%09000d' 2 >&2");
    let told = ended(&aws, &node, &command);
    let length = |text: &Value| text.as_str().expect("text").len();
    assert_eq!(length(&told["StandardOutputContent"]), 24_000);
    assert_eq!(length(&told["StandardErrorContent"]), 8_000);
    assert_eq!(
        length(&invocations(&aws, &command)[0]["CommandPlugins"][0]["Output"]),
        2_500
    );
}

#[test]
fn a_command_that_was_just_sent_is_not_known_yet() {
    let (aws, node) = site();
    aws.fault(&json!({"action": "SendCommand", "mode": "unlisted", "seconds": 1}));
    let command = send(&aws, &node, "true");
    let asked = json!({"CommandId": command, "InstanceId": node});
    assert_eq!(
        ssm(&aws, "GetCommandInvocation", &asked).code(),
        "InvocationDoesNotExist"
    );
    assert!(invocations(&aws, &command).is_empty());
    until("it is listed", 10, || {
        !invocations(&aws, &command).is_empty()
    });
}

#[test]
fn cancel_and_time_out_kill_the_process_group_and_not_what_left_it() {
    let (aws, node) = site();
    // The detached one leads a session of its own; the other is in the script's group.
    let script = |name: &str| {
        format!(
            "cd; setsid sh -c 'echo $$ > {name}.detached; exec sleep 60' & sleep 60 & echo $! > {name}.group; wait"
        )
    };
    let begun = |name: &str| {
        until("it has begun", 10, || {
            let pids =
                ["group", "detached"].map(|kind| wrote(&aws, &node, &format!("{name}.{kind}")));
            pids.iter().all(|pid| pid.ends_with('\n'))
        });
    };
    let late = send(&aws, &node, &script("late"));
    let early = send(&aws, &node, &script("early"));
    begun("early");
    begun("late");
    let asked = json!({"CommandId": early, "InstanceIds": [node]});
    assert_eq!(ssm(&aws, "CancelCommand", &asked).status, 200);
    assert_eq!(ended(&aws, &node, &early)["StatusDetails"], "Cancelled");
    let told = ended(&aws, &node, &late);
    assert_eq!(
        (&told["Status"], &told["ResponseCode"]),
        (&json!("TimedOut"), &json!(137))
    );
    for name in ["early", "late"] {
        let pid = |kind: &str| wrote(&aws, &node, &format!("{name}.{kind}"));
        until("the group is gone", 10, || !is_alive(&pid("group")));
        assert!(is_alive(&pid("detached")), "{name}");
    }
    // The end of the test AWS is the end of all.
    let detached = wrote(&aws, &node, "early.detached");
    drop(aws);
    until("it is gone", 10, || !is_alive(&detached));
}

#[test]
fn an_agent_that_is_offline_gets_nothing_and_tells_nothing() {
    let aws = Aws::start();
    let nodes = aws.fleet(None, 2, &[]);
    aws.instance(&nodes[0], &json!({"agent": "ConnectionLost"}));
    let never = send(&aws, &nodes[0], "touch \"$HOME/ran\"");
    let untold = send(
        &aws,
        &nodes[1],
        "touch \"$HOME/begun\"; sleep 1; touch \"$HOME/ran\"",
    );
    until("the second runs", 10, || {
        aws.root().join(&nodes[1]).join("begun").exists()
    });
    aws.instance(&nodes[1], &json!({"agent": "ConnectionLost"}));
    // 30 s, and 33 s with the execution's time-out, after which SSM says the same of both.
    let told = [
        ended(&aws, &nodes[0], &never),
        ended(&aws, &nodes[1], &untold),
    ];
    for told in told {
        assert_eq!(told["Status"], "TimedOut");
        let details = told["StatusDetails"]
            .as_str()
            .expect("text")
            .replace(' ', "");
        assert_eq!(details, "DeliveryTimedOut");
    }
    let ran: Vec<bool> = nodes
        .iter()
        .map(|node| aws.root().join(node).join("ran").exists())
        .collect();
    assert_eq!(
        ran,
        [false, true],
        "the same is said of what never ran and of what did"
    );
}

#[test]
fn an_exit_status_of_194_reboots_the_node_and_runs_the_script_again() {
    let (aws, node) = site();
    let script =
        "cd; cat /proc/sys/kernel/random/boot_id >> boots; setsid sleep 60 & echo $! >> pids
        test \"$(wc -l < boots)\" -eq 3 || exit 194";
    let command = send(&aws, &node, script);
    assert_eq!(ended(&aws, &node, &command)["Status"], "Success");
    let (boots, pids) = (wrote(&aws, &node, "boots"), wrote(&aws, &node, "pids"));
    let mut boots: Vec<&str> = boots.lines().collect();
    boots.dedup();
    assert_eq!(boots.len(), 3, "each boot has an id of its own");
    let alive: Vec<bool> = pids.lines().map(is_alive).collect();
    assert_eq!(alive, [false, false, true], "a reboot leaves nothing");
}

#[test]
fn an_agent_runs_five_commands_at_once() {
    let (aws, node) = site();
    let script = "cd; echo x >> begun; until test -e go; do sleep 0.05; done";
    let commands: Vec<String> = (0..6).map(|_| send(&aws, &node, script)).collect();
    let status = |wanted: &str| {
        let of = |command: &&String| look(&aws, &node, command)["Status"] == wanted;
        commands.iter().filter(of).count()
    };
    until("five run", 10, || status("InProgress") == 5);
    assert_eq!(status("Pending"), 1);
    std::fs::write(aws.root().join(&node).join("go"), "").expect("a file");
    until("all have run", 10, || status("Success") == 6);
    assert_eq!(wrote(&aws, &node, "begun").lines().count(), 6);
}

#[test]
fn commands_are_listed_by_node_and_time_for_thirty_days() {
    let aws = Aws::start();
    let nodes = aws.fleet(None, 2, &[]);
    let first = send(&aws, &nodes[0], "true");
    send(&aws, &nodes[1], "true");
    aws.clock(3_600);
    let second = send(&aws, &nodes[0], "true");
    let ids = |asked: Value| -> Vec<String> {
        let told = ssm(&aws, "ListCommands", &asked).json();
        let list = told["Commands"].as_array().expect("a list").clone();
        list.iter()
            .map(|each| each["CommandId"].as_str().expect("an id").to_owned())
            .collect()
    };
    let of_first = || json!({"InstanceId": nodes[0]});
    assert_eq!(
        ids(of_first()),
        [second.clone(), first.clone()],
        "the newest first"
    );
    assert_eq!(ids(json!({})).len(), 3);
    let told = ssm(&aws, "ListCommands", &of_first()).json();
    let at = told["Commands"][0]["RequestedDateTime"].as_f64();
    let at = std::time::Duration::from_secs_f64(at.expect("seconds") - 60.0);
    let at = jiff::SignedDuration::try_from(at).expect("a time");
    let after = jiff::Timestamp::from_duration(at)
        .expect("a time")
        .to_string();
    let filter =
        json!({"InstanceId": nodes[0], "Filters": [{"key": "InvokedAfter", "value": after}]});
    assert_eq!(ids(filter), std::slice::from_ref(&second));
    let paged = ssm(&aws, "ListCommands", &json!({"MaxResults": 2})).json();
    let rest = ids(json!({"MaxResults": 2, "NextToken": paged["NextToken"]}));
    assert_eq!(rest, [first]);
    aws.clock(30 * 86_400 + 60);
    assert_eq!(ids(of_first()), [second]);
}

#[test]
fn the_same_seed_delivers_as_slowly() {
    let order = |seed| {
        let aws = Aws::with(&Settings {
            seed,
            delivery: std::time::Duration::from_millis(1_500),
            ..Settings::default()
        })
        .expect("a port");
        let nodes = aws.fleet(None, 3, &[]);
        let commands: Vec<String> = nodes.iter().map(|node| send(&aws, node, "true")).collect();
        let told: Vec<Value> = nodes
            .iter()
            .zip(&commands)
            .map(|(node, command)| ended(&aws, node, command))
            .collect();
        let mut order: Vec<usize> = (0..3).collect();
        order.sort_by_key(|&n| {
            told[n]["ExecutionStartDateTime"]
                .as_str()
                .expect("a time")
                .to_owned()
        });
        (commands, order)
    };
    let once = order(6);
    assert_eq!(once.1, [1, 2, 0], "half a second lies between any two");
    assert_eq!(order(6), once);
}
