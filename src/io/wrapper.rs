//! The texts that run on a node, the same over every transport: the fence.
//!
//! `node.sh` and the verbs beside it do the work there; this file puts variables before them. Script and environment
//! travel as base64 and are decoded on the node, so nothing of them ever stands in shell text, and SSM finds no `{{…}}` to
//! replace.
//!
//! - `exec` ([`compose`]) starts one attempt at a step, or attaches to it, or answers from the node's journal. What comes
//!   back is the result line that [`crate::model::outcome::judge`] reads, and the tail of the output. When nothing was
//!   started, for certain (no place to keep state, a tool missing, a text damaged on its way), the line says
//!   `undelivered`, and the exit status is 73. When an earlier send of the same attempt has been there and cannot be
//!   asked, 73 comes without a line: nobody can say.
//!   An order that reboots the node ([`Deed::Reboot`]) is one attempt, and one record, from the boot id before it to the
//!   end of its script: the first send is answered with the state `rebooting` before the node goes down, and whoever
//!   sends the same attempt again is answered like that too until there is another boot id; then that send executes the
//!   script, until it succeeds. So it has no number of its own, and needs none.
//! - `look` ([`compose_look`], [`compose_wait`]) reads the journal, which [`crate::model::journal`] understands.
//! - `stop` ([`compose_stop`], [`compose_stop_run`]) ends one attempt, or what a run has under way.

use std::fmt::Write as _;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use jiff::Timestamp;

use crate::model::digest::sha256_hex;
use crate::model::id::ClaimId;
use crate::model::job::Fence;
use crate::model::node::Command;
use crate::model::run::latest_end;
use crate::model::time::{ceil_second, format_stamp};
use crate::port::{Deed, Halt, Order};

/// The most bytes of a step's script.
pub const SCRIPT_MAX: usize = 40 * 1024;
/// The most bytes of the whole text: what an SSM document may have, less what stands around it there.
pub const TEXT_MAX: usize = 64 * 1024 - 1;
/// How long a node waits until it reboots, in seconds: so long its answer may take to the transport's other end. One that
/// is lost all the same costs time, and nothing else. (A test's node may wait for another time.)
const REBOOT_DELAY: u64 = 10;
/// How long a step that is being ended may take until it is killed.
pub const GRACE: Duration = Duration::from_secs(30);
/// Where nodes keep their state, unless they are this machine.
pub const STATE_DIR: &str = "/var/lib/roundsman";

const NODE_SH: &str = include_str!("node.sh");
const EXEC_SH: &str = include_str!("node/exec.sh");
const PENDING_SH: &str = include_str!("node/pending.sh");
const REBOOT_SH: &str = include_str!("node/reboot.sh");
/// What stands for the two where nothing reboots, and for the second where nothing is started.
const NO_REBOOT: &str = "rs_tell() { :; }\nrs_back() { false; }\nrs_over() { :; }\n";
const NOT_SENT: &str = "rs_leaves() { false; }\n";
const LOOK_SH: &str = include_str!("node/look.sh");
const STOP_SH: &str = include_str!("node/stop.sh");
const RESET_SH: &str = include_str!("node/reset.sh");
/// Not a multiple of four characters, so no line of base64 is ever mistaken for it; nor is it one of the wrapper's.
const END: &str = "the-end";
/// A century: what is longer is no number for every shell.
const TIMEOUT_MAX: u64 = 3_155_760_000;
/// Long lines, because a line break takes two bytes in JSON; a multiple of four.
const LINE: usize = 1024;

/// An order that does not fit through a transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TooLarge {
    /// The script alone.
    #[error(
        "the step's script has {bytes} bytes, and at most {SCRIPT_MAX} reach a node; put it into a file there, and call that"
    )]
    Script {
        /// Its size.
        bytes: usize,
    },
    /// Script and environment together.
    #[error(
        "the step's script and environment make a text of {bytes} bytes, and at most {TEXT_MAX} reach a node"
    )]
    Text {
        /// Their size, encoded, with what surrounds them.
        bytes: usize,
    },
}

/// Makes the text that starts one attempt, for `sh -s` on its stdin or as one SSM command.
///
/// `state_dir` is the absolute directory in which the node keeps its state.
///
/// # Errors
/// When the script, or all together, is too large.
pub fn compose(order: &Order, state_dir: &str) -> Result<String, TooLarge> {
    let bytes = order.script.len();
    if bytes > SCRIPT_MAX {
        return Err(TooLarge::Script { bytes });
    }
    let mut text = comment(order);
    // The node keeps a copy of the code for what goes on there without the transport.
    text.push_str(&format!("rs_code() {{\ncat <<'{END}'\n"));
    text.push_str(&variables(order, state_dir));
    text.push_str(&code(EXEC_SH));
    match order.deed {
        Deed::Run => text.push_str(&[NO_REBOOT, NOT_SENT].concat()),
        Deed::Reboot { .. } => text.push_str(&(body(PENDING_SH) + &body(REBOOT_SH))),
    }
    text.push_str(&format!("{END}\n}}\n"));
    text.push_str(&format!("rs_payload() {{\nbase64 -d <<'{END}'\n"));
    let payload = STANDARD.encode(&order.script);
    let mut rest = payload.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(LINE));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str(&format!("{END}\n}}\n"));
    let pairs: Vec<String> = order
        .env
        .iter()
        .map(|(name, value)| STANDARD.encode(format!("{name}={value}")))
        .collect();
    text.push_str(&format!("rs_env='{}'\n", pairs.join(" ")));
    text.push_str("eval \"$(rs_code)\"\nrs_exec\n");
    if text.len() > TEXT_MAX {
        return Err(TooLarge::Text { bytes: text.len() });
    }
    Ok(text)
}

