//! What is told of each cause of a failed reload: its code, whose fault it is, and where.

use super::{ReloadError, ReloadErrorKind};
use crate::error::{Code, Place};
use crate::source::Name;

impl ReloadErrorKind {
    /// The stable code.
    pub fn code(&self) -> Code {
        use ReloadErrorKind::*;
        Code(match self {
            Unreadable { .. } => "GR0101",
            NoBackend { .. } => "GR0102",
            Missing { .. } => "GR0103",
            Cycle { .. } => "GR0104",
            Load { error, .. } => return error.code(),
            Hook { .. } => "GR0105",
            HookTimeout { .. } => "GR0106",
            Checkpoint { .. } => "GR0107",
            DrainTimeout { .. } => "GR0108",
            StillHeld { .. } => "GR0109",
            Unsettled { .. } => "GR0110",
            Clash { .. } => "GR0111",
            InUse { .. } => "GR0112",
            NoModule { .. } => "GR0113",
            StalePlan => "GR0114",
            Busy => "GR0115",
            Nested => "GR0116",
            Abandoned => "GR0117",
            Internal { .. } => "GR0118",
            Stopped => "GR0119",
            Hung { .. } => "GR0120",
            Migration { .. } => "GR0121",
            MigrationTimeout { .. } => "GR0122",
            NoMigration { .. } => "GR0123",
            NoWayBack { .. } => "GR0124",
            Role(error) => return error.code(),
        })
    }

    /// The module at fault.
    pub fn module(&self) -> Option<&Name> {
        use ReloadErrorKind::*;
        match self {
            Unreadable { module, .. }
            | NoBackend { module, .. }
            | Missing { module, .. }
            | Load { module, .. }
            | Hook { module, .. }
            | HookTimeout { module, .. }
            | Migration { module, .. }
            | MigrationTimeout { module, .. }
            | NoMigration { module, .. }
            | NoWayBack { module, .. }
            | Checkpoint { module, .. }
            | StillHeld { module, .. }
            | Unsettled { module }
            | InUse { module, .. }
            | Hung { module, .. }
            | NoModule { module } => Some(module),
            Clash { second, .. } => Some(second),
            Cycle { path } => path.first(),
            Role(error) => error.module(),
            _ => None,
        }
    }

    /// The place in a source, where there is one.
    pub fn place(&self) -> Option<&Place> {
        match self {
            ReloadErrorKind::Missing { place, .. }
            | ReloadErrorKind::Hook { place, .. }
            | ReloadErrorKind::HookTimeout { place, .. }
            | ReloadErrorKind::MigrationTimeout { place, .. }
            | ReloadErrorKind::Migration { place, .. } => place.as_ref(),
            ReloadErrorKind::Load { error, .. } => error.place.as_ref(),
            ReloadErrorKind::Role(error) => error.place(),
            _ => None,
        }
    }
}

impl ReloadError {
    /// The cause with its own causes, in one line.
    pub fn explain(&self) -> String {
        let mut text = self.kind.to_string();
        let mut source = std::error::Error::source(&*self.kind);
        while let Some(cause) = source {
            text.push_str(&format!(": {cause}"));
            source = cause.source();
        }
        text
    }
}
