//! todo
/// a
pub struct Handle;
