//! An app to be: its modules and settings.

use std::collections::BTreeSet;
use std::sync::Arc;

use graceful_core::{Backend, Engine, EngineBuilder, Limits, Native, NativeCx, ScriptError};

use super::{App, Change, End, OTHER, Write};
use crate::clock::Time;
use crate::dialect::Dialect;
use crate::fake::FakeBackend;
use crate::faults::{Faults, Faulty};
use crate::script::Script;
use crate::sources::MemorySources;
use crate::subject::{Shelf, Subject};
use crate::trace::{PROBE, Trace};

/// An app to be: modules and settings.
pub struct AppBuilder {
    engine: EngineBuilder,
    time: Time,
    write: Write,
    dialect: &'static dyn Dialect,
    faults: Option<Arc<Faults>>,
    change: Option<Change>,
    sources: Arc<MemorySources>,
    trace: Arc<Trace>,
    scripts: Vec<(Script, bool)>,
    entries: Vec<String>,
}

impl AppBuilder {
    pub(crate) fn new<S: Subject>(time: Time, faults: Option<Arc<Faults>>) -> Self {
        let (sources, trace) = (MemorySources::new(), Trace::new());
        let around = |backend: Arc<dyn Backend>| -> Arc<dyn Backend> {
            match &faults {
                Some(faults) => Faulty::new(backend, faults.clone()),
                None => backend,
            }
        };
        let engine = Engine::builder(time.clock())
            .backend(around(S::backend()))
            .backend(around(FakeBackend::named(OTHER)))
            .sources(sources.clone())
            .observer(trace.clone())
            .native(PROBE, &[], trace.probe());
        let (write, dialect, scripts, entries) = (S::write, S::dialect(), Vec::new(), Vec::new());
        Self { engine, time, write, dialect, faults, change: None, sources, trace, scripts, entries }
    }

    /// Where its faults come from, if it has any: for the hooks of native modules
    /// ([`Faults::around`]), which no backend stands around.
    pub fn faults(&self) -> Option<&Arc<Faults>> {
        self.faults.as_ref()
    }

    /// Adds a module.
    pub fn module(mut self, script: Script) -> Self {
        self.scripts.push((script, false));
        self
    }

    /// Adds a module in the second language.
    pub fn other(mut self, script: Script) -> Self {
        self.scripts.push((script, true));
        self
    }

    /// Adds a native module.
    pub fn native(
        mut self,
        name: &str,
        requires: &[&str],
        top_level: impl Fn(&NativeCx) -> Result<Native, ScriptError> + Send + Sync + 'static,
    ) -> Self {
        self.engine = self.engine.native(name, requires, top_level);
        self
    }

    /// Every script of the app is written as `change` makes it, now and at each edit.
    pub fn each(mut self, change: impl Fn(Script) -> Script + Send + Sync + 'static) -> Self {
        self.change = Some(Arc::new(change));
        self
    }

    /// Adds an entry. Without any, the entries are the modules that no other one requires.
    pub fn entry(mut self, name: &str) -> Self {
        self.entries.push(name.into());
        self
    }

    /// What makes two keys of `kind` the same thing; see [`EngineBuilder::identity`].
    pub fn identity(
        mut self,
        kind: &str,
        identity: impl Fn(&str) -> Result<String, String> + Send + Sync + 'static,
    ) -> Self {
        self.engine = self.engine.identity(kind, identity);
        self
    }

    /// How long things may take.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.engine = self.engine.limits(limits);
        self
    }

    /// The app, not started: the first reload is its start.
    pub fn build(self) -> App {
        let required: BTreeSet<&String> = self.scripts.iter().flat_map(|(s, _)| s.requires.iter()).collect();
        let roots =
            self.scripts.iter().map(|(script, _)| &script.name).filter(|name| !required.contains(name));
        let entries = if self.entries.is_empty() { roots.cloned().collect() } else { self.entries.clone() };
        let engine = self.engine.build();
        engine.set_entries(entries);
        let shelf = Shelf { sources: self.sources, natives: engine.natives().clone() };
        let Self { time, write, dialect, faults, change, trace, .. } = self;
        let _end = End(time.clone());
        let app = App { engine, time, write, dialect, faults, change, shelf, trace, _end };
        for (script, other) in self.scripts {
            if other { app.edit_other(script) } else { app.edit(script) }
        }
        app
    }

    /// The app, started.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start(self) -> App {
        let app = self.build();
        app.must_reload();
        app
    }
}
