//! The node's journal, asked for by commands of their own: what it has of the attempts that others have sent.

use std::time::Duration;

use roundsman::model::id::{ClaimId, NodeId};
use roundsman::model::node::{Command, Evidence, Stopped};
use roundsman::model::outcome::{Delivery, Outcome};
use roundsman::port::{Clock, ErrorKind, Halt, PortError};

use crate::cloud::Cloud;
use crate::faults::Class;
use crate::fence::Attempt;
use crate::process::Handle;
use crate::wrapper::line;

/// How long a node that does not answer is waited for.
const LOOK_WITHIN: Duration = Duration::from_secs(20);
/// How long whoever waits for an attempt on its node does so at most: what the executor grants.
const WAIT_WITHIN: Duration = Duration::from_secs(48 * 3_600);

/// The attempt that evidence names.
pub(crate) fn attempt_of(command: &Command) -> Attempt {
    (command.run, command.step, command.attempt)
}

impl Cloud {
    fn answers(&self, id: &NodeId) -> bool {
        let nodes = self.nodes.borrow();
        nodes
            .get(id)
            .is_some_and(|node| node.up && node.agent_online)
    }

    /// Who began an attempt, and how it has ended if it has.
    fn ended(
        &self,
        id: &NodeId,
        attempt: Attempt,
    ) -> Result<(ClaimId, Option<Outcome>), PortError> {
        let silent = || PortError::new(ErrorKind::Unreachable, format!("{id} does not answer"));
        if !self.answers(id) {
            return Err(silent());
        }
        let nodes = self.nodes.borrow();
        let node = nodes.get(id).ok_or_else(silent)?;
        let unknown = || PortError::new(ErrorKind::NotFound, format!("{id} has no such attempt"));
        node.fence.ended(node.boot, attempt).ok_or_else(unknown)
    }
}

impl Handle {
    /// What the executor shows, corrected by the node's journal where that answers.
    pub(crate) async fn corrected(&self, id: &NodeId, shown: Evidence) -> Evidence {
        let cloud = &self.cloud;
        let away = cloud.faults.borrow().evidence_away;
        if cloud.lots.chance(away) || !cloud.answers(id) {
            cloud.fired.count(Class::LookAway);
            self.sleep(LOOK_WITHIN).await;
            return shown;
        }
        let there = cloud
            .lots
            .between(Duration::from_millis(200), Duration::from_secs(3));
        self.sleep(there).await;
        let journal = {
            let nodes = cloud.nodes.borrow();
            let node = nodes.get(id).filter(|node| node.up);
            node.map(|node| node.fence.journal(node.boot, cloud.clock.wall()))
        };
        let back = cloud
            .lots
            .between(Duration::from_millis(200), Duration::from_secs(3));
        self.sleep(back).await;
        journal.map_or(shown.clone(), |journal| journal.correct(shown))
    }

    /// Waits on the node for an attempt that its journal shows.
    pub(crate) async fn wait_for_found(
        &self,
        id: &NodeId,
        attempt: Attempt,
    ) -> Result<Delivery, PortError> {
        let give_up = self.cloud.clock.boot().plus(WAIT_WITHIN);
        while self.cloud.clock.boot() < give_up {
            if let (claim, Some(outcome)) = self.cloud.ended(id, attempt)? {
                let back = self
                    .cloud
                    .lots
                    .between(Duration::from_millis(100), Duration::from_secs(4));
                self.sleep(back).await;
                return Ok(line(claim, attempt, outcome));
            }
            self.sleep(LOOK_WITHIN).await;
        }
        Ok(Delivery::Unknown("whoever waited was ended".to_owned()))
    }

    /// Has the node end all that a run has under way there, and waits until it has.
    pub(crate) async fn end_all(&self, id: &NodeId, halt: &Halt) -> Result<Stopped, PortError> {
        let cloud = &self.cloud;
        let silent = || PortError::new(ErrorKind::Unreachable, format!("{id} does not answer"));
        let there = cloud
            .lots
            .between(Duration::from_millis(200), Duration::from_secs(3));
        self.sleep(there).await;
        if !cloud.answers(id) {
            self.sleep(LOOK_WITHIN).await;
            return Err(silent());
        }
        let Ok(ended) = cloud.stop_run(id, halt) else {
            return Ok(Stopped::Superseded);
        };
        // TERM, and KILL half a minute later.
        for _ in 0..8 {
            if !cloud.answers(id) {
                return Err(silent());
            }
            if cloud.is_stopped(id, halt) {
                return Ok(Stopped::Nothing { ended });
            }
            self.sleep(Duration::from_secs(5)).await;
        }
        Ok(Stopped::Lives)
    }
}
