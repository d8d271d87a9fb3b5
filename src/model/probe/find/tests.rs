//! Small logs by hand: moments are milliseconds.

use super::*;
use Answer::{Done, Refused, Unanswered};

fn at(ms: u64) -> Moment {
    Moment(Duration::from_millis(ms))
}

fn write(began: u64, ended: u64, answer: Answer) -> Write {
    Write {
        read: at(began.saturating_sub(10)),
        began: at(began),
        ended: at(ended),
        answer,
    }
}

fn read(way: Way, began: u64, ended: u64, version: usize) -> Read {
    Read {
        way,
        began: at(began),
        ended: at(ended),
        version,
    }
}

fn node(began: u64, version: usize) -> Read {
    read(Way::Node, began, began + 5, version)
}

fn found(writes: &[Write], reads: &[Read]) -> Found {
    let log = Log {
        writes: writes.to_vec(),
        reads: reads.to_vec(),
        ..Log::default()
    };
    find(&log, &[], Duration::from_secs(2))
}

fn bounds(least: u64, most: u64) -> Bounds {
    Bounds {
        at_least: Duration::from_millis(least),
        at_most: Duration::from_millis(most),
    }
}

#[test]
fn a_read_is_stale_only_when_it_began_after_a_later_write_was_answered() {
    let writes = [write(100, 150, Done), write(1_000, 1_040, Done)];
    // (begun, version shown) -> how stale, at least and at most.
    let table = [
        (90, 0, (0, 0)),
        (120, 0, (0, 0)),
        (150, 0, (0, 0)),
        (151, 0, (1, 51)),
        (400, 0, (250, 300)),
        (400, 1, (0, 0)),
        (1_040, 1, (0, 0)),
        (1_240, 1, (200, 240)),
        (1_240, 2, (0, 0)),
        // Of the later writes, the one that was answered first counts.
        (1_240, 0, (1_090, 1_140)),
        // A value may be seen before its write is answered.
        (1_010, 2, (0, 0)),
    ];
    for (began, version, (least, most)) in table {
        let found = found(&writes, &[node(began, version)]);
        assert_eq!(found.staleness(), bounds(least, most), "{began} {version}");
        assert_eq!(
            found.ways[0].stale,
            usize::from(least > 0),
            "{began} {version}"
        );
    }
}

#[test]
fn each_call_is_judged_by_itself_and_the_worst_counts() {
    let writes = [write(100, 150, Done)];
    let reads = [
        read(Way::Node, 200, 205, 1),
        read(Way::Key, 250, 260, 0),
        read(Way::Key, 300, 310, 1),
        read(Way::Fleet, 650, 700, 0),
    ];
    let found = found(&writes, &reads);
    let stale: Vec<_> = found
        .ways
        .iter()
        .map(|way| (way.reads(), way.stale, way.worst))
        .collect();
    assert_eq!(
        stale,
        [
            (1, 0, bounds(0, 0)),
            (2, 1, bounds(100, 150)),
            (1, 1, bounds(500, 550))
        ]
    );
    assert_eq!(found.staleness(), bounds(500, 550));
    assert_eq!(found.reads(), 4);
    let age = found.ways[1].age.expect("two samples");
    assert_eq!(
        (age.samples, age.p50.as_millis(), age.max.as_millis()),
        (2, 0, 100)
    );
}

#[test]
fn a_write_that_was_refused_makes_nothing_stale() {
    let writes = [
        write(100, 150, Done),
        write(300, 320, Refused),
        write(600, 640, Done),
    ];
    let found = found(&writes, &[node(500, 1), node(700, 1)]);
    assert_eq!(
        (found.ways[0].stale, found.staleness()),
        (1, bounds(60, 100))
    );
    assert_eq!((found.refused, found.unanswered), (1, 0));
    assert_eq!(found.writes.map(|writes| writes.samples), Some(2));
}

