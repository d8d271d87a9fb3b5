//! How fast it is: `cargo test --release --no-default-features --test test_aws fast -- --nocapture` prints the figures.
#![expect(clippy::print_stdout, reason = "figures")]
#![expect(clippy::disallowed_methods, reason = "the clock is what is asked for")]

use std::time::Instant;

use crate::ask::ec2;
use crate::test_aws::Aws;

/// The bound is for a test that is built without optimisation, on a machine that is busy.
#[test]
fn a_fleet_of_a_thousand_is_told_fast_enough() {
    let began = Instant::now();
    let aws = Aws::start();
    let nodes = aws.fleet(
        Some("g"),
        1_000,
        &[("role", "x"), ("env", "test"), ("last-hello", "x")],
    );
    let started = began.elapsed();
    let asked = [
        ("MaxResults", "1000"),
        ("Filter.1.Name", "tag:role"),
        ("Filter.1.Value.1", "x"),
    ];
    assert_eq!(
        ec2(&aws, "DescribeInstances", &asked)
            .all("instanceId")
            .len(),
        nodes.len()
    );
    let (began, calls) = (Instant::now(), 20_u32);
    for _ in 0..calls {
        assert_eq!(ec2(&aws, "DescribeInstances", &asked).status, 200);
    }
    let each = began.elapsed() / calls;
    println!(
        "started with 1,000 nodes in {started:?}; DescribeInstances of all: {each:?}, {:.0} a second",
        1.0 / each.as_secs_f64()
    );
    assert!(each.as_secs() < 2, "{each:?}");
}
