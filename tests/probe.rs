//! The probe over a register in memory, in virtual time: it finds the staleness that was put in, and leaves no tag.

#[path = "probe/register.rs"]
mod register;
#[path = "probe/time.rs"]
mod time;
#[path = "probe/trouble.rs"]
mod trouble;

use std::rc::Rc;
use std::time::Duration;

use register::{Fate, Line, Register};
use roundsman::engine::operate::Refusal;
use roundsman::engine::probe::{Ended, Order, Probed, Removal, probe, ready};
use roundsman::engine::stop::{Bell, bell};
use roundsman::model::id::{NodeId, ProbeId};
use roundsman::model::probe::Way;
use roundsman::model::probe::find::{Found, find};
use roundsman::model::probe::tag::ProbeTag;
use roundsman::model::tag::TagKey;
use roundsman::port::Clock;
use time::VirtualClock;

const NODE: &str = "i-1";
const KEY: &str = "roundsman-probe";

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn order() -> Order {
    Order {
        node: NodeId(NODE.to_owned()),
        key: TagKey::new(KEY).expect("a key"),
        probe: ProbeId::new(1_795_392_600_000, 7),
        by: "tester".to_owned(),
        for_: ms(120_000),
        write_every: ms(4_000),
        read_every: ms(1_000),
        confirm: ms(45_000),
    }
}

/// What one probe gave.
struct Gave {
    probed: Result<Probed, Refusal>,
    register: Rc<Register>,
}

impl Gave {
    #[track_caller]
    fn probed(&self) -> &Probed {
        self.probed.as_ref().expect("it began")
    }

    #[track_caller]
    fn found(&self) -> Found {
        find(&self.probed().log, &self.probed().offsets, ms(2_000))
    }

    #[track_caller]
    fn refused(&self) -> String {
        match &self.probed {
            Err(refusal) => refusal.to_string(),
            Ok(probed) => panic!("it began: {probed:?}"),
        }
    }
}

/// Probes over four connections; `beside` runs at the same time.
fn play(weather: impl FnOnce(&mut Register), beside: impl AsyncFnOnce(&Register, Bell)) -> Gave {
    let clock = &VirtualClock::new();
    let mut register = Register::new(clock.clone());
    weather(&mut register);
    let register = Rc::new(register);
    let lines: Vec<Line> = (0..4).map(|_| Line(Rc::clone(&register))).collect();
    let (bell, stop) = bell();
    let order = order();
    let probed = clock.play(async {
        let ready = ready(clock, &lines[0], &order).await?;
        let fleet = async |line: &Line| line.fleet().await;
        let whole = async {
            beside(&register, bell).await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            () = whole => panic!("it never ends"),
            probed = probe(clock, &lines, &fleet, &order, ready, stop) => Ok(probed),
        }
    });
    Gave { probed, register }
}

fn in_weather(weather: impl FnOnce(&mut Register)) -> Gave {
    play(weather, async |_, _| std::future::pending().await)
}

async fn after(register: &Register, span: Duration) {
    let clock = &register.clock;
    clock.sleep_until(clock.boot().plus(span)).await;
}

#[test]
fn in_calm_weather_nothing_is_stale_and_the_tag_is_removed() {
    let gave = in_weather(|_| {});
    let (probed, found) = (gave.probed(), gave.found());
    assert_eq!(
        (&probed.ended, &probed.removal),
        (&Ended::Whole, &Removal::Gone)
    );
    assert_eq!((gave.register.left(), probed.outstanding), (None, None));
    assert_eq!(probed.took, ms(120_000));
    assert_eq!(
        (found.staleness().at_most, found.backwards),
        (Duration::ZERO, 0)
    );
    // Four connections, each reading every second by each call.
    for way in &found.ways {
        assert!((450..=520).contains(&way.reads()), "{way:?}");
    }
    let writes = probed.log.writes.len();
    assert!((25..=36).contains(&writes), "{writes} writes");
    assert_eq!(gave.register.at_once.get(), 1);
    let claims = found.claims.expect("samples");
    assert_eq!((claims.p50, claims.max), (ms(80), ms(80)));
}

#[test]
fn the_staleness_that_was_put_in_is_found_by_call_and_within_the_time_between_reads() {
    let gave = in_weather(|register| {
        register.stale = Box::new(|way, _| match way {
            Way::Node => ms(0),
            Way::Key => ms(3_000),
            Way::Fleet => ms(7_000),
        });
    });
    let found = gave.found();
    let worst: Vec<u128> = found
        .ways
        .iter()
        .map(|way| way.worst.at_least.as_millis())
        .collect();
    assert_eq!(worst[0], 0);
    // Reads over four connections lie a quarter of a second apart, so the last of a version is caught that late.
    assert!((2_700..=3_000).contains(&worst[1]), "{worst:?}");
    assert!((6_700..=7_000).contains(&worst[2]), "{worst:?}");
    assert!(found.staleness().at_most >= ms(6_700));
    // Steadily stale is not backwards, call by call; one call is ahead of the others.
    assert!(found.ways.iter().all(|way| way.backwards == 0));
    assert!(found.backwards > 0);
    assert_eq!(gave.probed().removal, Removal::Gone);
    assert_eq!(gave.register.left(), None);
}

