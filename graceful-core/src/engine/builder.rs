//! Building an engine.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock, Weak};

use super::{Engine, Inner};
use crate::backend::{Backend, Control};
use crate::board::Board;
use crate::changes::Backends;
use crate::clock::Clock;
use crate::config::{Mismatch, Schemas};
use crate::crew::Crew;
use crate::error::ScriptError;
use crate::event::Observer;
use crate::generation::World;
use crate::limits::Limits;
use crate::native::{Native, NativeBackend, NativeCx};
use crate::scope::Identity;
use crate::source::{Found, Name, SourceError, Sources};
use crate::value::Value;

/// Builds an [`Engine`].
pub struct EngineBuilder {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) backends: Vec<Arc<dyn Backend>>,
    pub(super) natives: Arc<NativeBackend>,
    pub(super) sources: Option<Arc<dyn Sources>>,
    pub(super) observers: Vec<Arc<dyn Observer>>,
    pub(super) entries: Vec<Name>,
    pub(super) limits: Limits,
    pub(super) identities: BTreeMap<String, Identity>,
    pub(super) schemas: Option<Schemas>,
}

struct NoSources;

impl Sources for NoSources {
    fn find(&self, _: &Name) -> Result<Found, SourceError> {
        Ok(Found::Missing { searched: vec!["native modules".into()] })
    }
}

impl EngineBuilder {
    /// Adds a language.
    pub fn backend(mut self, backend: Arc<dyn Backend>) -> Self {
        self.backends.push(backend);
        self
    }

    /// Where the texts come from.
    pub fn sources(mut self, sources: Arc<dyn Sources>) -> Self {
        self.sources = Some(sources);
        self
    }

    /// Adds a reader of the events.
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observers.push(observer);
        self
    }

    /// Adds a module that is loaded for its own sake.
    pub fn entry(mut self, name: impl Into<Name>) -> Self {
        self.entries.push(name.into());
        self
    }

    /// How long things may take.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// What makes two keys of `kind` the same thing, for whatever modules [register](crate::Scope::register): keys for
    /// which `identity` says the same text are one key, which one module has. Its error says why there can be no such
    /// key, and what to write. Without it a key is what it is written as.
    pub fn identity(
        mut self,
        kind: &str,
        identity: impl Fn(&str) -> Result<String, String> + Send + Sync + 'static,
    ) -> Self {
        self.identities.insert(kind.to_owned(), Arc::new(identity));
        self
    }

    /// What compares a section of a configuration with the `config_schema` of its role, before the role's
    /// `validate_config`: the core knows no JSON Schema. Without it schemas are only shown.
    pub fn config_schema(
        mut self,
        fits: impl Fn(&Value, &Value) -> Result<(), Mismatch> + Send + Sync + 'static,
    ) -> Self {
        self.schemas = Some(Arc::new(fits));
        self
    }

    /// Adds a native module; see [`NativeBackend::set`].
    pub fn native(
        self,
        name: &str,
        requires: &[&str],
        top_level: impl Fn(&NativeCx) -> Result<Native, ScriptError> + Send + Sync + 'static,
    ) -> Self {
        self.natives.set(name, requires, top_level);
        self
    }

    /// The engine, with an empty world. [`Engine::reload`] starts it.
    pub fn build(mut self) -> Engine {
        let world = World::new(self.clock, self.identities, self.limits.call_wait, self.limits.grace);
        self.observers.into_iter().for_each(|observer| world.events.subscribe(observer));
        self.backends.push(self.natives.clone());
        let backends = self.backends.into_iter().map(|backend| (backend.name().to_owned(), backend));
        let backends: Arc<Backends> = Arc::new(backends.collect());
        let (limits, board, schemas) = (self.limits.clone(), Board::default(), self.schemas);
        let crew = Crew { world: world.clone(), board, backends: backends.clone(), limits, schemas };
        let inner = Arc::new(Inner {
            world: world.clone(),
            backends,
            crew: Arc::new(crew),
            natives: self.natives,
            limits: self.limits,
            sources: self.sources.unwrap_or_else(|| Arc::new(NoSources)),
            entries: Mutex::new(self.entries),
            dirty: Mutex::default(),
            served: Mutex::default(),
            running: Mutex::default(),
            last: Mutex::default(),
            stuck: AtomicBool::new(false),
            ending: Mutex::default(),
            weak: OnceLock::new(),
        });
        let _ = inner.weak.set(Arc::downgrade(&inner));
        let control: Weak<dyn Control> = Arc::downgrade(&inner) as Weak<dyn Control>;
        for backend in inner.backends.values() {
            backend.attach(&world, control.clone());
        }
        Engine(inner)
    }
}
