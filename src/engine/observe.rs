//! Looking at a fleet: the tags, and then the evidence that judges them.

use std::time::Duration;

use futures_util::StreamExt;

use crate::engine::now;
use crate::model::id::NodeId;
use crate::model::node::{Evidence, Node};
use crate::model::view::{Rules, View};
use crate::port::{PortError, Ports, Shell, Store};

/// How far back a command can have been sent and still run: SSM ends every command after 48 hours.
const EVIDENCE_WITHIN: Duration = Duration::from_secs(49 * 3_600);

/// How many nodes are asked at once.
const ASKED_AT_ONCE: usize = 8;

/// Reads the fleet, and for every lease past its end, or parked, what runs on that node.
///
/// Evidence is read after the tags that it judges, so that a command sent in between is seen. Evidence that cannot
/// be had does not fail the look: it makes its node busy. `over`: a node whose leftover lock an own claim covers.
pub async fn observe<P: Ports>(
    ports: &P,
    rules: &Rules,
    over: Option<&NodeId>,
) -> Result<View, PortError> {
    let nodes = ports.store().read_fleet(&rules.job.fleet).await?;
    let mut view = View {
        now: now(ports).wall,
        nodes,
        evidence: std::collections::BTreeMap::new(),
    };
    let asked = view.asks_evidence(rules, over).into_iter().cloned();
    let asked: Vec<Node> = asked.collect();
    let answers = asked.into_iter().map(async |node| {
        let evidence = ports.node().evidence(&node, EVIDENCE_WITHIN).await;
        let evidence = evidence.unwrap_or_else(|error| Evidence::Unavailable(error.message));
        (node.id, evidence)
    });
    let answers = futures_util::stream::iter(answers).buffered(ASKED_AT_ONCE);
    view.evidence = answers.collect().await;
    Ok(view)
}

/// Reads one node anew, and what runs there.
pub(super) async fn observe_node<P: Ports>(ports: &P, node: &Node) -> Result<View, PortError> {
    let tags = ports.store().read_tags(&node.id).await?;
    let node = Node {
        tags,
        ..node.clone()
    };
    let evidence = match ports.node().evidence(&node, EVIDENCE_WITHIN).await {
        Ok(evidence) => evidence,
        Err(error) => Evidence::Unavailable(error.message),
    };
    Ok(View {
        now: now(ports).wall,
        evidence: std::iter::once((node.id.clone(), evidence)).collect(),
        nodes: vec![node],
    })
}
