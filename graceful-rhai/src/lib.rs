//! Rhai modules for graceful.

mod cell;
mod compile;
mod error;
mod failure;
mod limits;
mod overlay;
mod semver;
mod table;
mod value;
mod wait;
mod watch;

pub use limits::Limits;
