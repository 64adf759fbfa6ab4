//! What the command's exit code says.

use graceful_host::wire::Failure;
use graceful_host::{AdminError, HostError};

/// The exit codes. A wrong command line ends with 2, which is clap's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    Ok = 0,
    Failed = 1,
    NotRunning = 3,
    Refused = 4,
    RolledBack = 5,
    Stuck = 6,
    Timeout = 7,
}

impl From<&Failure> for Exit {
    fn from(failure: &Failure) -> Self {
        match failure.outcome.as_str() {
            "refused" => Exit::Refused,
            "rolled_back" => Exit::RolledBack,
            "stuck" => Exit::Stuck,
            _ => Exit::Failed,
        }
    }
}

impl From<&AdminError> for Exit {
    fn from(error: &AdminError) -> Self {
        match error {
            AdminError::NotRunning { .. } => Exit::NotRunning,
            AdminError::Timeout(_) => Exit::Timeout,
            AdminError::TooLarge { .. } | AdminError::Broken { .. } => Exit::Failed,
        }
    }
}

impl From<&HostError> for Exit {
    /// What a start is refused for is refused by `check` as well, and with the same code.
    fn from(error: &HostError) -> Self {
        match error {
            HostError::Manifest(_) => Exit::Refused,
            HostError::Start(failure) => Exit::from(&**failure),
            _ => Exit::Failed,
        }
    }
}
