//! Steps `on = "runner"`: beside roundsman itself, in its directory, with its environment.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use rustix::process::Signal;
use tokio::process::Command;

use crate::io::process::{Ended, Process};
use crate::io::wrapper::GRACE;
use crate::model::node::{Evidence, Node};
use crate::model::outcome::Delivery;
use crate::model::time::Moment;
use crate::port::{Clock, ErrorKind, Order, PortError, Shell, Ticket, WriteError};

/// How often a group that is being ended is looked at.
const GLANCE: Duration = Duration::from_millis(100);

/// Runs steps by `sh -c`, each in a process group of its own.
///
/// The timeout is watched over by [`Shell::wait`]: while nobody waits, nothing is ended. There is no fence, and no
/// evidence of earlier steps.
#[derive(Debug)]
pub struct RunnerShell<C> {
    clock: C,
    grace: Duration,
    started: RefCell<BTreeMap<Ticket, Started>>,
}

#[derive(Debug, Clone)]
struct Started {
    process: Process,
    deadline: Moment,
    stop: Option<Stop>,
}

/// A step that is being ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stop {
    timed_out: bool,
    kill_at: Moment,
}

impl<C: Clock> RunnerShell<C> {
    /// A shell that waits by `clock`.
    pub fn new(clock: C) -> Self {
        Self {
            clock,
            grace: GRACE,
            started: RefCell::default(),
        }
    }

    fn started(&self, ticket: &Ticket) -> Result<Started, PortError> {
        self.started.borrow().get(ticket).cloned().ok_or_else(|| {
            PortError::new(
                ErrorKind::NotFound,
                format!("no step with the ticket `{}` was started here", ticket.0),
            )
        })
    }

    /// Sends TERM, once; later calls change nothing.
    fn stop(&self, ticket: &Ticket, timed_out: bool, grace: Duration) {
        let kill_at = self.clock.boot().plus(grace.min(self.grace));
        if let Some(started) = self.started.borrow_mut().get_mut(ticket)
            && started.stop.is_none()
            && started.process.result().is_none()
        {
            started.process.signal(Signal::TERM);
            started.stop = Some(Stop { timed_out, kill_at });
        }
    }

    /// Sees a stop through: waits for the whole group, and kills what is left of it when its time is over.
    async fn see_through(&self, process: &Process, stop: Stop) -> Option<Ended> {
        let give_up = stop.kill_at.plus(self.grace);
        while process.lives() {
            let now = self.clock.boot();
            if now >= give_up {
                return process.result();
            }
            if now >= stop.kill_at {
                process.signal(Signal::KILL);
            }
            self.clock.sleep_until(now.plus(GLANCE)).await;
        }
        process.ended().await
    }
}

impl<C: Clock> Shell for RunnerShell<C> {
    async fn send(&self, node: &Node, order: &Order) -> Result<Ticket, WriteError> {
        let mut command = Command::new("sh");
        command.arg("-c").arg(&order.script).envs(&order.env);
        let process = Process::spawn(command, None).map_err(|error| {
            let message = format!(
                "the step for node {} could not be started beside roundsman: {error}",
                node.id
            );
            WriteError::Refused(PortError::new(ErrorKind::Other, message))
        })?;
        let deadline = self.clock.boot().plus(order.timeout);
        let mut started = self.started.borrow_mut();
        let ticket = Ticket(format!("runner-{}-{}", started.len(), process.id()));
        started.insert(
            ticket.clone(),
            Started {
                process,
                deadline,
                stop: None,
            },
        );
        Ok(ticket)
    }

    async fn wait(&self, _node: &Node, ticket: &Ticket) -> Result<Delivery, PortError> {
        loop {
            let Started {
                process,
                deadline,
                stop,
            } = self.started(ticket)?;
            let Some(stop) = stop else {
                tokio::select! {
                    biased;
                    ended = process.ended() => {
                        // A cancel in the meantime explains this end.
                        if self.started(ticket)?.stop.is_none() {
                            return Ok(ended.map_or_else(unwatched, by_itself));
                        }
                    }
                    () = self.clock.sleep_until(deadline) => self.stop(ticket, true, self.grace),
                }
                continue;
            };
            return Ok(match self.see_through(&process, stop).await {
                Some(ended) if stop.timed_out => Delivery::TimedOut {
                    stdout: ended.stdout,
                },
                Some(_) => Delivery::Interrupted("it was ended by roundsman".to_owned()),
                None => Delivery::Unknown("it could not be ended, not even by KILL".to_owned()),
            });
        }
    }

    /// Returns when the whole process group has ended. When dropped before, [`Shell::wait`] sees to the rest.
    async fn cancel(
        &self,
        _node: &Node,
        ticket: &Ticket,
        grace: Duration,
    ) -> Result<(), PortError> {
        self.stop(ticket, false, grace);
        let Started { process, stop, .. } = self.started(ticket)?;
        let Some(stop) = stop else { return Ok(()) };
        match self.see_through(&process, stop).await {
            Some(_) => Ok(()),
            None => Err(PortError::new(
                ErrorKind::Other,
                format!(
                    "process group {} could not be ended, not even by KILL",
                    process.id()
                ),
            )),
        }
    }

