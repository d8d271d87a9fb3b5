//! Steps on nodes.

use std::collections::BTreeMap;
use std::time::Duration;

use roundsman::io::aws::{SsmShell, Verbs};
use roundsman::model::id::{ClaimId, Name, RunId};
use roundsman::model::job::{Fence, On};
use roundsman::model::node::{Activity, Agent, Command, Evidence, Node, Service};
use roundsman::model::outcome::Delivery;
use roundsman::port::{Clock, Deed, ErrorKind, Order, PortError, Shell, Store, Ticket, WriteError};
use serde_json::json;

use crate::support::Aws;
use crate::{CALM, Fast, clients, id, store, until, wall};

fn compose(order: &Order) -> Result<String, String> {
    if order.script.is_empty() {
        return Err("there is no script".to_owned());
    }
    Ok(order.script.clone())
}

async fn shell_of(aws: &Aws, document: &str, speed: u32) -> SsmShell<Fast> {
    SsmShell::new(clients(aws).await, Fast::new(speed), document, compose)
}

async fn shell() -> SsmShell<Fast> {
    shell_of(&CALM, "AWS-RunShellScript", 10).await
}

fn node(aws: &Aws) -> Node {
    Node {
        id: id(&aws.fleet(None, 1, &[])[0]),
        name: None,
        address: None,
        zone: None,
        group: None,
        launched: None,
        service: Service::In,
        agent: Agent::NotAsked,
        tags: BTreeMap::new(),
    }
}

fn order(script: &str) -> Order {
    Order {
        job: Name::new("repair").expect("a name"),
        run: RunId::new(1, 7),
        claim: ClaimId::new(2, 7),
        step: 1,
        attempt: 1,
        on: On::Node,
        deed: Deed::Run,
        script: script.to_owned(),
        env: BTreeMap::new(),
        timeout: Duration::from_secs(60),
        not_after: wall() + Duration::from_secs(1_200),
        fence: Fence::On,
    }
}

fn refused(result: Result<Ticket, WriteError>) -> PortError {
    match result {
        Err(WriteError::Refused(error)) => error,
        other => panic!("not refused: {other:?}"),
    }
}

