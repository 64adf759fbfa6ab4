//! Lua modules for graceful, on mlua: one live VM that holds several generations of every module.
//!
//! Give a [`LuaBackend`] to an engine of `graceful-core`. Scripts see `require('graceful')`, and a `require`
//! that always answers with the generation their call began with.
//!
//! `graceful.roles`, `fiber`, `http`, `log`, `strict`, `checks` and `clock` are there as well, each for as long as nobody else has that
//! name: a source, a native module, or what the embedder's VM has loaded goes before them.

// words
mod error;
mod scan;
mod semver;
mod value;
mod show;
// parts
mod turns;
mod interrupt;
mod grave;
mod collector;
mod pauses;
mod queue;
mod record;
mod same;
mod overlay;
mod waits;
mod run;
mod checkpoint;
mod state;
mod globals;
mod compile;
mod parser;
mod passage;
mod vm;
mod patience;
mod ground;
// what scripts see
mod foreign;
mod import;
mod callback;
mod caller;
mod frame;
mod fiber;
mod http;
mod log;
mod strict;
mod checks;
mod clock;
mod migration;
mod register;
mod own;
mod class;
mod control;
mod roles;
mod api;
mod builtin;
mod console;
// what the core sees
mod module;
mod stage;
mod handle;
mod backend;
#[cfg(test)]
mod testing;

pub use backend::{LuaBackend, LuaBackendBuilder};
pub use handle::LuaFunction;
pub use mlua;
pub use pauses::Pauses;
