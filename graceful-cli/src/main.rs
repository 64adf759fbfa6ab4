//! The graceful command.
fn main() {}
