//! How a [`Script`] is written in a language.

mod lua;
mod page;
mod rhai;

pub use lua::Lua;
pub use rhai::Rhai;

use crate::script::Script;

/// Writes a [`Script`] as source text of one language. What it writes must mean what [`Op`](crate::op::Op)
/// and [`Expr`](crate::op::Expr) say; the conformance suite rests on that.
pub trait Dialect: Send + Sync {
    /// The name of the backend that loads the text.
    fn backend(&self) -> &str;

    /// The extension of its files, without dot.
    fn extension(&self) -> &str;

    /// The source text.
    fn render(&self, script: &Script) -> String;
}
