use std::io;
use std::rc::Rc;

use super::*;
use crate::event::ParkedFor;
use crate::model::lock::LockState;
use crate::model::record::FailReason;

/// Keeps what is written.
#[derive(Clone, Default)]
struct Page(Rc<RefCell<Vec<u8>>>);

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Takes nothing.
struct Closed;

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::BrokenPipe.into())
    }
}

fn file() -> Look {
    Look {
        colour: false,
        width: 80,
        terminal: false,
        journald: false,
        quiet: false,
        verbose: false,
        now_stamp: true,
    }
}

fn names() -> BTreeMap<NodeId, String> {
    let name = |id: &str, name: &str| (NodeId(id.to_owned()), name.to_owned());
    [name("i-1", "db-1"), name("i-2", "i-2")].into()
}

fn event(node: &str, kind: EventKind) -> Event {
    Event {
        at: "2026-11-23T00:10:00Z".parse().expect("a time"),
        run: None,
        node: Some(NodeId(node.to_owned())),
        kind,
    }
}

fn finished(outcome: Outcome, status: Option<i32>, output: &str) -> EventKind {
    EventKind::StepFinished {
        step: 1,
        name: "repair".to_owned(),
        attempt: 1,
        outcome,
        status,
        took: Some(Duration::from_secs(11_525)),
        output_tail: output.to_owned(),
    }
}

fn parked(why: ParkedFor, until: jiff::Timestamp) -> EventKind {
    EventKind::Parked {
        why,
        step: 1,
        until,
    }
}

fn lost(why: &str) -> EventKind {
    EventKind::LeaseLost {
        why: why.to_owned(),
    }
}

fn day() -> Vec<Event> {
    let until = "2026-11-23T00:30:00Z".parse().expect("a time");
    let started = |attempt| EventKind::StepStarted {
        step: 1,
        name: "repair".to_owned(),
        attempt,
    };
    let failed = |step, reason, count| EventKind::Failed {
        step,
        reason,
        count,
    };
    let warned = |message: &str| EventKind::Warned {
        message: message.to_owned(),
    };
    let hostile = "one\n\u{1b}[31mtwo\u{1b}[2J\n\nthree\r\n";
    vec![
        event("i-1", warned("last-repair of i-1 is \"soon\": no time")),
        event("i-1", warned("the agent is old\u{7}")),
        event(
            "i-1",
            EventKind::Settling {
                for_: Duration::from_secs(13),
            },
        ),
        event("i-1", EventKind::Claimed { until }),
        event("i-1", started(1)),
        event("i-1", EventKind::Renewed { until }),
        event("i-1", finished(Outcome::Failed, Some(3), hostile)),
        event("i-1", started(2)),
        event("i-1", finished(Outcome::Ok, Some(0), "not shown")),
        event(
            "i-1",
            EventKind::Committed {
                last: until,
                took: Duration::from_secs(11_600),
            },
        ),
        event("i-1", EventKind::Released),
        event(
            "i-2",
            EventKind::Adopted {
                was: LockState::Parked,
                step: 2,
                until,
            },
        ),
        event("i-2", finished(Outcome::TimedOut, None, "")),
        event("i-2", failed(2, FailReason::TimedOut, Some(3))),
        event("i-2", failed(0, FailReason::Abandoned, Some(1))),
        event("i-2", failed(1, FailReason::Unknown, None)),
        event(
            "i-2",
            EventKind::ClaimLost {
                why: "another claim stands".to_owned(),
            },
        ),
        event("i-2", lost("it could not be renewed")),
        event("i-2", parked(ParkedFor::Time, until)),
        event("i-3", parked(ParkedFor::Signal, until)),
        event("i-3", parked(ParkedFor::Hold, until)),
        Event {
            node: None,
            ..event("", EventKind::Finished(crate::event::Counts::default()))
        },
    ]
}

