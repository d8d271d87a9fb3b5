//! What a probe measures: one store over several connections.

use crate::cli::failure::Failure;
use crate::cli::world::AnyStore;
use crate::model::id::NodeId;
use crate::model::settings::Settings;

/// One store, over several connections.
#[derive(Debug)]
pub struct Lines {
    /// The stores, each with connections of its own; at least one.
    pub stores: Vec<AnyStore>,
    /// The region.
    pub region: String,
}

impl Lines {
    /// Opens so many on AWS; calls nothing but what finds a region.
    #[cfg(feature = "aws")]
    pub async fn open(settings: &Settings, count: usize) -> Result<Self, Failure> {
        use std::sync::Arc;

        use crate::io::aws::{AwsStore, Clients};
        use crate::io::clock::SystemClock;
        use crate::port::Clock;

        let wall = Arc::new(|| SystemClock.wall());
        let clients = Clients::connect(&settings.provider.aws, wall).await?;
        let region = clients.region().to_owned();
        let first = AwsStore::new(clients);
        let apart: Vec<AwsStore> = (1..count)
            .map(|_| first.apart())
            .collect::<Result<_, _>>()?;
        let all = std::iter::once(first).chain(apart);
        Ok(Self {
            stores: all.map(|store| AnyStore::Aws(Box::new(store))).collect(),
            region,
        })
    }

    /// This build cannot.
    #[cfg(not(feature = "aws"))]
    #[expect(clippy::unused_async, reason = "AWS has to be waited for")]
    pub async fn open(settings: &Settings, _count: usize) -> Result<Self, Failure> {
        crate::cli::world::available(settings)?;
        Err(Failure::usage("there is no such provider", "this is a bug"))
    }

    /// The account that a node belongs to, as far as EC2 says.
    #[cfg_attr(
        not(feature = "aws"),
        expect(clippy::unused_async, reason = "AWS has to be waited for")
    )]
    pub async fn account(&self, node: &NodeId) -> Option<String> {
        match self.stores.first()? {
            AnyStore::Local(_) => {
                let _ = node;
                None
            }
            #[cfg(feature = "aws")]
            AnyStore::Aws(store) => store.account(node).await.ok().flatten(),
        }
    }
}
