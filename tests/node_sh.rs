//! The node's wrapper in real shells: every test runs in each of sh, dash, bash and busybox that is there.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use roundsman::io::wrapper::{SCRIPT_MAX, compose, compose_stop};
use roundsman::model::id::{ClaimId, Name, RunId};
use roundsman::model::job::On;
use roundsman::model::outcome::{Attempt, Delivery, Judged, Outcome, judge};
use roundsman::port::Order;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tempfile::TempDir;

const SHELLS: [&[&str]; 4] = [&["sh"], &["dash"], &["bash"], &["busybox", "sh"]];

/// One shell and a state directory of its own.
struct Node {
    shell: &'static [&'static str],
    dir: TempDir,
}

/// Runs `test` in every shell that is there; `sh` and `bash` have to be.
fn each_shell(test: impl Fn(&Node)) {
    for shell in SHELLS {
        let found = Command::new(shell[0])
            .args(&shell[1..])
            .args(["-c", "exit 0"])
            .status()
            .is_ok();
        assert!(
            found || !["sh", "bash"].contains(&shell[0]),
            "{shell:?} is missing"
        );
        if found {
            let dir = TempDir::new().expect("a directory");
            test(&Node { shell, dir });
        }
    }
}

fn order(script: &str) -> Order {
    Order {
        job: Name::new("repair").expect("a name"),
        run: RunId::new(1_000, 1),
        claim: ClaimId::new(2_000, 2),
        step: 3,
        attempt: 1,
        on: On::Node,
        script: script.to_owned(),
        env: BTreeMap::new(),
        timeout: Duration::from_secs(60),
        not_after: jiff::Timestamp::MAX,
    }
}

fn attempt(order: &Order) -> Attempt {
    Attempt {
        run: order.run,
        claim: order.claim,
        step: order.step,
        number: order.attempt,
    }
}

impl Node {
    fn state(&self) -> PathBuf {
        self.dir.path().join("state dir's")
    }

    fn attempt_dir(&self, order: &Order) -> PathBuf {
        self.state().join(format!(
            "attempts/{}.{}.{}",
            order.run, order.step, order.attempt
        ))
    }

    fn text(&self, order: &Order) -> String {
        compose(order, self.state().to_str().expect("UTF-8")).expect("small enough")
    }

    /// Starts a text as a transport would, in a process group of its own.
    fn start(&self, text: &str) -> Child {
        let mut child = Command::new(self.shell[0])
            .args(&self.shell[1..])
            .arg("-s")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .expect("starts");
        child
            .stdin
            .take()
            .expect("piped")
            .write_all(text.as_bytes())
            .expect("written");
        child
    }

    fn run_text(&self, text: &str) -> Output {
        self.start(text).wait_with_output().expect("ends")
    }

    fn run(&self, order: &Order) -> (Option<i32>, Judged) {
        self.judged(order, &self.run_text(&self.text(order)))
    }

    fn judged(&self, order: &Order, output: &Output) -> (Option<i32>, Judged) {
        let delivery = Delivery::Ended {
            status: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        };
        let judged = judge(&delivery, On::Node, attempt(order));
        assert_eq!(
            String::from_utf8_lossy(&output.stderr).is_empty(),
            judged.outcome != Outcome::Unknown,
            "{:?}: only without a result line is there a complaint: {delivery:?}",
            self.shell
        );
        (output.status.code(), judged)
    }

    fn expect(&self, order: &Order, exit: i32, outcome: Outcome, status: Option<i32>) -> String {
        let (code, judged) = self.run(order);
        assert_eq!(
            (code, judged.outcome, judged.status),
            (Some(exit), outcome, status),
            "{:?}: {judged:?}",
            self.shell
        );
        judged.output
    }
}

/// Polls until `found` finds something, for ten seconds.
fn poll<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    for _ in 0..1_000 {
        if let Some(it) = found() {
            return it;
        }
        Command::new("sleep").arg("0.01").status().expect("sleep");
    }
    panic!("waited in vain for {what}");
}

