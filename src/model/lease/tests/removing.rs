//! Removing what somebody left.

use super::*;
use crate::model::lease::remove::{Removal, Removing};

fn asked(drive: &Drive) -> Removal {
    let mut removal = Removal::new("v1 left".to_owned());
    let first = removal.on(&drive.terms, drive.now(), &Input::Start);
    assert_eq!(first, Removing::Do(Next::Look(Look::Node)));
    removal
}

fn shows(value: Option<&str>) -> Input {
    Input::Looked {
        shows: Seen::read(value),
        value: value.map(str::to_owned),
        standing: None,
    }
}

#[test]
fn a_leftover_is_deleted_by_its_exact_value_on_a_fresh_read() {
    let mut drive = Drive::new(None);
    let mut removal = asked(&drive);
    drive.at += secs(G);
    let next = removal.on(&drive.terms, drive.now(), &shows(Some("v1 left")));
    assert_eq!(next, Removing::Do(Next::Delete("v1 left".to_owned())));
    let end = removal.on(&drive.terms, drive.now(), &Input::Deleted(Answer::Done));
    assert_eq!(end, Removing::Over);
}

#[test]
fn what_has_changed_or_was_read_long_ago_is_left_alone() {
    let mut drive = Drive::new(None);
    for other in [None, Some("v1 other")] {
        let mut removal = asked(&drive);
        assert_eq!(
            removal.on(&drive.terms, drive.now(), &shows(other)),
            Removing::Over
        );
        assert_eq!(
            removal.on(&drive.terms, drive.now(), &shows(Some("v1 left"))),
            Removing::Over
        );
    }
    let mut removal = asked(&drive);
    drive.at += secs(G) + Duration::from_millis(1);
    assert_eq!(
        removal.on(&drive.terms, drive.now(), &shows(Some("v1 left"))),
        Removing::Over
    );
    drive.terms.transactional = true;
    let mut removal = asked(&drive);
    drive.at += secs(60);
    let next = removal.on(&drive.terms, drive.now(), &shows(Some("v1 left")));
    assert!(
        matches!(next, Removing::Do(Next::Delete(_))),
        "a store that compares needs no fresh read"
    );
}

#[test]
fn a_read_that_fails_ends_the_removal() {
    let drive = Drive::new(None);
    let mut removal = asked(&drive);
    let failed = Input::LookFailed { retry_in: secs(1) };
    assert_eq!(
        removal.on(&drive.terms, drive.now(), &failed),
        Removing::Over
    );
}
