//! A stage for puppets: an engine, its clock, its trace.

use std::sync::Arc;

use graceful_core::*;

use super::{Play, Puppet, Script, Work};

/// One engine on a clock that stands still, with a puppet for its language.
pub struct Theatre {
    pub time: graceful_testkit::Time,
    pub puppet: Arc<Puppet>,
    pub engine: Engine,
    pub trace: Arc<graceful_testkit::Trace>,
}

impl Theatre {
    pub fn new(entries: &[&str]) -> Self {
        Self::with(entries, Limits::default())
    }
    pub fn with(entries: &[&str], limits: Limits) -> Self {
        let time = graceful_testkit::Time::new(graceful_testkit::ClockKind::Manual);
        let (puppet, trace) = (Puppet::new(), graceful_testkit::Trace::new());
        let engine = Engine::builder(time.clock())
            .backend(puppet.clone())
            .sources(Arc::new(Script(puppet.clone())))
            .observer(trace.clone())
            .limits(limits)
            .build();
        engine.set_entries(entries.iter().copied());
        Self { time, puppet, engine, trace }
    }
    pub fn set(&self, name: &str, play: Play) -> &Self {
        self.puppet.set(name, play);
        self
    }
    pub fn reload(&self) -> Result<Report, ReloadError> {
        self.reload_with(ReloadOptions::default())
    }
    pub fn reload_with(&self, options: ReloadOptions) -> Result<Report, ReloadError> {
        self.time.block_on(self.engine.reload(options))
    }
    pub fn call(&self, module: &str, function: &str) -> Result<Value, CallError> {
        self.time.block_on(self.engine.call(module, function, vec![]))
    }
    pub fn born(&self, name: &str) -> Option<u64> {
        self.engine.world().live(name).map(|instance| instance.born.0)
    }
    /// A function that ends after `wait`.
    pub fn sleeper(
        &self,
        wait: std::time::Duration,
    ) -> impl Fn() -> Work<()> + Clone + Send + Sync + 'static {
        let clock = self.time.clock();
        move || clock.sleep(wait)
    }
}