fn pid_in(path: &Path) -> Option<Pid> {
    let text = std::fs::read_to_string(path).ok()?;
    Pid::from_raw(text.trim_end_matches('\n').parse().ok()?)
}

fn alive(pid: Pid) -> bool {
    let stat =
        std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_pid())).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

#[test]
fn a_step_that_succeeds_is_ok_and_its_output_follows() {
    each_shell(|node| {
        let output = node.expect(
            &order("echo out; echo err >&2; echo last"),
            0,
            Outcome::Ok,
            Some(0),
        );
        assert_eq!(output, "out\nerr\nlast\n");
    });
}

#[test]
fn the_wrapper_never_exits_with_the_steps_status() {
    each_shell(|node| {
        for (attempt, status) in [
            3, 73, 75, 76, 77, 124, 125, 126, 127, 130, 137, 143, 194, 255,
        ]
        .into_iter()
        .enumerate()
        {
            let order = Order {
                attempt: u32::try_from(attempt).expect("small") + 1,
                ..order(&format!("exit {status}"))
            };
            node.expect(&order, 1, Outcome::Failed, Some(status));
        }
    });
}

#[test]
fn a_step_that_takes_too_long_is_timed_out_with_all_that_it_started() {
    each_shell(|node| {
        let pid = node.dir.path().join("pid");
        let script = format!(
            "sleep 300 & echo \"$!\" >'{}'; echo begun; wait",
            pid.display()
        );
        let order = Order {
            timeout: Duration::from_secs(1),
            ..order(&script)
        };
        assert_eq!(node.expect(&order, 1, Outcome::TimedOut, None), "begun\n");
        assert!(!alive(pid_in(&pid).expect("a pid")));
    });
}

#[test]
fn what_does_not_heed_term_is_killed() {
    each_shell(|node| {
        let order = Order {
            timeout: Duration::from_secs(1),
            ..order("trap '' TERM; echo begun; sleep 300; sleep 300")
        };
        let text = node.text(&order);
        assert!(text.contains("rs_grace=30"));
        let output = node.run_text(&text.replace("rs_grace=30", "rs_grace=1"));
        assert_eq!(node.judged(&order, &output).1.outcome, Outcome::TimedOut);
        assert!(!alive(
            pid_in(&node.attempt_dir(&order).join("group")).expect("a pid")
        ));
    });
}

#[test]
fn a_step_that_is_killed_is_interrupted() {
    each_shell(|node| {
        for (number, signal) in [(1, Signal::KILL), (2, Signal::TERM), (3, Signal::SEGV)] {
            let order = Order {
                attempt: number,
                ..order("exec sleep 300")
            };
            let child = node.start(&node.text(&order));
            let group = node.attempt_dir(&order).join("group");
            let pid = poll("the step", || pid_in(&group));
            poll("exec", || {
                let name =
                    std::fs::read_to_string(format!("/proc/{}/comm", pid.as_raw_pid())).ok()?;
                (name == "sleep\n").then_some(())
            });
            kill_process(pid, signal).expect("it lives");
            let output = child.wait_with_output().expect("ends");
            assert_eq!(
                node.judged(&order, &output).1.outcome,
                Outcome::Interrupted,
                "{:?} {signal:?}",
                node.shell
            );
        }
    });
}

#[test]
fn without_the_wrapper_there_is_no_result_line_but_a_record() {
    each_shell(|node| {
        let go = node.dir.path().join("go");
        let order = order(&format!(
            "until [ -e '{}' ]; do sleep 0.05; done; exit 5",
            go.display()
        ));
        let child = node.start(&node.text(&order));
        poll("the step", || {
            pid_in(&node.attempt_dir(&order).join("group"))
        });
        kill_process(Pid::from_child(&child), Signal::KILL).expect("it lives");
        let output = child.wait_with_output().expect("ends");
        let delivery = Delivery::Ended {
            status: None,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::new(),
        };
        assert_eq!(
            judge(&delivery, On::Node, attempt(&order)).outcome,
            Outcome::Unknown
        );
        // It still runs: nobody may start it again beside it.
        node.expect(&order, 75, Outcome::Busy, None);
        std::fs::write(&go, "").expect("written");
        poll("the record", || {
            node.attempt_dir(&order)
                .join("result")
                .exists()
                .then_some(())
        });
        node.expect(&order, 1, Outcome::Failed, Some(5));
    });
}

