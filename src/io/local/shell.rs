//! Steps `on = "node"` of a local inventory: on this machine, or through any transport that runs `sh -s`.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::ErrorKind as IoKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;

use crate::io::local::via::{self, Via};
use crate::io::process::{Ended, Process};
use crate::io::wrapper::{self, STATE_DIR};
use crate::model::id::NodeId;
use crate::model::node::{Activity, Command, Evidence, Node, Stopped};
use crate::model::outcome::Delivery;
use crate::model::time::{Moment, elapsed};
use crate::port::{Clock, ErrorKind, Halt, Order, PortError, Shell, Ticket, WriteError};

mod journal;

/// How long `send` waits for a transport to take the script; a slow one goes on by itself.
const TAKE: Duration = Duration::from_secs(5);
/// How long the end of a step may be reported after its timeout: TERM, 30 s, KILL, and the way back.
const SLACK: Duration = Duration::from_mins(1);

/// Starts the wrapper for local nodes.
///
/// What is started here only attaches to the step, which has a session of its own on its node: a ctrl-c on the terminal
/// does not reach it, and it goes on when this shell, or the whole process, is gone.
#[derive(Debug)]
pub struct LocalShell<C> {
    clock: C,
    /// The store's file name and `.d`: this machine's nodes keep their state below.
    states: PathBuf,
    via: Option<Via>,
    sent: RefCell<BTreeMap<Ticket, Sent>>,
}

#[derive(Debug, Clone)]
struct Sent {
    process: Process,
    command: Command,
    latest_end: Moment,
}

impl<C: Clock> LocalShell<C> {
    /// A shell for the nodes of the store at `store`, through `via` (see [`Via`]) unless that is empty.
    pub fn new(clock: C, store: &Path, via: &[String]) -> Self {
        let store = std::path::absolute(store).unwrap_or_else(|_| store.to_owned());
        let mut states = store.into_os_string();
        states.push(".d");
        Self {
            clock,
            states: states.into(),
            via: Via::new(via),
            sent: RefCell::default(),
        }
    }

    /// Where the node keeps its state.
    fn state_dir(&self, node: &Node) -> Result<String, PortError> {
        if self.via.is_some() {
            return Ok(STATE_DIR.to_owned());
        }
        let path = self.states.join(component(&node.id));
        path.into_os_string().into_string().map_err(|path| {
            PortError::new(ErrorKind::Other, format!("{} is not UTF-8", path.display()))
                .with_help("`store` of [provider.local] needs a path in UTF-8")
        })
    }

    fn start(&self, node: &Node, text: String) -> Result<Process, PortError> {
        let argv = match &self.via {
            None => vec!["sh".to_owned(), "-s".to_owned()],
            Some(via) => via.argv(node)?,
        };
        let program = argv.first().map_or("", String::as_str);
        let mut command = tokio::process::Command::new(program);
        command.args(argv.iter().skip(1));
        Process::spawn(command, Some(text)).map_err(|error| match error.kind() {
            IoKind::NotFound => PortError::new(
                ErrorKind::Other,
                format!(
                    "node {}: there is no program `{program}` on this machine",
                    node.id
                ),
            )
            .with_help("`via` of [provider.local] begins with the program that leads to a node"),
            _ => PortError::new(
                ErrorKind::Other,
                format!(
                    "node {}: `{program}` could not be started: {error}",
                    node.id
                ),
            ),
        })
    }

    /// Waits, but not for ever.
    async fn at_most(&self, limit: Duration, future: impl Future<Output = ()>) -> bool {
        tokio::select! {
            biased;
            () = future => true,
            () = self.clock.sleep_until(self.clock.boot().plus(limit)) => false,
        }
    }
}

impl<C: Clock> Shell for LocalShell<C> {
    async fn send(&self, node: &Node, order: &Order) -> Result<Ticket, WriteError> {
        let state_dir = self.state_dir(node).map_err(WriteError::Refused)?;
        let text = wrapper::compose(order, &state_dir).map_err(|error| {
            WriteError::Refused(PortError::new(
                ErrorKind::Other,
                format!("node {}: {error}", node.id),
            ))
        })?;
        let process = self.start(node, text).map_err(WriteError::Refused)?;
        let startable = elapsed(self.clock.wall(), order.not_after);
        let latest_end = self
            .clock
            .boot()
            .plus(startable)
            .plus(order.timeout)
            .plus(SLACK);
        let ticket = {
            let mut sent = self.sent.borrow_mut();
            let ticket = Ticket(format!("local-{}-{}", sent.len(), process.id()));
            sent.insert(
                ticket.clone(),
                Sent {
                    process: process.clone(),
                    command: order.command(Activity::InProgress),
                    latest_end,
                },
            );
            ticket
        };
        // Whoever parks right after this should leave a step that has really been started.
        self.at_most(TAKE, process.fed()).await;
        Ok(ticket)
    }

