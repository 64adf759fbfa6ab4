//! Hot reload as a transaction on a live program: the semantics, without an interpreter.
//!
//! A reload builds the next *generation* of the changed modules beside the live one, checks it, runs the
//! hooks of both, and then makes it live with one store of one number. Whatever fails before that store is
//! undone from a journal; nothing after it can fail the reload.
//!
//! This crate knows no language, no files, no runtime and no clock: a [`Backend`] brings a language,
//! [`Sources`] the texts, a [`Clock`] the time, an [`Observer`] reads the events. Begin with [`Engine`].
//!
//! The files below are in reading order, and each imports only from files above it.

#[doc(hidden)]
pub mod planted;
// words
pub mod error;
pub mod value;
pub mod near;
pub mod version;
pub mod source;
pub mod migration;
pub mod manifest;
pub mod limits;
// parts
mod sync;
pub mod clock;
mod watch;
pub mod graph;
pub mod gate;
pub mod intent;
pub mod lease;
pub mod lifecycle;
pub mod role;
pub mod role_set;
pub mod config;
pub mod scope;
// what a reload says
pub mod plan;
pub mod event;
pub mod report;
pub mod failure;
pub mod shutdown;
pub mod asked;
// what others implement
pub mod module;
pub mod generation;
pub mod dispatch;
pub mod backend;
pub mod native;
// the reload
pub mod changes;
mod purge;
mod staging;
mod hook;
mod board;
mod callback;
mod migrating;
pub mod round_trip;
mod journal;
mod crew;
mod transaction;
pub mod status;
pub mod engine;
pub mod call;
pub mod instance;
pub mod show;

#[cfg(all(test, feature = "shuttle"))]
mod interleavings;

pub use backend::{Backend, Control, Finalize, Importer, Kept, StageCx, Txn, TxnCx};
pub use call::Handle;
pub use clock::Clock;
pub use config::{Config, ConfigChange, Mismatch};
pub use engine::{Engine, EngineBuilder, Reload};
pub use error::{CallError, Code, Place, ScriptError};
pub use event::{Event, EventKind, Observer, Phase, Purpose};
pub use failure::{ReloadError, ReloadErrorKind};
pub use gate::{Gate, Generation, LeaseKind};
pub use generation::{Instance, Resolved, World};
pub use intent::Intents;
pub use lease::{Entered, Lease, Leased};
pub use lifecycle::{Hook, HookCx, HookError, Hooks, Lifecycle};
pub use limits::Limits;
pub use manifest::{CheckpointMode, Export, Manifest};
pub use migration::{Migration, MigrationCx, MigrationStep, Migrations};
pub use module::{Checkpoint, Compiled, Declared, Draft, Module, Require};
pub use native::{Native, NativeBackend, NativeCx, NativeMigration};
pub use plan::{Action, Plan, Reason, Step};
pub use report::{DrainPolicy, ModuleReport, OnBusy, Outcome, PhaseTime, ReloadOptions, Report};
pub use role::{Callback, InstanceState, Role, RoleCx, RoleError, RoleInfo};
pub use role_set::{Enabled, RoleSet};
pub use round_trip::{RoundTrip, RoundTripError};
pub use scope::{Callable, RegisterError, Registered, Replaced, Resource, Scope};
pub use shutdown::{ShutdownOptions, ShutdownReport};
pub use source::{Found, Name, Source, Sources};
pub use status::Status;
pub use value::Value;
pub use version::Version;
