//! Where configuration comes from when nobody names it: the SDK's own chain, tried in a process of its own.

use std::process::Command;

use roundsman::io::aws::{AwsStore, Clients};
use roundsman::model::settings::AwsSettings;
use roundsman::port::{ErrorKind, Store};

use crate::{CALM, id, wall_of_tests};

/// Names what the child has to find; without it this is the parent.
const EXPECT: &str = "ROUNDSMAN_TEST_EXPECT";

fn child(expect: &str, env: &[(&str, String)]) {
    let output = Command::new(std::env::current_exe().expect("this test"))
        .args([
            "--exact",
            "chain::what_is_not_named_comes_from_the_environment",
            "--nocapture",
        ])
        .env_clear()
        .envs(env.iter().map(|(key, value)| (key, value)))
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env(EXPECT, expect)
        .output()
        .expect("a child");
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{expect}: {said}"
    );
}

async fn be_the_child(expect: &str) {
    let connected = Clients::connect(&AwsSettings::default(), wall_of_tests()).await;
    if expect == "no-region" {
        let error = connected.expect_err("no region");
        assert_eq!(error.message, "no AWS region is configured");
        assert!(error.help.is_some_and(|help| help.contains("AWS_REGION")));
        return;
    }
    let clients = connected.expect("clients");
    assert_eq!(clients.region(), "eu-west-1");
    let answer = AwsStore::new(clients)
        .read_tags(&id("i-0123456789abcdef0"))
        .await;
    if expect == "no-credentials" {
        let error = answer.expect_err("no credentials");
        assert_eq!(error.kind, ErrorKind::Credentials, "{error}");
        assert_eq!(
            error.message,
            "ec2:DescribeTags on i-0123456789abcdef0: no AWS credentials: no credentials found in chain"
        );
    } else {
        assert_eq!(answer, Ok(roundsman::model::tag::Tags::new()));
    }
}

#[tokio::test]
#[expect(
    clippy::disallowed_methods,
    reason = "a test that is its own child is told so"
)]
async fn what_is_not_named_comes_from_the_environment() {
    if let Ok(expect) = std::env::var(EXPECT) {
        return be_the_child(&expect).await;
    }
    let env = CALM.env();
    child("an-answer", &env);
    let without = |gone: &str| -> Vec<_> {
        env.iter()
            .filter(|(key, _)| !key.starts_with(gone))
            .cloned()
            .collect()
    };
    child("no-region", &without("AWS_REGION"));
    child("no-credentials", &without("AWS_ACCESS"));
}