#[test]
fn reads_that_flicker_are_counted_as_backwards() {
    let gave = in_weather(|register| {
        register.stale = Box::new(|_, n| if n % 5 == 0 { ms(2_500) } else { ms(0) });
    });
    let found = gave.found();
    for way in &found.ways {
        assert!(way.backwards > 20 && way.backwards <= way.stale, "{way:?}");
        assert!(way.stale < way.reads() / 5, "{way:?}");
    }
    let missed = found.last_missed.expect("samples").max;
    assert!((2_000..=2_500).contains(&missed.as_millis()), "{missed:?}");
    assert!(found.first_seen.expect("samples").p50 <= ms(300));
}

#[test]
fn a_write_that_lands_after_its_answer_makes_reads_stale() {
    let gave = in_weather(|register| register.fate = Box::new(|_| Fate::Lands(ms(1_500), ms(40))));
    let worst = gave.found().staleness().at_least;
    assert!((ms(1_200)..=ms(1_460)).contains(&worst), "{worst:?}");
    assert_eq!(gave.probed().removal, Removal::Gone);
}

#[test]
fn what_a_dead_probe_left_is_replaced_and_removed_and_a_living_one_is_left_alone() {
    let left_at = |ago: i64| {
        move |register: &mut Register| {
            let ago = jiff::SignedDuration::from_secs(ago);
            let at = register.clock.wall().saturating_sub(ago).expect("a time");
            let tag = ProbeTag {
                probe: ProbeId::new(1, 1),
                seq: 4,
                at,
                by: "bob".to_owned(),
            };
            register.set(Duration::ZERO, Some(tag.format()));
        }
    };
    let gave = in_weather(left_at(600));
    assert_eq!(
        (&gave.probed().ended, gave.register.left()),
        (&Ended::Whole, None)
    );
    assert!(gave.found().ways.iter().all(|way| way.stale == 0));
    let gave = in_weather(left_at(60));
    assert!(
        gave.refused().contains("a probe of bob is at work on i-1"),
        "{}",
        gave.refused()
    );
    assert_eq!(
        (gave.register.writes.get(), gave.register.deletes.get()),
        (0, 0)
    );
}

#[test]
fn a_node_without_room_and_a_foreign_value_are_refused_untouched() {
    let gave = in_weather(|register| {
        let tags = (0..46).map(|n| (format!("k{n}"), String::new()));
        register.others.borrow_mut().extend(tags);
    });
    assert!(gave.refused().contains("has 46 tags"));
    let gave = in_weather(|register| register.set(Duration::ZERO, Some("mine".to_owned())));
    assert!(gave.refused().contains("no tag of a probe: \"mine\""));
    assert_eq!(
        (gave.register.writes.get(), gave.register.left()),
        (0, Some("mine".to_owned()))
    );
}

#[test]
fn the_first_signal_ends_it_early_and_removes_the_tag() {
    // At every moment of a claim: between reads, in the read before a write, in a write.
    for at in [0, 10, 50, 90, 3_000, 9_970, 10_020, 30_000, 100_000] {
        let gave = play(
            |register| register.fate = Box::new(|_| Fate::Lands(ms(200), ms(2_000))),
            async |register, bell| {
                after(register, ms(at)).await;
                bell.ring();
                std::future::pending::<()>().await;
            },
        );
        let probed = gave.probed();
        assert_eq!(
            (&probed.ended, gave.register.left()),
            (&Ended::Signal, None),
            "{at}"
        );
        let removal = if probed.log.writes.is_empty() {
            Removal::NotWritten
        } else {
            Removal::Gone
        };
        assert_eq!(probed.removal, removal, "{at}");
        assert_eq!(
            gave.register.at_once.get(),
            u64::from(!probed.log.writes.is_empty())
        );
    }
}

#[test]
fn the_second_signal_leaves_at_once_and_names_the_value_that_may_be_there() {
    let gave = play(
        |register| {
            register.fate =
                Box::new(|n| Fate::Lands(ms(20), if n == 3 { ms(9_000) } else { ms(40) }));
        },
        async |register, bell| {
            while register.writes.get() < 3 {
                after(register, ms(100)).await;
            }
            bell.ring();
            after(register, ms(1_000)).await;
            bell.ring();
            std::future::pending::<()>().await;
        },
    );
    let probed = gave.probed();
    let Removal::Perhaps { value, why } = &probed.removal else {
        panic!("{:?}", probed.removal);
    };
    assert_eq!(
        (Some(value), probed.log.writes.len()),
        (gave.register.left().as_ref(), 2)
    );
    assert!(value.contains(" seq=3 ") && why.contains("second signal"));
    assert_eq!(gave.register.deletes.get(), 0);
}
