//! What a test script can do: a small set of operations that every language can express.

mod short;

use graceful_core::Value;
use serde::{Deserialize, Serialize};

pub use short::*;

/// An expression.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expr {
    /// A literal. A map or list is made anew each time.
    Lit(Value),
    /// An entry of the module's state; `a.b` is the entry `b` of the map at `a`.
    State(String),
    /// What the exported function that is running was given: an argument, from 0, or an entry `a.b` of it.
    Arg {
        /// Which argument: 0 or 1.
        at: usize,
        /// The entry of it.
        key: String,
    },
    /// A global variable.
    Global(String),
    /// The name in the module object.
    Name,
    /// The version in the module object, as text.
    Version,
    /// Calls a function of a module and gives what it returns.
    Call {
        /// The module.
        module: String,
        /// The function.
        function: String,
        /// The name is computed, so that nobody can find the require by reading the source.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        dynamic: bool,
    },
    /// Calls a function that [`Op::Keep`] put into the state.
    Kept(String),
    /// Calls a method of the object in the state under this key.
    Method {
        /// The key.
        key: String,
        /// The method.
        method: String,
    },
    /// Plain data that a module exports.
    Export {
        /// The module.
        module: String,
        /// The export.
        name: String,
    },
    /// A list; an element that is nothing becomes the text `none`, because some languages have no holes.
    List(Vec<Expr>),
}

/// One operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// Sets an entry of the state; nothing (`Null`) removes it. A map or list that comes from the state stays the
    /// same object.
    Set {
        /// The entry; `a.b` is the entry `b` of the map at `a`.
        key: String,
        /// Its value.
        value: Expr,
    },
    /// Puts a new object of one of the module's classes into the state.
    Make {
        /// The entry.
        key: String,
        /// The class.
        class: String,
    },
    /// Adds one to an entry of the state, which counts as 0 if it is missing.
    Inc {
        /// The entry.
        key: String,
    },
    /// Adds to the end of a list in the state, which is made if it is missing.
    Push {
        /// The entry.
        key: String,
        /// What is added.
        value: Expr,
    },
    /// Sets a global variable.
    SetGlobal {
        /// Its name.
        name: String,
        /// Its value.
        value: Expr,
    },
    /// Evaluates for the effect.
    Do(Expr),
    /// Requires a module by a computed name.
    Require {
        /// The module.
        module: String,
    },
    /// Lets others run.
    Yield,
    /// Sleeps.
    Sleep {
        /// Milliseconds.
        ms: u64,
    },
    /// Waits, sleeping in small steps, until the test opens the latch.
    Wait {
        /// The latch.
        latch: String,
    },
    /// Throws.
    Throw {
        /// The message.
        message: String,
    },
    /// Loops for ever without yielding.
    Spin,
    /// Takes memory for ever.
    Hog,
    /// Adds a line to the trace the test reads.
    Note(Expr),
    /// Returns from the function.
    Return(Expr),
    /// Starts a task.
    Spawn {
        /// Keeps its handle in the state under this key.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        keep: Option<String>,
        /// Runs the body again and again.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        forever: bool,
        /// What it does.
        body: Vec<Op>,
    },
    /// Cancels the task whose handle is in the state under this key.
    Cancel {
        /// The key.
        key: String,
    },
    /// Puts a function into the state.
    Keep {
        /// The key.
        key: String,
        /// What it does.
        body: Vec<Op>,
    },
    /// Puts something under the module's care.
    Own {
        /// Its name.
        key: String,
        /// How it is let go of.
        release: Vec<Op>,
    },
    /// Runs the body and swallows what it throws; a return in it ends the body only.
    Try(Vec<Op>),
    /// Asks for a reload, waits for it, and notes `reload <outcome>` or `reload <code of the error>`.
    Reload,
    /// Unregisters a module, and notes `unregister <code of the error>` if that fails.
    Unregister {
        /// The module.
        module: String,
    },
}

impl<T: Into<Value>> From<T> for Expr {
    fn from(value: T) -> Self {
        Expr::Lit(value.into())
    }
}

impl Op {
    /// The operations inside this one.
    pub fn inner(&self) -> &[Op] {
        match self {
            Op::Spawn { body, .. } | Op::Keep { body, .. } | Op::Try(body) => body,
            Op::Own { release, .. } => release,
            _ => &[],
        }
    }

    /// The expressions it evaluates itself.
    pub fn exprs(&self) -> Option<&Expr> {
        match self {
            Op::Set { value, .. } | Op::Push { value, .. } | Op::SetGlobal { value, .. } => Some(value),
            Op::Do(expr) | Op::Note(expr) | Op::Return(expr) => Some(expr),
            _ => None,
        }
    }
}
