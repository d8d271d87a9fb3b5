//! The world on AWS.

use std::sync::Arc;

use crate::cli::failure::Failure;
use crate::cli::world::{AnyShell, AnyStore, Purpose, World};
use crate::io::aws::{AwsStore, Clients, SsmShell, Verbs};
use crate::io::clock::SystemClock;
use crate::io::runner::RunnerShell;
use crate::io::wrapper;
use crate::model::settings::AwsSettings;
use crate::port::Clock;

/// Where the wrapper keeps its state on a node.
const STATE_DIR: &str = wrapper::STATE_DIR;

/// Opens it; nothing is called but what finds a region. Whoever only looks sends nodes nothing, not even a question: what
/// SSM shows has to do.
pub(super) async fn open(
    settings: &AwsSettings,
    purpose: Purpose,
    agents: bool,
) -> Result<World, Failure> {
    let clients = Clients::connect(settings, Arc::new(|| SystemClock.wall())).await?;
    let compose = |order: &crate::port::Order| {
        wrapper::compose(order, STATE_DIR).map_err(|error| error.to_string())
    };
    let verbs = Verbs {
        look: (purpose == Purpose::Act).then_some(|since| wrapper::compose_look(since, STATE_DIR)),
        wait: |command| wrapper::compose_wait(command, STATE_DIR),
        stop: |command| wrapper::compose_stop(command, STATE_DIR),
        reset: || wrapper::compose_reset(STATE_DIR),
        stop_run: |halt| wrapper::compose_stop_run(halt, STATE_DIR),
    };
    let shell = SsmShell::new(
        clients.clone(),
        SystemClock,
        settings.document.clone(),
        compose,
    )
    .with_verbs(verbs);
    Ok(World {
        store: AnyStore::Aws(Box::new(AwsStore::new(clients).with_agents(agents))),
        node: AnyShell::Aws(Box::new(shell)),
        runner: RunnerShell::new(SystemClock),
        clock: SystemClock,
        created: None,
    })
}
