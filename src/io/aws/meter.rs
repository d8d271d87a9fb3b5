//! What every answer of AWS tells beside its content: the provider's time, and that a call was made.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef,
};
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::DateTime;
use aws_smithy_types::config_bag::{ConfigBag, Storable, StoreReplace};
use aws_smithy_types::date_time::Format;
use jiff::Timestamp;

use crate::io::aws::client::Wall;
use crate::port::Offset;

/// How many answers the offset is taken from. Few, so that a clock that was set is noticed within a fleet's reading.
const KEPT: usize = 8;

/// Counts calls and keeps the offset of the provider's clock.
pub(super) struct Meter {
    wall: Wall,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    calls: BTreeMap<String, u64>,
    /// The latest last.
    offsets: VecDeque<Offset>,
}

impl Meter {
    pub(super) fn new(wall: Wall) -> Arc<Self> {
        Arc::new(Self {
            wall,
            seen: Mutex::default(),
        })
    }

    /// One that has counted nothing yet, by the same clock.
    pub(super) fn fresh(&self) -> Arc<Self> {
        Self::new(Arc::clone(&self.wall))
    }

    /// This machine's wall clock.
    pub(super) fn wall(&self) -> Timestamp {
        (self.wall)()
    }

    /// Calls so far by action; every attempt is one.
    pub(super) fn calls(&self) -> BTreeMap<String, u64> {
        self.seen().calls.clone()
    }

    /// Provider time less this machine's; zero while nothing has been answered.
    pub(super) fn offset(&self) -> Offset {
        narrow(&self.seen().offsets)
    }

    fn count(&self, action: &str) {
        *self.seen().calls.entry(action.to_owned()).or_default() += 1;
    }

    fn answered(&self, date: &str, begun: Timestamp, ended: Timestamp) {
        if let Some(offset) = offset_of(date, begun, ended) {
            let mut seen = self.seen();
            seen.offsets.push_back(offset);
            if seen.offsets.len() > KEPT {
                seen.offsets.pop_front();
            }
        }
    }

    /// Counters stay meaningful when a holder of the lock panicked.
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meter")
            .field("offset", &self.offset())
            .finish_non_exhaustive()
    }
}

/// The interval that one answer tells: it was written at some moment between `begun` and `ended` of our clock, and at
/// `date` or less than a second later of theirs.
fn offset_of(date: &str, begun: Timestamp, ended: Timestamp) -> Option<Offset> {
    let theirs = DateTime::from_str(date, Format::HttpDate)
        .ok()?
        .to_millis()
        .ok()?;
    Some(Offset {
        least_ms: theirs.checked_sub(ended.as_millisecond())?,
        most_ms: theirs
            .checked_add(1_000)?
            .checked_sub(begun.as_millisecond())?,
    })
}

/// What the latest answers agree on, from the newest back until one disagrees: then a clock was set between them.
fn narrow(offsets: &VecDeque<Offset>) -> Offset {
    let mut newest_first = offsets.iter().rev();
    let Some(&newest) = newest_first.next() else {
        return Offset::default();
    };
    let mut narrowed = newest;
    for offset in newest_first {
        let both = Offset {
            least_ms: narrowed.least_ms.max(offset.least_ms),
            most_ms: narrowed.most_ms.min(offset.most_ms),
        };
        if both.least_ms > both.most_ms {
            break;
        }
        narrowed = both;
    }
    narrowed
}

/// The interceptor; one for all clients, so that they share a meter.
#[derive(Debug, Clone)]
pub(super) struct Tap(pub(super) Arc<Meter>);

/// When the attempt was handed to the connection.
#[derive(Debug, Clone, Copy)]
struct Begun(Timestamp);

impl Storable for Begun {
    type Storer = StoreReplace<Self>;
}

impl Intercept for Tap {
    fn name(&self) -> &'static str {
        "roundsman-meter"
    }

    fn read_before_transmit(
        &self,
        _context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let action = bag
            .load::<Metadata>()
            .map_or("?", |metadata| metadata.name())
            .to_owned();
        self.0.count(&action);
        let begun = Begun(self.0.wall());
        bag.interceptor_state().store_put(begun);
        Ok(())
    }

    fn read_after_transmit(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date");
        if let (Some(date), Some(&Begun(begun))) = (date, bag.load::<Begun>()) {
            self.0.answered(date, begun, self.0.wall());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "Mon, 23 Nov 2026 00:10:00 GMT";

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn an_answer_bounds_the_offset_by_its_second_and_its_duration() {
        let offset = offset_of(
            DATE,
            at("2026-11-23T00:10:00.200Z"),
            at("2026-11-23T00:10:00.500Z"),
        );
        assert_eq!(
            offset,
            Some(Offset {
                least_ms: -500,
                most_ms: 800
            })
        );
        assert_eq!(
            offset_of(
                "yesterday",
                at("2026-11-23T00:10:00Z"),
                at("2026-11-23T00:10:00Z")
            ),
            None
        );
    }

    #[test]
    fn answers_narrow_each_other_until_a_clock_is_set() {
        let span = |least_ms, most_ms| Offset { least_ms, most_ms };
        assert_eq!(narrow(&VecDeque::new()), Offset::default());
        assert_eq!(
            narrow(&VecDeque::from([span(-900, 100), span(-200, 800)])),
            span(-200, 100)
        );
        assert_eq!(
            narrow(&VecDeque::from([
                span(-900, 100),
                span(4_000, 5_000),
                span(4_500, 5_500)
            ])),
            span(4_500, 5_000)
        );
    }

    #[test]
    fn only_the_latest_answers_count() {
        let meter = Meter::new(Arc::new(|| Timestamp::UNIX_EPOCH));
        let begun = at("2026-11-23T00:10:00.900Z");
        meter.answered(DATE, begun, begun);
        assert_eq!(meter.offset().most_ms, 100);
        let begun = at("2026-11-23T00:10:00.100Z");
        for _ in 0..KEPT {
            meter.answered(DATE, begun, begun);
        }
        assert_eq!(meter.offset().most_ms, 900);
    }
}