fn told(look: Look, events: &[Event]) -> String {
    let page = Page::default();
    let human = Human::on(look, names(), BTreeMap::new(), None, Box::new(page.clone()));
    for event in events {
        human.event(event);
    }
    human.finish();
    let bytes = page.0.borrow().clone();
    String::from_utf8(bytes).expect("text")
}

#[test]
fn in_a_file_each_line_bears_its_time() {
    insta::assert_snapshot!(told(file(), &day()));
}

#[test]
fn in_the_journal_each_line_bears_its_priority_and_no_time() {
    let look = Look {
        journald: true,
        colour: true,
        ..file()
    };
    let text = told(look, &day());
    assert!(text.lines().all(|line| {
        ["<3>", "<4>", "<6>"]
            .iter()
            .any(|start| line.starts_with(start))
            && !line.contains("2026-11-23T")
            && !line.contains('\u{1b}')
    }));
    insta::assert_snapshot!(text);
}

#[test]
fn quiet_lets_through_what_did_not_succeed() {
    let look = Look {
        quiet: true,
        now_stamp: false,
        ..file()
    };
    insta::assert_snapshot!(told(look, &day()));
}

#[test]
fn renewals_are_told_only_to_those_who_ask() {
    let verbose = Look {
        verbose: true,
        ..file()
    };
    assert!(told(verbose, &day()).contains("db-1 (i-1): lease runs until 00:30:00Z\n"));
    assert!(!told(file(), &day()).contains("(i-1): lease runs"));
}

#[test]
fn without_its_colours_a_line_says_the_same() {
    let plain = Look {
        now_stamp: false,
        ..file()
    };
    let colour = Look {
        colour: true,
        ..plain
    };
    let coloured = told(colour, &day());
    assert!(
        coloured.contains("\u{1b}[1m\u{1b}[31mi-2: failed"),
        "{coloured:?}"
    );
    let mut stripped = String::new();
    for (number, part) in coloured.split("\u{1b}[").enumerate() {
        let text = part.split_once('m').map_or(part, |(_, text)| text);
        stripped.push_str(if number == 0 { part } else { text });
    }
    assert_eq!(stripped, told(plain, &day()));
}

#[test]
fn output_is_bounded_in_lines_and_width() {
    let lines = (1..=50).map(|line| format!("{line} {}", "x".repeat(900)));
    let output = lines.collect::<Vec<_>>().join("\n");
    let text = told(
        file(),
        &[event("i-1", finished(Outcome::Failed, Some(1), &output))],
    );
    assert_eq!(text.lines().count(), 1 + OUTPUT_LINES);
    assert!(text.contains("    31 x") && !text.contains("    30 x"));
    assert!(
        text.lines()
            .all(|line| line.chars().count() < OUTPUT_WIDTH + 40)
    );
}

#[test]
fn a_closed_stderr_stops_nothing() {
    let live = Live::on(Box::new(|| 80), Box::new(|| Box::new(Closed)));
    let human = Human::on(
        file(),
        names(),
        BTreeMap::new(),
        Some(live),
        Box::new(Closed),
    );
    for event in day() {
        human.event(&event);
    }
    human.finish();
}

#[test]
fn a_run_that_is_stopped_is_told_with_what_it_was_and_whose() {
    let page = Page::default();
    let human = Human::on(
        file(),
        names(),
        BTreeMap::new(),
        None,
        Box::new(page.clone()),
    );
    human.event(&event(
        "i-1",
        EventKind::Stopping {
            was: LockState::Held,
            owner: "ci@bastion-1\u{1b}[31m".to_owned(),
            step: 2,
            until: "2026-11-23T00:30:00Z".parse().expect("a time"),
        },
    ));
    let text = String::from_utf8(page.0.borrow().clone()).expect("text");
    assert!(
        text.contains("db-1 (i-1): being stopped; its run was found held by ci@bastion-1"),
        "{text}"
    );
    assert!(text.ends_with("step 2 begun last\n") && !text.contains('\u{1b}'));
}