/// Makes the text that ends an attempt: TERM, and KILL after a while. One that has not begun never will.
///
/// It takes what names an attempt, which is all that is left of one to whoever finds it by its comment.
pub fn compose_stop(command: &Command, state_dir: &str) -> String {
    format!(
        "# roundsman stop job={} run={} step={}.{}\n{}{}rs_stop\n",
        command.job,
        command.run,
        command.step,
        command.attempt,
        found(Some(command), None, state_dir),
        code(STOP_SH)
    )
}

/// Makes the text that raises the node's mark to `claim` and ends what runs of a run's steps, up to number `steps`: what
/// comes after is clean-up, which is left to end by itself. [`crate::model::journal::stopped`] reads what it prints.
pub fn compose_stop_run(halt: &Halt, state_dir: &str) -> String {
    let Halt {
        job,
        run,
        claim,
        steps,
    } = halt;
    format!(
        "# roundsman stop job={job} run={run} claim={claim}\n{}\
         rs_job={job} rs_run={run} rs_steps={steps}\n{}rs_stop\n",
        found(None, Some(*claim), state_dir),
        code(STOP_SH)
    )
}

/// Makes the text that forgets the node's mark. [`crate::model::journal::reset`] reads what it prints.
pub fn compose_reset(state_dir: &str) -> String {
    format!(
        "# roundsman reset\n{}{}rs_reset\n",
        found(None, None, state_dir),
        code(RESET_SH)
    )
}

/// Makes the text that waits for an attempt that was begun, and tells how it ended as `exec` does. It starts nothing.
pub fn compose_wait(command: &Command, state_dir: &str) -> String {
    format!(
        "# roundsman look job={} run={} step={}.{}\n{}{}rs_look\n",
        command.job,
        command.run,
        command.step,
        command.attempt,
        found(Some(command), None, state_dir),
        looking()
    )
}

/// Makes the text that prints the node's journal: what has begun since then, and all that runs.
/// [`crate::model::journal::read`] reads it.
pub fn compose_look(since: Timestamp, state_dir: &str) -> String {
    format!(
        "# roundsman look\nrs_since={}\n{}{}rs_look\n",
        since.as_second(),
        found(None, None, state_dir),
        looking()
    )
}

/// A plain comment for people who look at what runs.
fn comment(order: &Order) -> String {
    let Order {
        job,
        run,
        step,
        attempt,
        ..
    } = order;
    let sha256 = sha256_hex(order.script.as_bytes());
    format!("# roundsman job={job} run={run} step={step}.{attempt} payload-sha256={sha256}\n")
}

/// What `exec` is to do.
fn variables(order: &Order, state_dir: &str) -> String {
    let Order {
        job,
        run,
        claim,
        step,
        attempt,
        ..
    } = order;
    let not_after = ceil_second(order.not_after);
    let ends = latest_end(order.not_after, order.timeout);
    let fence = match order.fence {
        Fence::On => "on",
        Fence::Off => "off",
    };
    let reboot = match order.deed {
        Deed::Run => String::new(),
        Deed::Reboot { begun: false } => {
            format!("rs_reboot=yes rs_delay=${{rs_delay:-{REBOOT_DELAY}}}\n")
        }
        Deed::Reboot { begun: true } => {
            format!("rs_reboot=again rs_delay=${{rs_delay:-{REBOOT_DELAY}}}\n")
        }
    };
    format!(
        "rs_job={job} rs_run={run} rs_claim={claim} rs_step={step} rs_attempt={attempt} rs_fence={fence}\n\
         {reboot}\
         rs_timeout={} rs_grace={} rs_not_after={} rs_until={} rs_ends={}\n\
         rs_sha256={}\n\
         rs_state={}\n",
        whole_seconds(order.timeout).min(TIMEOUT_MAX),
        GRACE.as_secs(),
        not_after.as_second(),
        format_stamp(not_after),
        ceil_second(ends).as_second(),
        sha256_hex(order.script.as_bytes()),
        quote(state_dir),
    )
}

