//! Rhai modules for graceful
