//! Rhai modules for graceful: hot reload as a transaction for programs that embed Rhai.
//!
//! A [`RhaiBackend`] is put into a `graceful_core::Engine`; a module is a Rhai file. `graceful`, `fiber`,
//! `http`, `log`, `clock`, `checks` and `strict` are always there:
//!
//! ```text
//! import "catalog" as catalog;              // run once, whoever imports it, in whatever language it is
//!
//! let me = graceful::register_module("web", #{
//!     version: graceful::semver(1, 0, 0),
//!     init: |m| { m.state.hits = 0; },
//!     after_reload: |m| log::info(`now ${m.version}`),
//! });
//!
//! http::route("GET", "/price/:item", |request| {
//!     me.state.hits += 1;
//!     #{ price: catalog::price(request.params.item), hits: me.state.hits }
//! });
//! ```
//!
//! # What differs from plain Rhai
//!
//! - A module runs in frames of its own: functions of the same name in two modules are never mixed up, a
//!   closure runs in the module it was written in wherever it is called, and functions may read the variables
//!   and constants of their file's top level. They cannot assign to them: what changes is kept in the state
//!   (`me.state`, `graceful::state()`).
//! - The state and what `graceful::table()` makes are shared by whoever holds them. Maps and arrays are
//!   values, as always in Rhai: reading one gives a copy, and a statement that changes it in place
//!   (`me.state.list.push(1)`, `me.state.user.age += 1`) writes it back in one step.
//! - One call at a time runs in a module, until it waits (sleeps, joins a fiber, asks for a reload, calls a
//!   module of another language or a busy one) or has kept others waiting for 10 ms.
//! - A closure in a state stays the code it was, with what it imports; `Fn("name")` in a state is the
//!   function of that name in whoever calls it, and so follows the live code.
//! - A step of a migration (`migrations: #{ "1.0.0": #{ to: "2.0.0", up: |state| ... } }`) changes the table it is
//!   given, or has a map or table that it made as its last value. A last value that was a part of the old state
//!   is an error.
//! - Setting an entry of a table to `()` removes it.
//! - In the name of an import `/` is the same as `.`: `import "lib/text"` is the module `lib.text`.
//!
//! # Limits
//!
//! - Rhai counts no bytes. What the variables of a function hold is looked at now and then, and bounded by
//!   [`Limits::memory`]; exact bounds cost more time and are off by default, see [`Limits`].
//! - A value may be nested 128 deep, closures in closures counted as well.
//! - A native function, the embedder's or Rhai's own, cannot be interrupted; loops of a script can, anywhere, and
//!   so can `sleep`. A call may run for as long as [`RhaiBuilder::turn_limit`] says.
//! - A task is a thread. `new`, `spawn`, `yield`, `call`, `go` and some more are words that Rhai keeps to
//!   itself: a fiber is made by `fiber::create`, an export of another language with such a name is called by
//!   `graceful::invoke(module, function, [arguments])`.
//! - What a module imports is not exported by it again, and typed methods (`fn int.double()`) stay in their
//!   file.
//! - Rhai locks a variable that a closure captured while it sets one of its properties, so that
//!   `me.state.f = || me.state.n` is refused as a data race: write `graceful::state().n` inside.
//! - A script's function hides methods of the same name that the host or Rhai itself has: with a `fn status()` in the
//!   file, `thing.status()` calls that one. Those of fibers, tables, channels, conditions and classes are not hidden.
//! - There are no globals. What a top level writes to the first level of a state is held back until the
//!   commit; what it writes into nested tables is not.
//! - Values of the host's own types in a state cannot be copied: a rollback leaves them as they are, with a
//!   warning.

// words
mod limits;
mod failure;
mod semver;
// one access at a time
mod chain;
mod cell;
mod overlay;
mod watch;
mod bulk;
mod monitor;
mod progress;
mod wait;
mod run;
// values
mod table;
mod value;
mod error;
mod steps;
mod registration;
// one module
mod declared;
mod plain;
mod compile;
mod session;
mod linked;
mod unit;
mod task;
mod bind;
mod cond;
mod queue;
mod channel;
mod state;
mod reach;
mod checkpoint;
mod migration;
mod link;
mod module;
mod reload;
mod import;
mod service;
mod class;
// what scripts call
mod huge;
mod register;
mod fiber;
mod http;
mod log;
mod clock;
mod own;
mod options;
mod shape;
mod roles;
mod checks;
mod strict;
mod graceful;
mod show;
mod console;
// what the engine calls
mod stage;
mod backend;

pub use backend::{RHAI, RhaiBackend, RhaiBuilder};
pub use limits::Limits;
pub use rhai;
pub use table::Table;

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn files_import_only_from_files_above_them() {
        let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let lib = std::fs::read_to_string(src.join("lib.rs")).unwrap();
        let named = |line: &str| Some(line.strip_prefix("mod ")?.strip_suffix(';')?.to_owned());
        let order: Vec<String> = lib.lines().filter_map(named).collect();
        for (at, name) in order.iter().enumerate() {
            let text = std::fs::read_to_string(src.join(format!("{name}.rs"))).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap();
            for below in &order[at..] {
                let used = [
                    format!("crate::{below}::"),
                    format!("crate::{below};"),
                    format!("{{{below}, "),
                    format!(" {below}::"),
                ];
                let line =
                    code.lines().filter(|line| line.starts_with("use crate") || line.contains("crate::"));
                let mut found =
                    line.filter(|line| below != name && used.iter().any(|used| line.contains(used.as_str())));
                assert_eq!(found.next(), None, "{name}.rs imports from {below}.rs");
            }
        }
    }
}
