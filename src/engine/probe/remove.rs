//! The probe's tag is removed by its exact value, and its absence is looked for over every connection.

use std::time::Duration;

use crate::engine::probe::{Probe, Removal};
use crate::model::backoff::backoff;
use crate::model::probe::Answer;
use crate::model::probe::find::find;
use crate::model::probe::tag::{Shown, shown};
use crate::port::{Clock, ErrorKind, PortError, Put, Store, WriteError};

/// The time between two looks for it.
const APART: Duration = Duration::from_millis(500);
/// In how many looks in a row no connection may show it.
const CALM: u32 = 3;

impl<S: Store, C: Clock, F> Probe<'_, S, C, F> {
    /// Removes the tag, and what an earlier probe left if it was not replaced.
    pub(super) async fn remove(&self) -> Removal {
        let Some(value) = self.last_value() else {
            return Removal::NotWritten;
        };
        // As stale as the reads have been, they may show it on for that long.
        let stale = find(&self.log.borrow(), &[], Duration::ZERO)
            .staleness()
            .at_most;
        let end = self
            .now()
            .plus(self.order.confirm.max(stale.saturating_mul(2)));
        let (mut calm, mut failed, mut deleted) = (0, 0, false);
        let mut remove = Some(value);
        let mut why = "reads still show it".to_owned();
        loop {
            let outcome = match remove.take() {
                Some(value) => self.delete(value).await.map(|()| deleted = true),
                None => Ok(()),
            };
            let looked = match outcome {
                Ok(()) => self.still_shown().await,
                Err(error) => Err(error),
            };
            let wait = match looked {
                Ok(None) if deleted => {
                    (calm, failed) = (calm + 1, 0);
                    if calm == CALM {
                        return Removal::Gone;
                    }
                    APART
                }
                Ok(shown) => {
                    (calm, failed) = (0, 0);
                    remove = shown.or_else(|| self.last_value());
                    APART
                }
                // What is gone has no tags.
                Err(error) if error.kind == ErrorKind::NotFound => return Removal::Gone,
                Err(error) => {
                    (calm, failed) = (0, failed + 1);
                    remove = self.last_value();
                    why = error.message;
                    if matches!(error.kind, ErrorKind::Denied | ErrorKind::Credentials) {
                        return self.perhaps(why);
                    }
                    backoff(failed, self.clock.random())
                }
            };
            let next = self.now().plus(wait);
            if next > end {
                return self.perhaps(why);
            }
            self.clock.sleep_until(next).await;
        }
    }

    /// The value that stands there when all reads are fresh; `None`: nothing of a probe.
    fn last_value(&self) -> Option<String> {
        let log = self.log.borrow();
        let values = self.values.borrow();
        let mut landed = log
            .writes
            .iter()
            .zip(values.iter())
            .filter(|(write, _)| write.answer != Answer::Refused);
        landed
            .next_back()
            .map(|(_, value)| value.clone())
            .or_else(|| self.leftover.clone())
    }

    async fn delete(&self, value: String) -> Result<(), PortError> {
        let Some(store) = self.stores.first() else {
            return Ok(());
        };
        let pair = Put::one(self.order.key.clone(), value);
        match store.delete(&self.order.node, &pair).await {
            // Another value stands there: it is not this one that has to go.
            Ok(()) | Err(WriteError::Changed) => Ok(()),
            Err(WriteError::Refused(error) | WriteError::Unknown(error)) => Err(error),
        }
    }

    /// A value of this probe, or the one that it found, that some connection still shows.
    async fn still_shown(&self) -> Result<Option<String>, PortError> {
        let written = self.values.borrow().len();
        let mut found = None;
        for store in self.stores {
            let value = store
                .read_tags(&self.order.node)
                .await?
                .remove(self.order.key.as_str());
            let Some(value) = value else {
                continue;
            };
            let own = matches!(
                shown(Some(&value), self.order.probe, self.began, written),
                Shown::Own(_)
            );
            if own || self.leftover.as_ref() == Some(&value) {
                found = Some(value);
            }
        }
        Ok(found)
    }
}
