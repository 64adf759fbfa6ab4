//! This backend, as the suite of the testkit knows it.

use std::sync::Arc;

use graceful_core::Backend;
use graceful_lua::LuaBackend;
use graceful_testkit::{Capabilities, ClockKind, Dialect, Subject, dialect};

/// The backend under test.
pub struct Lua;

impl Subject for Lua {
    fn backend() -> Arc<dyn Backend> {
        // Little, so that a top level that takes it all is stopped soon.
        Arc::new(LuaBackend::builder().stage_memory(16 << 20).build().expect("a VM"))
    }

    fn dialect() -> &'static dyn Dialect {
        &dialect::Lua
    }

    fn capabilities() -> Capabilities {
        Capabilities::ALL
    }

    fn clock() -> ClockKind {
        ClockKind::Tokio
    }
}
