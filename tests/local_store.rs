//! The local store under many writers at once, and against a map that does the same by definition.

#[path = "local_store/model.rs"]
mod model;

use std::path::Path;
use std::process::{Command, Stdio};

use roundsman::io::local::store::{LocalNode, LocalStore};
use roundsman::model::id::{ClaimId, NodeId};
use roundsman::model::job::Selector;
use roundsman::model::tag::TagKey;
use roundsman::port::{Consistency, ErrorKind, PortError, Put, Store, WriteError};
use rusqlite::Connection;
use tempfile::TempDir;

fn node(id: &str, tags: &[(&str, &str)]) -> LocalNode {
    LocalNode {
        id: NodeId(id.to_owned()),
        name: Some(format!("name of {id}")),
        address: None,
        zone: None,
        tags: tags
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
    }
}

fn id(text: &str) -> NodeId {
    NodeId(text.to_owned())
}

fn key(text: &str) -> TagKey {
    TagKey::new(text).expect("a key")
}

fn put(name: &str, value: &str) -> Put {
    Put::one(key(name), value.to_owned())
}

fn fleet() -> Vec<LocalNode> {
    (1..=4)
        .map(|number| node(&format!("db-{number}"), &[("role", "cassandra")]))
        .collect()
}

fn open(dir: &Path) -> LocalStore {
    LocalStore::open(&dir.join("roundsman.db"), fleet())
        .expect("opened")
        .store
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime")
        .block_on(future)
}

fn all() -> Selector {
    Selector {
        all: true,
        ..Selector::default()
    }
}

fn refused(result: Result<(), WriteError>) -> PortError {
    match result {
        Err(WriteError::Refused(error)) => error,
        other => panic!("not refused: {other:?}"),
    }
}

/// How often each writer counts up.
const TIMES: u32 = 25;

/// Counts up by compare-and-set, trying again when another was faster.
async fn count_up(store: &LocalStore) {
    let (db, count) = (id("db-1"), key("count"));
    for _ in 0..TIMES {
        loop {
            let tags = store.read_tags(&db).await.expect("read");
            let old = tags.get("count").map(String::as_str);
            let new = old.map_or(0, |text| text.parse::<u32>().expect("a number")) + 1;
            match store
                .write(&db, &put("count", &new.to_string()), Some((&count, old)))
                .await
            {
                Ok(()) => break,
                Err(WriteError::Changed) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// The id that a granted claim gets.
fn next_claim(store: &LocalStore, proposed: ClaimId) -> Result<ClaimId, PortError> {
    let grant = || Some((id("db-1"), put("claimed", "yes")));
    wait(store.transact(&all(), proposed, |_, claim| (grant(), claim)))
}

/// Claims nodes in transactions until none is free.
async fn claim_all(store: &LocalStore, name: &str) -> Vec<NodeId> {
    let mut mine = Vec::new();
    loop {
        let (got, done) = store
            .transact(&all(), ClaimId::new(1, 1), |nodes, _| {
                let free = nodes.iter().find(|node| !node.tags.contains_key("lock"));
                let taken = free.map(|node| node.id.clone());
                (
                    taken.clone().map(|node| (node, put("lock", name))),
                    (taken, free.is_none()),
                )
            })
            .await
            .expect("transacted");
        mine.extend(got);
        if done {
            return mine;
        }
    }
}

#[test]
fn no_compare_and_set_of_many_threads_is_lost() {
    let dir = TempDir::new().expect("a directory");
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| wait(count_up(&open(dir.path()))));
        }
    });
    let tags = wait(open(dir.path()).read_tags(&id("db-1"))).expect("read");
    assert_eq!(tags["count"], (6 * TIMES).to_string());
}

#[test]
fn two_claims_of_a_node_never_both_succeed() {
    let dir = TempDir::new().expect("a directory");
    for round in 0..10 {
        let claims: Vec<Vec<NodeId>> = std::thread::scope(|scope| {
            let run = |n: usize| wait(claim_all(&open(dir.path()), &format!("claimer-{n}")));
            let threads: Vec<_> = (0..6).map(|n| scope.spawn(move || run(n))).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().expect("no panic"))
                .collect()
        });
        let mut claimed = claims.concat();
        claimed.sort();
        let everyone: Vec<NodeId> = fleet().into_iter().map(|node| node.id).collect();
        assert_eq!(claimed, everyone, "round {round}");
        let store = open(dir.path());
        for (number, nodes) in claims.iter().enumerate() {
            for node in nodes {
                let value = format!("claimer-{number}");
                assert_eq!(wait(store.read_tags(node)).expect("read")["lock"], value);
                wait(store.delete(node, &put("lock", &value))).expect("deleted");
            }
        }
    }
}

/// Run by the test below in processes of its own, in the directory of their store; else alone, in a fresh one.
#[test]
fn one_process_of_many() {
    let here = std::env::current_dir().expect("here");
    let fresh = TempDir::new().expect("a directory");
    let dir = if here.join("contended").exists() {
        &here
    } else {
        fresh.path()
    };
    let store = open(dir);
    wait(count_up(&store));
    let ids: Vec<ClaimId> = (0..TIMES)
        .map(|_| next_claim(&store, ClaimId::new(5, 5)).expect("an id"))
        .collect();
    assert!(ids.is_sorted_by(|earlier, later| earlier < later));
}