#[test]
fn term_to_the_wrapper_or_its_group_interrupts_the_step() {
    each_shell(|node| {
        for (number, whole) in [(1, false), (2, true)] {
            let told = node.dir.path().join(format!("told{number}"));
            let script = format!(
                "trap 'echo told >{}; exit 0' TERM; echo begun; while :; do sleep 0.05; done",
                told.display()
            );
            let order = Order {
                attempt: number,
                ..order(&script)
            };
            let child = node.start(&node.text(&order));
            let output = node.attempt_dir(&order).join("output");
            poll("the step", || {
                std::fs::read_to_string(&output)
                    .ok()
                    .filter(|text| text == "begun\n")
            });
            let pid = Pid::from_child(&child);
            if whole {
                kill_process_group(pid, Signal::TERM)
            } else {
                kill_process(pid, Signal::TERM)
            }
            .expect("it lives");
            let (code, judged) = node.judged(&order, &child.wait_with_output().expect("ends"));
            assert_eq!(
                (code, judged.outcome, judged.status),
                (Some(1), Outcome::Interrupted, None),
                "{:?}",
                node.shell
            );
            assert!(judged.output.starts_with("begun\n"));
            assert!(told.exists(), "TERM came first");
        }
    });
}

#[test]
fn the_verb_stop_ends_the_attempt_and_says_when_there_is_none() {
    each_shell(|node| {
        let order = order("exec sleep 300");
        let stop = compose_stop(&order, node.state().to_str().expect("UTF-8"));
        assert_eq!(node.run_text(&stop).status.code(), Some(1), "nothing yet");
        let child = node.start(&node.text(&order));
        poll("the step", || {
            pid_in(&node.attempt_dir(&order).join("group"))
        });
        assert_eq!(node.run_text(&stop).status.code(), Some(0));
        assert_eq!(
            node.judged(&order, &child.wait_with_output().expect("ends"))
                .1
                .outcome,
            Outcome::Interrupted
        );
        assert_eq!(node.run_text(&stop).status.code(), Some(1), "nothing more");
    });
}

#[test]
fn the_verb_stop_ends_a_step_whose_wrapper_is_gone() {
    each_shell(|node| {
        let order = order("exec sleep 300");
        let mut child = node.start(&node.text(&order));
        let group = poll("the step", || {
            pid_in(&node.attempt_dir(&order).join("group"))
        });
        kill_process(Pid::from_child(&child), Signal::KILL).expect("it lives");
        child.wait().expect("ends");
        let stop = compose_stop(&order, node.state().to_str().expect("UTF-8"));
        assert_eq!(
            node.run_text(&stop).status.code(),
            Some(0),
            "{:?}",
            node.shell
        );
        poll("its end", || (!alive(group)).then_some(()));
        poll("the record", || {
            node.attempt_dir(&order)
                .join("result")
                .exists()
                .then_some(())
        });
        node.expect(&order, 1, Outcome::Interrupted, None);
    });
}

#[test]
fn a_finished_attempt_is_answered_from_its_record() {
    each_shell(|node| {
        let count = node.dir.path().join("count");
        let order = order(&format!("echo x >>'{}'; echo hello", count.display()));
        assert_eq!(node.expect(&order, 0, Outcome::Ok, Some(0)), "hello\n");
        assert_eq!(node.expect(&order, 0, Outcome::Ok, Some(0)), "hello\n");
        assert_eq!(std::fs::read_to_string(&count).expect("a file"), "x\n");
        let next = Order {
            attempt: 2,
            ..order
        };
        node.expect(&next, 0, Outcome::Ok, Some(0));
        assert_eq!(std::fs::read_to_string(&count).expect("a file"), "x\nx\n");
    });
}

