//! `probe`: writes a tag of its own on one node, reads it all the while, and removes it.
//!
//! One writer, with at most one write under way, and for each connection a reader that uses every call of a run in turn.
//! What they saw goes into a [`Log`], which `model::probe` judges. Whatever happens meanwhile, the tag is removed by
//! its exact value and its absence is seen over every connection; only a second signal leaves it.
//!
//! Nothing but the probe's own key is ever written, and what somebody else wrote there is neither overwritten nor
//! removed.

mod measure;
mod remove;

use std::cell::{Cell, RefCell};
use std::time::Duration;

use jiff::Timestamp;
use tokio::select;
use tokio::sync::watch;

use crate::engine::operate::Refusal;
use crate::engine::stop::{Stop, Urgency};
use crate::model::id::{NodeId, ProbeId};
use crate::model::node::Node;
use crate::model::probe::tag::{ProbeTag, Site, look};
use crate::model::probe::{Answer, Log};
use crate::model::tag::TagKey;
use crate::model::time::{Moment, elapsed, format_stamp};
use crate::port::{Clock, Offset, PortError, Store};

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Order {
    /// The node.
    pub node: NodeId,
    /// The probe's own key.
    pub key: TagKey,
    /// This probe.
    pub probe: ProbeId,
    /// Who probes.
    pub by: String,
    /// For how long.
    pub for_: Duration,
    /// How far writes are apart on average. Chance decides between half and one and a half of it, so that writes and
    /// reads do not fall into step.
    pub write_every: Duration,
    /// How far the reads by one call over one connection are apart.
    pub read_every: Duration,
    /// For how long the tag's absence is looked for before it is called uncertain.
    pub confirm: Duration,
}

/// Why it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// Its time was up.
    Whole,
    /// A signal.
    Signal,
    /// The outside failed, or the node is gone, or somebody else writes the tag.
    Trouble(PortError),
}

/// What became of the tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removal {
    /// It was never written.
    NotWritten,
    /// It is gone, as every connection shows.
    Gone,
    /// It may be there still.
    Perhaps {
        /// The value that was written last.
        value: String,
        /// Why nobody knows.
        why: String,
    },
}

/// What a probe did and saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probed {
    /// Everything that was read and written.
    pub log: Log,
    /// Why it ended.
    pub ended: Ended,
    /// What became of the tag.
    pub removal: Removal,
    /// When the latest write without an answer was begun, if there was one: it may land yet, and bring the tag back.
    pub outstanding: Option<Moment>,
    /// Provider time less this machine's, by connection.
    pub offsets: Vec<Offset>,
    /// When it began, the provider's time.
    pub began: Timestamp,
    /// How long it measured.
    pub took: Duration,
}

/// A probe that may begin: its node has been looked at.
#[derive(Debug)]
pub struct Ready {
    /// What an earlier probe has left there, which the first write replaces.
    pub leftover: Option<ProbeTag>,
    began: Timestamp,
    value: Option<String>,
}

/// Looks at the node; writes nothing.
///
/// # Errors
/// When another probe is at it, somebody else has written the tag, or the node has no room.
pub async fn ready<S: Store, C: Clock>(
    clock: &C,
    store: &S,
    order: &Order,
) -> Result<Ready, Refusal> {
    let tags = store.read_tags(&order.node).await?;
    let began = store.offset().correct(clock.wall());
    let (node, key) = (&order.node, &order.key);
    let refused = |message: String, help: String| Err(Refusal::NotRight { message, help });
    match look(&tags, key, began) {
        Site::Free => Ok(Ready {
            leftover: None,
            began,
            value: None,
        }),
        Site::Leftover { value, tag } => Ok(Ready {
            leftover: Some(tag),
            began,
            value: Some(value),
        }),
        Site::Busy(tag) => refused(
            format!(
                "a probe of {} is at work on {node}: it wrote its tag {} ago, at {}",
                tag.by,
                crate::model::span::format_span(elapsed(tag.at, began)),
                format_stamp(tag.at)
            ),
            "probe another node, or wait: three minutes after its last write a tag counts as left behind".to_owned(),
        ),
        Site::Foreign(value) => refused(
            format!("{key} of {node} is no tag of a probe: {value:?}"),
            "nothing overwrites it: remove it by hand if nobody needs it, or set `[tags] prefix`".to_owned(),
        ),
        Site::Full(count) => refused(
            format!("{node} has {count} tags of at most 50: a probe's tag and the four of a run beside it need room for 5"),
            "choose a node with fewer tags".to_owned(),
        ),
    }
}

