//! The backends that the programs run on, as the testkit knows them: the ones of the adapters' own tests, on a
//! clock that stands still.

#[path = "../../graceful-lua/tests/subject/mod.rs"]
mod lua;
#[path = "../../graceful-rhai/tests/subject/mod.rs"]
mod rhai;

pub use lua::Lua;
pub use rhai::RhaiSubject as Rhai;