#[test]
fn many_processes_make_the_file_and_write_it_at_once() {
    let dir = TempDir::new().expect("a directory");
    std::fs::write(dir.path().join("contended"), "").expect("written");
    let this = std::env::current_exe().expect("this test");
    let children: Vec<_> = (0..8)
        .map(|_| {
            Command::new(&this)
                .args(["--exact", "one_process_of_many"])
                .current_dir(dir.path())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("starts")
        })
        .collect();
    for child in children {
        let output = child.wait_with_output().expect("ends");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stdout)
        );
    }
    let store = open(dir.path());
    assert_eq!(
        wait(store.read_tags(&id("db-1"))).expect("read")["count"],
        (8 * TIMES).to_string()
    );
    // No id was given out twice: as many steps lie between the first and the last as were asked for.
    let mut expected = ClaimId::new(5, 5);
    (0..8 * TIMES).for_each(|_| expected = expected.next().expect("there is one"));
    assert_eq!(next_claim(&store, ClaimId::new(1, 1)), Ok(expected));
}

#[test]
fn claim_ids_rise_whatever_the_clock_says() {
    let dir = TempDir::new().expect("a directory");
    let (early, late) = (ClaimId::new(1, 0), ClaimId::new(9, 0));
    assert_eq!(next_claim(&open(dir.path()), late), Ok(late));
    assert_eq!(
        next_claim(&open(dir.path()), early),
        Ok(late.next().expect("there is one"))
    );
    let last = ClaimId::new((1 << 48) - 1, u128::MAX);
    assert_eq!(next_claim(&open(dir.path()), last), Ok(last));
    let error = next_claim(&open(dir.path()), last).expect_err("there is none");
    assert!(error.message.contains("roundsman.db"), "{error}");
}

#[test]
fn opening_makes_what_is_missing_and_says_so_once() {
    let dir = TempDir::new().expect("a directory");
    let path = dir.path().join("a/b/roundsman.db");
    let opened = LocalStore::open(&path, fleet()).expect("opened");
    assert_eq!(opened.created.as_deref(), Some(path.as_path()));
    assert_eq!(opened.store.consistency(), Consistency::Transactional);
    assert_eq!(
        LocalStore::open(&path, fleet()).expect("opened").created,
        None
    );
}

#[test]
fn what_is_no_store_of_ours_is_left_alone_and_named() {
    let dir = TempDir::new().expect("a directory");
    let message = |name: &str| {
        let error = LocalStore::open(&dir.path().join(name), fleet()).expect_err("not opened");
        assert!(
            error
                .message
                .contains(&format!("{}/{name}", dir.path().display())),
            "{error}"
        );
        assert!(error.help.is_some(), "{error}");
        error.message
    };
    std::fs::write(
        dir.path().join("text"),
        "not a database, and long enough to be seen as none. ".repeat(50),
    )
    .expect("written");
    assert!(message("text").contains("is not a database"));
    std::fs::create_dir(dir.path().join("directory")).expect("made");
    assert!(message("directory").contains("is a directory"));
    let foreign = Connection::open(dir.path().join("foreign")).expect("opened");
    foreign
        .execute_batch("CREATE TABLE theirs (x)")
        .expect("made");
    assert!(message("foreign").contains("another program"));
    drop(open(dir.path()));
    let ours = Connection::open(dir.path().join("roundsman.db")).expect("opened");
    ours.pragma_update(None, "user_version", 99).expect("set");
    assert!(message("roundsman.db").contains("newer roundsman (version 99"));
    std::fs::write(dir.path().join("file"), "").expect("written");
    assert!(
        LocalStore::open(&dir.path().join("file/roundsman.db"), fleet())
            .is_err_and(|error| error.message.contains("/file"))
    );
    let twice = LocalStore::open(&dir.path().join("x"), vec![node("a", &[]), node("a", &[])]);
    assert!(twice.is_err_and(|error| error.message.contains("`a`")));
}

#[test]
fn readers_do_not_wait_for_a_writer() {
    let dir = TempDir::new().expect("a directory");
    let store = open(dir.path());
    wait(store.write(&id("db-1"), &put("a", "1"), None)).expect("written");
    // A writer that holds the file, and a reader beside it.
    let other = Connection::open(dir.path().join("roundsman.db")).expect("opened");
    other
        .execute_batch("BEGIN IMMEDIATE; UPDATE tag SET value = '2'")
        .expect("begun");
    assert_eq!(wait(store.read_tags(&id("db-1"))).expect("read")["a"], "1");
    other.execute_batch("ROLLBACK").expect("ended");
    wait(store.write(&id("db-1"), &put("a", "3"), None)).expect("written");
}

