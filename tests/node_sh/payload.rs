//! What arrives on the node, and what comes back.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use roundsman::io::wrapper::SCRIPT_MAX;
use roundsman::model::id::RunId;
use roundsman::model::outcome::Outcome;
use roundsman::port::Order;
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{alive, each_shell, order};

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
