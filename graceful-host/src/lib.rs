//! Runs a folder of Lua and Rhai sources as a service that reloads without losing a request.

mod admin;
mod app;
mod assemble;
mod check;
mod clock;
mod host;
mod http;
mod options;
mod running;
mod settings;
mod signals;
mod sources;
mod topics;
mod watch;
pub mod wire;

pub use admin::{AdminClient, AdminError, admin_path, app_folder};
pub use app::{App, BackendSettings, LimitSettings, MANIFEST, ManifestError, ReloadSettings};
pub use check::{CheckReply, check};
pub use clock::TokioClock;
pub use host::{Host, HostError};
pub use options::{Cause, HostOptions, OnReload};
pub use running::Running;
pub use signals::{Ended, Signals};
pub use sources::DirSources;
pub use topics::{Message, Topics};

/// The programs in the README.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
