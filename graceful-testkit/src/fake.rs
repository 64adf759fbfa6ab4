//! The reference backend: a small language of its own, interpreted, that keeps every promise a backend makes.

mod migration;
mod module;
mod object;
mod outside;
mod own;
mod register;
mod room;
mod store;
mod task;
mod text;
mod turn;
mod txn;
mod vm;

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use graceful_core::{Backend, Compiled, Control, ScriptError, Source, Txn, TxnCx, Value, World};

use crate::dialect::Dialect;
use crate::script::Script;
use crate::subject::{Capabilities, Subject};

pub(crate) use module::{FakeRoute, out as plain};
pub(crate) use room::{Room, failed};
pub(crate) use store::Store;
pub(crate) use text::{Body, Program, StepText, parse, render};
pub(crate) use vm::Vm;

/// The reference backend. What the conformance suite expects is what it does.
pub struct FakeBackend {
    vm: Arc<Vm>,
    extension: [&'static str; 1],
}

impl FakeBackend {
    /// The backend under its own name, `fake`.
    pub fn new() -> Arc<Self> {
        Self::named("fake")
    }

    /// The same under another name, so that two of them can stand in one engine.
    pub fn named(name: &str) -> Arc<Self> {
        Arc::new(Self { vm: Vm::named(name), extension: ["fake"] })
    }

    /// Its global variables, as live code sees them.
    pub fn globals(&self) -> BTreeMap<String, Value> {
        self.vm.globals()
    }
}

impl Backend for FakeBackend {
    fn name(&self) -> &str {
        &self.vm.name
    }

    fn extensions(&self) -> &[&str] {
        &self.extension
    }

    fn attach(&self, world: &Arc<World>, control: Weak<dyn Control>) {
        self.vm.attach(world, control);
    }

    fn compile(&self, source: &Source) -> Result<Compiled, ScriptError> {
        let program = text::parse(&String::from_utf8_lossy(&source.text), &source.origin)?;
        let (requires, declared) = (program.all_requires(&source.origin), program.declared(&source.name));
        Ok(Compiled { requires: requires.into(), artifact: Arc::new(program), declared })
    }

    fn begin(&self, cx: TxnCx) -> Box<dyn Txn> {
        Box::new(txn::FakeTxn::new(self.vm.clone(), cx))
    }
}

/// How a [`Script`] is written for the [`FakeBackend`].
pub struct Fake {
    backend: &'static str,
}

impl Fake {
    /// For the backend of this name.
    pub const fn named(backend: &'static str) -> Self {
        Self { backend }
    }
}

impl Dialect for Fake {
    fn backend(&self) -> &str {
        self.backend
    }

    fn extension(&self) -> &str {
        "fake"
    }

    fn render(&self, script: &Script) -> String {
        text::render(script)
    }
}

/// The reference backend as a [`Subject`].
pub struct FakeSubject;

impl Subject for FakeSubject {
    fn backend() -> Arc<dyn Backend> {
        FakeBackend::new()
    }

    fn dialect() -> &'static dyn Dialect {
        const { &Fake::named("fake") }
    }

    fn capabilities() -> Capabilities {
        Capabilities::ALL
    }
}
