//! todo
/// a
pub struct Engine;
/// b
pub struct EngineBuilder;
