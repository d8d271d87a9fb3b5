//! What the lease asks of the store, as futures; and what a run writes as its record.

use std::time::Duration;

use crate::engine::observe::observe;
use crate::engine::visit::{Awaited, Flight, Landed, Visit};
use crate::event::EventKind;
use crate::model::backoff::backoff;
use crate::model::decide::standing::{Mine, standing};
use crate::model::lease::{Answer, Input, Look, Next};
use crate::model::lock::Seen;
use crate::model::record::{Fail, FailReason};
use crate::model::run::Result as RunResult;
use crate::model::span::format_span;
use crate::model::tag::{TagKey, Tags};
use crate::model::time::{elapsed, floor_second, format_stamp};
use crate::port::{Clock, PortError, Ports, Put, Store, WriteError};

impl<'a, P: Ports> Visit<'a, P> {
    /// Begins the read or write that the lease asks for.
    pub(super) fn perform(&self, next: &Next) -> Flight<'a> {
        let (node, key) = (self.node.id.clone(), self.engine.rules.keys.lock.clone());
        let retry_in = backoff(self.trouble + 1, self.engine.ports.clock().random());
        let store = self.engine.ports.store();
        match next {
            Next::Look(look) => self.look(*look, retry_in),
            Next::Write { value, replaces } => {
                let (put, replaces) = (Put::one(key.clone(), value.clone()), replaces.clone());
                Box::pin(async move {
                    let result = store
                        .write(&node, &put, Some((&key, replaces.as_deref())))
                        .await;
                    let (answer, error) = answer(result, retry_in);
                    Landed::answered(Input::Wrote(answer), error)
                })
            }
            Next::Record { replaces } => {
                let (put, own) = (self.record(), replaces.clone());
                Box::pin(async move {
                    let result = store.write(&node, &put, Some((&key, own.as_deref()))).await;
                    let (answer, error) = answer(result, retry_in);
                    Landed::answered(Input::Recorded(answer), error)
                })
            }
            Next::Delete(value) => {
                let pairs = self.leavings(value.clone());
                Box::pin(async move {
                    let (answer, error) = answer(store.delete(&node, &pairs).await, retry_in);
                    Landed::answered(Input::Deleted(answer), error)
                })
            }
            Next::Wait(_) | Next::Go | Next::End(_) => Box::pin(std::future::pending()),
        }
    }

    /// Begins a read.
    fn look(&self, look: Look, retry_in: Duration) -> Flight<'a> {
        let engine = self.engine;
        let (node, key) = (self.node.id.clone(), engine.rules.keys.lock.clone());
        let failed = move |error| Landed::answered(Input::LookFailed { retry_in }, Some(error));
        let store = engine.ports.store();
        match look {
            Look::Node => Box::pin(async move {
                match store.read_tags(&node).await {
                    Ok(tags) => Landed {
                        tags: Some(tags.clone()),
                        ..looked(tags.get(key.as_str()).cloned(), None)
                    },
                    Err(error) => failed(error),
                }
            }),
            Look::Locks => {
                let fleet = self.fleet;
                Box::pin(async move {
                    match store.read_key(fleet, &key).await {
                        Ok(mut locks) => looked(locks.remove(&node), None),
                        Err(error) => failed(error),
                    }
                })
            }
            Look::Fleet if self.halting.is_some() => self.look_again_to_stop(retry_in),
            Look::Fleet => {
                let (claim, over, wish) =
                    (self.lease.claim_id(), self.lease.over().cloned(), self.wish);
                let take = self.take.clone();
                Box::pin(async move {
                    let view =
                        match observe(engine.ports, engine.rules, over.as_ref().map(|_| &node))
                            .await
                        {
                            Ok(view) => view,
                            Err(error) => return failed(error),
                        };
                    let mine = Mine {
                        claim,
                        over: over.as_ref(),
                        take: &take,
                    };
                    let stands = standing(engine.rules, &view, wish, &node, mine);
                    let tags = view.node(&node).map(|node| node.tags.clone());
                    let value = tags
                        .as_ref()
                        .and_then(|tags| tags.get(key.as_str()).cloned());
                    Landed {
                        tags,
                        commands: Some(view.commands(&node)),
                        ..looked(value, Some(stands))
                    }
                })
            }
        }
    }

    /// What is deleted at the release: the lock, and `fail-` on full success only; each with its exact value.
    fn leavings(&self, lock: String) -> Put {
        let keys = &self.engine.rules.keys;
        let pairs = Put::one(keys.lock.clone(), lock);
        let fail = self
            .tags
            .get(keys.fail.as_str())
            .filter(|_| self.awaited == Awaited::Release && self.run.result() == RunResult::Done);
        match fail {
            Some(value) => pairs.and(keys.fail.clone(), value.clone()),
            None => pairs,
        }
    }

    /// The tags that record what the run amounts to.
    fn record(&self) -> Put {
        let keys = &self.engine.rules.keys;
        if let (Awaited::Abandoned, Some(abandoned)) = (self.awaited, &self.abandoned)
            && let Ok(key) = keys.fail_of(&abandoned.task)
        {
            let earlier = self.tags.get(key.as_str()).map(String::as_str);
            let fail = Fail::following(
                earlier,
                self.engine.now().wall,
                abandoned.run,
                abandoned.step,
                FailReason::Abandoned,
            );
            return Put::one(key, fail.format());
        }
        let fail = |step, reason| {
            (
                keys.fail.clone(),
                self.fail(&self.tags, &keys.fail, step, reason).format(),
            )
        };
        match self.run.result() {
            RunResult::Done => self.done(),
            RunResult::DoneUnclean { step } => {
                let (key, value) = fail(step, FailReason::Cleanup);
                self.done().and(key, value)
            }
            RunResult::Failed { step, reason } => {
                let (key, value) = fail(step, reason);
                Put::one(key, value)
            }
        }
    }

    fn done(&self) -> Put {
        let keys = &self.engine.rules.keys;
        let (last, took) = self.completion();
        Put::one(keys.last.clone(), format_stamp(last)).and(keys.took.clone(), format_span(took))
    }

    fn completion(&self) -> (jiff::Timestamp, Duration) {
        let at = self.done_at.unwrap_or_else(|| self.engine.now());
        let took = match (self.began_before(), self.held_at) {
            (Some(began), _) => elapsed(began, at.wall),
            (None, Some(held)) => at.boot.since(held),
            (None, None) => Duration::ZERO,
        };
        (floor_second(at.wall), took)
    }

    fn fail(&self, tags: &Tags, key: &TagKey, step: u32, reason: FailReason) -> Fail {
        let at = self
            .done_at
            .map_or_else(|| self.engine.now().wall, |at| at.wall);
        Fail::following(
            tags.get(key.as_str()).map(String::as_str),
            at,
            self.own().run,
            step,
            reason,
        )
    }

    pub(super) fn report_record(&self) {
        let fail = &self.engine.rules.keys.fail;
        let failed = |step, reason| EventKind::Failed {
            step,
            reason,
            count: Some(self.fail(&self.tags, fail, step, reason).count),
        };
        let (last, took) = self.completion();
        match self.run.result() {
            RunResult::Done => self.tell(EventKind::Committed { last, took }),
            RunResult::DoneUnclean { step } => {
                self.tell(EventKind::Committed { last, took });
                self.tell(failed(step, FailReason::Cleanup));
            }
            RunResult::Failed { step, reason } => self.tell(failed(step, reason)),
        }
    }
}

impl Landed {
    /// What showed nothing more than how it was answered.
    pub(super) fn answered(input: Input, error: Option<PortError>) -> Self {
        Self {
            input,
            tags: None,
            commands: None,
            error,
        }
    }
}

pub(super) fn looked(
    value: Option<String>,
    standing: Option<crate::model::decide::standing::Standing>,
) -> Landed {
    let input = Input::Looked {
        shows: Seen::read(value.as_deref()),
        value,
        standing,
    };
    Landed::answered(input, None)
}

fn answer(result: Result<(), WriteError>, retry_in: Duration) -> (Answer, Option<PortError>) {
    match result {
        Ok(()) => (Answer::Done, None),
        Err(WriteError::Refused(error)) => (Answer::Refused { retry_in }, Some(error)),
        Err(WriteError::Unknown(error)) => (Answer::Unknown { retry_in }, Some(error)),
        Err(WriteError::Changed) => (Answer::Changed, None),
    }
}