    async fn wait(&self, node: &Node, ticket: &Ticket) -> Result<Delivery, PortError> {
        let sent = self.sent.borrow().get(ticket).cloned();
        let Some(Sent {
            process,
            latest_end,
            ..
        }) = sent
        else {
            return self.wait_for_found(node, ticket).await;
        };
        tokio::select! {
            biased;
            ended = process.ended() => Ok(match ended {
                Some(ended) => delivery(ended, self.via.is_some(), node),
                None => Delivery::Unknown("nobody watches its process any more".to_owned()),
            }),
            () = self.clock.sleep_until(latest_end) => Ok(Delivery::Unknown(format!(
                "nothing was heard from node {} by the latest end that the step could have", node.id
            ))),
        }
    }

    /// Tells the node to end the step, which `wait` then reports. Where the node cannot be told, what is attached here is
    /// ended, and nobody can say what becomes of the step.
    async fn cancel(
        &self,
        node: &Node,
        ticket: &Ticket,
        _grace: Duration,
    ) -> Result<(), PortError> {
        let sent = self.sent.borrow().get(ticket).cloned();
        let command = match &sent {
            Some(sent) if sent.process.result().is_some() => return Ok(()),
            Some(sent) => sent.command.clone(),
            None => journal::found(ticket)?,
        };
        let text = wrapper::compose_stop(&command, &self.state_dir(node)?);
        let told = self.ask(node, text).await;
        let ended = matches!(
            &told,
            Ok(Ended {
                status: Some(0),
                ..
            })
        );
        if let Some(sent) = sent.filter(|_| !ended) {
            sent.process.signal(Signal::TERM);
        }
        told.map(drop)
    }

    async fn reset_mark(&self, node: &Node) -> Result<Option<String>, PortError> {
        self.forget_mark(node).await
    }

    async fn end_run(&self, node: &Node, halt: &Halt) -> Result<Stopped, PortError> {
        self.stop_run(node, halt).await
    }

    /// What the node's own journal says, which [`Self::wait`] waits for as for what was sent from here.
    async fn evidence(&self, node: &Node, within: Duration) -> Result<Evidence, PortError> {
        self.look(node, within).await
    }
}

/// What the end of a transport says of the step.
fn delivery(ended: Ended, via: bool, node: &Node) -> Delivery {
    let Ended {
        status,
        stdout,
        stderr,
        fed,
    } = ended;
    if stdout.starts_with("roundsman v1 ") {
        return Delivery::Ended {
            status,
            stdout,
            stderr,
        };
    }
    let said = [stderr.trim(), stdout.trim()]
        .into_iter()
        .find(|text| !text.is_empty());
    let said = said.map_or_else(
        || format!("it ended {}", via::ending(status)),
        str::to_owned,
    );
    match (fed, status) {
        // It was not given the script: nothing was executed, for certain.
        (false, Some(255)) if via => Delivery::Unreachable(format!("node {}: {said}", node.id)),
        (false, _) => {
            Delivery::Undelivered(format!("node {}: no shell has answered: {said}", node.id))
        }
        // The connection broke, but the script had gone through it.
        (true, Some(255) | None) if via => Delivery::Unknown(format!(
            "node {}: the connection was lost, the step may still be running: {said}",
            node.id
        )),
        (true, _) => Delivery::Ended {
            status,
            stdout,
            stderr,
        },
    }
}

/// A node's id as one component of a path: other characters become `%` and two hex digits, so ids stay apart.
fn component(id: &NodeId) -> String {
    let mut safe = String::new();
    for byte in id.as_str().bytes() {
        if byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'_')
            || (byte == b'.' && !safe.is_empty())
        {
            safe.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(safe, "%{byte:02x}");
        }
    }
    // File systems take 255 bytes.
    if safe.len() > 200 {
        return crate::model::digest::sha256_hex(id.as_str().as_bytes());
    }
    safe
}

#[cfg(test)]
pub(crate) mod tests;