async fn commands(shell: &SsmShell<Fast>, node: &Node) -> Vec<(u32, Activity)> {
    match shell.evidence(node, Duration::from_secs(3_600)).await {
        Ok(Evidence::Commands(commands)) => commands
            .iter()
            .map(|each| (each.step, each.activity))
            .collect(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_step_runs_and_its_output_comes_back() {
    let (shell, node) = (shell().await, node(&CALM));
    let ticket = shell
        .send(&node, &order("echo hello; echo alas >&2; pwd"))
        .await
        .expect("sent");
    match shell.wait(&node, &ticket).await {
        Ok(Delivery::Ended {
            status,
            stdout,
            stderr,
        }) => {
            assert_eq!((status, stderr.trim()), (Some(0), "alas"));
            assert!(
                stdout.starts_with("hello\n") && stdout.contains(node.id.as_str()),
                "{stdout}"
            );
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_send_carries_comment_timeouts_and_text() {
    let (shell, node) = (shell().await, node(&CALM));
    let mut order = order("true");
    order.not_after = wall() + Duration::from_secs(95);
    let ticket = shell.send(&node, &order).await.expect("sent");
    let sent = CALM
        .commands()
        .into_iter()
        .find(|each| each["CommandId"] == ticket.0.as_str())
        .expect("there");
    assert_eq!(
        sent["Comment"],
        Command::comment(&order.job, order.run, 1, 1)
    );
    assert_eq!(sent["Parameters"]["executionTimeout"], json!(["180"]));
    assert_eq!(sent["Text"], "true");
    let delivery = sent["TimeoutSeconds"].as_i64().expect("seconds");
    assert!((80..=96).contains(&delivery), "{delivery}");
}

#[tokio::test]
async fn a_step_that_fails_comes_back_with_more_than_the_listing_shows() {
    let (shell, node) = (shell().await, node(&CALM));
    let script =
        "i=0; while [ $i -lt 1000 ]; do echo line $i; i=$((i+1)); done; echo why >&2; exit 3";
    let ticket = shell.send(&node, &order(script)).await.expect("sent");
    match shell.wait(&node, &ticket).await {
        Ok(Delivery::Ended {
            status,
            stdout,
            stderr,
        }) => {
            assert_eq!((status, stderr.as_str()), (Some(3), "why\n"));
            assert!(
                stdout.ends_with("line 999\n"),
                "{} characters",
                stdout.len()
            );
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_was_not_delivered_is_told_from_what_was_lost_sight_of() {
    let (shell, node) = (shell().await, node(&CALM));
    let fault = |mode: &str, seconds| {
        CALM.fault(&json!({"action": "SendCommand", "mode": mode, "seconds": seconds, "node": node.id.as_str()}));
    };
    fault("undeliverable", 0);
    let ticket = shell.send(&node, &order("true")).await.expect("sent");
    let delivery = shell.wait(&node, &ticket).await;
    assert!(
        matches!(&delivery, Ok(Delivery::Undelivered(why)) if why.contains("Undeliverable")),
        "{delivery:?}"
    );

    fault("lost", 0);
    let ticket = shell.send(&node, &order("sleep 30")).await.expect("sent");
    let delivery = shell.wait(&node, &ticket).await;
    assert!(
        matches!(&delivery, Ok(Delivery::Unknown(why)) if why.contains("may have run")),
        "{delivery:?}"
    );

    fault("times-out", 1);
    let ticket = shell
        .send(&node, &order("echo begun; sleep 30"))
        .await
        .expect("sent");
    let stdout = "begun\n".to_owned();
    assert_eq!(
        shell.wait(&node, &ticket).await,
        Ok(Delivery::TimedOut { stdout })
    );
}

#[tokio::test]
async fn waiting_outlasts_late_delivery_missing_listings_and_trouble() {
    let (shell, node) = (shell_of(&CALM, "AWS-RunShellScript", 5).await, node(&CALM));
    for (mode, seconds) in [("unlisted", 2), ("late", 1)] {
        CALM.fault(&json!({"action": "SendCommand", "mode": mode, "seconds": seconds, "node": node.id.as_str()}));
        let ticket = shell.send(&node, &order("echo hello")).await.expect("sent");
        for trouble in ["throttle", "500"] {
            CALM.fault(&json!({"action": "ListCommandInvocations", "mode": trouble, "count": 3, "node": ticket.0}));
        }
        let delivery = shell.wait(&node, &ticket).await;
        assert!(
            matches!(
                &delivery,
                Ok(Delivery::Ended {
                    status: Some(0),
                    ..
                })
            ),
            "{mode}: {delivery:?}"
        );
    }
}

#[tokio::test]
async fn a_command_that_ssm_never_lists_is_unknown_after_two_minutes() {
    let shell = shell_of(&CALM, "AWS-RunShellScript", 200).await;
    let ticket = Ticket("11111111-2222-3333-4444-555555555555".to_owned());
    let delivery = shell.wait(&node(&CALM), &ticket).await;
    assert!(
        matches!(&delivery, Ok(Delivery::Unknown(why)) if why.contains("does not know command")),
        "{delivery:?}"
    );
}

#[tokio::test]
async fn waiting_ends_when_it_is_not_allowed() {
    let (shell, node) = (shell().await, node(&CALM));
    let ticket = shell.send(&node, &order("true")).await.expect("sent");
    CALM.fault(&json!({"action": "ListCommandInvocations", "mode": "deny", "node": ticket.0}));
    let error = shell.wait(&node, &ticket).await.expect_err("denied");
    assert_eq!(error.kind, ErrorKind::Denied, "{error}");
}

#[tokio::test]
async fn a_send_is_refused_with_the_reason() {
    let node = node(&CALM);
    let shell = shell().await;
    let error = refused(shell.send(&node, &order("")).await);
    assert_eq!(error.message, "there is no script");
    let beside = Order {
        on: On::Runner,
        ..order("true")
    };
    assert!(
        refused(shell.send(&node, &beside).await)
            .message
            .contains("beside roundsman")
    );

    CALM.fault(&json!({"action": "SendCommand", "mode": "deny", "node": node.id.as_str()}));
    let error = refused(shell.send(&node, &order("true")).await);
    let start = format!(
        "not allowed to ssm:SendCommand on {} (document `AWS-RunShellScript`): ",
        node.id
    );
    assert!(
        error.kind == ErrorKind::Denied && error.message.starts_with(&start),
        "{error}"
    );

    let other = shell_of(&CALM, "no-such", 10).await;
    let error = refused(other.send(&node, &order("true")).await);
    assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
    assert!(error.message.contains("`no-such`"), "{error}");

    CALM.instance(node.id.as_str(), &json!({"agent": null}));
    let error = refused(shell.send(&node, &order("true")).await);
    assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
    assert!(error.help.is_some_and(|help| help.contains("SSM agent")));
}

#[tokio::test]
async fn a_send_without_an_answer_is_found_by_its_comment_and_not_repeated() {
    let aws = Aws::start();
    let node = node(&aws);
    let shell = shell_of(&aws, "roundsman", 10).await;
    // Commands that must not be taken for it: another attempt, and the same one as an earlier claim has sent it.
    let other = Order {
        attempt: 2,
        ..order("echo other")
    };
    let clock = Fast::new(1);
    for earlier in [order("echo earlier"), other] {
        shell.send(&node, &earlier).await.expect("sent");
    }
    clock
        .sleep_until(clock.boot().plus(Duration::from_millis(2_500)))
        .await;
    aws.reset();
    aws.fault(&json!({"action": "SendCommand", "mode": "500-after", "count": -1}));
    aws.fault(&json!({"action": "ListCommands", "mode": "throttle", "count": 3}));
    let ticket = shell.send(&node, &order("echo ours")).await.expect("found");
    assert_eq!(aws.calls().get("SendCommand"), Some(&1));
    let delivery = shell.wait(&node, &ticket).await;
    assert!(
        matches!(&delivery, Ok(Delivery::Ended { stdout, .. }) if stdout == "ours\n"),
        "{delivery:?}"
    );
}

#[tokio::test]
async fn a_send_that_nothing_shows_is_unknown_and_not_repeated() {
    let aws = Aws::start();
    let node = node(&aws);
    let shell = shell_of(&aws, "roundsman", 10).await;
    aws.fault(&json!({"action": "SendCommand", "mode": "drop", "count": -1}));
    let sent = shell.send(&node, &order("true")).await;
    assert!(matches!(sent, Err(WriteError::Unknown(_))), "{sent:?}");
    assert_eq!(aws.calls().get("SendCommand"), Some(&1));
    assert!(aws.commands().is_empty());
}

#[tokio::test]
async fn cancelling_kills_what_runs_and_proves_no_end() {
    let (shell, node) = (shell().await, node(&CALM));
    let ticket = shell
        .send(&node, &order("exec sleep 300"))
        .await
        .expect("sent");
    let clock = Fast::new(1);
    let status = |id: &str| {
        CALM.commands()
            .into_iter()
            .find(|each| each["CommandId"] == id)
            .expect("there")["Status"]
            .clone()
    };
    until(&clock, || status(&ticket.0) == "InProgress").await;
    assert_eq!(commands(&shell, &node).await, [(1, Activity::InProgress)]);
    shell
        .cancel(&node, &ticket, std::time::Duration::from_secs(30))
        .await
        .expect("cancelled");
    let delivery = shell.wait(&node, &ticket).await;
    // What it detached may live on.
    assert!(
        matches!(&delivery, Ok(Delivery::Unknown(_))),
        "{delivery:?}"
    );
    assert!(matches!(
        commands(&shell, &node).await[..],
        [(1, Activity::Unknown { .. })]
    ));
}

#[tokio::test]
async fn what_is_cancelled_before_its_delivery_has_never_run() {
    let (shell, node) = (shell().await, node(&CALM));
    CALM.fault(
        &json!({"action": "SendCommand", "mode": "late", "seconds": 60, "node": node.id.as_str()}),
    );
    let ticket = shell.send(&node, &order("true")).await.expect("sent");
    shell
        .cancel(&node, &ticket, std::time::Duration::from_secs(30))
        .await
        .expect("cancelled");
    let delivery = shell.wait(&node, &ticket).await;
    assert!(
        matches!(&delivery, Ok(Delivery::Interrupted(_))),
        "{delivery:?}"
    );
}

#[tokio::test]
async fn a_delivered_step_is_ended_by_the_wrappers_stop() {
    let shell = shell().await.with_verbs(Verbs {
        look: Some(|_| "exit 1".to_owned()),
        wait: |_| "exit 1".to_owned(),
        stop: |command| format!("touch ../stop-{}-{}", command.step, command.attempt),
        reset: || "exit 1".to_owned(),
        stop_run: |_| "exit 1".to_owned(),
    });
    let node = node(&CALM);
    let script = "while [ ! -e ../stop-1-1 ]; do sleep 0.1; done; echo stopped in order";
    let ticket = shell.send(&node, &order(script)).await.expect("sent");
    let clock = Fast::new(1);
    let status = |id: &str| {
        CALM.commands()
            .into_iter()
            .find(|each| each["CommandId"] == id)
            .expect("there")["Status"]
            .clone()
    };
    until(&clock, || status(&ticket.0) == "InProgress").await;
    shell
        .cancel(&node, &ticket, std::time::Duration::from_secs(30))
        .await
        .expect("stopped");
    match shell.wait(&node, &ticket).await {
        Ok(Delivery::Ended {
            status: Some(0),
            stdout,
            ..
        }) => assert_eq!(stdout, "stopped in order\n"),
        other => panic!("{other:?}"),
    }
    assert_eq!(
        commands(&shell, &node).await,
        [(1, Activity::Finished)],
        "the stop is no evidence of an attempt"
    );
}

#[tokio::test]
async fn evidence_names_every_command_of_ours_and_what_became_of_it() {
    let aws = Aws::start();
    let (shell, node) = (shell_of(&aws, "AWS-RunShellScript", 10).await, node(&aws));
    let (other, clock) = (crate::shell::node(&aws), Fast::new(1));
    let send = |step, script: &str| {
        let order = Order {
            step,
            ..order(script)
        };
        let (shell, node) = (&shell, &node);
        async move { shell.send(node, &order).await.expect("sent") }
    };
    send(1, "true").await;
    send(2, "exit 9").await;
    aws.fault(&json!({"action": "SendCommand", "mode": "lost"}));
    send(3, "sleep 60").await;
    send(4, "sleep 60").await;
    shell
        .send(&other, &order("true"))
        .await
        .expect("sent elsewhere");
    until(&clock, || {
        let status: Vec<_> = aws
            .commands()
            .iter()
            .map(|each| each["Status"].as_str().unwrap_or("?").to_owned())
            .collect();
        status == ["Success", "Failed", "TimedOut", "InProgress", "Success"]
    })
    .await;
    aws.pages(&json!({"ListCommands": 3}));
    aws.reset();
    let mut found = commands(&shell, &node).await;
    found.sort_by_key(|(step, _)| *step);
    let (latest_end, known) = match found[2] {
        (3, Activity::Unknown { latest_end }) => (latest_end, &found),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        *known,
        [
            (1, Activity::Finished),
            (2, Activity::Finished),
            (3, Activity::Unknown { latest_end }),
            (4, Activity::InProgress),
        ]
    );
    // Twenty minutes of delivery, as long as the order may start, and three of execution.
    let away = latest_end.duration_since(wall()).as_secs();
    assert!((1_300..=1_381).contains(&away), "{away}s");
    assert_eq!(
        aws.calls().get("ListCommandInvocations"),
        Some(&2),
        "only where the command itself does not settle it"
    );
}

#[tokio::test]
async fn evidence_that_cannot_be_had_is_unavailable_and_what_is_forbidden_an_error() {
    let aws = Aws::start();
    let (shell, node) = (shell_of(&aws, "AWS-RunShellScript", 10).await, node(&aws));
    aws.fault(&json!({"action": "ListCommands", "mode": "throttle", "count": 3}));
    let evidence = shell.evidence(&node, Duration::from_secs(60)).await;
    assert!(
        matches!(&evidence, Ok(Evidence::Unavailable(why)) if why.contains("throttles")),
        "{evidence:?}"
    );
    aws.fault(&json!({"action": "ListCommands", "mode": "deny"}));
    let error = shell
        .evidence(&node, Duration::from_secs(60))
        .await
        .expect_err("denied");
    assert_eq!(error.kind, ErrorKind::Denied);
    let evidence = shell.evidence(&node, Duration::from_secs(60)).await;
    assert_eq!(evidence, Ok(Evidence::Commands(Vec::new())));
    let store = store(&aws).await;
    assert!(
        store.read_tags(&node.id).await.is_ok(),
        "tags are another matter"
    );
}
