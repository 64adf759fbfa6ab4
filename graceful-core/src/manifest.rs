//! What a loaded module says of itself.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::migration::Migrations;
use crate::source::Name;
use crate::value::Value;
use crate::version::Version;

/// How a module's state is protected while reload hooks run on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckpointMode {
    /// The engine takes a copy before the first hook and restores it after a failure.
    #[default]
    Auto,
    /// The module restores itself in its `rollback` hook. Its calls are drained all the same.
    Own,
    /// Nothing is restored; hooks run beside calls.
    None,
}

/// Which hooks a module has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HookSet {
    /// Has `init`.
    pub init: bool,
    /// Has `before_reload`.
    pub before_reload: bool,
    /// Has `after_reload`.
    pub after_reload: bool,
    /// Has `rollback`.
    pub rollback: bool,
    /// Has `finalize`.
    pub finalize: bool,
}

/// One thing a module exports.
#[derive(Clone, Debug, PartialEq)]
pub enum Export {
    /// A function, called by name.
    Function,
    /// Plain data, copied out.
    Value(Value),
}

/// What a module says of itself once its code has run.
#[derive(Clone, Debug, Default)]
pub struct Manifest {
    /// The name it is required by.
    pub name: Name,
    /// The version it registered with.
    pub version: Option<Version>,
    /// Whether it registered itself; a plain module has no hooks and no state.
    pub registered: bool,
    /// Its hooks.
    pub hooks: HookSet,
    /// How its state is protected.
    pub checkpoint: CheckpointMode,
    /// Whether it asks for calls to be drained although it needs no checkpoint.
    pub drain: bool,
    /// The steps between versions that it declares for its state.
    pub migrations: Migrations,
    /// What it exports, by name.
    pub exports: BTreeMap<String, Export>,
    /// What it exports under a name with which a role declares something, and that is no plain data: why not. See
    /// [`is_declared`](crate::role::is_declared).
    pub unfit: BTreeMap<String, String>,
    /// What kind of thing its code returned, where that is no table of exports.
    pub returned: Option<&'static str>,
}

impl Manifest {
    /// The manifest of a plain module.
    pub fn plain(name: impl Into<Name>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Whether a reload hook of this module runs on its state.
    pub fn has_reload_hook(&self) -> bool {
        self.hooks.before_reload || self.hooks.after_reload
    }
}
