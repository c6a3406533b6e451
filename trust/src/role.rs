//! What a process is: a certificate says it in a URI among its names.

use serde::Serialize;
use std::fmt;

/// What a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Serves a run. The only role that others connect to.
    Coordinator,
    /// Computes for a run.
    Worker,
    /// Watches and stops a run.
    Operator,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 3] = [Self::Coordinator, Self::Worker, Self::Operator];

    /// The name of the role's folder, and what stands in its certificates' subject.
    pub fn name(self) -> &'static str {
        match self {
            Self::Coordinator => "coordinator",
            Self::Worker => "worker",
            Self::Operator => "operator",
        }
    }

    /// The URI that a certificate of this role holds among its names.
    pub fn uri(self) -> &'static str {
        match self {
            Self::Coordinator => "conrec:coordinator",
            Self::Worker => "conrec:worker",
            Self::Operator => "conrec:operator",
        }
    }

    /// The role that a URI stands for.
    pub fn of_uri(uri: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.uri() == uri)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
