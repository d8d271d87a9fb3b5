//! The clients: where configuration comes from, how long a call may take, and how often it is tried.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, Region};
use aws_sdk_ssm::config::ProvideCredentials as _;
use jiff::Timestamp;

use crate::io::aws::meter::{Meter, Tap};
use crate::model::settings::AwsSettings;
use crate::port::{ErrorKind, Offset, PortError};

/// Reads this machine's wall clock. Handed in, because one file alone reads the clock.
pub type Wall = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// How often a read is tried. Writes are tried once.
const READ_ATTEMPTS: u32 = 3;

/// How long one attempt at a call may take: longer than the claim protocol's `claim-within`, so that a late answer is
/// seen to be late.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);

/// The clients of one region, sharing connections, credentials and the meter. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Clients {
    pub(super) ec2: aws_sdk_ec2::Client,
    pub(super) asg: aws_sdk_autoscaling::Client,
    pub(super) ssm: aws_sdk_ssm::Client,
    pub(super) region: String,
    pub(super) attempt_timeout: Duration,
    endpoint: Option<String>,
    meter: Arc<Meter>,
    sdk: aws_config::SdkConfig,
}

impl Clients {
    /// Reads the SDK's configuration and makes the clients. Calls nothing but what finds a region.
    ///
    /// # Errors
    /// When there is no region. Credentials are looked for at the first call.
    pub async fn connect(settings: &AwsSettings, wall: Wall) -> Result<Self, PortError> {
        Self::load(
            aws_config::defaults(BehaviorVersion::latest()),
            settings,
            ATTEMPT_TIMEOUT,
            wall,
        )
        .await
    }

    /// The same from a prepared loader, for callers that bring credentials of their own, with a time-out for `attempt`s.
    ///
    /// # Errors
    /// When there is no region.
    pub async fn load(
        mut loader: ConfigLoader,
        settings: &AwsSettings,
        attempt: Duration,
        wall: Wall,
    ) -> Result<Self, PortError> {
        if let Some(region) = &settings.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(profile) = &settings.profile {
            loader = loader.profile_name(profile);
        }
        if let Some(endpoint) = &settings.endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(attempt / 2)
            .operation_attempt_timeout(attempt)
            .operation_timeout(attempt * READ_ATTEMPTS + Duration::from_secs(5))
            .build();
        let sdk = loader
            .timeout_config(timeouts)
            .retry_config(RetryConfig::standard().with_max_attempts(READ_ATTEMPTS))
            .load()
            .await;
        Self::of(&sdk, attempt, Meter::new(wall))
    }

    /// Clients with connections and a meter of their own, and the same configuration and credentials.
    ///
    /// # Errors
    /// When there is no region.
    pub fn apart(&self) -> Result<Self, PortError> {
        Self::of(&self.sdk, self.attempt_timeout, self.meter.fresh())
    }

    /// When the credentials end, if they do; asked for anew, so that renewed ones say so.
    pub async fn credentials_end(&self) -> Option<Timestamp> {
        let provider = self.sdk.credentials_provider()?;
        let credentials = provider.provide_credentials().await.ok()?;
        Timestamp::try_from(credentials.expiry()?).ok()
    }

    fn of(
        sdk: &aws_config::SdkConfig,
        attempt_timeout: Duration,
        meter: Arc<Meter>,
    ) -> Result<Self, PortError> {
        let region = sdk
            .region()
            .map(ToString::to_string)
            .ok_or_else(no_region)?;
        let tap = || Tap(Arc::clone(&meter));
        Ok(Self {
            ec2: aws_sdk_ec2::Client::from_conf(
                aws_sdk_ec2::config::Builder::from(sdk)
                    .interceptor(tap())
                    .build(),
            ),
            asg: aws_sdk_autoscaling::Client::from_conf(
                aws_sdk_autoscaling::config::Builder::from(sdk)
                    .interceptor(tap())
                    .build(),
            ),
            ssm: aws_sdk_ssm::Client::from_conf(
                aws_sdk_ssm::config::Builder::from(sdk)
                    .interceptor(tap())
                    .build(),
            ),
            region,
            attempt_timeout,
            endpoint: sdk.endpoint_url().map(str::to_owned),
            meter,
            sdk: sdk.clone(),
        })
    }

    /// The region.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// API calls so far by action (`DescribeTags`); every attempt counts.
    pub fn calls(&self) -> BTreeMap<String, u64> {
        self.meter.calls()
    }

    /// Provider time less this machine's, as the latest answers' `Date` headers told it; zero before the first.
    pub fn offset(&self) -> Offset {
        self.meter.offset()
    }

    /// The provider's time: this machine's, corrected by the value of the offset that is nearest to zero.
    pub(super) fn now(&self) -> Timestamp {
        let offset = self.offset();
        let correction = 0_i64.max(offset.least_ms).min(offset.most_ms);
        let wall = self.meter.wall();
        wall.saturating_add(jiff::SignedDuration::from_millis(correction))
            .unwrap_or(wall)
    }

    /// Where a service answers, for messages.
    pub(super) fn endpoint(&self, service: &str) -> String {
        self.endpoint
            .clone()
            .unwrap_or_else(|| format!("{service}.{}.amazonaws.com", self.region))
    }
}

/// EC2 with one attempt a call: a repeated write is a write of its own, which the protocol has to know of.
pub(super) fn ec2_once() -> aws_sdk_ec2::config::Builder {
    aws_sdk_ec2::config::Builder::new().retry_config(RetryConfig::disabled())
}

/// SSM with one attempt a call: a repeated send runs the step twice.
pub(super) fn ssm_once() -> aws_sdk_ssm::config::Builder {
    aws_sdk_ssm::config::Builder::new().retry_config(RetryConfig::disabled())
}

fn no_region() -> PortError {
    PortError::new(ErrorKind::NotFound, "no AWS region is configured").with_help(
        "name it with `--region`, `[provider.aws] region`, AWS_REGION or the profile (`region = ...`)",
    )
}
