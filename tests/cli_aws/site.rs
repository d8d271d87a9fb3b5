//! A folder with settings for the test AWS, a job, and a group of its own to run it on.

use std::collections::BTreeMap;
use std::process::{Child, Command};

use jiff::Timestamp;
use roundsman::model::lock::{Lock, SetDigest};
use roundsman::model::settings::LeaseSettings;
use roundsman::model::time::parse_stamp;
use serde_json::Value;

use crate::cli::{Folder, Ran};
use crate::support::Aws;

/// How long claims take to be sure of, as a part of the settings.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pace {
    /// One runner, nobody in its way.
    Quick,
    /// Many at once on a small machine: answers are slow.
    Crowded,
    /// A lease that is renewed every four seconds.
    Brief,
}

impl Pace {
    /// D is 3.4 s, 6.4 s and 2.9 s.
    fn lease(self) -> &'static str {
        match self {
            Self::Quick => "claim-within = \"2s\"\nttl = \"20s\"\nrequest-life = \"15s\"\n",
            Self::Crowded => "claim-within = \"5s\"\nttl = \"60s\"\nrequest-life = \"15s\"\n",
            Self::Brief => "claim-within = \"1500ms\"\nttl = \"12s\"\nrequest-life = \"10s\"\n",
        }
    }
}

/// A folder, the test AWS, and a group there that is named like the test.
pub(crate) struct Site<'a> {
    pub(crate) folder: Folder,
    pub(crate) aws: &'a Aws,
    pub(crate) group: &'static str,
    pub(crate) nodes: Vec<String>,
}

impl<'a> Site<'a> {
    /// Settings at this pace, and a new group of so many nodes.
    pub(crate) fn new(aws: &'a Aws, group: &'static str, nodes: usize, pace: Pace) -> Self {
        let folder = Folder::new(&[]);
        folder.write(
            "roundsman.toml",
            format!(
                "[lease]\nowner = \"tester\"\nstaleness = \"200ms\"\nskew = \"500ms\"\nmargin = \"5s\"\n{}\
                 [provider]\nkind = \"aws\"\n",
                pace.lease()
            ),
        );
        let mut nodes = aws.fleet(Some(group), nodes, &[]);
        nodes.sort();
        Self {
            folder,
            aws,
            group,
            nodes,
        }
    }

    /// The same with a job `hello` of one step on the node.
    pub(crate) fn serving(aws: &'a Aws, group: &'static str, nodes: usize, script: &str) -> Self {
        let site = Self::new(aws, group, nodes, Pace::Quick);
        site.job(&step(script));
        site
    }

    /// Writes the job `hello`.
    pub(crate) fn job(&self, rest: &str) {
        let head = format!(
            "every = \"1h\"\n[fleet]\nauto-scaling-groups = [\"{}\"]\n",
            self.group
        );
        self.folder.write("jobs/hello.toml", head + rest);
    }

    /// Writes the job `hello`, whose step is ended by a signal.
    pub(crate) fn cancelling_job(&self, rest: &str) {
        self.job(rest);
        let text = std::fs::read_to_string(self.folder.file("jobs/hello.toml")).expect("the job");
        self.folder
            .write("jobs/hello.toml", format!("on-stop = \"cancel\"\n{text}"));
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.folder.command(args);
        command.envs(self.aws.env());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        end(self.start(args))
    }

    pub(crate) fn start(&self, args: &[&str]) -> Child {
        self.command(args).spawn().expect("it starts")
    }

