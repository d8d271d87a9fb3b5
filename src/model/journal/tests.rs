//! Tests of what nodes say.

use proptest::prelude::*;

use super::*;

fn entries() -> impl Strategy<Value = Entry> {
    let ids = (
        any::<(u32, u64)>(),
        any::<(u32, u64)>(),
        any::<u32>(),
        any::<u32>(),
    );
    let texts = ("[A-Za-z0-9._-]{1,40}", "[0-9a-f-]{1,36}");
    let times = (0..4_000_000_000i64, 0..4_000_000_000i64);
    let ended =
        (0..Outcome::ALL.len(), any::<Option<i32>>()).prop_map(|(n, status)| State::Ended {
            outcome: Outcome::ALL[n],
            status,
        });
    let states = prop_oneof![Just(State::Running), ended];
    (ids, texts, times, states).prop_map(
        |((run, claim, step, attempt), (job, boot), times, state)| Entry {
            job: Name::new(&job).expect("a name"),
            run: RunId::new(u64::from(run.0), u128::from(run.1)),
            claim: ClaimId::new(u64::from(claim.0), u128::from(claim.1)),
            step,
            attempt,
            boot,
            began: Timestamp::from_second(times.0).expect("a time"),
            ends: Timestamp::from_second(times.1).expect("a time"),
            state,
        },
    )
}

fn text(entries: &[Entry]) -> String {
    let lines: Vec<String> = entries.iter().map(Entry::format).collect();
    let count = entries.len();
    format!(
        "roundsman v1 boot=b now=7 mark=\n{}\nroundsman v1 attempts={count}\n",
        lines.join("\n")
    )
    .replace("\n\n", "\n")
}

proptest! {
    #[test]
    fn what_is_written_is_read(entries in prop::collection::vec(entries(), 0..4)) {
        let journal = read(&text(&entries)).expect("a journal");
        prop_assert_eq!(journal.attempts, entries);
    }

    #[test]
    fn a_text_that_was_cut_short_says_nothing(entries in prop::collection::vec(entries(), 1..4), cut in 1..400usize) {
        let text = text(&entries);
        // The last number may lose its line break, nothing more.
        let end = text.len().saturating_sub(cut.max(2));
        prop_assert_eq!(read(&text[..end]), None);
    }

    #[test]
    fn any_text_is_read_without_panic(text in "(roundsman v1 [a-z= 0-9\n]{0,40}){0,3}") {
        let _ = (read(&text), stopped(&text, ClaimId::new(1, 1)));
    }
}

#[test]
fn a_journal_is_evidence() {
    let (run, claim) = (RunId::new(1, 1), ClaimId::new(2, 2));
    let of = |attempt: u32, state: &str| {
        format!(
            "roundsman v1 run={run} claim={claim} step=3 attempt={attempt} boot=b job=repair began=10 ends=90 {state}\n"
        )
    };
    let text = format!(
        "roundsman v1 boot=b now=20 mark={claim}\n{}{}{}roundsman v1 attempts=3\n",
        of(1, "state=interrupted status="),
        of(2, "state=failed status=75"),
        of(3, "state=running status=")
    );
    let journal = read(&text).expect("a journal");
    assert_eq!(journal.mark, claim.to_string());
    let commands = journal.commands();
    let shown: Vec<(u32, Activity)> = commands.iter().map(|c| (c.attempt, c.activity)).collect();
    assert_eq!(
        shown,
        [
            (1, Activity::Finished),
            (2, Activity::Finished),
            (3, Activity::InProgress)
        ]
    );
    assert_eq!(
        journal.attempts[1].state,
        State::Ended {
            outcome: Outcome::Failed,
            status: Some(75)
        }
    );
    let handle = commands[2].handle.clone().expect("a handle");
    let named = Command::parse_comment(&handle.ticket, Activity::InProgress).expect("a comment");
    assert_eq!((named.run, named.step, named.attempt), (run, 3, 3));
    assert_eq!(
        handle.latest_end,
        Timestamp::from_second(90).expect("a time")
    );
    assert_eq!(read(&text.replace("state=running", "state=dancing")), None);
    assert_eq!(read(&text.replace("attempts=3", "attempts=4")), None);
}

#[test]
fn a_stop_is_believed_only_with_the_mark_raised() {
    let (own, later) = (ClaimId::new(2, 0), ClaimId::new(3, 0));
    let said = |ended: u32, lives: u32, mark: &str| {
        stopped(
            &format!("roundsman v1 ended={ended} lives={lives} mark={mark}\n"),
            own,
        )
    };
    assert_eq!(
        said(2, 0, &own.to_string()),
        Ok(Stopped::Nothing { ended: 2 })
    );
    assert_eq!(said(2, 1, &own.to_string()), Ok(Stopped::Lives));
    assert_eq!(said(0, 0, &later.to_string()), Ok(Stopped::Superseded));
    assert!(said(2, 0, "").is_err());
    assert!(said(2, 0, &ClaimId::new(1, 0).to_string()).is_err());
    assert!(stopped("", own).is_err());
}

#[test]
fn of_what_has_begun_the_journal_speaks_and_of_the_rest_the_executor() {
    let (run, claim) = (RunId::new(1, 1), ClaimId::new(1, 1));
    let text = format!(
        "roundsman v1 boot=b now=20 mark={claim}\n\
         roundsman v1 run={run} claim={claim} step=1 attempt=1 boot=b job=repair began=10 ends=90 state=running status=\n\
         roundsman v1 attempts=1\n"
    );
    let journal = read(&text).expect("a journal");
    let shown = |attempt, activity| Command {
        job: Name::new("repair").expect("a name"),
        run,
        step: 1,
        attempt,
        activity,
        handle: Some(Handle {
            ticket: "c-1".to_owned(),
            sent: Timestamp::UNIX_EPOCH,
            latest_end: Timestamp::UNIX_EPOCH,
        }),
    };
    let corrected = journal.correct(Evidence::Commands(vec![
        shown(1, Activity::Finished),
        shown(1, Activity::Finished),
        shown(2, Activity::InProgress),
    ]));
    let Evidence::Commands(corrected) = corrected else {
        panic!("evidence");
    };
    let said: Vec<_> = corrected.iter().map(|c| (c.attempt, c.activity)).collect();
    assert_eq!(said, [(2, Activity::InProgress), (1, Activity::InProgress)]);
    let handle = corrected[1].handle.clone().expect("a handle");
    let by_name = named(&handle.ticket).map(|c| (c.step, c.attempt));
    assert_eq!(by_name, Some((1, 1)));
    assert_eq!(named("c-1"), None);
}

#[test]
fn a_reboot_is_under_way_until_its_time_is_over() {
    let (run, claim) = (RunId::new(1, 1), ClaimId::new(1, 1));
    let told = |now: i64, state: &str| {
        let text = format!(
            "roundsman v1 boot=c now={now} mark={claim}\n\
             roundsman v1 run={run} claim={claim} step=1 attempt=1 boot=b job=repair began=10 ends=90 state={state} status=\n\
             roundsman v1 attempts=1\n"
        );
        read(&text).expect("a journal").commands()[0].activity
    };
    assert_eq!(told(20, "rebooting"), Activity::Reboots);
    assert_eq!(told(90, "rebooting"), Activity::Reboots);
    assert_eq!(
        told(91, "rebooting"),
        Activity::Finished,
        "nobody asks any more"
    );
    assert_eq!(told(91, "running"), Activity::InProgress);
    assert_eq!(told(20, "not-back"), Activity::Finished);
}
