//! An app of Rhai modules in memory, on a real clock, with what the modules tell.

#![allow(dead_code)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use graceful_core::{
    CallError, Engine, Limits, Native, Outcome, ReloadError, ReloadErrorKind, ReloadOptions, Report,
    ScriptError, Value,
};
use graceful_rhai::RhaiBackend;
use graceful_testkit::{MemorySources, TokioClock};

/// One app and what its modules told.
pub struct App {
    pub clock: Arc<TokioClock>,
    pub sources: Arc<MemorySources>,
    pub engine: Engine,
    pub told: Arc<Mutex<Vec<String>>>,
}

impl App {
    /// An app with these sources, the first of them its entry, not started.
    pub fn new(sources: &[(&str, &str)]) -> Self {
        Self::with(sources, RhaiBackend::builder().build())
    }

    /// The same on a backend of the test's own.
    pub fn with(texts: &[(&str, &str)], backend: Arc<RhaiBackend>) -> Self {
        let clock = TokioClock::new();
        let sources = MemorySources::new();
        texts.iter().for_each(|(name, text)| sources.put(name, "rhai", "rhai", *text));
        let told = Arc::<Mutex<Vec<String>>>::default();
        let note = told.clone();
        let limits =
            Limits { stage: Duration::from_secs(2), hook: Duration::from_millis(500), ..Limits::default() };
        let mut builder =
            Engine::builder(clock.clone()).backend(backend).sources(sources.clone()).limits(limits);
        if let Some((entry, _)) = texts.first() {
            builder = builder.entry(*entry);
        }
        let engine = builder.native("probe", &[], move |_| {
            let note = note.clone();
            let tell = move |args: Vec<Value>| {
                note.lock().unwrap().push(args[0].as_str().unwrap_or("?").to_owned());
                Ok(Value::Null)
            };
            Ok(Native::plain().function("tell", tell).value("answer", 42))
        });
        Self { clock, sources, engine: engine.build(), told }
    }

    /// The same, started.
    pub fn start(sources: &[(&str, &str)]) -> Self {
        let app = Self::new(sources);
        app.reload().expect("it starts");
        app
    }

    pub fn edit(&self, name: &str, text: &str) {
        self.sources.put(name, "rhai", "rhai", text);
    }

    pub fn reload(&self) -> Result<Report, ReloadError> {
        self.clock.block_on(self.engine.reload(ReloadOptions::default()))
    }

    /// Reloads, and says why it failed.
    pub fn refused(&self) -> ReloadError {
        self.reload().expect_err("it must not go through")
    }

    /// The script error that a reload failed with.
    pub fn broken(&self) -> ScriptError {
        match *self.refused().kind {
            ReloadErrorKind::Load { error, .. } => error,
            other => panic!("{other}"),
        }
    }

    pub fn call(&self, module: &str, function: &str) -> Result<Value, CallError> {
        self.call_with(module, function, Vec::new())
    }

    pub fn call_with(&self, module: &str, function: &str, args: Vec<Value>) -> Result<Value, CallError> {
        self.clock.block_on(self.engine.call(module, function, args))
    }

    /// What a function that cannot fail returns.
    pub fn get(&self, module: &str, function: &str) -> Value {
        self.call(module, function).unwrap()
    }

    /// The number that it returns.
    pub fn count(&self, module: &str, function: &str) -> i64 {
        self.get(module, function).as_int().unwrap()
    }

    pub fn told(&self) -> Vec<String> {
        std::mem::take(&mut *self.told.lock().unwrap())
    }

    /// Waits until `reached`, at most some seconds.
    pub fn until(&self, what: &str, mut reached: impl FnMut() -> bool) {
        for _ in 0..1_000 {
            if reached() {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("never: {what}");
    }
}

/// Asserts that a reload was committed.
pub fn committed(report: Result<Report, ReloadError>) -> Report {
    let report = report.unwrap_or_else(|error| panic!("{}", words(&error)));
    assert_eq!(report.outcome, Outcome::Committed);
    report
}

/// The error in words, with what caused it.
pub fn words(error: &ReloadError) -> String {
    let mut text = error.to_string();
    if let ReloadErrorKind::Load { error, .. } = &*error.kind {
        text = format!("{text}: {error}");
    }
    text
}
