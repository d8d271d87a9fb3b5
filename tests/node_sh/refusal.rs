//! Sends that start nothing, and what is kept.

use std::io::Write as _;
use std::process::{Command, Stdio};

use roundsman::io::wrapper::compose;
use roundsman::model::outcome::Outcome;
use roundsman::port::{Deed, Order};

use crate::support::{each_shell, order};

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
        assert_eq!(node.state_of(&order), None);
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
        assert!(judged.output.contains("no record"), "{judged:?}");
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
        for tool in [
            "date", "base64", "cat", "env", "mv", "rm", "sleep", "tail", "mkdir",
        ] {
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
    let order = Order {
        deed: Deed::Reboot { begun: false },
        ..order("true")
    };
    let text = compose(&order, "/var/lib/roundsman").expect("small enough");
    // As it is sent, the code is the text of a here-document, which shellcheck passes over.
    let text = text.replacen("rs_code() {\ncat <<'the-end'\n", "", 1);
    let text = text.replacen("the-end\n}\n", "", 1);
    for arguments in [
        vec!["-s", "sh", "src/io/node.sh"],
        vec![
            "-s",
            "sh",
            "src/io/node/exec.sh",
            "src/io/node/look.sh",
            "src/io/node/pending.sh",
            "src/io/node/reboot.sh",
            "src/io/node/reset.sh",
            "src/io/node/stop.sh",
        ],
        vec![
            "-s",
            "sh",
            "-e",
            "SC2154,SC2086,SC2016,SC2034,SC2317,SC3012",
            "-",
        ],
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