#[test]
fn the_rules_of_ec2_hold_here_too() {
    let dir = TempDir::new().expect("a directory");
    let store = open(dir.path());
    let db = id("db-1");
    let long = refused(wait(store.write(&db, &put("k", &"é".repeat(257)), None)));
    assert!(
        long.message.contains("db-1") && long.message.contains("257"),
        "{long}"
    );
    wait(store.write(&db, &put("k", &"é".repeat(256)), None)).expect("characters, not bytes");
    let mut many = put("k0", "");
    for number in 1..48 {
        many = many.and(key(&format!("k{number}")), String::new());
    }
    wait(store.write(&db, &many, None)).expect("50 with `role` and `k`");
    let full = refused(wait(store.write(&db, &put("one-more", ""), None)));
    assert!(full.message.contains("51 tags"), "{full}");
    assert!(
        !wait(store.read_tags(&db))
            .expect("read")
            .contains_key("one-more")
    );
    wait(store.write(&db, &put("k0", "changed"), None)).expect("no new one");
}

#[test]
fn unknown_nodes_are_not_found_anywhere() {
    let dir = TempDir::new().expect("a directory");
    let store = open(dir.path());
    let (gone, lock) = (id("gone"), key("lock"));
    assert_eq!(
        wait(store.read_tags(&gone)).expect_err("gone").kind,
        ErrorKind::NotFound
    );
    assert_eq!(
        wait(store.read_key(&[id("db-1"), gone.clone()], &lock))
            .expect_err("gone")
            .kind,
        ErrorKind::NotFound
    );
    assert_eq!(
        refused(wait(store.write(&gone, &put("a", "b"), None))).kind,
        ErrorKind::NotFound
    );
    assert_eq!(
        refused(wait(store.delete(&gone, &put("a", "b")))).kind,
        ErrorKind::NotFound
    );
    let granted = wait(store.transact(&all(), ClaimId::new(1, 1), |_, _| {
        (Some((gone.clone(), put("a", "b"))), ())
    }));
    assert_eq!(granted.expect_err("gone").kind, ErrorKind::NotFound);
}

#[test]
fn the_inventorys_tags_show_through_and_are_not_deleted() {
    let dir = TempDir::new().expect("a directory");
    let nodes = vec![node("a", &[("hold", "yes"), ("rack", "r1")])];
    let store = LocalStore::open(&dir.path().join("s.db"), nodes)
        .expect("opened")
        .store;
    let a = id("a");
    let error = refused(wait(store.delete(&a, &put("hold", "yes"))));
    assert!(
        error.message.contains("inventory") && error.message.contains("`hold`"),
        "{error}"
    );
    wait(store.delete(&a, &put("hold", "another"))).expect("nothing to delete");
    wait(store.write(&a, &put("rack", "r2"), Some((&key("rack"), Some("r1")))))
        .expect("as it showed");
    assert_eq!(
        wait(store.read_key(std::slice::from_ref(&a), &key("rack"))).expect("read")[&a],
        "r2"
    );
    wait(store.delete(&a, &put("rack", "r2"))).expect("deleted");
    assert_eq!(wait(store.read_tags(&a)).expect("read")["rack"], "r1");
}

#[test]
fn a_selector_finds_its_nodes() {
    let dir = TempDir::new().expect("a directory");
    let nodes = vec![
        node("a", &[("role", "cassandra"), ("env", "prod")]),
        node("b", &[("role", "cassandra"), ("Name", "bee")]),
        node("c", &[]),
    ];
    let store = LocalStore::open(&dir.path().join("s.db"), nodes)
        .expect("opened")
        .store;
    let found = |selector: &Selector| -> Vec<String> {
        wait(store.read_fleet(selector))
            .expect("read")
            .into_iter()
            .map(|node| node.id.0)
            .collect()
    };
    let tags = |pairs: &[(&str, &[&str])]| Selector {
        tags: pairs
            .iter()
            .map(|(key, values)| {
                (
                    (*key).to_owned(),
                    values.iter().map(|&value| value.to_owned()).collect(),
                )
            })
            .collect(),
        ..Selector::default()
    };
    assert_eq!(found(&all()), ["a", "b", "c"]);
    assert_eq!(found(&Selector::default()), [""; 0]);
    assert_eq!(found(&tags(&[("role", &["cassandra"])])), ["a", "b"]);
    assert_eq!(
        found(&tags(&[
            ("role", &["cassandra"]),
            ("env", &["test", "prod"])
        ])),
        ["a"]
    );
    // Values are taken as they stand, on AWS too: there are no wildcards.
    assert_eq!(found(&tags(&[("role", &["c*", "cassandr?"])])), [""; 0]);
    assert_eq!(found(&tags(&[("Name", &["bee", "name of c"])])), ["b", "c"]);
    assert_eq!(
        found(&Selector {
            groups: vec!["g".to_owned()],
            ..all()
        }),
        [""; 0]
    );
    let names: Vec<_> = wait(store.read_fleet(&all()))
        .expect("read")
        .into_iter()
        .map(|node| node.name)
        .collect();
    assert_eq!(
        names.iter().flatten().collect::<Vec<_>>(),
        ["name of a", "bee", "name of c"]
    );
}
