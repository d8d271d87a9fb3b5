//! What reads were answered, so that it can be answered again when it is not true any more.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::lots::Lots;
use crate::message::{Answer, Request};

/// A question, and when it was asked and answered how.
struct Known {
    question: Request,
    answers: Vec<(Instant, Answer)>,
}

/// Every question and its answers; keeps nothing unless it was made to.
#[derive(Default)]
pub(crate) struct Past {
    known: BTreeMap<Vec<u8>, Known>,
    lots: Option<Lots>,
    /// Whether what is true after a write is kept too.
    pub(crate) after_writes: bool,
}

impl Past {
    pub(crate) fn new(lots: Lots) -> Self {
        Self {
            lots: Some(lots),
            ..Self::default()
        }
    }

    /// All that was ever asked.
    pub(crate) fn questions(&self) -> Vec<Request> {
        let known = self.known.values();
        known.map(|known| known.question.clone()).collect()
    }

    /// Keeps what was true at `asked`, or a moment later.
    pub(crate) fn keep(&mut self, question: &Request, asked: Instant, answer: &Answer) {
        if self.lots.is_some() {
            let known = self.known.entry(question.body.clone());
            let known = known.or_insert_with(|| Known {
                question: question.clone(),
                answers: Vec::new(),
            });
            known.answers.push((asked, answer.clone()));
        }
    }

    /// What is known to have been true since then.
    pub(crate) fn since(&self, question: &Request, since: Instant) -> Vec<Answer> {
        let known = self.known.get(&question.body);
        let answers = known.into_iter().flat_map(|known| &known.answers);
        answers
            .filter(|(asked, _)| *asked >= since)
            .map(|(_, answer)| answer.as_of_now())
            .collect()
    }

    /// What was kept last.
    pub(crate) fn latest(&self, question: &Request) -> Option<Answer> {
        let (_, answer) = self.known.get(&question.body)?.answers.last()?;
        Some(answer.as_of_now())
    }

    /// One of the old answers that say something else, or the fresh one, by lot.
    pub(crate) fn draw(&mut self, mut old: Vec<Answer>, fresh: Answer) -> Option<Answer> {
        old.retain(|answer| answer.body != fresh.body);
        old.dedup_by(|a, b| a.body == b.body);
        let which = self.lots.as_mut()?.below(old.len() + 1);
        Some(old.into_iter().nth(which).unwrap_or(fresh))
    }
}
