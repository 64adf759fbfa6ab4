//! An app under test: its modules, its engine, its time, and what a test asks of it.

mod builder;

use std::sync::Arc;
use std::time::Duration;

use graceful_core::{
    CallError, Engine, Plan, ReloadError, ReloadOptions, Report, RoundTrip, RoundTripError, Status, Value,
    Version,
};

use crate::clock::{Pending, Time};
use crate::dialect::Dialect;
use crate::digest::digest;
use crate::fake::Fake;
use crate::faults::Faults;
use crate::script::Script;
use crate::sources::MemorySources;
use crate::subject::{Shelf, Subject};
use crate::trace::Trace;

pub use builder::AppBuilder;

/// The name of the second language that every app has: the reference backend once more.
pub const OTHER: &str = "other";
static OTHER_DIALECT: Fake = Fake::named(OTHER);
/// How long a test waits for something it expects, by the app's clock.
const PATIENCE: Duration = Duration::from_secs(10);

type Write = fn(&Script, &Shelf);
type Change = Arc<dyn Fn(Script) -> Script + Send + Sync>;

/// An app under test. Everything on it waits for what it asks, on the app's own clock.
pub struct App {
    engine: Engine,
    time: Time,
    write: Write,
    dialect: &'static dyn Dialect,
    faults: Option<Arc<Faults>>,
    change: Option<Change>,
    shelf: Shelf,
    trace: Arc<Trace>,
    _end: End,
}

/// Lets what the engine leaves behind find out that it is gone: dropped after it.
struct End(Time);

impl Drop for End {
    fn drop(&mut self) {
        self.0.clear();
    }
}

impl App {
    /// An app whose modules are in the language of `S`.
    ///
    /// ```
    /// # use graceful_testkit::{App, FakeSubject, Script, op::*};
    /// let app = App::of::<FakeSubject>()
    ///     .module(Script::new("hits").function("hit", [inc("n"), ret(state("n"))]))
    ///     .start();
    /// assert_eq!(app.ask("hits", "hit"), 1.into());
    /// app.edit(Script::new("hits").function("hit", [ret(state("n"))]));
    /// app.must_reload();
    /// assert_eq!(app.ask("hits", "hit"), 1.into());
    /// ```
    pub fn of<S: Subject>() -> AppBuilder {
        Self::on::<S>(Time::new(S::clock()))
    }

    /// The same on a given clock.
    pub fn on<S: Subject>(time: Time) -> AppBuilder {
        AppBuilder::new::<S>(time, None)
    }

    /// Writes the source of a module, new or changed.
    pub fn edit(&self, script: Script) {
        let script = self.prepared(script, self.dialect);
        (self.write)(&script, &self.shelf);
    }

    /// Writes the source of a module in the second language.
    pub fn edit_other(&self, script: Script) {
        let script = self.prepared(script, &OTHER_DIALECT);
        let text = OTHER_DIALECT.render(&script);
        self.shelf.sources.put(&script.name, OTHER, OTHER_DIALECT.extension(), text);
    }

    fn prepared(&self, script: Script, dialect: &'static dyn Dialect) -> Script {
        let script = match &self.change {
            Some(change) => change(script),
            None => script,
        };
        match &self.faults {
            Some(faults) => faults.prepared(script, dialect),
            None => script,
        }
    }

    /// Takes the source of a module away.
    pub fn remove(&self, module: &str) {
        self.shelf.remove(module);
    }

    /// Reloads what changed.
    pub fn reload(&self) -> Result<Report, ReloadError> {
        self.reload_with(ReloadOptions::default())
    }

    /// Reloads as asked.
    pub fn reload_with(&self, options: ReloadOptions) -> Result<Report, ReloadError> {
        self.time.block_on(self.engine.reload(options))
    }

    /// Reloads what changed, which must succeed.
    ///
    /// # Panics
    /// If it fails, with all its causes.
    pub fn must_reload(&self) -> Report {
        self.reload().unwrap_or_else(|error| panic!("{}\n{}", because(&error), self.trace.text()))
    }

    /// Reloads what changed, which must fail.
    ///
    /// # Panics
    /// If it succeeds.
    pub fn must_fail(&self) -> ReloadError {
        self.reload().expect_err("the reload fails")
    }

    /// Starts a reload and returns.
    pub fn begin_reload(&self) -> Pending<Result<Report, ReloadError>> {
        self.begin_reload_with(ReloadOptions::default())
    }

