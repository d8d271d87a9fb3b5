//! Several invocations at once, and whatever the fleet looks like.

use super::*;

/// Several invocations at once in one world, each starting so many milliseconds after the first.
fn together(world: &World, rules: &Rules, orders: &Orders, starts: &[u64]) -> Vec<Round> {
    let quiet = |_: Event| {};
    let engine = Engine {
        ports: world,
        rules,
        owner: "test@host",
        report: &quiet,
    };
    let began = world.clock.boot();
    world.play(async {
        let each = starts.iter().map(|start| {
            let (engine, began) = (&engine, began.plus(Duration::from_millis(*start)));
            async move {
                world.clock.sleep_until(began).await;
                let (_bell, stop) = bell();
                round(engine, orders, stop).await
            }
        });
        futures_util::future::join_all(each).await
    })
}

#[test]
fn of_eight_runners_at_once_one_serves_the_node() {
    for consistency in BOTH {
        let world = World::new(vec![node("a", &[])], consistency, 7);
        let rounds = together(&world, &rules(job()), &orders(Some(1), 1), &[0; 8]);
        assert_eq!(
            rounds
                .iter()
                .map(|round| round.counts.committed)
                .sum::<u32>(),
            1,
            "{consistency:?}"
        );
        assert!(rounds.iter().all(|round| round.error.is_none()));
        assert_eq!(world.shell.sent().len(), 1);
        assert!(!world.store.tags("a").contains_key("lock"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_starts_when_limits_hold_and_no_node_is_served_twice(
        seed: u64, limit in 1_u32..4, starts in proptest::collection::vec(0_u64..40_000, 2..6), transactional: bool,
    ) {
        let consistency = if transactional { Consistency::Transactional } else { Consistency::Eventual };
        let world = World::new((0..6).map(|n| node(&format!("n{n}"), &[])).collect(), consistency, seed);
        let mut job = job();
        job.limits.nodes = limit;
        let rules = rules(job);
        let rounds = together(&world, &rules, &orders(None, 2), &starts);
        let (nodes, steps) = world.shell.most_at_once();
        prop_assert!(nodes <= limit as usize, "{} nodes at work with a limit of {}", nodes, limit);
        prop_assert!(steps <= 1);
        let mut served: Vec<String> = world.shell.sent().into_iter().map(|(node, ..)| node).collect();
        served.sort();
        let before = served.len();
        served.dedup();
        prop_assert_eq!(served.len(), before, "a node was served twice");
        prop_assert!(rounds.iter().all(|round| round.error.is_none()));
        prop_assert!(world.store.nodes().iter().all(|node| !node.tags.contains_key("lock")));
    }

    /// `plan` writes nothing, and `run` does what it said: the same nodes in the same order.
    #[test]
    fn a_run_does_what_the_plan_said(
        lasts in proptest::collection::vec(proptest::option::of("[0-9]{9,10}|20[12][0-9]-0[1-9]-[12][0-9]|soon"), 1..7),
        holds in proptest::collection::vec(any::<bool>(), 7), limit in 1_u32..3, transactional: bool, seed: u64,
    ) {
        let consistency = if transactional { Consistency::Transactional } else { Consistency::Eventual };
        let nodes: Vec<Node> = lasts.iter().enumerate().map(|(n, last)| {
            let mut node = node(&format!("n{n}"), &[]);
            node.tags.extend(last.iter().map(|last| ("last-repair".to_owned(), last.clone())));
            node.tags.extend(holds[n].then(|| ("hold".to_owned(), "yes".to_owned())));
            node
        }).collect();
        let world = World::new(nodes.clone(), consistency, seed);
        let mut job = job();
        job.limits.nodes = limit;
        let rules = rules(job);
        let view = roundsman::model::view::View { now: now(&world).wall, nodes: nodes.clone(), evidence: BTreeMap::new() };
        let planned: Vec<String> = decide(&rules, &view, &Wish::default()).into_iter().filter(|row| row.take.is_some()).map(|row| row.node.to_string()).collect();
        prop_assert_eq!(world.store.nodes(), nodes, "a plan writes nothing");
        invoke(&world, &rules, &orders(None, 1));
        let served: Vec<String> = world.shell.sent().into_iter().map(|(node, ..)| node).collect();
        prop_assert_eq!(served, planned);
    }
}