#[test]
fn an_attempt_that_another_boot_began_is_interrupted() {
    each_shell(|node| {
        let order = order("echo never");
        let dir = node.attempt_dir(&order);
        std::fs::create_dir_all(&dir).expect("made");
        std::fs::write(dir.join("wrapper"), "another-boot 1 1\n").expect("written");
        let output = node.expect(&order, 1, Outcome::Interrupted, None);
        assert!(output.contains("ended without a result"));
    });
}

#[test]
fn a_send_that_arrives_late_does_nothing() {
    each_shell(|node| {
        let mut order = order("echo never");
        order.not_after = "2026-01-01T00:00:00.5Z".parse().expect("a time");
        let output = node.expect(&order, 77, Outcome::TooLate, None);
        assert!(
            output.contains("not to start after 2026-01-01T00:00:01Z"),
            "{output}"
        );
        assert!(!node.state().exists());
    });
}

#[test]
fn no_place_to_keep_state_is_undelivered() {
    each_shell(|node| {
        std::fs::write(node.state(), "a file, not a directory").expect("written");
        let output = node.expect(&order("echo never"), 73, Outcome::Undelivered, None);
        assert!(
            output.contains("no place to keep state") && output.contains("state dir's"),
            "{output}"
        );
        let proc = compose(&order("echo never"), "/proc/roundsman").expect("small enough");
        let (code, judged) = node.judged(&order("echo never"), &node.run_text(&proc));
        assert_eq!((code, judged.outcome), (Some(73), Outcome::Undelivered));
    });
}

#[test]
fn no_place_to_look_for_an_earlier_send_is_unknown() {
    each_shell(|node| {
        let order = order("echo never");
        std::fs::create_dir_all(node.state().join("attempts")).expect("made");
        std::fs::write(node.attempt_dir(&order), "not a directory").expect("written");
        let (code, judged) = node.run(&order);
        assert_eq!((code, judged.outcome), (Some(73), Outcome::Unknown));
        assert!(judged.output.contains("no place to keep state"));
    });
}

#[test]
fn a_damaged_text_is_undelivered() {
    each_shell(|node| {
        let order = order("echo never");
        let text = node.text(&order);
        let damaged = text.replacen("ZWNobyBuZXZlcg==", "ZWNobyBldmVyeQ==", 1);
        assert_ne!(text, damaged);
        let (code, judged) = node.judged(&order, &node.run_text(&damaged));
        assert_eq!(
            (code, judged.outcome),
            (Some(73), Outcome::Undelivered),
            "{judged:?}"
        );
        assert!(judged.output.contains("checksum"));
        let cut = text
            .strip_suffix("rs_exec\n")
            .expect("the verb stands last");
        assert!(node.run_text(cut).stdout.is_empty());
        node.expect(&order, 0, Outcome::Ok, Some(0));
    });
}

#[test]
fn a_node_without_a_tool_is_undelivered_and_names_it() {
    each_shell(|node| {
        let order = order("echo never");
        let bin = node.dir.path().join("bin");
        std::fs::create_dir(&bin).expect("made");
        for tool in ["date", "base64", "env", "sleep", "tail", "mkdir"] {
            let found = Command::new("sh")
                .args(["-c", &format!("command -v {tool}")])
                .output()
                .expect("sh");
            let target = String::from_utf8(found.stdout).expect("UTF-8");
            std::os::unix::fs::symlink(target.trim_end(), bin.join(tool)).expect("linked");
        }
        // busybox runs its own applets whatever PATH says, so there it is not missing.
        if node.shell[0] != "busybox" {
            let text = format!("PATH='{}'\n{}", bin.display(), node.text(&order));
            let (code, judged) = node.judged(&order, &node.run_text(&text));
            assert_eq!((code, judged.outcome), (Some(73), Outcome::Undelivered));
            assert!(judged.output.contains("no setsid"), "{judged:?}");
        }
    });
}

