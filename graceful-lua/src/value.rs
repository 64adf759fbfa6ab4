//! Plain values in and out of Lua.
