//! Rhai modules for graceful.

mod backend;
mod bind;
mod cell;
mod checkpoint;
mod compile;
mod error;
mod failure;
mod fiber;
mod graceful;
mod http;
mod import;
mod limits;
mod link;
mod log;
mod module;
mod overlay;
mod reach;
mod register;
mod registration;
mod reload;
mod run;
mod semver;
mod stage;
mod state;
mod table;
mod task;
mod unit;
mod value;
mod wait;
mod watch;

pub use backend::{RHAI, RhaiBackend, RhaiBuilder};
pub use limits::Limits;
pub use table::Table;