#[test]
fn a_script_runs_under_its_own_interpreter_as_a_file() {
    each_shell(|node| {
        let table = [
            (
                1,
                "#!/bin/sh\necho \"$0\"",
                format!(
                    "{}/script\n",
                    node.state()
                        .join(format!("attempts/{}.3.1", RunId::new(1_000, 1)))
                        .display()
                ),
            ),
            (2, "#! /bin/sh -eu \nfalse\necho never", String::new()),
            (
                3,
                "#!/usr/bin/env bash\necho \"${BASH_VERSION:+bash}\"",
                "bash\n".to_owned(),
            ),
            (
                4,
                "#!/usr/bin/env python3\nimport sys\nprint(6 * 7, repr(sys.stdin.read()))",
                "42 ''\n".to_owned(),
            ),
            (5, "#!/bin/cat\nhello", "#!/bin/cat\nhello".to_owned()),
        ];
        for (number, script, expected) in table {
            let (_, judged) = node.run(&Order {
                attempt: number,
                ..order(script)
            });
            assert_eq!(judged.output, expected, "{:?} {script}", node.shell);
            assert_eq!(
                judged.outcome,
                if number == 2 {
                    Outcome::Failed
                } else {
                    Outcome::Ok
                }
            );
        }
        let missing = Order {
            attempt: 6,
            ..order("#!/no/such/interpreter\n")
        };
        assert!(
            node.expect(&missing, 1, Outcome::Failed, Some(127))
                .contains("/no/such/interpreter")
        );
        // The file is not executed itself, which a directory mounted noexec would forbid.
        let mode = std::fs::metadata(node.attempt_dir(&missing).join("script"))
            .expect("a file")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    });
}

#[test]
fn the_step_finds_a_plain_environment() {
    each_shell(|node| {
        let script = "pwd; umask; wc -c; tr '\\0' '\\n' </proc/self/environ | grep -c '^rs_'; trap";
        let output = node.expect(&order(script), 0, Outcome::Ok, Some(0));
        let umask = Command::new("sh")
            .args(["-c", "umask"])
            .output()
            .expect("sh")
            .stdout;
        let umask = String::from_utf8(umask).expect("UTF-8");
        assert_eq!(output, format!("/\n{umask}0\n0\n"), "{:?}", node.shell);
        let mode =
            |path: &Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!(
            (mode(&node.state()), mode(&node.attempt_dir(&order("")))),
            (0o700, 0o700)
        );
    });
}

#[test]
fn hostile_values_arrive_as_they_are() {
    each_shell(|node| {
        let values = [
            "",
            "it's",
            "\"$HOME\" `id` $(id)",
            "a\nb\n\n\n",
            "{{ssm:x}} $$",
            "*",
            "\\n \\",
            " lead and trail ",
            "é🦀",
            "-n",
            "x=y",
        ];
        let mut order = order(
            "#!/usr/bin/env python3\nimport os\nfor n in range(11): print(repr(os.environb[b'V%d' % n].decode()))\nprint(os.environ['rs_state'])\n",
        );
        for (number, value) in values.iter().enumerate() {
            order.env.insert(format!("V{number}"), (*value).to_owned());
        }
        // Neither a wrapper's variable nor the search path may be turned against the wrapper.
        order
            .env
            .insert("rs_state".to_owned(), "/elsewhere".to_owned());
        order.env.insert("IFS".to_owned(), "e".to_owned());
        let output = node.expect(&order, 0, Outcome::Ok, Some(0));
        let expected = [
            "''",
            "\"it's\"",
            "'\"$HOME\" `id` $(id)'",
            "'a\\nb\\n\\n\\n'",
            "'{{ssm:x}} $$'",
            "'*'",
            "'\\\\n \\\\'",
            "' lead and trail '",
            "'é🦀'",
            "'-n'",
            "'x=y'",
            "/elsewhere",
            "",
        ];
        assert_eq!(output, expected.join("\n"), "{:?}", node.shell);
        let mut path = Order {
            attempt: 2,
            ..order
        };
        path.script = "echo \"$PATH\"".to_owned();
        path.env.insert("PATH".to_owned(), "/nowhere".to_owned());
        assert_eq!(node.expect(&path, 0, Outcome::Ok, Some(0)), "/nowhere\n");
    });
}

