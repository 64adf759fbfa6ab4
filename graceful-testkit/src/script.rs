//! A module's source as data: what a test says of it once, and every language renders.

mod requires;

use std::collections::BTreeMap;

use graceful_core::Value;
use serde::{Deserialize, Serialize};

pub use requires::requires_in;
pub(crate) use requires::takes;

use crate::op::Op;

/// A module's source, independent of any language.
///
/// ```
/// use graceful_testkit::{Script, op::*};
/// let hits = Script::new("hits")
///     .version("1.0.0")
///     .init([set("count", 0)])
///     .function("hit", [inc("count"), ret(state("count"))]);
/// assert!(hits.registered);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Script {
    /// The name it is required by.
    pub name: String,
    /// A comment at its head: an edit that changes nothing but the text.
    pub comment: Option<String>,
    /// Whether it registers itself.
    pub registered: bool,
    /// The name it registers, where that is not its own.
    pub registers_as: Option<String>,
    /// The options it registers with, `version` among them, hooks apart. Wrong ones too.
    pub options: BTreeMap<String, Value>,
    /// Its options are computed, so that nobody can find them by reading the source.
    pub computed: bool,
    /// Its hooks, by the name of the option.
    pub hooks: BTreeMap<String, Vec<Op>>,
    /// The modules it requires while it loads.
    pub requires: Vec<String>,
    /// Modules whose require stands inside a function that is never called.
    pub deferred: Vec<String>,
    /// What its top level does, once it is registered.
    pub top: Vec<Op>,
    /// Its exported functions.
    pub functions: BTreeMap<String, Vec<Op>>,
    /// Its classes, and the methods of each.
    pub classes: BTreeMap<String, BTreeMap<String, Vec<Op>>>,
    /// Its exported plain data.
    pub values: BTreeMap<String, Value>,
    /// Its routes, by `METHOD /path`.
    pub routes: BTreeMap<String, Vec<Op>>,
    /// The steps of its migrations.
    pub migrations: Vec<Step>,
    /// Its text does not parse.
    pub broken: bool,
}

/// One step of a module's migrations. In its operations the state is the copy that it works on; what they
/// return, if it is a map, is the new state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// The lower version, in any form that a version has.
    pub from: Value,
    /// The higher version.
    pub to: Value,
    /// The way up.
    pub up: Option<Vec<Op>>,
    /// The way back.
    pub down: Option<Vec<Op>>,
    /// It is declared to lose something.
    pub lossy: bool,
}

impl Script {
    /// A module that registers itself under its name, without version, hooks or exports.
    pub fn new(name: &str) -> Self {
        Self { name: name.into(), registered: true, ..Self::default() }
    }

    /// A module that does not register itself.
    pub fn plain(name: &str) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// The same module as a plain one: no registration, so neither options nor hooks.
    pub fn unregistered(mut self) -> Self {
        self.registered = false;
        self.options.clear();
        self.hooks.clear();
        self.migrations.clear();
        self
    }

    /// Puts a comment at its head.
    pub fn comment(mut self, text: &str) -> Self {
        self.comment = Some(text.into());
        self
    }

    /// Registers with this version.
    pub fn version(self, version: &str) -> Self {
        self.option("version", version)
    }

    /// Registers with this option, right or wrong.
    pub fn option(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.options.insert(name.into(), value.into());
        self
    }

    /// Computes its options, so that nobody can find them by reading the source.
    pub fn computed(mut self) -> Self {
        self.computed = true;
        self
    }

    /// Registers under another name than its own.
    pub fn registers_as(mut self, name: &str) -> Self {
        self.registers_as = Some(name.into());
        self
    }

    /// Says how its state is protected: `auto`, `own` or `none`.
    pub fn checkpoint(self, mode: &str) -> Self {
        self.option("checkpoint", mode)
    }

    /// Asks for its calls to be drained.
    pub fn drain(self) -> Self {
        self.option("drain", true)
    }

    /// Requires `module` while it loads.
    pub fn requires(mut self, module: &str) -> Self {
        self.requires.push(module.into());
        self
    }

    /// Has a require of `module` inside a function.
    pub fn deferred(mut self, module: &str) -> Self {
        self.deferred.push(module.into());
        self
    }

    /// Its top level, once it is registered.
    pub fn top(mut self, ops: impl IntoIterator<Item = Op>) -> Self {
        self.top.extend(ops);
        self
    }

