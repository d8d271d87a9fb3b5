//! The probe in bad weather.

use std::time::Duration;

use roundsman::engine::probe::{Ended, Removal};
use roundsman::model::id::ProbeId;
use roundsman::model::probe::Answer;
use roundsman::model::probe::tag::ProbeTag;
use roundsman::port::{Clock, ErrorKind};

use crate::register::{CALL, Fate};
use crate::{Gave, after, in_weather, ms, play};

#[track_caller]
fn trouble(gave: &Gave) -> (ErrorKind, String) {
    match &gave.probed().ended {
        Ended::Trouble(error) => (error.kind, error.message.clone()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn throttling_is_backed_off_from_and_counted() {
    let gave = in_weather(|register| {
        // A storm of twenty reads.
        register.read_fails = Box::new(|n| (200..220).contains(&n).then_some(ErrorKind::Throttled));
    });
    let probed = gave.probed();
    assert_eq!(
        (&probed.ended, &probed.removal),
        (&Ended::Whole, &Removal::Gone)
    );
    assert_eq!((probed.log.throttled, probed.log.failed), (20, 0));
    assert_eq!(gave.found().staleness().at_least, Duration::ZERO);
    // While it waits nobody asks: in any second of the storm there are fewer calls than before it.
    let per_second = |from: u64| {
        let from = probed.log.reads[0].began.0 + ms(from);
        let within = |read: &&roundsman::model::probe::Read| {
            (from..from + ms(1_000)).contains(&read.began.0)
        };
        probed.log.reads.iter().filter(within).count()
    };
    assert!(per_second(5_000) >= 11);
    let quiet = (15_000..40_000).step_by(500).map(per_second).min();
    assert_eq!(quiet, Some(0));
}

#[test]
fn what_will_not_pass_ends_it_and_the_tag_is_removed() {
    for kind in [
        ErrorKind::Denied,
        ErrorKind::Credentials,
        ErrorKind::NotFound,
        ErrorKind::Other,
    ] {
        let gave = in_weather(|register| {
            register.read_fails = Box::new(move |n| (n == 100).then_some(kind));
        });
        assert_eq!(trouble(&gave), (kind, "the read fails".to_owned()));
        assert_eq!(
            (&gave.probed().removal, gave.register.left()),
            (&Removal::Gone, None)
        );
        assert!(gave.probed().took < ms(12_000));
        // Of a write: nothing was ever written, so nothing is deleted.
        let gave = in_weather(|register| register.fate = Box::new(move |_| Fate::Refused(kind)));
        assert_eq!(trouble(&gave), (kind, "the write is refused".to_owned()));
        assert_eq!(
            (&gave.probed().removal, gave.register.deletes.get()),
            (&Removal::NotWritten, 0)
        );
    }
}

#[test]
fn writes_that_are_throttled_on_and_on_end_it() {
    let gave =
        in_weather(|register| register.fate = Box::new(|_| Fate::Refused(ErrorKind::Throttled)));
    assert_eq!(trouble(&gave).0, ErrorKind::Throttled);
    assert_eq!(
        (gave.register.writes.get(), &gave.probed().removal),
        (5, &Removal::NotWritten)
    );
    // Two in a row are waited for.
    let gave = in_weather(|register| {
        register.fate = Box::new(|n| match n {
            3 | 4 => Fate::Refused(ErrorKind::Conflict),
            _ => Fate::Lands(CALL / 2, CALL),
        });
    });
    assert_eq!(
        (&gave.probed().ended, gave.found().refused),
        (&Ended::Whole, 2)
    );
    assert_eq!(gave.found().staleness().at_least, Duration::ZERO);
}

#[test]
fn silence_ends_it_after_a_minute_and_says_that_the_tag_may_be_there() {
    let gave = in_weather(|register| {
        register.read_fails = Box::new(|n| (n > 100).then_some(ErrorKind::Unreachable));
    });
    assert_eq!(trouble(&gave).0, ErrorKind::Unreachable);
    let Removal::Perhaps { value, why } = &gave.probed().removal else {
        panic!("{:?}", gave.probed().removal);
    };
    assert!(
        value.starts_with("v1 probe=") && why == "the read fails",
        "{value} {why}"
    );
    // It was removed all the same, only nobody could see it.
    assert_eq!(gave.register.left(), None);
}

#[test]
fn a_delete_that_is_refused_is_tried_again_and_a_forbidden_one_is_told() {
    let gave = in_weather(|register| {
        register.delete_fails = Box::new(|n| (n <= 2).then_some(ErrorKind::Throttled));
        // Reads are so stale that they do not show the tag any more, or not yet: that is no reason to leave it.
        register.stale = Box::new(|_, _| ms(60_000));
    });
    assert_eq!(
        (&gave.probed().removal, gave.register.left()),
        (&Removal::Gone, None)
    );
    assert!(gave.register.deletes.get() >= 3);
    let gave = in_weather(|register| register.delete_fails = Box::new(|_| Some(ErrorKind::Denied)));
    let Removal::Perhaps { value, why } = &gave.probed().removal else {
        panic!("{:?}", gave.probed().removal);
    };
    assert_eq!(
        (Some(value.clone()), why.as_str()),
        (gave.register.left(), "the delete is refused")
    );
    assert_eq!(gave.register.deletes.get(), 1);
}

#[test]
fn an_unanswered_write_is_told_since_it_may_bring_the_tag_back() {
    let gave = in_weather(|register| {
        register.fate = Box::new(|n| match n {
            4 => Fate::Unanswered(ms(500_000)),
            _ => Fate::Lands(CALL / 2, CALL),
        });
    });
    let (probed, found) = (gave.probed(), gave.found());
    assert_eq!(
        (&probed.ended, &probed.removal),
        (&Ended::Whole, &Removal::Gone)
    );
    assert_eq!(
        (found.unanswered, probed.log.writes[3].answer),
        (1, Answer::Unanswered)
    );
    assert_eq!(probed.outstanding, Some(probed.log.writes[3].began));
    assert_eq!(
        (gave.register.left(), found.staleness().at_least),
        (None, Duration::ZERO)
    );
    // Landed in the midst of it, over a later one: unclear, not stale.
    let gave = in_weather(|register| {
        register.fate = Box::new(|n| match n {
            4 => Fate::Unanswered(ms(14_500)),
            _ => Fate::Lands(CALL / 2, CALL),
        });
    });
    let found = gave.found();
    assert!(found.ways.iter().any(|way| way.unclear > 0));
    assert!(
        found
            .ways
            .iter()
            .all(|way| way.stale == 0 && way.backwards == 0)
    );
    assert_eq!(gave.register.left(), None);
}

#[test]
fn a_node_that_goes_midway_ends_it_without_a_conclusion() {
    let gave = play(
        |register| register.gone_at.set(register.clock.boot().0 + ms(30_000)),
        async |register, _| {
            after(register, ms(30_000)).await;
            register.set(register.clock.boot().0, None);
            std::future::pending::<()>().await;
        },
    );
    let (kind, message) = trouble(&gave);
    assert_eq!(kind, ErrorKind::NotFound);
    assert!(message.contains("i-1 is gone"), "{message}");
    assert!(gave.probed().took < ms(35_000));
}

#[test]
fn a_node_that_the_fleet_does_not_show_now_and_then_is_not_gone() {
    let gave = play(
        |register| register.shown_of.set(5),
        async |_, _| {
            std::future::pending::<()>().await;
        },
    );
    assert_eq!(gave.probed().ended, Ended::Whole);
}

#[test]
fn another_writer_of_the_tag_ends_it_and_what_that_wrote_stays() {
    for value in ["a person was here", "a probe"] {
        let gave = play(
            |_| {},
            async |register, _| {
                after(register, ms(20_000)).await;
                let other = ProbeTag {
                    probe: ProbeId::new(2, 2),
                    seq: 1,
                    at: register.clock.wall(),
                    by: "bob".to_owned(),
                };
                let value = if value == "a probe" {
                    other.format()
                } else {
                    value.to_owned()
                };
                register.set(register.clock.boot().0, Some(value));
                std::future::pending::<()>().await;
            },
        );
        let (kind, message) = trouble(&gave);
        assert_eq!(kind, ErrorKind::Conflict);
        assert!(
            message.contains("somebody else writes the probe's tag on i-1"),
            "{message}"
        );
        assert_eq!(gave.probed().removal, Removal::Gone);
        let left = gave.register.left().expect("it stays");
        assert!(left == value || left.ends_with("by=bob"), "{left}");
    }
}
