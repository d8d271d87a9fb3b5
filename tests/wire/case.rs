//! One fleet behind one proxy: its job measures what is done, and what each invocation says is held against that.

use std::process::Child;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::cli::{Ran, until};
use crate::proxy::{Logged, Proxy};
use crate::site::{Pace, Site, step};
use crate::support::Aws;

/// The assumptions of a claim, as short as the relations between them allow where a write may be held up for longer
/// than a call waits (10 s), and still lands within `request-life`. D is 3.4 s.
pub(crate) const SHORT: &str = "claim-within = \"2s\"\nstaleness = \"200ms\"\nskew = \"500ms\"\nmargin = \"2s\"\n\
                                ttl = \"14s\"\nrequest-life = \"13s\"\n";
const MARGIN: Duration = Duration::from_secs(2);

/// A fleet, a job, and the wire between them and the binary.
pub(crate) struct Case<'a> {
    pub(crate) site: Site<'a>,
    pub(crate) proxy: Proxy,
}

/// One invocation that has ended, with its events.
#[derive(Debug)]
pub(crate) struct Invocation {
    pub(crate) ran: Ran,
    pub(crate) events: Vec<Value>,
}

impl<'a> Case<'a> {
    /// A new group of so many nodes; `lease` are the lease settings, `rest` the job after its fleet.
    pub(crate) fn new(
        aws: &'a Aws,
        group: &'static str,
        nodes: usize,
        lease: &str,
        proxy: Proxy,
    ) -> Self {
        let site = Site::new(aws, group, nodes, Pace::Quick);
        site.folder.write(
            "roundsman.toml",
            format!("[lease]\nowner = \"tester\"\n{lease}[provider]\nkind = \"aws\"\n"),
        );
        Self { site, proxy }
    }

    /// A step that writes down when it begins and ends, who else is at work then, and takes so long.
    ///
    /// One that was killed has left its mark behind: it is at work only while its process lives, on this machine.
    pub(crate) fn measuring(&self, seconds: f64) -> String {
        step(&format!(
            "cd '{}'\necho \"$ROUNDSMAN_NODE $ROUNDSMAN_RUN $ROUNDSMAN_ATTEMPT\" >> begun\nat=\"at-$ROUNDSMAN_NODE\"\n\
             mkdir \"$at\" || {{ test -e \"$at/pid\" && ! kill -0 \"$(cat \"$at/pid\")\"; }} || echo \"$ROUNDSMAN_NODE\" >> overlaps\n\
             echo \"$$\" > \"$at/pid\"\nls -d at-* | wc -l >> counts\nsleep {seconds}\nrm -r \"$at\"\n\
             echo \"$ROUNDSMAN_NODE\" >> ended",
            self.site.folder.path().display()
        ))
    }

    pub(crate) fn start(&self, args: &[&str]) -> Child {
        let mut command = self.site.command(args);
        command.args(["--format", "json"]);
        command.env("AWS_ENDPOINT_URL", self.proxy.endpoint());
        command.spawn().expect("it starts")
    }

    /// One invocation, which has to end within four minutes, and what it says has to agree with how it ends.
    #[track_caller]
    pub(crate) fn run(&self, args: &[&str]) -> Invocation {
        Invocation::read(ended(self.start(args)))
    }

    /// Invokes until the first node's run is recorded and its lock gone, as a timer would, but not before a lock that
    /// is there may be touched; at most so often.
    #[track_caller]
    pub(crate) fn serve(&self, at_most: usize) -> Vec<Invocation> {
        let mut all = Vec::new();
        while all.len() < at_most {
            all.push(self.run(&["run", "hello"]));
            self.proxy.quiet();
            if self.site.keys(0) == ["last-hello", "took-hello"] {
                return all;
            }
            if let Some(lock) = self.site.lock(0) {
                let free = lock.until + MARGIN + Duration::from_millis(1_100);
                until("the lease is past its margin", 60, || {
                    Timestamp::now() > free
                });
            }
        }
        panic!("not recorded: {:?}, after {all:#?}", self.site.left(0));
    }

    /// How often the step began, ended, and met another run on its node.
    pub(crate) fn worked(&self) -> [usize; 3] {
        ["begun", "ended", "overlaps"].map(|file| self.site.lines(file).len())
    }

    /// The most that were at work at once.
    pub(crate) fn most_at_work(&self) -> usize {
        let counts = self.site.lines("counts");
        let counted = counts.iter().filter_map(|n| n.trim().parse().ok());
        counted.max().unwrap_or(0)
    }

    /// The calls so far, one a line.
    pub(crate) fn calls(&self) -> String {
        let line = |(number, call): (usize, Logged)| {
            format!(
                "{number:3} {:7.3}s {} {:?}\n",
                call.after.as_secs_f64(),
                call.action,
                call.fate
            )
        };
        self.proxy.log().into_iter().enumerate().map(line).collect()
    }
}

/// What a child said in the end. The longest that one of ours may take is the step's latest possible end after a send
/// of which nobody knows what became: lease, time-out and a minute; then the bound is there to find what hangs.
#[track_caller]
pub(crate) fn ended(mut child: Child) -> Ran {
    let mut over = false;
    let began = std::time::Instant::now();
    while !over && began.elapsed() < Duration::from_secs(240) {
        std::thread::sleep(Duration::from_millis(20));
        over = child.try_wait().expect("it can be asked").is_some();
    }
    if !over {
        child.kill().expect("it can be ended");
    }
    let ran = Ran::from(child.wait_with_output().expect("its output"));
    assert!(over, "it does not end: {ran:?}");
    ran
}

impl Invocation {
    /// Reads what it said.
    ///
    /// # Panics
    /// When it broke, or its exit status is not the one that its own words ask for.
    #[track_caller]
    pub(crate) fn read(ran: Ran) -> Self {
        let ran = ran.calm();
        let lines = ran.stdout.lines();
        let events: Vec<Value> = lines
            .map(|line| serde_json::from_str(line).expect("an event a line"))
            .collect();
        let it = Self { ran, events };
        let finished = it.events.last().expect("events");
        assert_eq!(finished["event"], "finished", "{it:#?}");
        let told = |field: &str| finished[field].as_u64().expect("a count") > 0;
        let failed = it
            .ran
            .stderr
            .lines()
            .any(|line| line.starts_with("error: "));
        let expected = match (failed, told("leases_lost"), told("failed")) {
            (true, ..) => 5,
            (_, true, _) => 4,
            (.., true) => 1,
            _ => 0,
        };
        assert_eq!(it.ran.status, Some(expected), "{it:#?}");
        it
    }

    /// How many events of this name there are.
    pub(crate) fn count(&self, event: &str) -> usize {
        self.events
            .iter()
            .filter(|each| each["event"] == event)
            .count()
    }
}
