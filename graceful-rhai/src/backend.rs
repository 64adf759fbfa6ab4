//! The Rhai backend: a configured interpreter, and how it is put into an engine.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use async_trait::async_trait;
use graceful_core::backend::parse_on_threads;
use graceful_core::{Backend, CallError, Compiled, Control, ScriptError, Source, Txn, TxnCx, World};
use rhai::{Dynamic, Engine, EvalContext, Module, OptimizationLevel, Shared};

use crate::failure::Thrown;
use crate::import::Resolver;
use crate::stage::RhaiTxn;
use crate::unit::{Runtime, tagged};
use crate::{
    bulk, channel, checks, class, clock, compile, cond, console, failure, fiber, graceful, http, huge,
    limits::Limits, log, progress, registration, roles, semver, service, state, strict,
};

/// The name of the backend, and the extension of its files.
pub const RHAI: &str = "rhai";

/// Rhai, as a backend of the engine.
///
/// ```
/// use graceful_rhai::{Limits, RhaiBackend};
/// let backend = RhaiBackend::builder()
///     .limits(Limits { string_size: Some(1 << 20), ..Limits::default() })
///     .configure(|engine| { engine.register_fn("double", |n: i64| n * 2); })
///     .build();
/// # let _ = backend;
/// ```
pub struct RhaiBackend {
    runtime: Arc<Runtime>,
}

impl RhaiBackend {
    /// A backend with an interpreter of its own, to be configured.
    pub fn builder() -> RhaiBuilder {
        RhaiBuilder { engine: None, limits: None, turn: None }
    }

    /// The interpreter, as it was configured.
    pub fn engine(&self) -> &Engine {
        &self.runtime.engine
    }
}

/// Builds a [`RhaiBackend`].
#[must_use]
pub struct RhaiBuilder {
    engine: Option<Engine>,
    limits: Option<Limits>,
    turn: Option<Duration>,
}

impl RhaiBuilder {
    /// Uses `engine`, with whatever types, functions, syntax and limits it has. Its module resolver, its
    /// `on_progress`, `on_var` and `on_missing_function` callbacks and its default tag are replaced; seven modules are added to
    /// it: `graceful`, `fiber`, `http`, `log`, `clock`, `checks`, `strict`.
    pub fn engine(mut self, engine: Engine) -> Self {
        self.engine = Some(engine);
        self
    }

    /// Changes the interpreter before it is used.
    pub fn configure(mut self, configure: impl FnOnce(&mut Engine)) -> Self {
        configure(self.engine.get_or_insert_with(own_engine));
        self
    }

    /// The bounds of the interpreter. Without this call an engine that was handed over keeps its own.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = Some(limits);
        self
    }

    /// Stops every call that runs for longer than `most` without waiting. Without it a call takes as long as it
    /// likes: it keeps nobody else out for more than 10 ms. Tasks have no limit; hooks and top levels have the
    /// engine's.
    pub fn turn_limit(mut self, most: Duration) -> Self {
        self.turn = Some(most);
        self
    }

    /// The backend.
    pub fn build(self) -> Arc<RhaiBackend> {
        let given = self.engine.is_some();
        let memory = self.limits.clone().unwrap_or_default().memory.unwrap_or(usize::MAX);
        let mut engine = self.engine.unwrap_or_else(own_engine);
        match self.limits {
            Some(limits) => limits.apply(&mut engine),
            None if !given => Limits::default().apply(&mut engine),
            None => {}
        }
        // The interner is one lock for all threads, and Rhai sleeps where it finds it taken.
        engine.set_max_strings_interned(0);
        engine.set_module_resolver(Resolver);
        engine.on_progress(progress::progress);
        #[allow(deprecated)]
        engine.on_var(move |name, place, cx| {
            bulk::look(name, place, &cx, memory)?;
            variable(name, place, cx)
        });
        huge::register(&mut engine, memory);
        failure::register(&mut engine);
        semver::register(&mut engine);
        registration::register(&mut engine);
        state::register(&mut engine);
        class::register(&mut engine);
        service::register(&mut engine);
        roles::register(&mut engine);
        cond::register(&mut engine);
        channel::register(&mut engine);
        fiber::register(&mut engine);
        let named: [Module; 3] = [graceful::module(), fiber::module(), http::module()];
        let builtin: BTreeMap<&'static str, Shared<Module>> =
            compile::BUILTIN.into_iter().zip(named.map(Shared::new)).collect();
        engine.register_static_module("log", log::module().into());
        engine.register_static_module("clock", clock::module().into());
        engine.register_static_module("checks", checks::module().into());
        engine.register_static_module("strict", strict::module().into());
        for (name, module) in &builtin {
            engine.register_static_module(*name, module.clone());
        }
        let reading =
            compile::Reading { level: engine.optimization_level(), strict: engine.strict_variables() };
        // Functions read the variables of their file's top level, which Rhai's own check knows nothing of.
        engine.set_strict_variables(false);
        engine.set_optimization_level(OptimizationLevel::None);
        let console = console::module().into();
        let runtime = Runtime { engine, reading, builtin, console, link: OnceLock::new(), turn: self.turn };
        Arc::new(RhaiBackend { runtime: Arc::new(runtime) })
    }
}

fn own_engine() -> Engine {
    let mut engine = Engine::new();
    engine.on_print(|text| {
        if let Some(text) = console::print(text) {
            tracing::info!(target: "graceful::script", "{text}");
        }
    });
    engine.on_debug(|text, source, at| {
        tracing::debug!(target: "graceful::script", source, at = %at, "{text}");
    });
    engine
}

/// Gives a function the variables and constants of its file's top level, read only; Rhai by itself shows it
/// none.
fn variable(name: &str, index: usize, cx: EvalContext) -> Thrown<Option<Dynamic>> {
    if index != 0 || cx.scope().contains(name) {
        return Ok(None);
    }
    let Some(unit) = tagged(cx.tag()) else { return Ok(None) };
    if let Some(linked) = unit.linked.get() {
        // Not the variable itself, which closures of the top level may share and lock.
        return Ok(linked.variables.get(name).map(Dynamic::flatten_clone));
    }
    // The top level still runs: its constants are known so far.
    let constants =
        cx.global_runtime_state().constants.as_ref().and_then(|constants| rhai::locked_read(constants));
    Ok(constants.and_then(|constants| constants.get(name).cloned()))
}

#[async_trait]
impl Backend for RhaiBackend {
    fn name(&self) -> &str {
        RHAI
    }

    fn extensions(&self) -> &[&str] {
        &[RHAI]
    }

    fn attach(&self, world: &Arc<World>, control: Weak<dyn Control>) {
        let _ = self.runtime.link.set((Arc::downgrade(world), control));
    }

    fn compile(&self, source: &Source) -> Result<Compiled, ScriptError> {
        compile::compile(&self.runtime.engine, self.runtime.reading, source)
    }

    fn compile_all(&self, sources: &[Source]) -> Vec<Result<Compiled, ScriptError>> {
        parse_on_threads(sources, |source| self.compile(source))
    }

    async fn evaluate(&self, line: &str, limit: Duration) -> Result<Vec<String>, CallError> {
        console::evaluate(&self.runtime, line, limit).await
    }

    fn begin(&self, cx: TxnCx) -> Box<dyn Txn> {
        Box::new(RhaiTxn::new(self.runtime.clone(), cx))
    }
}
