//! Many processes at once: one lease a node, and never more than the limits.

use std::process::Child;

use crate::CALM;
use crate::cli::{Ran, until};
use crate::site::{Pace, Site, end, step, waiting};

#[test]
fn of_eight_processes_one_serves_the_node_and_seven_say_why_not() {
    let site = Site::new(&CALM, "eight", 1, Pace::Crowded);
    site.job(&waiting(&site));
    let mut children: Vec<Option<Child>> = (0..8)
        .map(|_| Some(site.start(&["run", "hello"])))
        .collect();
    let mut ended: Vec<Ran> = Vec::new();
    until("seven give way", 120, || {
        for slot in &mut children {
            let over = |child: &mut Child| child.try_wait().expect("it can be asked").is_some();
            if slot.as_mut().is_some_and(over) {
                ended.extend(slot.take().map(end));
            }
        }
        ended.len() >= 7
    });
    for ran in ended {
        ran.status(0).says("nothing claimed").says("tester");
    }
    site.folder.write("go", "");
    let last = children.into_iter().flatten().next().expect("one is left");
    end(last).status(0).says("served 1 node");
    assert_eq!(site.lines("begun").len(), 1, "the step ran once");
    assert_eq!(site.sent(0).len(), 1, "and was sent once");
    assert_eq!(site.keys(0), ["last-hello", "took-hello"]);
}

#[test]
fn with_room_for_two_there_are_never_more_than_two_at_work() {
    let site = Site::new(&CALM, "six", 6, Pace::Crowded);
    std::fs::create_dir(site.folder.file("work")).expect("a folder");
    let work = step(&format!(
        "cd '{}'\ntouch \"$ROUNDSMAN_NODE\"\nls | wc -l >> ../counts\nsleep 0.5\nrm \"$ROUNDSMAN_NODE\"\n\
         echo \"$ROUNDSMAN_NODE\" >> ../served",
        site.path("work")
    ));
    site.job(&format!("{work}[limits]\nnodes = 2\n"));
    let all = ["run", "hello", "--max", "all", "--parallel", "2"];
    let children: Vec<Child> = (0..8).map(|_| site.start(&all)).collect();
    for child in children {
        end(child).status(0);
    }
    // Whoever found no room has left; what is left over is served by more, a bounded number of times.
    for _ in 0..3 {
        if site.lines("served").len() < 6 {
            site.run(&all).status(0);
        }
    }
    let mut served = site.lines("served");
    served.sort();
    assert_eq!(served, site.nodes, "each once");
    let counts = site.lines("counts");
    let most = counts
        .iter()
        .filter_map(|n| n.trim().parse::<u32>().ok())
        .max();
    assert!(most.is_some_and(|most| most <= 2), "{counts:?}");
    for n in 0..6 {
        assert_eq!(site.keys(n), ["last-hello", "took-hello"]);
    }
}