    /// Registers with a hook of this name, right or wrong.
    pub fn hook(mut self, name: &str, ops: impl IntoIterator<Item = Op>) -> Self {
        self.hooks.insert(name.into(), ops.into_iter().collect());
        self
    }

    /// The hook `init`.
    pub fn init(self, ops: impl IntoIterator<Item = Op>) -> Self {
        self.hook("init", ops)
    }

    /// The hook `before_reload`.
    pub fn before_reload(self, ops: impl IntoIterator<Item = Op>) -> Self {
        self.hook("before_reload", ops)
    }

    /// The hook `after_reload`.
    pub fn after_reload(self, ops: impl IntoIterator<Item = Op>) -> Self {
        self.hook("after_reload", ops)
    }

    /// The hook `rollback`.
    pub fn rollback(self, ops: impl IntoIterator<Item = Op>) -> Self {
        self.hook("rollback", ops)
    }

    /// The hook `finalize`.
    pub fn finalize(self, ops: impl IntoIterator<Item = Op>) -> Self {
        self.hook("finalize", ops)
    }

    /// The way up of a migration's step.
    pub fn up(
        mut self,
        from: impl Into<Value>,
        to: impl Into<Value>,
        ops: impl IntoIterator<Item = Op>,
    ) -> Self {
        self.step(from, to).up = Some(ops.into_iter().collect());
        self
    }

    /// The way back of a migration's step.
    pub fn down(
        mut self,
        from: impl Into<Value>,
        to: impl Into<Value>,
        ops: impl IntoIterator<Item = Op>,
    ) -> Self {
        self.step(from, to).down = Some(ops.into_iter().collect());
        self
    }

    /// Declares that a migration's step loses something.
    pub fn lossy(mut self, from: impl Into<Value>, to: impl Into<Value>) -> Self {
        self.step(from, to).lossy = true;
        self
    }

    fn step(&mut self, from: impl Into<Value>, to: impl Into<Value>) -> &mut Step {
        let (from, to) = (from.into(), to.into());
        let known = self.migrations.iter().position(|step| step.from == from && step.to == to);
        let at = known.unwrap_or_else(|| {
            self.migrations.push(Step { from, to, ..Step::default() });
            self.migrations.len() - 1
        });
        &mut self.migrations[at]
    }

    /// Takes a hook away.
    pub fn without_hook(mut self, name: &str) -> Self {
        self.hooks.remove(name);
        self
    }

    /// Exports a function.
    pub fn function(mut self, name: &str, ops: impl IntoIterator<Item = Op>) -> Self {
        self.functions.insert(name.into(), ops.into_iter().collect());
        self
    }

    /// Has a class with this method.
    pub fn method(mut self, class: &str, name: &str, ops: impl IntoIterator<Item = Op>) -> Self {
        let methods = self.classes.entry(class.into()).or_default();
        methods.insert(name.into(), ops.into_iter().collect());
        self
    }

    /// Exports plain data.
    pub fn value(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.values.insert(name.into(), value.into());
        self
    }

    /// Answers a route, `METHOD /path`.
    pub fn route(mut self, route: &str, ops: impl IntoIterator<Item = Op>) -> Self {
        self.routes.insert(route.into(), ops.into_iter().collect());
        self
    }

    /// Makes its text one that does not parse.
    pub fn broken(mut self) -> Self {
        self.broken = true;
        self
    }

    /// Every body of operations in it, the top level first.
    pub fn bodies(&self) -> impl Iterator<Item = &[Op]> {
        let top = std::iter::once(&self.top);
        top.chain(self.hooks.values())
            .chain(self.functions.values())
            .chain(self.routes.values())
            .chain(self.classes.values().flat_map(BTreeMap::values))
            .chain(self.migrations.iter().flat_map(|step| step.up.iter().chain(&step.down)))
            .map(Vec::as_slice)
    }

    /// Whether any operation, however deep, is one that `wanted` picks.
    pub fn uses(&self, wanted: impl Fn(&Op) -> bool + Copy) -> bool {
        fn any(ops: &[Op], wanted: impl Fn(&Op) -> bool + Copy) -> bool {
            ops.iter().any(|op| wanted(op) || any(op.inner(), wanted))
        }
        self.bodies().any(|body| any(body, wanted))
    }

    /// Whether it speaks to the test's `probe`.
    pub fn uses_probe(&self) -> bool {
        self.uses(|op| matches!(op, Op::Note(_) | Op::Wait { .. } | Op::Reload | Op::Unregister { .. }))
    }
}