/// What the other verbs are to do: something with one attempt, or with all.
fn found(command: Option<&Command>, claim: Option<ClaimId>, state_dir: &str) -> String {
    let mut text = String::new();
    let claim = claim.map(|claim| claim.to_string()).unwrap_or_default();
    // Writing to a String cannot fail.
    let _ = match command {
        Some(command) => writeln!(
            text,
            "rs_job={} rs_run={} rs_step={} rs_attempt={}",
            command.job, command.run, command.step, command.attempt
        ),
        None => writeln!(text, "rs_job= rs_run= rs_step= rs_attempt="),
    };
    let _ = writeln!(
        text,
        "rs_claim={claim} rs_grace={} rs_ends=0 rs_state={}",
        GRACE.as_secs(),
        quote(state_dir)
    );
    text
}

/// The code of `look`.
fn looking() -> String {
    code(LOOK_SH) + &body(PENDING_SH) + NOT_SENT
}

/// `node.sh` and a verb, without comments and indentation, which take room and tell the node nothing.
fn code(verb: &str) -> String {
    body(NODE_SH) + &body(verb)
}

fn body(file: &str) -> String {
    file.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .fold(String::new(), |text, line| text + line + "\n")
}

/// Rounded up, at least one: `sleep` takes whole seconds everywhere, and none would be no time at all.
fn whole_seconds(span: Duration) -> u64 {
    let up = u64::from(span.subsec_nanos() > 0);
    span.as_secs().saturating_add(up).max(1)
}

/// A text as one word of shell.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::model::id::{Name, RunId};
    use crate::model::job::{Fence, On};

    /// An order for tests: the first attempt at step 1, with a minute, startable for ever.
    pub(crate) fn order(script: &str) -> Order {
        Order {
            job: Name::new("repair").expect("a name"),
            run: RunId::new(1, 1),
            claim: ClaimId::new(2, 2),
            step: 1,
            attempt: 1,
            on: On::Node,
            deed: Deed::Run,
            script: script.to_owned(),
            env: BTreeMap::new(),
            timeout: Duration::from_secs(60),
            not_after: jiff::Timestamp::MAX,
            fence: Fence::On,
        }
    }

    #[test]
    fn the_first_line_is_a_comment_that_names_the_attempt_and_its_payload() {
        let text = compose(&order("abc"), STATE_DIR).expect("small enough");
        let first = text.lines().next().expect("a line");
        let run = RunId::new(1, 1);
        assert_eq!(
            first,
            format!(
                "# roundsman job=repair run={run} step=1.1 payload-sha256={}",
                sha256_hex(b"abc")
            )
        );
        assert!(
            text.ends_with("\nrs_exec\n"),
            "a text cut short does nothing"
        );
    }

    #[test]
    fn the_largest_script_fits_and_one_byte_more_does_not() {
        // With the longest that every step finds in its environment; a name for people is a tag's value.
        let mut largest = order(&"x".repeat(SCRIPT_MAX));
        for (name, length) in [
            ("NODE", 19),
            ("NAME", 256),
            ("ADDRESS", 39),
            ("ZONE", 20),
            ("JOB", 40),
            ("TASK", 20),
            ("RUN", 26),
            ("CLAIM", 26),
            ("STEP", 3),
            ("ATTEMPT", 4),
            ("LAST", 20),
        ] {
            let value = "v".repeat(length);
            largest.env.insert(format!("ROUNDSMAN_{name}"), value);
        }
        let text = compose(&largest, STATE_DIR).expect("fits");
        assert!(text.len() < 64 * 1024 - 150, "all of it: {}", text.len());
        let error = compose(&order(&"x".repeat(SCRIPT_MAX + 1)), STATE_DIR);
        assert_eq!(
            error,
            Err(TooLarge::Script {
                bytes: SCRIPT_MAX + 1
            })
        );
        let mut wide = order("true");
        wide.env
            .insert("WIDE".to_owned(), "x".repeat(SCRIPT_MAX * 2));
        assert!(matches!(
            compose(&wide, STATE_DIR),
            Err(TooLarge::Text { .. })
        ));
    }

    #[test]
    fn times_are_whole_seconds_and_never_none() {
        assert_eq!(whole_seconds(Duration::ZERO), 1);
        assert_eq!(whole_seconds(Duration::from_millis(1_001)), 2);
        assert_eq!(whole_seconds(Duration::from_secs(7)), 7);
        assert_eq!(whole_seconds(Duration::MAX), u64::MAX);
    }

    proptest! {
        #[test]
        fn nothing_of_script_or_environment_stands_in_the_text(secret in "[!-/:-@\\[-`{-~\n]{4,40}") {
            let mut order = order(&format!("{{{{ssm:x}}}} $$ {secret}"));
            order.env.insert("V".to_owned(), format!("{{{{ssm:x}}}} $$ {secret}"));
            let text = compose(&order, STATE_DIR).expect("small enough");
            prop_assert!(!text.contains("{{") && !text.contains("$$"));
            let plain = compose(&super::tests::order(""), STATE_DIR).expect("small enough");
            let foreign = |text: &str| text.matches(|c: char| !c.is_ascii_alphanumeric() && !"+/= \n".contains(c)).count();
            prop_assert_eq!(foreign(&text), foreign(&plain));
        }
    }
}