    /// A path in the folder, for scripts.
    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.file(name).display().to_string()
    }

    /// The tags of the n-th node that are not its own: what runs have left.
    pub(crate) fn left(&self, n: usize) -> BTreeMap<String, String> {
        let mut tags = self.aws.tags(&self.nodes[n]);
        tags.retain(|key, _| key != "Name" && !key.starts_with("aws:"));
        tags
    }

    /// The keys of the same.
    pub(crate) fn keys(&self, n: usize) -> Vec<String> {
        self.left(n).into_keys().collect()
    }

    /// The lock of the n-th node.
    pub(crate) fn lock(&self, n: usize) -> Option<Lock> {
        self.left(n)
            .get("lock")
            .map(|text| Lock::parse(text).unwrap_or_else(|| panic!("unreadable: {text}")))
    }

    /// The rows of `plan`: reason and verdict of each node, by id.
    pub(crate) fn plan(&self) -> BTreeMap<String, Value> {
        let ran = self.run(&["plan", "hello", "--format", "json"]).status(0);
        let plan: Value = serde_json::from_str(&ran.stdout).expect("one object");
        let rows = plan["nodes"].as_array().expect("rows").clone();
        rows.into_iter()
            .map(|row| (row["node"].as_str().expect("an id").to_owned(), row))
            .collect()
    }

    /// Why `plan` would not take the n-th node, or why it would.
    pub(crate) fn reason(&self, n: usize) -> String {
        self.plan()[&self.nodes[n]]["reason"]
            .as_str()
            .expect("a reason")
            .to_owned()
    }

    /// The provider's time, as `plan` says it.
    pub(crate) fn plan_time(&self) -> Timestamp {
        let ran = self.run(&["plan", "hello", "--format", "json"]).status(0);
        let plan: Value = serde_json::from_str(&ran.stdout).expect("one object");
        plan["at"].as_str().and_then(parse_stamp).expect("a time")
    }

    /// Comments and texts of what was sent to the n-th node, oldest first.
    pub(crate) fn sent(&self, n: usize) -> Vec<Value> {
        let mut commands = self.commands(n);
        let looks = |command: &Value| {
            let comment = command["Comment"].as_str().unwrap_or_default();
            comment.starts_with("roundsman-look ")
        };
        commands.retain(|command| !looks(command));
        commands
    }

    /// The same, with those that only ask for the journal.
    pub(crate) fn commands(&self, n: usize) -> Vec<Value> {
        let mut commands = self.aws.commands();
        commands.retain(|command| command["InstanceIds"][0] == self.nodes[n].as_str());
        commands
    }

    /// Lines of a file in the folder.
    pub(crate) fn lines(&self, name: &str) -> Vec<String> {
        let text = self.folder.read(name);
        text.lines().map(str::to_owned).collect()
    }
}

/// The digest of [`Pace::Quick`]'s lease settings.
pub(crate) fn set() -> SetDigest {
    let ms = std::time::Duration::from_millis;
    LeaseSettings {
        claim_within: ms(2_000),
        staleness: ms(200),
        skew: ms(500),
        margin: ms(5_000),
        ttl: ms(20_000),
        request_life: ms(15_000),
    }
    .set()
}

/// A step on the node.
pub(crate) fn step(script: &str) -> String {
    format!("[[step]]\nname = \"work\"\nrun = '''\n{script}\n'''\n")
}

/// A clean-up step on the node.
pub(crate) fn cleanup(script: &str) -> String {
    format!("[[cleanup]]\nname = \"tidy\"\nrun = '''\n{script}\n'''\n")
}

/// A step that says that it has begun, and waits for the file `go`.
pub(crate) fn waiting(site: &Site<'_>) -> String {
    step(&format!(
        "echo \"$ROUNDSMAN_NODE\" >> '{}'\nwhile ! test -e '{}'; do sleep 0.05; done",
        site.path("begun"),
        site.path("go")
    ))
}

/// What a child said in the end, which has to come within two minutes.
#[track_caller]
pub(crate) fn end(mut child: Child) -> Ran {
    let began = clock();
    while child.try_wait().expect("it can be asked").is_none() {
        if began.elapsed().as_secs() > 120 {
            child.kill().expect("it can be ended");
            let ran = Ran::from(child.wait_with_output().expect("its output"));
            panic!("it does not end: {ran:?}");
        }
        pause();
    }
    child.wait_with_output().expect("its output").into()
}

pub(crate) fn signal(name: &str, child: &Child) {
    let status = Command::new("kill")
        .args(["-s", name, &child.id().to_string()])
        .status();
    assert!(status.expect("kill is there").success());
}

#[expect(clippy::disallowed_methods, reason = "between two polls")]
fn pause() {
    std::thread::sleep(std::time::Duration::from_millis(10));
}

#[expect(clippy::disallowed_methods, reason = "the tests' own clock")]
pub(crate) fn clock() -> std::time::Instant {
    std::time::Instant::now()
}
