//! The AWS floor against the test AWS: fleets, tags, steps, and every way in which AWS says no or nothing.
#![cfg(feature = "aws")]

#[path = "aws/chain.rs"]
mod chain;
#[path = "aws/errors.rs"]
mod errors;
#[path = "aws/lines.rs"]
mod lines;
#[path = "aws/shell.rs"]
mod shell;
#[path = "aws/store.rs"]
mod store;
mod support;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use aws_sdk_ec2::config::{BehaviorVersion, Credentials};
use jiff::Timestamp;
use roundsman::io::aws::{ATTEMPT_TIMEOUT, AwsStore, Clients, Wall};
use roundsman::model::id::NodeId;
use roundsman::model::job::Selector;
use roundsman::model::settings::AwsSettings;
use roundsman::model::tag::TagKey;
use roundsman::model::time::Moment;
use roundsman::port::Clock;
use support::Aws;

/// One for all tests that keep to nodes of their own.
static CALM: LazyLock<Aws> = LazyLock::new(Aws::start);

/// A clock on which time flies `speed` times as fast.
#[derive(Debug, Clone, Copy)]
struct Fast {
    start: std::time::Instant,
    speed: u32,
}

impl Fast {
    #[expect(clippy::disallowed_methods, reason = "the tests' own clock")]
    fn new(speed: u32) -> Self {
        Self {
            start: std::time::Instant::now(),
            speed,
        }
    }
}

impl Clock for Fast {
    fn wall(&self) -> Timestamp {
        wall()
    }

    fn boot(&self) -> Moment {
        Moment(self.start.elapsed() * self.speed)
    }

    #[expect(clippy::disallowed_methods, reason = "the tests' own clock")]
    async fn sleep_until(&self, at: Moment) {
        tokio::time::sleep(at.since(self.boot()) / self.speed).await;
    }

    fn random(&self) -> u128 {
        0
    }
}

#[expect(clippy::disallowed_methods, reason = "the tests' own clock")]
fn wall() -> Timestamp {
    Timestamp::now()
}

fn wall_of_tests() -> Wall {
    Arc::new(wall)
}

/// Clients of an endpoint, with nothing from this process's environment.
async fn clients_of(endpoint: String, attempt_timeout: Duration) -> Clients {
    let settings = AwsSettings {
        region: Some("eu-west-1".to_owned()),
        endpoint: Some(endpoint),
        ..AwsSettings::default()
    };
    let loader = aws_config::defaults(BehaviorVersion::latest())
        .empty_test_environment()
        .credentials_provider(Credentials::new("test", "test", None, None, "test"));
    Clients::load(loader, &settings, attempt_timeout, wall_of_tests())
        .await
        .expect("clients")
}

async fn clients(aws: &Aws) -> Clients {
    clients_of(aws.endpoint(), ATTEMPT_TIMEOUT).await
}

async fn store(aws: &Aws) -> AwsStore {
    AwsStore::new(clients(aws).await)
}

fn groups(names: &[&str]) -> Selector {
    Selector {
        groups: names.iter().map(|&name| name.to_owned()).collect(),
        ..Selector::default()
    }
}

fn tagged(tags: &[(&str, &[&str])]) -> Selector {
    let values = |values: &[&str]| values.iter().map(|&value| value.to_owned()).collect();
    Selector {
        tags: tags
            .iter()
            .map(|&(key, any)| (key.to_owned(), values(any)))
            .collect::<BTreeMap<_, _>>(),
        ..Selector::default()
    }
}

fn key(text: &str) -> TagKey {
    TagKey::new(text).expect("a key")
}

fn id(text: &str) -> NodeId {
    NodeId(text.to_owned())
}

/// Waits until something is so, for half a minute of the clock at most.
async fn until(clock: &Fast, so: impl Fn() -> bool) {
    let end = clock.boot().plus(Duration::from_secs(30));
    while !so() {
        assert!(clock.boot() < end, "it did not come to pass");
        clock
            .sleep_until(clock.boot().plus(Duration::from_millis(50)))
            .await;
    }
}
