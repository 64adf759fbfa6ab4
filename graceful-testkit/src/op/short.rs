//! Operations and expressions in few letters.

use super::{Expr, Op};

/// An entry of the state.
pub fn state(key: &str) -> Expr {
    Expr::State(key.into())
}

/// An entry of what the running function was given: of argument `at`, from 0.
pub fn arg(at: usize, key: &str) -> Expr {
    Expr::Arg { at, key: key.into() }
}

/// A global variable.
pub fn global(name: &str) -> Expr {
    Expr::Global(name.into())
}

/// What a function of another module returns.
pub fn call(module: &str, function: &str) -> Expr {
    Expr::Call { module: module.into(), function: function.into(), dynamic: false }
}

/// The same, with a name that cannot be found by reading the source.
pub fn call_dynamic(module: &str, function: &str) -> Expr {
    Expr::Call { module: module.into(), function: function.into(), dynamic: true }
}

/// What a function kept in the state returns.
pub fn kept(key: &str) -> Expr {
    Expr::Kept(key.into())
}

/// What a method of the object in the state returns.
pub fn method(key: &str, method: &str) -> Expr {
    Expr::Method { key: key.into(), method: method.into() }
}

/// Plain data that a module exports.
pub fn export(module: &str, name: &str) -> Expr {
    Expr::Export { module: module.into(), name: name.into() }
}

/// A list of several values.
pub fn list(parts: impl IntoIterator<Item = Expr>) -> Expr {
    Expr::List(parts.into_iter().collect())
}

/// Sets an entry of the state.
pub fn set(key: &str, value: impl Into<Expr>) -> Op {
    Op::Set { key: key.into(), value: value.into() }
}

/// Puts a new object of a class into the state.
pub fn make(key: &str, class: &str) -> Op {
    Op::Make { key: key.into(), class: class.into() }
}

/// Adds one to an entry of the state.
pub fn inc(key: &str) -> Op {
    Op::Inc { key: key.into() }
}

/// Adds to a list in the state.
pub fn push(key: &str, value: impl Into<Expr>) -> Op {
    Op::Push { key: key.into(), value: value.into() }
}

/// Sets a global variable.
pub fn set_global(name: &str, value: impl Into<Expr>) -> Op {
    Op::SetGlobal { name: name.into(), value: value.into() }
}

/// Evaluates for the effect.
pub fn eval(expr: impl Into<Expr>) -> Op {
    Op::Do(expr.into())
}

/// Requires a module by a computed name.
pub fn require(module: &str) -> Op {
    Op::Require { module: module.into() }
}

/// Lets others run.
pub fn yield_now() -> Op {
    Op::Yield
}

/// Sleeps.
pub fn sleep(ms: u64) -> Op {
    Op::Sleep { ms }
}

/// Waits until the test opens the latch.
pub fn wait(latch: &str) -> Op {
    Op::Wait { latch: latch.into() }
}

/// Throws.
pub fn throw(message: &str) -> Op {
    Op::Throw { message: message.into() }
}

/// Adds a line to the trace.
pub fn note(text: impl Into<Expr>) -> Op {
    Op::Note(text.into())
}

/// Returns from the function.
pub fn ret(value: impl Into<Expr>) -> Op {
    Op::Return(value.into())
}

/// Starts a task that does `body` once.
pub fn spawn(body: impl IntoIterator<Item = Op>) -> Op {
    Op::Spawn { keep: None, forever: false, body: body.into_iter().collect() }
}

/// Starts a task that does `body` for ever.
pub fn spawn_loop(body: impl IntoIterator<Item = Op>) -> Op {
    Op::Spawn { keep: None, forever: true, body: body.into_iter().collect() }
}

/// Starts a task that does `body` for ever, and keeps its handle in the state under `key`.
pub fn keep_task(key: &str, body: impl IntoIterator<Item = Op>) -> Op {
    Op::Spawn { keep: Some(key.into()), forever: true, body: body.into_iter().collect() }
}

/// Cancels the task whose handle is in the state under `key`.
pub fn cancel(key: &str) -> Op {
    Op::Cancel { key: key.into() }
}

/// Puts a function into the state.
pub fn keep(key: &str, body: impl IntoIterator<Item = Op>) -> Op {
    Op::Keep { key: key.into(), body: body.into_iter().collect() }
}

/// Puts something under the module's care, which is let go of by `release`.
pub fn own(key: &str, release: impl IntoIterator<Item = Op>) -> Op {
    Op::Own { key: key.into(), release: release.into_iter().collect() }
}

/// Runs `body` and swallows what it throws.
pub fn attempt(body: impl IntoIterator<Item = Op>) -> Op {
    Op::Try(body.into_iter().collect())
}

/// Unregisters a module.
pub fn unregister(module: &str) -> Op {
    Op::Unregister { module: module.into() }
}
