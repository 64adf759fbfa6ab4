//! Lua keeps the contract, in every dialect it is built for.

mod subject;

use subject::Lua;

graceful_testkit::conformance!(Lua);
