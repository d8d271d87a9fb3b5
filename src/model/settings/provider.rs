//! Where the nodes are and how steps get to them.

use std::path::PathBuf;

use crate::model::settings::LeaseSettings;
use crate::model::tag::Tags;

/// Everything that a job file does not say: where and how, not what. Checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The assumptions of the claim; [`LeaseSettings::broken`] has none to name.
    pub lease: LeaseSettings,
    /// Who stands in the locks; `None`: user@host. Not empty, otherwise any text.
    pub owner: Option<String>,
    /// What stands before the name of every tag of ours; may be empty.
    pub prefix: String,
    /// Where the nodes are.
    pub provider: Provider,
}

/// Where the nodes are. The settings of the kind that is not in use are kept: a flag may ask for it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Provider {
    /// Which of the two is in use.
    pub kind: ProviderKind,
    /// For [`ProviderKind::Aws`].
    pub aws: AwsSettings,
    /// For [`ProviderKind::Local`].
    pub local: LocalSettings,
}

/// Which provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ProviderKind {
    /// EC2, Auto Scaling, SSM.
    #[default]
    Aws,
    /// The inventory in the settings, with `SQLite` beside it.
    Local,
}

impl ProviderKind {
    /// The word in settings, flags and messages.
    pub fn label(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::Local => "local",
        }
    }
}

/// How AWS is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsSettings {
    /// The region; `None`: the SDK's own chain.
    pub region: Option<String>,
    /// The profile of the shared configuration; `None`: the SDK's own chain.
    pub profile: Option<String>,
    /// An endpoint for all services (`http://…` or `https://…`); `None`: the SDK's own chain.
    pub endpoint: Option<String>,
    /// The SSM document that runs steps: a name or an ARN.
    pub document: String,
}

impl Default for AwsSettings {
    fn default() -> Self {
        Self {
            region: None,
            profile: None,
            endpoint: None,
            document: "AWS-RunShellScript".to_owned(),
        }
    }
}

/// A local inventory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LocalSettings {
    /// The `SQLite` file, relative to nothing; `None`: `$STATE_DIRECTORY`, else XDG state.
    pub store: Option<PathBuf>,
    /// The command that runs `sh -s` on a node, with `{address}` and the like; at least one word. `None`: this machine.
    pub via: Option<Vec<String>>,
    /// The nodes, each id once.
    pub nodes: Vec<InventoryNode>,
}

/// One entry of a local inventory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InventoryNode {
    /// Its id; not empty.
    pub id: String,
    /// Its name for people.
    pub name: Option<String>,
    /// Where it is reached.
    pub address: Option<String>,
    /// What failure domain it is in.
    pub zone: Option<String>,
    /// What selectors and limits see, beside roundsman's own tags.
    pub tags: Tags,
}
