//! Sites: how many nodes, machines and jobs there are, and what the jobs do. Every seed has one of its own.

use std::time::Duration;

use roundsman::engine::round::Orders;
use roundsman::io::memory::Lots;
use roundsman::model::id::Name;
use roundsman::model::job::{
    Cleanup, Count, Divider, Job, On, OnStop, Per, Step, StepAction, When,
};
use roundsman::model::rule::{Rule, Without};
use roundsman::model::settings::LeaseSettings;
use roundsman::model::tag::Keys;
use roundsman::model::view::Rules;

/// The fence on the node: all that the wrapper refuses.
pub(crate) fn no_fence() -> Without {
    let fence = [Rule::Mark, Rule::NotAfter, Rule::KernelLock, Rule::Journal];
    fence.into_iter().fold(Without::NOTHING, Without::and)
}

/// A job, and how it is invoked.
#[derive(Debug, Clone)]
pub(crate) struct SimJob {
    pub(crate) rules: Rules,
    pub(crate) orders: Orders,
    /// Every machine invokes it this often, all at about the same time.
    pub(crate) period: Duration,
}

/// How often a job is invoked that leaves what runs.
const PARKED_PERIOD: Duration = Duration::from_secs(900);

/// All that a world begins with.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    pub(crate) seed: u64,
    pub(crate) lease: LeaseSettings,
    /// The rules that are taken out.
    pub(crate) without: Without,
    pub(crate) zones: Vec<&'static str>,
    pub(crate) machines: u64,
    pub(crate) jobs: Vec<SimJob>,
    /// Whether nodes are asked for their journals, or only their executor for what it knows.
    pub(crate) looks: bool,
    /// How often machines invoke a job at least.
    pub(crate) period: Duration,
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn hours(hours: u64) -> Duration {
    Duration::from_secs(hours * 3_600)
}

/// The script says how long the step takes at most.
fn step(name: &str, on: On, takes: u64, retries: u32) -> Step {
    Step {
        name: name.to_owned(),
        action: StepAction::Run(format!("work {takes}")),
        on,
        timeout: seconds(takes * 2),
        retries,
    }
}

/// The node is back and ready that long after it is up, at most.
fn reboot(name: &str, timeout: u64, ready: u64) -> Step {
    Step {
        action: StepAction::Reboot {
            ready: Some(format!("is ready {ready}")),
        },
        timeout: seconds(timeout),
        ..step(name, On::Node, 0, 1)
    }
}

fn job(name: &str, every: Duration, steps: Vec<Step>) -> Job {
    let name = Name::new(name).expect("a name");
    Job {
        steps,
        ..Job::bare(name.clone(), name, every)
    }
}

impl Site {
    pub(crate) fn new(seed: u64, without: Without) -> Self {
        let lots = Lots::new(seed ^ 0x5e17_e5ee_d000_0000);
        let lease = lease(&lots);
        let mut jobs = vec![
            job(
                "repair",
                hours(24),
                vec![
                    step("prepare", On::Node, 120, 1),
                    step("repair", On::Node, 900, 0),
                ],
            ),
            job("backup", hours(12), vec![step("backup", On::Node, 600, 0)]),
        ];
        jobs[1].cleanup.push(Cleanup {
            step: step("tidy", On::Node, 30, 0),
            when: When::Always,
        });
        if lots.chance(500_000) {
            let mut patch = job(
                "patch",
                hours(36),
                vec![
                    step("drain", On::Runner, 60, 1),
                    step("patch", On::Node, 300, 1),
                ],
            );
            patch.ttl = Some(lease.ttl * 2);
            if lots.chance(500_000) {
                patch.steps.push(reboot("restart", 600, 90));
            }
            jobs.push(patch);
        }
        for job in &mut jobs {
            if lots.chance(300_000) {
                job.on_stop = OnStop::Cancel;
            }
        }
        let zones = ["a", "b", "c"];
        let nodes = 3 + usize::try_from(lots.below(3)).unwrap_or(0);
        let limit = 1 + u32::try_from(lots.below(3)).unwrap_or(0);
        let in_work = lots.chance(500_000);
        let per_zone = limit > 1 && lots.chance(500_000);
        for job in &mut jobs {
            job.limits.nodes = limit;
            if in_work {
                job.limits.count = [Count::InWork].into();
            }
            if per_zone {
                job.limits.per.push(Per {
                    by: Divider::Zone,
                    nodes: 1,
                });
            }
        }
        let period = hours(4 + lots.below(4));
        let jobs = jobs
            .into_iter()
            .map(|job| invoked(job, (lease, without), period, &lots));
        Self {
            seed,
            lease,
            without,
            zones: (0..nodes).map(|n| zones[n % zones.len()]).collect(),
            machines: 2 + lots.below(3),
            looks: lots.chance(500_000),
            jobs: jobs.collect(),
            period,
        }
    }
}

fn invoked(
    job: Job,
    (lease, without): (LeaseSettings, Without),
    period: Duration,
    lots: &Lots,
) -> SimJob {
    let keys = Keys::new("", &job.task, None).expect("keys");
    let max = if lots.chance(300_000) { Some(3) } else { None };
    let wait = match lots.below(40) {
        0 => Some(Duration::ZERO),
        1 => Some(seconds(60 + lots.below(600))),
        _ => None,
    };
    SimJob {
        rules: Rules {
            job,
            keys,
            lease,
            without,
        },
        orders: Orders {
            only: None,
            max,
            parallel: 1 + u32::try_from(lots.below(3)).unwrap_or(0),
            wait,
            accept_changed: false,
        },
        // Whoever leaves what runs comes back soon.
        period: wait.map_or(period, |_| PARKED_PERIOD),
    }
}

/// The default settings, or such as are tight in another way.
fn lease(lots: &Lots) -> LeaseSettings {
    let settings = match lots.below(4) {
        0 | 1 => LeaseSettings::default(),
        2 => LeaseSettings {
            claim_within: seconds(1),
            staleness: seconds(3),
            skew: seconds(4),
            margin: seconds(7),
            ttl: seconds(60),
            request_life: seconds(50),
        },
        _ => LeaseSettings {
            claim_within: seconds(2),
            staleness: seconds(20),
            skew: seconds(10),
            margin: seconds(30),
            ttl: seconds(300),
            request_life: seconds(290),
        },
    };
    assert!(settings.broken().is_empty(), "{:?}", settings.broken());
    settings
}