/// Measures, over as many connections as there are `stores`, and removes the tag.
///
/// `fleet`: how a fleet with the node in it is read. The first signal ends it in order, the second at once.
pub async fn probe<S, C, F>(
    clock: &C,
    stores: &[S],
    fleet: &F,
    order: &Order,
    ready: Ready,
    stop: Stop,
) -> Probed
where
    S: Store,
    C: Clock,
    F: AsyncFn(&S) -> Result<Vec<Node>, PortError>,
{
    let probe = Probe {
        clock,
        stores,
        fleet,
        order,
        began: ready.began,
        leftover: ready.value,
        log: RefCell::default(),
        values: RefCell::default(),
        trouble: watch::channel(None).0,
        quiet_until: Cell::default(),
        good: Cell::new(clock.boot()),
        ended: Cell::default(),
    };
    let start = clock.boot();
    let left = "it was left at once, at the second signal".to_owned();
    let mut second = stop.clone();
    let flow = async {
        probe.measure(stop.clone()).await;
        probe.ended.set(clock.boot());
        probe.remove().await
    };
    let removal = select! {
        biased;
        _ = second.more_than(Urgency::InOrder) => probe.perhaps(left),
        removal = flow => removal,
    };
    let trouble = probe.trouble.borrow().clone();
    let ended = match trouble {
        Some(error) => Ended::Trouble(error),
        None if stop.urgency() > Urgency::Go && probe.cut_short(start) => Ended::Signal,
        None => Ended::Whole,
    };
    let log = probe.log.take();
    let unanswered = log.writes.iter().rev();
    let outstanding = unanswered
        .filter(|write| write.answer == Answer::Unanswered)
        .map(|write| write.began)
        .next();
    Probed {
        ended,
        removal,
        outstanding,
        offsets: stores.iter().map(Store::offset).collect(),
        began: probe.began,
        took: probe.ended.get().since(start),
        log,
    }
}

/// What writer and readers share.
struct Probe<'a, S, C, F> {
    clock: &'a C,
    stores: &'a [S],
    fleet: &'a F,
    order: &'a Order,
    began: Timestamp,
    leftover: Option<String>,
    log: RefCell<Log>,
    /// The values that may have been written, in their order.
    values: RefCell<Vec<String>>,
    /// Why it cannot go on.
    trouble: watch::Sender<Option<PortError>>,
    /// Before this nothing is asked of the provider: it has throttled us, or does not answer.
    quiet_until: Cell<Moment>,
    /// When something was last answered.
    good: Cell<Moment>,
    /// When it stopped measuring.
    ended: Cell<Moment>,
}

impl<S: Store, C: Clock, F> Probe<'_, S, C, F> {
    fn now(&self) -> Moment {
        self.clock.boot()
    }

    /// Whether it measured for less time than it was asked to.
    fn cut_short(&self, start: Moment) -> bool {
        self.ended.get() < start.plus(self.order.for_)
    }

    /// The tag may be there still; unless nothing was written.
    fn perhaps(&self, why: String) -> Removal {
        match self.values.borrow().last() {
            Some(value) => Removal::Perhaps {
                value: value.clone(),
                why,
            },
            None => Removal::NotWritten,
        }
    }
}
