//! The backends that the programs run on, as the testkit knows them: the ones of the adapters' own tests, on a
//! clock that stands still.

#[path = "../../graceful-lua/tests/subject/mod.rs"]
mod lua;
#[path = "../../graceful-rhai/tests/subject/mod.rs"]
mod rhai;

use std::sync::Arc;
use std::time::Duration;

use graceful_core::Backend;
use graceful_lua::LuaBackend;
use graceful_testkit::{Capabilities, Dialect, Subject};

pub use lua::Lua;
pub use rhai::RhaiSubject as Rhai;

/// Lua for simulated histories: nothing in it depends on how fast the machine is.
pub struct SteadyLua;

impl Subject for SteadyLua {
    fn backend() -> Arc<dyn Backend> {
        let backend = LuaBackend::builder().stage_slice(Duration::from_secs(600));
        Arc::new(backend.build().expect("a VM"))
    }

    fn dialect() -> &'static dyn Dialect {
        Lua::dialect()
    }

    fn capabilities() -> Capabilities {
        Lua::capabilities()
    }
}