    async fn evidence(&self, _node: &Node, _within: Duration) -> Result<Evidence, PortError> {
        Ok(Evidence::None)
    }
}

fn by_itself(ended: Ended) -> Delivery {
    Delivery::Ended {
        status: ended.status,
        stdout: ended.stdout,
        stderr: ended.stderr,
    }
}

fn unwatched() -> Delivery {
    Delivery::Unknown("nobody watches its process any more".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::clock::SystemClock;
    use crate::io::local::shell::tests::node;
    use crate::io::wrapper::tests::order;
    use crate::model::job::On;

    fn shell() -> RunnerShell<SystemClock> {
        RunnerShell {
            grace: Duration::from_millis(300),
            ..RunnerShell::new(SystemClock)
        }
    }

    fn runner_order(script: &str) -> Order {
        Order {
            on: On::Runner,
            ..order(script)
        }
    }

    async fn run(order: &Order) -> Delivery {
        let shell = shell();
        let ticket = shell.send(&node("db-1"), order).await.expect("starts");
        shell.wait(&node("db-1"), &ticket).await.expect("known")
    }

    fn alive(pid: &str) -> bool {
        let stat =
            std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        stat.rsplit_once(") ")
            .is_some_and(|(_, rest)| !rest.starts_with('Z'))
    }

    #[tokio::test]
    async fn a_step_runs_here_with_our_environment_and_its_own() {
        let mut order =
            runner_order("pwd; echo \"$ROUNDSMAN_NODE ${PATH:+path}\"; echo e >&2; wc -c; exit 4");
        order
            .env
            .insert("ROUNDSMAN_NODE".to_owned(), "db-1 $x".to_owned());
        let here = std::env::current_dir().expect("here");
        let expected = format!("{}\ndb-1 $x path\n0\n", here.display());
        let ended = Delivery::Ended {
            status: Some(4),
            stdout: expected,
            stderr: "e\n".to_owned(),
        };
        assert_eq!(run(&order).await, ended);
    }

    #[tokio::test]
    async fn a_step_that_is_killed_has_no_status() {
        let ended = run(&runner_order("kill -9 $$")).await;
        assert!(
            matches!(ended, Delivery::Ended { status: None, .. }),
            "{ended:?}"
        );
    }

    #[tokio::test]
    async fn a_step_over_its_time_is_ended_with_its_whole_group() {
        let mut order = runner_order("trap '' TERM; sleep 300 & echo $!; wait; sleep 300");
        order.timeout = Duration::from_millis(300);
        let Delivery::TimedOut { stdout } = run(&order).await else {
            panic!("not timed out");
        };
        assert!(!stdout.is_empty() && !alive(&stdout));
    }

    #[tokio::test]
    async fn a_daemon_left_behind_does_not_hold_the_wait() {
        let Delivery::Ended {
            status: Some(0),
            stdout,
            ..
        } = run(&runner_order("sleep 300 & echo $!")).await
        else {
            panic!("did not end");
        };
        assert!(alive(&stdout));
        let pid = stdout
            .trim()
            .parse()
            .ok()
            .and_then(rustix::process::Pid::from_raw)
            .expect("a pid");
        rustix::process::kill_process(pid, Signal::KILL).expect("it lives");
    }

    #[tokio::test]
    async fn a_cancelled_step_is_interrupted_even_if_it_will_not_go() {
        for script in ["exec sleep 300", "trap '' TERM; sleep 300; sleep 300"] {
            let shell = shell();
            let ticket = shell
                .send(&node("db-1"), &runner_order(script))
                .await
                .expect("starts");
            let db = node("db-1");
            let (cancelled, ended) =
                tokio::join!(shell.cancel(&db, &ticket, GRACE), shell.wait(&db, &ticket));
            assert_eq!(cancelled, Ok(()));
            assert!(matches!(ended, Ok(Delivery::Interrupted(_))), "{ended:?}");
            // What the step started is reaped by the machine's first process, in its own time.
            let process = shell.started(&ticket).expect("known").process;
            let give_up = SystemClock.boot().plus(Duration::from_secs(20));
            while process.lives() {
                assert!(SystemClock.boot() < give_up, "the group is still there");
                SystemClock
                    .sleep_until(SystemClock.boot().plus(GLANCE))
                    .await;
            }
        }
    }

    #[tokio::test]
    async fn a_cancel_after_the_end_changes_nothing() {
        let shell = shell();
        let ticket = shell
            .send(&node("db-1"), &runner_order("exit 0"))
            .await
            .expect("starts");
        let ended = shell.wait(&node("db-1"), &ticket).await;
        assert_eq!(shell.cancel(&node("db-1"), &ticket, GRACE).await, Ok(()));
        assert_eq!(shell.wait(&node("db-1"), &ticket).await, ended);
        assert!(
            shell
                .wait(&node("db-1"), &Ticket("other".to_owned()))
                .await
                .is_err()
        );
    }
}
