//! Disks that are full, read-only, or execute nothing: real ones, mounted for the test alone.

use std::process::Command;

use roundsman::model::outcome::{Delivery, Judged, Outcome, judge};
use roundsman::model::{id::ClaimId, job::On};
use roundsman::port::Order;

use crate::support::{Node, attempt, each_shell, order};

/// How this machine lets a test mount something that only it sees.
fn mounting() -> Option<&'static str> {
    ["-m", "-rm"].into_iter().find(|flags| {
        let script = "mount -t tmpfs tmpfs /mnt";
        let made = Command::new("unshare")
            .args([flags, "sh", "-c", script])
            .output();
        made.is_ok_and(|output| output.status.success())
    })
}

/// Runs `test` in each shell, where mounting is possible; a machine of the pipeline has to allow it.
#[expect(clippy::print_stderr, reason = "what is not tested is said")]
fn each_with_mounts(test: impl Fn(&Node, &str)) {
    if let Some(flags) = mounting() {
        return each_shell(|node| test(node, flags));
    }
    let ci = Command::new("sh")
        .args(["-c", "test \"$CI\" = true"])
        .status();
    assert!(!ci.expect("sh").success(), "mounting is not possible here");
    eprintln!("NOT TESTED: mounting is not possible here");
}

/// Runs texts one after the other over a file system with these options, with `between` before each but the first.
fn over(node: &Node, flags: &str, options: &str, texts: &[String], between: &str) -> Vec<Judged> {
    std::fs::create_dir_all(node.state()).expect("made");
    let mut script = "set -e; mount -t tmpfs -o \"$2\" tmpfs \"$1\"\n".to_owned();
    for (number, text) in texts.iter().enumerate() {
        let file = node.dir.path().join(format!("text{number}"));
        std::fs::write(&file, text).expect("written");
        if number > 0 {
            script.push_str(between);
        }
        script.push_str(&format!(
            "\n{} -s <'{}' 2>&1 || :\necho '=== end'\n",
            node.shell.join(" "),
            file.display()
        ));
    }
    let output = Command::new("unshare")
        .args([flags, "sh", "-c", &script, "sh"])
        .arg(node.state())
        .arg(options)
        .output()
        .expect("unshare");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{output:?}");
    let parts = said.split("=== end\n").filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let delivery = Delivery::Ended {
                status: None,
                stdout: part.to_owned(),
                stderr: String::new(),
            };
            judge(&delivery, On::Node, attempt(&order("")))
        })
        .collect()
}

#[test]
fn a_disk_that_the_step_has_filled_does_not_lose_its_result() {
    each_with_mounts(|node, flags| {
        for (script, expected) in [
            ("exit 6", (Outcome::Failed, Some(6))),
            (
                "kill -KILL \"$PPID\"; sleep 1; exit 6",
                (Outcome::Interrupted, None),
            ),
            ("kill -TERM 0; exit 6", (Outcome::Interrupted, None)),
            ("sleep 300", (Outcome::TimedOut, None)),
        ] {
            let fill = r#"dir=${0%/*}/..; dd if=/dev/zero of="$dir/fill" bs=1k 2>/dev/null; echo x >>"$dir/fill" && echo 'not full'; "#;
            let order = Order {
                timeout: std::time::Duration::from_secs(2),
                ..order(&format!("{fill}{script}"))
            };
            let text = node.text(&order);
            let judged = over(node, flags, "size=512k", &[text.clone(), text], "");
            for each in &judged {
                assert_eq!(
                    (each.outcome, each.status),
                    expected,
                    "{:?} {judged:?}",
                    node.shell
                );
                assert!(!each.output.contains("not full"), "{judged:?}");
            }
            assert_eq!(judged.len(), 2);
        }
    });
}

#[test]
fn a_disk_without_room_for_the_record_and_a_read_only_one_start_nothing() {
    each_with_mounts(|node, flags| {
        let ran = node.dir.path().join("ran");
        let order = order(&format!("echo x >>'{}'", ran.display()));
        let second = Order {
            claim: ClaimId::new(9_000, 0),
            ..order.clone()
        };
        let full = r#"dd if=/dev/zero of="$1/fill" bs=1k 2>/dev/null || :"#.to_owned();
        let read_only = r#"mount -o remount,ro "$1""#.to_owned();
        for (between, number) in [(full, 10), (read_only, 20)] {
            let first = Order {
                attempt: number,
                ..order.clone()
            };
            let texts = [node.text(&first), node.text(&second)];
            let judged = over(node, flags, "size=512k", &texts, &between);
            assert_eq!(judged.len(), 2, "{judged:?}");
            assert_eq!(
                judged[1].outcome,
                Outcome::Undelivered,
                "{:?} {judged:?}",
                node.shell
            );
            assert!(
                judged[1].output.contains("no place to keep state"),
                "{judged:?}"
            );
        }
        assert_eq!(std::fs::read_to_string(ran).expect("a file"), "x\nx\n");
    });
}

#[test]
fn a_step_runs_where_nothing_may_be_executed() {
    each_with_mounts(|node, flags| {
        for script in ["echo hello", "#!/usr/bin/env python3\nprint('hello')\n"] {
            let judged = over(node, flags, "noexec", &[node.text(&order(script))], "");
            assert_eq!(
                judged[0].outcome,
                Outcome::Ok,
                "{:?} {judged:?}",
                node.shell
            );
            assert_eq!(judged[0].output, "hello\n");
        }
    });
}
