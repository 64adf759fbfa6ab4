//! Lua modules for graceful, on mlua: one live VM that holds several generations of every module.

mod scan;
mod value;
mod error;