#[test]
fn a_write_without_an_answer_may_land_at_any_time() {
    let writes = [
        write(100, 150, Done),
        write(300, 10_300, Unanswered),
        write(10_400, 10_450, Done),
    ];
    // The unanswered one is seen after the third: it landed late, or the read is stale. Nobody can say.
    let found = found(
        &writes,
        &[node(10_500, 3), node(10_600, 2), node(10_700, 3)],
    );
    let way = &found.ways[0];
    assert_eq!((way.stale, way.unclear, way.backwards), (0, 1, 0));
    assert_eq!(way.age.map(|age| age.samples), Some(2));
    // Its time is not a claim's.
    assert_eq!(found.unanswered, 1);
    assert_eq!(
        found.claims.map(|claims| claims.max),
        Some(Duration::from_millis(60))
    );
}

#[test]
fn backwards_is_what_shows_less_than_a_read_that_had_ended() {
    let writes = [
        write(0, 10, Done),
        write(100, 110, Done),
        write(200, 210, Done),
    ];
    let count = |reads: &[Read]| {
        let found = found(&writes, reads);
        (found.ways[0].backwards, found.backwards)
    };
    assert_eq!(count(&[node(20, 1), node(120, 2), node(220, 3)]), (0, 0));
    assert_eq!(count(&[node(120, 2), node(130, 1), node(140, 2)]), (1, 1));
    // The order in which they are noted says nothing.
    assert_eq!(count(&[node(140, 2), node(130, 1), node(120, 2)]), (1, 1));
    // Two that overlap may show either.
    let slow = read(Way::Node, 119, 300, 2);
    assert_eq!(count(&[slow, node(150, 1)]), (0, 0));
    // One call ahead of another: only all calls together go backwards.
    assert_eq!(
        count(&[read(Way::Fleet, 120, 125, 2), node(130, 1)]),
        (0, 1)
    );
    // After a jump ahead every older one counts.
    assert_eq!(
        count(&[node(215, 3), node(230, 1), node(240, 2), node(250, 3)]),
        (2, 2)
    );
}

#[test]
fn a_write_is_seen_after_its_answer_and_missed_until_the_last_read_without_it() {
    let writes = [
        write(100, 150, Done),
        write(1_000, 1_050, Done),
        write(2_000, 2_050, Done),
    ];
    let reads = [
        node(200, 0),
        node(300, 1),
        node(400, 0),
        node(500, 1),
        // The second is seen before it is answered, and never missed.
        node(1_010, 2),
        node(1_100, 2),
    ];
    let found = found(&writes, &reads);
    let ms = |spread: Option<Spread>| {
        let spread = spread.expect("samples");
        (
            spread.samples,
            spread.p50.as_millis(),
            spread.max.as_millis(),
        )
    };
    // Nothing was read after the third: it says nothing.
    assert_eq!(ms(found.first_seen), (2, 0, 155));
    assert_eq!(ms(found.last_missed), (2, 0, 250));
}

#[test]
fn a_tag_that_is_gone_after_the_second_write_is_told_apart() {
    let writes = [write(100, 150, Done), write(1_000, 1_050, Done)];
    let found = found(&writes, &[node(500, 0), node(1_040, 0), node(1_051, 0)]);
    assert_eq!((found.ways[0].bare, found.ways[0].stale), (1, 3));
}

#[test]
fn a_claim_is_from_the_start_of_its_read_to_the_answer_of_its_write() {
    let writes = [write(100, 150, Done), write(1_000, 3_000, Done)];
    let found = found(&writes, &[]);
    let claims = found.claims.expect("two");
    assert_eq!(
        (claims.p50.as_millis(), claims.max.as_millis(), found.late),
        (60, 2_010, 1)
    );
    assert_eq!(
        found.writes.map(|writes| writes.max.as_millis()),
        Some(2_000)
    );
    assert_eq!((found.first_seen, found.ways[0].took), (None, None));
}

#[test]
fn clocks_are_apart_by_the_worst_connection() {
    let offset = |least_ms, most_ms| Offset { least_ms, most_ms };
    let apart = |offsets: &[Offset]| find(&Log::default(), offsets, Duration::ZERO).clock;
    assert_eq!(apart(&[]), bounds(0, 0));
    assert_eq!(apart(&[offset(-300, 600)]), bounds(0, 600));
    assert_eq!(
        apart(&[offset(-300, 600), offset(4_000, 4_900)]),
        bounds(4_000, 4_900)
    );
    assert_eq!(apart(&[offset(-9_000, -8_100)]), bounds(8_100, 9_000));
}
