//! Runs a folder of Lua and Rhai sources as a reloadable service
