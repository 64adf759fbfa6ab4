//! Lua modules for graceful, on mlua
