//! Lua's errors as `ScriptError`.