    /// Starts a reload as asked and returns.
    pub fn begin_reload_with(&self, options: ReloadOptions) -> Pending<Result<Report, ReloadError>> {
        self.time.spawn(self.engine.reload(options))
    }

    /// What a reload would do.
    pub fn plan(&self) -> Result<Plan, ReloadError> {
        self.time.block_on(self.engine.plan(ReloadOptions::default()))
    }

    /// Calls a function.
    pub fn call(&self, module: &str, function: &str) -> Result<Value, CallError> {
        self.time.block_on(self.engine.call(module, function, Vec::new()))
    }

    /// Calls a function, which must return.
    ///
    /// # Panics
    /// If it fails.
    pub fn ask(&self, module: &str, function: &str) -> Value {
        self.call(module, function).unwrap_or_else(|error| panic!("{module}.{function}: {error}"))
    }

    /// Starts a call and returns.
    pub fn begin_call(&self, module: &str, function: &str) -> Pending<Result<Value, CallError>> {
        let handle = self.engine.handle(module, function);
        self.time.spawn(async move { handle.call(Vec::new()).await })
    }

    /// Calls a route, `METHOD /path`.
    pub fn call_route(&self, route: &str) -> Result<Value, CallError> {
        self.time.block_on(self.engine.call_registered("route", route, vec![Value::map()]))
    }

    /// Unregisters a module.
    pub fn unregister(&self, module: &str, force: bool) -> Result<Report, ReloadError> {
        self.time.block_on(self.engine.unregister(module, force))
    }

    /// Sends a state that was recorded of an earlier version of `module` up through its migrations, and each
    /// step back down; see [`round_trip`](graceful_core::round_trip::round_trip). What [`save`](
    /// graceful_core::Module::save) gives is such a record.
    ///
    /// ```
    /// # use graceful_testkit::{App, FakeSubject, Script, op::*};
    /// use graceful_core::Value;
    /// let hits = Script::new("hits")
    ///     .version("2.0.0")
    ///     .up("1.0.0", "2.0.0", [set("hits", state("n")), set("n", Value::Null)])
    ///     .down("1.0.0", "2.0.0", [set("n", state("hits")), set("hits", Value::Null)]);
    /// let app = App::of::<FakeSubject>().module(hits).start();
    /// let recorded = Value::Map([("n".to_owned(), 5.into())].into());
    /// assert!(app.round_trip("hits", "1.0.0", &recorded).unwrap().is_ok());
    /// ```
    ///
    /// # Errors
    /// The module is not there, or no migration leads from `version` to its own.
    ///
    /// # Panics
    /// If `version` is none.
    pub fn round_trip(
        &self,
        module: &str,
        version: &str,
        state: &Value,
    ) -> Result<RoundTrip, RoundTripError> {
        let version = Version::parse(version).unwrap_or_else(|error| panic!("{error}"));
        self.time.block_on(self.engine.round_trip(module, &version, state))
    }

    /// Opens a latch that scripts wait for.
    pub fn open(&self, latch: &str) {
        self.trace.open(latch);
    }

    /// Waits until a script has noted `text`.
    ///
    /// # Panics
    /// If none does.
    pub fn until_noted(&self, text: &str) {
        self.until(&format!("note `{text}`"), || self.trace.notes().iter().any(|note| note == text));
    }

    /// Waits until `reached`.
    ///
    /// # Panics
    /// If it never is, naming `what`.
    pub fn until(&self, what: &str, reached: impl FnMut() -> bool) {
        let reached = self.time.until(PATIENCE, reached);
        assert!(reached, "no {what} within {PATIENCE:?}\n{}", self.trace.text());
    }

    /// What scripts noted, and forgets every line so far.
    pub fn take_notes(&self) -> Vec<String> {
        let notes = self.trace.notes();
        self.trace.clear();
        notes
    }

    /// The trace.
    pub fn trace(&self) -> &Arc<Trace> {
        &self.trace
    }

    /// What the engine shows of itself.
    pub fn status(&self) -> Status {
        self.engine.status()
    }

    /// Everything a failed reload must leave as it was, as text.
    pub fn digest(&self) -> String {
        digest(&self.engine)
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The clock and what runs on it.
    pub fn time(&self) -> &Time {
        &self.time
    }

    /// The sources.
    pub fn sources(&self) -> &MemorySources {
        &self.shelf.sources
    }

    /// Where its sources are, native ones too.
    pub fn shelf(&self) -> &Shelf {
        &self.shelf
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.time.clear();
    }
}

/// An error with all its causes.
pub fn because(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}
