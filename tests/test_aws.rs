//! The test AWS itself: that it does what AWS documents, and where it differs from moto.

#[path = "test_aws/tests/ask.rs"]
mod ask;
#[cfg(feature = "aws")]
#[path = "test_aws/tests/compare.rs"]
mod compare;
#[cfg(feature = "aws")]
#[path = "test_aws/tests/conform.rs"]
mod conform;
#[cfg(feature = "aws")]
#[path = "test_aws/tests/deviations.rs"]
mod deviations;
#[path = "test_aws/tests/ec2.rs"]
mod ec2;
#[path = "test_aws/tests/faults.rs"]
mod faults;
#[path = "test_aws/tests/refused.rs"]
mod refused;
#[path = "test_aws/tests/speed.rs"]
mod speed;
#[path = "test_aws/tests/ssm.rs"]
mod ssm;
#[cfg(feature = "aws")]
#[path = "test_aws/tests/steps.rs"]
mod steps;
#[cfg(feature = "aws")]
#[expect(dead_code, reason = "what is there for the tests over moto")]
mod support;
#[path = "test_aws/cloud.rs"]
#[expect(dead_code, reason = "what is there for other tests")]
mod test_aws;
