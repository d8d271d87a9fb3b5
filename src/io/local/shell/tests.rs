//! Tests of the local shell, with real processes.

use super::*;
use crate::io::clock::SystemClock;
use crate::io::wrapper::GRACE;
use crate::io::wrapper::tests::order;
use crate::model::id::ClaimId;
use crate::model::job::On;
use crate::model::node::{Agent, Service};
use crate::model::outcome::{Attempt, Judged, Outcome, judge};

/// A node for tests, with nothing but an id.
pub(crate) fn node(id: &str) -> Node {
    Node {
        id: NodeId(id.to_owned()),
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

fn shell(dir: &tempfile::TempDir, via: &[&str]) -> LocalShell<SystemClock> {
    let via: Vec<String> = via.iter().map(|&argument| argument.to_owned()).collect();
    LocalShell::new(SystemClock, &dir.path().join("roundsman.db"), &via)
}

fn directory() -> tempfile::TempDir {
    tempfile::TempDir::new().expect("a directory")
}

fn judged(delivery: &Delivery, order: &Order) -> Judged {
    let attempt = Attempt {
        run: order.run,
        claim: order.claim,
        step: order.step,
        number: order.attempt,
    };
    judge(delivery, On::Node, attempt)
}

async fn run(shell: &LocalShell<SystemClock>, order: &Order) -> Judged {
    let ticket = shell.send(&node("db-1"), order).await.expect("sent");
    judged(
        &shell.wait(&node("db-1"), &ticket).await.expect("known"),
        order,
    )
}

/// Polls until the file is there and says something, for ten seconds.
async fn poll(path: &Path) {
    for _ in 0..1_000 {
        if std::fs::read_to_string(path).is_ok_and(|text| !text.is_empty()) {
            return;
        }
        SystemClock
            .sleep_until(SystemClock.boot().plus(Duration::from_millis(10)))
            .await;
    }
    panic!("waited in vain for {}", path.display());
}

#[tokio::test]
async fn a_step_runs_on_this_machine_and_keeps_its_state_beside_the_store() {
    let dir = directory();
    let mut order = order("echo \"$V\"; exit 194");
    order.env.insert("V".to_owned(), "it's\n".to_owned());
    let judged = run(&shell(&dir, &[]), &order).await;
    assert_eq!(
        (judged.outcome, judged.status, judged.output.as_str()),
        (Outcome::Failed, Some(194), "it's\n\n")
    );
    assert!(dir.path().join("roundsman.db.d/db-1/attempts").is_dir());
}

#[tokio::test]
async fn a_cancelled_step_is_interrupted() {
    let dir = directory();
    let shell = shell(&dir, &[]);
    let flag = dir.path().join("begun");
    let order = order(&format!("echo x >'{}'; exec sleep 300", flag.display()));
    let ticket = shell.send(&node("db-1"), &order).await.expect("sent");
    poll(&flag).await;
    shell
        .cancel(&node("db-1"), &ticket, GRACE)
        .await
        .expect("told");
    let delivery = shell.wait(&node("db-1"), &ticket).await.expect("known");
    assert_eq!(judged(&delivery, &order).outcome, Outcome::Interrupted);
}

#[tokio::test]
async fn over_a_transport_the_node_itself_is_told_to_stop() {
    let dir = directory();
    // The transport's own process group does not lead to the step: only the verb `stop` does.
    let state = dir.path().join("remote");
    let filter = format!("sed 's,{STATE_DIR},{},' | setsid sh -s", state.display());
    let script = format!("echo welcome; read -r line; eval \"$line\"; {filter}");
    let shell = shell(&dir, &["sh", "-c", &script]);
    let flag = dir.path().join("begun");
    let order = order(&format!("echo x >'{}'; exec sleep 300", flag.display()));
    let ticket = shell.send(&node("db-1"), &order).await.expect("sent");
    poll(&flag).await;
    shell
        .cancel(&node("db-1"), &ticket, GRACE)
        .await
        .expect("told");
    let delivery = shell.wait(&node("db-1"), &ticket).await.expect("known");
    assert_eq!(
        judged(&delivery, &order).outcome,
        Outcome::Interrupted,
        "{delivery:?}"
    );
}

#[tokio::test]
async fn what_another_shell_has_sent_is_found_in_the_journal_waited_for_and_ended() {
    let dir = directory();
    let (go, db) = (dir.path().join("go"), node("db-1"));
    let waiting = order(&format!(
        "echo begun; until [ -e '{}' ]; do sleep 0.05; done; exit 4",
        go.display()
    ));
    let within = Duration::from_secs(3_600);
    let found = async |shell: &LocalShell<SystemClock>| match shell.evidence(&db, within).await {
        Ok(Evidence::Commands(commands)) => commands,
        other => panic!("{other:?}"),
    };
    let first = shell(&dir, &[]);
    assert_eq!(found(&first).await, []);
    let ticket = first.send(&db, &waiting).await.expect("sent");
    // Killed with all that it has started, but for the step.
    let process = first.sent.borrow()[&ticket].process.clone();
    poll(&dir.path().join(format!(
        "roundsman.db.d/db-1/attempts/{}.1.1/output",
        waiting.run
    )))
    .await;
    assert!(process.signal(Signal::KILL));
    drop(first);
    let second = shell(&dir, &[]);
    let shown = found(&second).await;
    assert_eq!(shown.len(), 1);
    assert_eq!(shown[0].activity, Activity::InProgress);
    let handle = shown[0].handle.clone().expect("a handle");
    let ticket = Ticket(handle.ticket);
    let short =
        crate::io::clock::within(Duration::from_millis(50), second.wait(&db, &ticket)).await;
    assert!(short.is_none(), "it runs on");
    std::fs::write(&go, "").expect("written");
    let delivery = second.wait(&db, &ticket).await.expect("known");
    let ended = judged(&delivery, &waiting);
    assert_eq!(
        (ended.outcome, ended.status, ended.output.as_str()),
        (Outcome::Failed, Some(4), "begun\n")
    );
    assert_eq!(found(&second).await[0].activity, Activity::Finished);
    std::fs::remove_file(&go).expect("there");
    let again = Order {
        attempt: 2,
        ..waiting
    };
    let other = shell(&dir, &[]);
    other.send(&db, &again).await.expect("sent");
    let name = Command::comment(&again.job, again.run, 1, 2);
    poll(&dir.path().join(format!(
        "roundsman.db.d/db-1/attempts/{}.1.2/output",
        again.run
    )))
    .await;
    let ticket = Ticket(name);
    second.cancel(&db, &ticket, GRACE).await.expect("told");
    let delivery = second.wait(&db, &ticket).await.expect("known");
    assert_eq!(judged(&delivery, &again).outcome, Outcome::Interrupted);
    let unknown = Ticket(Command::comment(&again.job, again.run, 9, 9));
    let delivery = second.wait(&db, &unknown).await.expect("an answer");
    assert!(matches!(&delivery, Delivery::Unknown(why) if why.contains("no such attempt")));
}

/// What ends all steps of the run that orders are of.
fn halt(claim: ClaimId) -> Halt {
    let Order { job, run, .. } = order("");
    Halt {
        job,
        run,
        claim,
        steps: u32::MAX,
    }
}

#[tokio::test]
async fn what_a_run_has_under_way_is_ended_and_its_claim_starts_nothing_more() {
    let dir = directory();
    let shell = shell(&dir, &[]);
    let (db, flag) = (node("db-1"), dir.path().join("begun"));
    let sent = order(&format!("echo x >'{}'; exec sleep 300", flag.display()));
    let ticket = shell.send(&db, &sent).await.expect("sent");
    poll(&flag).await;
    let claim = sent.claim.next().expect("a later one");
    let stopped = shell.end_run(&db, &halt(claim)).await.expect("told");
    assert_eq!(stopped, Stopped::Nothing { ended: 1 });
    let delivery = shell.wait(&db, &ticket).await.expect("known");
    assert_eq!(judged(&delivery, &sent).outcome, Outcome::Interrupted);
    let again = Order { attempt: 2, ..sent };
    assert_eq!(run(&shell, &again).await.outcome, Outcome::Superseded);
    let early = shell.end_run(&db, &halt(again.claim)).await;
    assert_eq!(early, Ok(Stopped::Superseded));
    std::fs::remove_dir_all(dir.path().join("roundsman.db.d")).expect("there");
    std::fs::write(dir.path().join("roundsman.db.d"), "").expect("written");
    let error = shell
        .end_run(&db, &halt(claim))
        .await
        .expect_err("no place");
    assert!(
        error.message.contains("its mark could not be raised"),
        "{error}"
    );
}

#[tokio::test]
async fn a_node_that_cannot_be_reached_counts_as_busy() {
    let dir = directory();
    let away = shell(&dir, &["sh", "-c", "echo 'no route to host' >&2; exit 255"]);
    let db = node("db-1");
    let evidence = away.evidence(&db, Duration::from_secs(60)).await;
    assert!(
        matches!(&evidence, Ok(Evidence::Unavailable(why)) if why.contains("no route")),
        "{evidence:?}"
    );
    let name = Command::comment(&order("").job, order("").run, 1, 1);
    let error = away.wait(&db, &Ticket(name)).await.expect_err("away");
    assert_eq!(
        error.kind,
        ErrorKind::Unreachable,
        "whoever waits asks again"
    );
    let error = away
        .end_run(&db, &halt(order("").claim))
        .await
        .expect_err("away");
    assert_eq!(error.kind, ErrorKind::Unreachable);
}

#[tokio::test]
async fn a_wait_may_be_dropped_and_begun_again_and_the_shell_be_dropped() {
    let dir = directory();
    let flag = dir.path().join("done");
    let order = order(&format!("sleep 0.3; echo x >'{}'", flag.display()));
    let shell = shell(&dir, &[]);
    let ticket = shell.send(&node("db-1"), &order).await.expect("sent");
    let short = crate::io::clock::within(
        Duration::from_millis(20),
        shell.wait(&node("db-1"), &ticket),
    )
    .await;
    assert!(short.is_none() && !flag.exists());
    drop(shell);
    poll(&flag).await;
}

#[tokio::test]
async fn only_what_was_never_given_the_script_is_unreachable() {
    let dir = directory();
    let unreachable = shell(&dir, &["sh", "-c", "echo 'no route to host' >&2; exit 255"]);
    let answer = run(&unreachable, &order("true")).await;
    assert_eq!(answer.outcome, Outcome::Unreachable);
    assert!(
        answer.output.contains("db-1") && answer.output.contains("no route"),
        "{answer:?}"
    );
    let refused = run(&shell(&dir, &["sh", "-c", "exit 1"]), &order("true")).await;
    assert_eq!(refused.outcome, Outcome::Undelivered);
    let broken = shell(
        &dir,
        &[
            "sh",
            "-c",
            "read -r line; eval \"$line\"; cat >/dev/null; exit 255",
        ],
    );
    assert_eq!(run(&broken, &order("true")).await.outcome, Outcome::Unknown);
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused_in_words() {
    let dir = directory();
    let refusal =
        async |via: &[&str], order: &Order| match shell(&dir, via).send(&node("db-1"), order).await
        {
            Err(WriteError::Refused(error)) => error.message,
            other => panic!("{other:?}"),
        };
    let program = refusal(&["/no/such/program", "x"], &order("true")).await;
    assert!(
        program.contains("no program `/no/such/program`"),
        "{program}"
    );
    assert!(
        refusal(&["ssh", "{address}"], &order("true"))
            .await
            .contains("{address}")
    );
    let large = refusal(&[], &order(&"x".repeat(50_000))).await;
    assert!(
        large.contains("db-1") && large.contains("50000 bytes"),
        "{large}"
    );
}

#[tokio::test]
async fn nobody_waits_longer_than_the_latest_possible_end() {
    let dir = directory();
    let shell = shell(&dir, &["sh", "-c", "exec sleep 300"]);
    let ticket = shell
        .send(&node("db-1"), &order("true"))
        .await
        .expect("sent");
    let process = shell.sent.borrow()[&ticket].process.clone();
    shell
        .sent
        .borrow_mut()
        .get_mut(&ticket)
        .expect("known")
        .latest_end = SystemClock.boot();
    let delivery = shell.wait(&node("db-1"), &ticket).await.expect("known");
    assert!(matches!(delivery, Delivery::Unknown(_)));
    assert!(process.signal(Signal::KILL));
    assert_eq!(process.ended().await.expect("watched").status, None);
}

#[test]
fn ids_make_paths_that_stay_apart_and_inside() {
    let table = [
        ("db-1", "db-1"),
        ("..", "%2e."),
        (".x", "%2ex"),
        ("a.b", "a.b"),
        ("a/b", "a%2fb"),
        ("a%2fb", "a%252fb"),
        ("é", "%c3%a9"),
    ];
    for (id, expected) in table {
        assert_eq!(component(&NodeId(id.to_owned())), expected);
    }
    assert_eq!(component(&NodeId("x".repeat(300))).len(), 64);
}