#[test]
fn output_of_any_bytes_and_any_length_is_cut_to_its_tail() {
    each_shell(|node| {
        let binary = order("printf 'a\\000\\377b\\nroundsman v1 state=failed\\n'");
        let output = node.run_text(&node.text(&binary)).stdout;
        assert!(
            output.ends_with(b"\na\0\xffb\nroundsman v1 state=failed\n"),
            "{output:?}"
        );
        let long = Order {
            attempt: 2,
            ..order("seq 100000; echo end")
        };
        let output = node.expect(&long, 0, Outcome::Ok, Some(0));
        assert_eq!(output.len(), 20_000);
        assert!(output.ends_with("\n99999\n100000\nend\n"));
        let silent = Order {
            attempt: 3,
            ..order("")
        };
        assert_eq!(node.expect(&silent, 0, Outcome::Ok, Some(0)), "");
    });
}

#[test]
fn a_daemon_left_behind_does_not_hold_the_wrapper() {
    each_shell(|node| {
        let order = order("sleep 300 & echo \"$!\"");
        let output = node.expect(&order, 0, Outcome::Ok, Some(0));
        let daemon = Pid::from_raw(output.trim().parse().expect("a pid")).expect("not zero");
        assert!(
            alive(daemon),
            "a step that ends well may leave something running"
        );
        kill_process(daemon, Signal::KILL).expect("it lives");
    });
}

#[test]
fn the_largest_script_runs() {
    each_shell(|node| {
        let mut script = "echo begun\n".to_owned();
        while script.len() < SCRIPT_MAX - 100 {
            script.push_str("# a comment with {{ssm:x}}, $$ and 'quotes'\n");
        }
        script.push_str("echo end\n");
        let script = format!("{script}{}", "#".repeat(SCRIPT_MAX - script.len()));
        assert_eq!(
            node.expect(&order(&script), 0, Outcome::Ok, Some(0)),
            "begun\nend\n"
        );
    });
}

#[test]
fn old_attempts_are_removed_and_young_ones_kept() {
    each_shell(|node| {
        let old = node.state().join("attempts/old");
        let young = node.state().join("attempts/young");
        for (dir, age) in [(&old, "32 days ago"), (&young, "29 days ago")] {
            std::fs::create_dir_all(dir).expect("made");
            std::fs::write(dir.join("result"), "x").expect("written");
            let touched = Command::new("touch")
                .args(["-d", age])
                .arg(dir)
                .status()
                .expect("touch");
            assert!(touched.success());
        }
        node.expect(&order("true"), 0, Outcome::Ok, Some(0));
        assert!(!old.exists() && young.exists());
    });
}

#[test]
fn shellcheck_finds_nothing() {
    let text = compose(&order("true"), "/var/lib/roundsman").expect("small enough");
    for arguments in [
        vec!["-s", "sh", "src/io/node.sh"],
        vec!["-s", "sh", "-e", "SC2154,SC2086,SC2016,SC2034,SC2317", "-"],
    ] {
        let child = Command::new("shellcheck")
            .args(&arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut child) = child else {
            let ci = Command::new("sh")
                .args(["-c", "test \"$CI\" = true"])
                .status()
                .expect("sh")
                .success();
            assert!(!ci, "shellcheck is missing: apt-get install shellcheck");
            return;
        };
        child
            .stdin
            .take()
            .expect("piped")
            .write_all(text.as_bytes())
            .expect("written");
        let output = child.wait_with_output().expect("ends");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stdout)
        );
    }
}
