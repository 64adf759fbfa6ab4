//! Runs a folder of Lua and Rhai sources as a service that reloads without losing a request.
//!
//! An app is a folder with a manifest, `graceful.toml` ([`App`]), and sources: module `a.b` is `a/b.lua`,
//! `a/b.rhai`, or the package `a/b/init.lua` ([`DirSources`]). Scripts register routes (`require('http')`),
//! publish to topics (`require('events')`), and read the manifest's `[config]` (`require('config')`).
//!
//! ```no_run
//! use graceful_host::{Cause, Host, HostOptions};
//!
//! # async fn embedded() -> Result<(), Box<dyn std::error::Error>> {
//! let host = Host::open("examples/shop", HostOptions::default())?;
//! let running = host.start().await?;
//! println!("http://{:?}", running.address());
//! match host.reload(Cause::Embedder, Default::default()).await {
//!     Ok(summary) => println!("generation {}", summary.generation),
//!     Err(failure) => println!("{}: {}; the old code serves", failure.code, failure.message),
//! }
//! running.stop().await;
//! # Ok(())
//! # }
//! ```

mod admin;
mod apart;
mod app;
mod assemble;
mod check;
mod clock;
mod console;
mod crash;
mod ending;
mod history;
mod host;
mod http;
mod metrics;
mod options;
mod reload;
mod roles;
mod running;
mod settings;
mod signals;
mod sources;
mod topics;
mod watch;
mod watchman;
pub mod wire;

pub use admin::{AdminClient, AdminError, admin_path, app_folder};
pub use app::{
    AdminSettings, App, BackendSettings, LimitSettings, MANIFEST, ManifestError, ReloadSettings,
    RoleSettings, read_document,
};
pub use check::{CheckReply, StateReply, check};
pub use clock::TokioClock;
pub use history::history;
pub use host::{Host, HostError};
pub use http::route::same_route;
pub use metrics::{CATALOGUE, Kind, Metric, Metrics};
pub use options::{Cause, HostOptions, OnReload};
pub use roles::forget_applied;
pub use running::Running;
pub use signals::Signals;
pub use sources::DirSources;
pub use topics::{Message, Topics};

/// The programs in the README.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

/// The programs in the page on migrations.
#[cfg(doctest)]
#[doc = include_str!("../../docs/migrations.md")]
struct Migrations;
