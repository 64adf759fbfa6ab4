//! The suite finds every bug that is planted, on this backend.

mod subject;

use subject::Lua;

graceful_testkit::planted!(Lua);
